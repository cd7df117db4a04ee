"""What must always hold, looked at while somebody watches; the pages show it as chips.

``replicas agree``
    nodes of a cluster that have a state hash for the same slot have the same one.
``Σ balances constant``
    the balances of all accounts in one consistent cut over all clusters, and the money in flight between
    them, add up to what there was at first. Exact, whatever runs meanwhile.
``2PC atomic``, ``locks drained``
    :mod:`bankweb.observatory.crosschecks`.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from bankweb.observatory.crosschecks import Atomic, Locks, verdict
from bankweb.orchestration import cuts
from bankweb.orchestration.bank import topology
from bankweb.orchestration.hub import hub
from bankweb.rest.problems import Problem

EVERY_S: Final = 5.0


async def watch() -> None:
    """Check again and again; each verdict is an event ``check``. Runs until cancelled."""
    replicas, atomic, locks = Replicas(), Atomic(), Locks()
    while True:
        found = [
            await replicas.look(),
            await balances_constant(),
            await atomic.look(),
            await locks.look(),
        ]
        for event in found:
            if event is not None:
                hub().happened(event)
        await asyncio.sleep(EVERY_S)


class Replicas:
    """Compares state hashes: those that nodes report every thousand slots or less often, and those of now."""

    def __init__(self) -> None:
        self._differed: set[int] = set()

    async def look(self) -> dict[str, Any] | None:
        """The verdict, None while fewer than two nodes of a cluster can be compared.

        A difference of now counts once it is seen twice: of nodes that are about to be reset one is first.
        """
        told = await asyncio.gather(*(hub().ask(node, "hash") for node in topology().nodes))
        now = dict(zip(topology().nodes, told, strict=True))
        compared: set[int] = set()
        differ: dict[int, str] = {}
        for cluster in topology().clusters:
            by_slot: dict[tuple[int, int], dict[str, list[int]]] = {}
            for node in cluster.members:
                status = hub().nodes[node].status
                incarnation = int(status.get("incarnation") or 0)
                for one in (status.get("hash") or {}, now[node] or {}):
                    if one.get("hash"):
                        place = (incarnation, int(one["slot"]))
                        by_slot.setdefault(place, {}).setdefault(one["hash"], []).append(node)
            for (_, slot), hashes in by_slot.items():
                if any(len(nodes) > 1 for nodes in hashes.values()):
                    compared.add(cluster.id)
                if len(hashes) > 1:
                    groups = " and ".join(f"nodes {', '.join(map(str, n))}" for n in hashes.values())
                    differ[cluster.id] = f"{groups} differ at slot {slot}"
        lasting = [text for cluster_id, text in differ.items() if cluster_id in self._differed]
        self._differed = set(differ)
        if lasting:
            return verdict("replicas agree", "; ".join(lasting), ok=False)
        return verdict("replicas agree", f"compared in {len(compared)} clusters") if compared else None


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
    return verdict("Σ balances constant", detail, ok=cut.total == expected)
