"""Runs by name: each seed of a scenario is the same sort of trouble, and nothing else.

Random runs mix everything (swarm testing); these are for looking at one thing, and for teaching.
"""

from __future__ import annotations

from typing import Final

import msgspec

from consensus.simulation.config import Config, topology_of
from consensus.simulation.network import QUIET, Profile
from consensus.simulation.schedule import Fault, draw
from consensus.simulation.several import FAULTS_UNTIL_US, cross_config
from consensus.topology import Limits

ROUGH: Final = Profile(
    loss=0.03, duplicate=0.05, delay_min_us=100, delay_spread_us=4_000, tail=0.02, tail_us=200_000
)


class Scenario(msgspec.Struct, frozen=True):
    """Three clusters of ``nodes`` replicas, ``kinds`` of faults about ``gap_us`` apart in each."""

    about: str
    kinds: tuple[str, ...] = ()
    gap_us: int = 300_000
    nodes: int = 3
    profile: Profile = QUIET
    move_every_us: int = 0
    drift_ppm: int = 0
    cross: float = 0.5


SCENARIOS: Final[dict[str, Scenario]] = {
    "calm": Scenario("Nothing goes wrong."),
    "leader-crashes": Scenario("Leaders crash and come back from their disks.", ("crash_leader",)),
    "power-failure": Scenario(
        "All nodes of a cluster lose power at once, what was not synced is gone.", ("crash_all",)
    ),
    "partitions": Scenario(
        "Links are cut, both ways or one way, and whole nodes with them.",
        ("cut", "cut_one_way", "isolate", "isolate_leader", "deaf"),
    ),
    "slow-disks": Scenario("Disks are slow, or do not end a sync.", ("slow_disk", "stuck_disk_leader")),
    "lost-disks": Scenario(
        "Disks lose everything, or a bit of it; nodes are rebuilt from the others.",
        ("lose_disk", "flip_bit", "damage_checkpoint", "crash"),
    ),
    "rough-network": Scenario(
        "Messages are lost, doubled, late and out of order.", ("lossy_link", "slow_link"), profile=ROUGH
    ),
    "wrong-clocks": Scenario(
        "Clocks run up to half a percent apart, and processes stand still.",
        ("pause", "pause_leader"),
        drift_ppm=5_000,
    ),
    "moving-accounts": Scenario(
        "Batches of accounts move between the clusters while leaders crash.",
        ("crash_leader", "isolate_leader"),
        gap_us=500_000,
        move_every_us=5_000,
    ),
    "five-replicas": Scenario(
        "Clusters of five, of which two may be down.", ("crash", "isolate", "fail", "pause"), nodes=5
    ),
}


def scenario_config(name: str, seed: int, schedule: list[Fault] | None = None) -> Config:
    """The run of ``seed`` in a scenario. With ``schedule`` under these faults instead of its own.

    Raises:
        KeyError: there is no such scenario.
    """
    scenario = SCENARIOS[name]
    base = cross_config(seed, schedule=[])
    topology = topology_of(scenario.nodes, 12, 1_000, Limits(checkpoint_slots=60, retain_slots=30), 3)
    if schedule is None:
        drawn = [
            fault
            for cluster in topology.clusters
            for fault in draw(
                seed << 8 | cluster.id, cluster.members, scenario.kinds, scenario.gap_us, FAULTS_UNTIL_US
            )
        ]
        schedule = sorted(drawn, key=lambda fault: fault.at_us)
    habits = msgspec.structs.replace(base.habits, cross=scenario.cross, window=4, hot_accounts=12)
    return Config(
        seed=seed,
        topology=topology,
        profile=scenario.profile,
        habits=habits,
        clients=2,
        schedule=schedule,
        drift_ppm=scenario.drift_ppm,
        audit_every_us=base.audit_every_us,
        move_every_us=scenario.move_every_us,
    )
