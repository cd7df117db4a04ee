"""After a load: is all the money there, and do the replicas hold the same state?"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from consensus.client.fleet import Fleet, Status
from consensus.cluster.cut import CutError, take_cut
from consensus.topology import Cluster, Topology
from consensus.types import NodeId

SETTLE_TIMEOUT_S: Final = 10.0
POLL_S: Final = 0.05


async def audit(fleet: Fleet, timeout_s: float = SETTLE_TIMEOUT_S) -> dict[str, Any]:
    """Count the money of the whole bank, then compare the state of its nodes at rest.

    ``conserved``: the total of one consistent cut over all clusters is what the bank began with.
    ``replicas_agree``: once the nodes of each cluster have applied the same slot, they report the same state
    hash there, and the same total of their cluster's accounts.

    Returns:
        ``conserved``, ``replicas_agree``, and ``audit``: the cut's total, what was expected, what was found
        per cluster.

    Raises:
        OperatorError: a node refused.
    """
    topology = fleet.topology
    expected = topology.accounts * topology.initial_balance
    money = await _money(fleet, timeout_s)
    found = await _compare(fleet, timeout_s)
    return {
        "conserved": money.get("total") == expected,
        "replicas_agree": bool(found) and all(entry["agree"] for entry in found),
        "audit": {**money, "expected_total": expected, "clusters": found},
    }


async def _compare(fleet: Fleet, timeout_s: float) -> list[dict[str, Any]]:
    """What the nodes of each cluster hold, once all of a cluster stand at one slot; empty: never in time.

    Leaders still log that transactions are finished for a while after the last one ended, so a slot can come
    in between two questions: the nodes are asked again until all answers are about the same slots.
    """
    topology = fleet.topology
    nodes = list(topology.nodes)
    found: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                await fleet.wait(nodes, lambda statuses: at_rest(topology, statuses), timeout_s)
                before = await fleet.ask(nodes, "hash", slot=0)
                found = [await _cluster(fleet, cluster, before) for cluster in topology.clusters]
                if before == await fleet.ask(nodes, "hash", slot=0) and all(
                    e["slot"] is not None for e in found
                ):
                    return found
                found = []
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        return found


async def _cluster(fleet: Fleet, cluster: Cluster, hashes: dict[NodeId, Any]) -> dict[str, Any]:
    """``slot`` is None while the members stand at different ones."""
    members = cluster.members
    summaries = await fleet.ask(members, "summary", **{"from": 1, "to": fleet.topology.accounts})
    totals = [summaries[node]["total"] if node in summaries else None for node in members]
    states = [hashes.get(node) for node in members]
    slots = {state["slot"] if state is not None else None for state in states}
    same = all(state == states[0] for state in states)
    return {
        "cluster": cluster.id,
        "totals": totals,
        "agree": same and all(total == totals[0] for total in totals),
        "slot": slots.pop() if len(slots) == 1 else None,
    }


async def _money(fleet: Fleet, timeout_s: float) -> dict[str, Any]:
    try:
        cut = await take_cut(
            fleet.topology, fleet.ask_one, lambda cluster: cluster.members, timeout_s=timeout_s
        )
    except CutError as error:
        return {"total": None, "in_flight": None, "error": str(error)}
    return {"total": cut.total, "in_flight": cut.in_flight}


def at_rest(topology: Topology, statuses: dict[NodeId, Status]) -> bool:
    """Whether every node answered, and those of each cluster have applied all that is chosen."""
    if len(statuses) < len(topology.nodes):
        return False
    for cluster in topology.clusters:
        reached = {(statuses[node]["applied"], statuses[node]["watermark"]) for node in cluster.members}
        if len(reached) != 1 or len(set(reached.pop())) != 1:
            return False
    return True
