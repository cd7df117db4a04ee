"""What must always hold, looked at while somebody watches; the pages show it as chips.

``replicas agree``
    nodes of a cluster that report a state hash for the same slot report the same hash.
``Σ balances constant``
    the balances of all accounts in one consistent cut over all clusters, and the money in flight between
    them, add up to what there was at first. Exact, whatever runs meanwhile.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from bankweb.orchestration import cuts
from bankweb.orchestration.bank import topology
from bankweb.orchestration.hub import hub
from bankweb.rest.problems import Problem

EVERY_S: Final = 5.0


async def watch() -> None:
    """Check again and again; each verdict is an event ``check``. Runs until cancelled."""
    while True:
        for verdict in (replicas_agree(), await balances_constant()):
            if verdict is not None:
                hub().happened(verdict)
        await asyncio.sleep(EVERY_S)


def replicas_agree() -> dict[str, Any] | None:
    """The verdict, None while fewer than two nodes of a cluster can be compared."""
    compared = 0
    for cluster in topology().clusters:
        by_slot: dict[tuple[int, int], dict[str, list[int]]] = {}
        for node in cluster.members:
            status = hub().nodes[node].status
            told = status.get("hash") or {}
            if told.get("hash"):
                place = (int(status.get("incarnation") or 0), int(told["slot"]))
                by_slot.setdefault(place, {}).setdefault(told["hash"], []).append(node)
        for (_, slot), hashes in by_slot.items():
            if len(hashes) > 1:
                groups = " and ".join(f"nodes {', '.join(map(str, nodes))}" for nodes in hashes.values())
                return _verdict("replicas agree", f"{groups} differ at slot {slot}", ok=False)
            compared += sum(len(nodes) > 1 for nodes in hashes.values())
    return _verdict("replicas agree", f"compared in {compared} clusters") if compared else None


async def balances_constant() -> dict[str, Any] | None:
    """The verdict of one cut over all clusters; None while there is none to be had."""
    expected = topology().initial_balance * topology().accounts
    try:
        cut = await cuts.take(accounts=False)
    except Problem:
        return None
    detail = f"cut {cut.number}: all balances add up to {cut.total}"
    detail += f", {cut.in_flight} of it in flight" if cut.in_flight else ""
    detail += "" if cut.total == expected else f"; it should be {expected}"
    return _verdict("Σ balances constant", detail, ok=cut.total == expected)


def _verdict(name: str, detail: str, *, ok: bool = True) -> dict[str, Any]:
    return {"k": "check", "name": name, "ok": ok, "detail": detail}
