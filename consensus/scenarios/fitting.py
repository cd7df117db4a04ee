"""Whether a scenario can be told on a bank that is there already: its accounts must lie where it says."""

from __future__ import annotations

from collections.abc import Iterator

from consensus import topology_file
from consensus.scenarios.scenario import Scenario, Step
from consensus.topology import Topology
from consensus.types import AccountId

CLUSTERS = NODES = 3
"""Of the private bank that scenarios are written for."""
TRADERS_MIN = 60


def misfit(scenario: Scenario, topology: Topology) -> str:
    """Why ``scenario`` cannot run on a bank of ``topology``, as a sentence; empty when it can."""
    named = {account for step in scenario.steps for account in accounts_of(step)}
    if not named:
        if len(topology.clusters) < 2 or topology.accounts < TRADERS_MIN:
            return f"it needs two clusters and {TRADERS_MIN} accounts"
        return ""
    written_for = topology_file.generate(
        clusters=CLUSTERS, nodes=NODES, accounts=scenario.accounts, balance=scenario.balance
    )
    if topology.initial_balance != scenario.balance:
        return f"it counts on accounts that begin with {scenario.balance}, not {topology.initial_balance}"
    for cluster in written_for.clusters:
        there = topology.cluster_by_id.get(cluster.id)
        if there is None or len(there.members) < NODES:
            return f"it needs {CLUSTERS} clusters of {NODES} nodes"
    for account in sorted(named):
        home, wanted = topology.home(account), written_for.home(account)
        if home is None or wanted is None or home.id != wanted.id:
            where = "nowhere" if home is None else f"in cluster {home.id}"
            return f"account {account} lies {where} here, it is told of cluster {wanted.id if wanted else 0}"
    return ""


def accounts_of(step: Step) -> Iterator[AccountId]:
    """Accounts that a step names."""
    if step.transfer is not None:
        yield from (step.transfer.from_, step.transfer.to)
    if step.legs is not None:
        yield from (account for account, _ in step.legs.legs)
    if step.burst is not None:
        yield step.burst.to
        yield from (account for ends in step.burst.from_ for account in ends)
    for place in (step.read, step.replicas, step.node_state, step.locked, step.unlocked):
        if place is not None:
            yield place.account
