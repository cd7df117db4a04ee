"""Runs of several clusters, drawn from a seed as those of one are."""

from __future__ import annotations

from typing import Final

import msgspec

from consensus.simulation.config import Config, draw_config, topology_of
from consensus.simulation.draws import Draws
from consensus.simulation.schedule import KINDS, Fault, draw
from consensus.topology import Limits

FAULTS_UNTIL_US: Final = 20_000_000
SEVERAL: Final = 0.9
"""Share of the runs with more than one cluster."""
MOVES_EVERY_US: Final = (3_000, 10_000, 10_000, 40_000)
"""How often a batch of accounts is asked to move."""
CRASHES: Final = frozenset({"crash", "crash_leader", "crash_all"})
"""What restarts come from; few runs do without."""
BATCH_BYTES_MIN: Final = 2_048
"""What the topology allows at least: the longest transaction fits."""


def draw_run(seed: int, schedule: list[Fault] | None = None) -> Config:
    """The run of ``seed``: of one cluster or of several. With ``schedule`` under these faults."""
    if not Draws(seed, "several").chance(SEVERAL):
        return draw_config(seed, schedule)
    config = cross_config(seed, schedule)
    every_us = Draws(seed, "moves").pick(MOVES_EVERY_US)
    return msgspec.structs.replace(config, move_every_us=every_us)


def cross_config(seed: int, schedule: list[Fault] | None = None) -> Config:
    """Two or three clusters, transactions across them, audit cuts, and faults in each."""
    draws = Draws(seed, "clusters")
    base = draw_config(seed, schedule=[])
    limits: Limits = base.topology.limits
    limits = msgspec.structs.replace(limits, batch_bytes=max(BATCH_BYTES_MIN, limits.batch_bytes))
    nodes = draws.pick((1, 3, 3, 3))
    if nodes == 3 and Draws(seed, "five").chance(0.15):
        nodes = 5
    topology = topology_of(nodes, 12, draws.pick((20, 60, 1_000)), limits, draws.pick((2, 3)))
    kinds = tuple(draws.subset(KINDS, draws.pick((0.1, 0.3, 0.7))))
    if not CRASHES.intersection(kinds) and Draws(seed, "crash").chance(0.6):
        kinds = (*kinds, Draws(seed, "crash", 1).pick(sorted(CRASHES)))
    members = topology.clusters[0].members
    if len(members) == 1:
        kinds = tuple(kind for kind in kinds if kind in ("crash", "pause", "slow_disk", "reset_connections"))
    gap_us = draws.pick((100_000, 400_000))
    if schedule is None:
        drawn = [
            fault
            for cluster in topology.clusters
            for fault in draw(seed << 8 | cluster.id, cluster.members, kinds, gap_us, FAULTS_UNTIL_US)
        ]
        schedule = sorted(drawn, key=lambda fault: fault.at_us)
    habits = msgspec.structs.replace(base.habits, cross=draws.pick((0.3, 0.8)))
    return msgspec.structs.replace(
        base,
        topology=topology,
        schedule=schedule,
        habits=habits,
        audit_every_us=draws.pick((20_000, 100_000)),
    )
