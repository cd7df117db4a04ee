"""After a load: is all the money there, and do the replicas hold the same state?"""

from __future__ import annotations

from typing import Any, Final

from consensus.client.errors import OperatorError
from consensus.client.fleet import Fleet, Status
from consensus.cluster.cut import CutError, take_cut
from consensus.topology import Topology
from consensus.types import NodeId

SETTLE_TIMEOUT_S: Final = 10.0


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
        summaries = await fleet.ask(members, "summary", **{"from": 1, "to": topology.accounts})
        totals = [summaries[node]["total"] if node in summaries else None for node in members]
        states = [_state(hashes.get(node)) for node in members]
        agree = states[0] is not None and all(state == states[0] for state in states)
        found.append(
            {
                "cluster": cluster.id,
                "totals": totals,
                "agree": agree and all(total == totals[0] for total in totals),
                "slot": states[0][0] if states[0] is not None else None,
            }
        )
    return {
        "conserved": money.get("total") == expected,
        "replicas_agree": settled and all(entry["agree"] for entry in found),
        "audit": {**money, "expected_total": expected, "clusters": found},
    }


async def _money(fleet: Fleet, timeout_s: float) -> dict[str, Any]:
    async def ask(node: NodeId, name: str, **args: Any) -> Any:
        try:
            return await fleet.call(node, name, timeout_s=1.0, **args)
        except (OperatorError, TimeoutError, ConnectionError):
            return None

    try:
        cut = await take_cut(fleet.topology, ask, lambda cluster: cluster.members, timeout_s=timeout_s)
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


def _state(body: dict[str, Any] | None) -> tuple[int, str] | None:
    return None if body is None else (body["slot"], body["hash"])
