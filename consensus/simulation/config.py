"""What one run is like: size of the cluster, limits, network, clients, kinds of fault. Drawn from its seed.

Each run has only some of the kinds of fault and its own mixture of everything else (swarm testing: Groce et
al., 2012): a run in which everything goes wrong at once finds less than many in which a few things do.
"""

from __future__ import annotations

from typing import Final

import msgspec

from consensus.simulation.draws import Draws
from consensus.simulation.network import Profile
from consensus.simulation.schedule import DAMAGE, KINDS, Fault, draw
from consensus.simulation.tight import SESSION_NAMES, draw_tight
from consensus.simulation.wishes import Habits
from consensus.topology import Cluster, Limits, Node, Timings, Topology

FAULTS_UNTIL_US: Final = 120_000_000
"""Faults are drawn for so much virtual time; a run ends by its count of steps long before."""
BATCH_DELAYS_MS: Final = (0.0, 2.0, 2.0, 5.0)
TURNS_US: Final = (0, 0, 200, 2_000)


class Config(msgspec.Struct, frozen=True):
    """Everything that a run depends on, besides the code."""

    seed: int
    topology: Topology
    profile: Profile = Profile()
    habits: Habits = Habits()
    clients: int = 2
    schedule: list[Fault] = []
    segment_bytes: int = 8_192
    sync_us: int = 300
    """A sync takes this long on a good day."""
    drift_ppm: int = 0
    """Clocks are wrong by up to this."""
    hash_every: int = 1
    """State hashes are compared at multiples of this slot."""
    wire: bool = False
    """Messages go through the codec, as bytes."""
    checkpoint_rows: int = 20
    """Rows taken from a capture at a time."""
    tight: dict[str, int] = {}
    """Constants of the core with other values (``tight``)."""
    audit_every_us: int = 0
    """An audit cut begins so often; 0: never."""
    move_every_us: int = 0
    """A batch of accounts is asked to move so often; 0: never."""
    turn_us: int = 0
    """What comes to a node within up to this long is taken together, as in a turn of its loop."""
    left_down: bool = False
    """At the end, first rest without a minority of the nodes, then with all."""


def topology_of(
    nodes: int,
    accounts: int,
    balance: int,
    limits: Limits | None = None,
    clusters: int = 1,
    lease: bool = False,
    batch_delay_ms: float = Timings().batch_delay_ms,
) -> Topology:
    """Clusters of ``nodes`` replicas each with ``accounts`` accounts each; nothing listens anywhere."""
    made: list[Cluster] = []
    for c in range(clusters):
        members = tuple(Node(c * nodes + i, "simulated", i) for i in range(1, nodes + 1))
        made.append(Cluster(c + 1, members, c * accounts + 1, (c + 1) * accounts))
    wide = nodes > 3
    timings = Timings(
        election_min_ms=200 if wide else Timings().election_min_ms,
        election_max_ms=400 if wide else Timings().election_max_ms,
        batch_delay_ms=batch_delay_ms,
    )
    return Topology(tuple(made), balance, timings, limits or Limits(), lease)


def draw_config(seed: int, schedule: list[Fault] | None = None) -> Config:
    """The run of ``seed``; with ``schedule``, under these faults instead of its own."""
    draws = Draws(seed, "config")
    nodes = draws.pick((3, 3, 3, 3, 3, 5, 5, 1))
    accounts, balance = draws.pick((12, 40, 130)), draws.pick((5, 60, 1_000))
    limits = _limits(draws)
    lease = Draws(seed, "lease").chance(0.4)
    delay_ms = Draws(seed, "batch delay").pick(BATCH_DELAYS_MS)
    topology = topology_of(nodes, accounts, balance, limits, lease=lease, batch_delay_ms=delay_ms)
    profile = _profile(draws)
    tight = draw_tight(draws)
    habits = _habits(draws, many_sessions=SESSION_NAMES[0] in tight)
    kinds = tuple(draws.subset(KINDS, draws.pick((0.1, 0.3, 0.7))))
    if nodes == 1:
        kinds = tuple(kind for kind in kinds if kind not in DAMAGE)
    gap_us = draws.pick((30_000, 100_000, 400_000))
    if schedule is None:
        schedule = draw(seed, topology.clusters[0].members, kinds, gap_us, FAULTS_UNTIL_US)
    return Config(
        seed=seed,
        topology=topology,
        profile=profile,
        habits=habits,
        clients=draws.pick((1, 2, 4)),
        schedule=schedule,
        segment_bytes=draws.pick((2_048, 8_192, 65_536)),
        sync_us=draws.pick((100, 1_000, 6_000)),
        drift_ppm=draws.pick((0, 100, 5_000)),
        hash_every=draws.pick((1, 7, 50)),
        wire=draws.chance(0.25),
        checkpoint_rows=draws.pick((5, 50)),
        tight=tight,
        turn_us=Draws(seed, "turns").pick(TURNS_US),
        left_down=draws.chance(0.5),
    )


def _limits(draws: Draws) -> Limits:
    return Limits(
        batch_transactions=draws.pick((2, 8, 512)),
        batch_bytes=draws.pick((400, 2_000, 49_152)),
        window_slots=draws.pick((1, 2, 8)),
        queue_transactions=draws.pick((20, 20_000)),
        checkpoint_slots=draws.pick((8, 20, 60, 200)),
        checkpoint_bytes=draws.pick((4_000, 8 << 20)),
        retain_slots=draws.pick((0, 4, 30, 4_096)),
        retain_bytes=draws.pick((2_000, 4 << 20)),
    )


def _profile(draws: Draws) -> Profile:
    return Profile(
        loss=draws.pick((0.0, 0.0, 0.005, 0.03, 0.1)),
        duplicate=draws.pick((0.0, 0.01, 0.1)),
        delay_min_us=draws.pick((20, 100, 1_000)),
        delay_spread_us=draws.pick((100, 1_000, 8_000)),
        tail=draws.pick((0.0, 0.01, 0.1)),
        tail_us=draws.pick((5_000, 60_000, 400_000)),
    )


def _habits(draws: Draws, many_sessions: bool) -> Habits:
    return Habits(
        window=draws.pick((1, 4, 12)),
        tick_min_us=draws.pick((500, 4_000)),
        tick_max_us=draws.pick((8_000, 30_000)),
        retry_us=draws.pick((40_000, 150_000)),
        deadline_us=draws.pick((300_000, 3_000_000)),
        reads=draws.pick((0.0, 0.1, 0.6)),
        odd=draws.pick((0.0, 0.15, 0.5)),
        hot_accounts=draws.pick((3, 10, 100)),
        new_session=0.1 if many_sessions else draws.pick((0.0, 0.0, 0.02)),
        stray_reads=draws.pick((0.0, 0.3)),
    )
