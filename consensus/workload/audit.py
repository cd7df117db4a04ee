"""After a load: is all the money there, and do the replicas hold the same state?"""

from __future__ import annotations

from typing import Any, Final

from consensus.client.fleet import Fleet, Status
from consensus.topology import Topology
from consensus.types import NodeId

SETTLE_TIMEOUT_S: Final = 10.0


async def audit(fleet: Fleet, timeout_s: float = SETTLE_TIMEOUT_S) -> dict[str, Any]:
    """Compare the state of all nodes of a bank at rest.

    Waits until the nodes of each cluster have applied the same slot. ``conserved``: the balances on
    the nodes, cluster by cluster, add up to what the bank began with (transfers stay within a
    cluster as long as there is no 2PC, so each cluster's own total is constant). ``replicas_agree``: all
    nodes of a cluster report the same state hash at the same slot.

    Returns:
        ``conserved``, ``replicas_agree``, and ``audit``: what was found, per cluster.

    Raises:
        OperatorError: a node refused.
    """
    topology = fleet.topology
    nodes = list(topology.nodes)
    settled = True
    try:
        await fleet.wait(nodes, lambda found: at_rest(topology, found), timeout_s)
    except TimeoutError:
        settled = False
    hashes = await fleet.ask(nodes, "hash", slot=0)
    found: list[dict[str, Any]] = []
    for cluster in topology.clusters:
        members = cluster.members
        summaries = await fleet.ask(
            members, "summary", **{"from": cluster.first_account, "to": cluster.last_account}
        )
        expected = (cluster.last_account - cluster.first_account + 1) * topology.initial_balance
        totals = [summaries[node]["total"] if node in summaries else None for node in members]
        states = [_state(hashes.get(node)) for node in members]
        found.append(
            {
                "cluster": cluster.id,
                "expected_total": expected,
                "totals": totals,
                "conserved": all(total == expected for total in totals),
                "agree": states[0] is not None and all(state == states[0] for state in states),
                "slot": states[0][0] if states[0] is not None else None,
            }
        )
    return {
        "conserved": all(entry["conserved"] for entry in found),
        "replicas_agree": settled and all(entry["agree"] for entry in found),
        "audit": found,
    }


def at_rest(topology: Topology, statuses: dict[NodeId, Status]) -> bool:
    """Whether every node answered, and those of each cluster have applied all that is chosen."""
    if len(statuses) < len(topology.nodes):
        return False
    for cluster in topology.clusters:
        reached = {(statuses[node]["applied"], statuses[node]["watermark"]) for node in cluster.members}
        if len(reached) != 1 or len(set(reached.pop())) != 1:
            return False
    return True


def _state(body: dict[str, Any] | None) -> tuple[int, str] | None:
    return None if body is None else (body["slot"], body["hash"])
