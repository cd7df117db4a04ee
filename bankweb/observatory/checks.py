"""What must always hold, looked at while somebody watches; the pages show it as chips.

``replicas agree``
    nodes of a cluster that report a state hash for the same slot report the same hash.
``money conserved``
    the balances of all accounts, as each cluster's most advanced node has applied them, add up to what there
    was at first. Exact while each transaction stays inside one cluster.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from bankweb.orchestration.bank import topology
from bankweb.orchestration.hub import hub
from bankweb.orchestration.nodes import best_node
from bankweb.rest.problems import Problem

EVERY_S: Final = 5.0


async def watch() -> None:
    """Check again and again; each verdict is an event ``check``. Runs until cancelled."""
    while True:
        for verdict in (replicas_agree(), await money_conserved()):
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


async def money_conserved() -> dict[str, Any] | None:
    """The verdict, None while a cluster cannot be asked."""
    expected = topology().initial_balance * topology().accounts
    try:
        asked = [
            hub().call(best_node(cluster.id), "summary", **{"from": 1, "to": topology().accounts})
            for cluster in topology().clusters
        ]
        total = sum(part["total"] for part in await asyncio.gather(*asked))
    except Problem:
        return None
    detail = f"all balances add up to {total}" + ("" if total == expected else f", not {expected}")
    return _verdict("money conserved", detail, ok=total == expected)


def _verdict(name: str, detail: str, *, ok: bool = True) -> dict[str, Any]:
    return {"k": "check", "name": name, "ok": ok, "detail": detail}
