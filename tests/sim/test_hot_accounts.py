"""A hundred clients on four accounts in two clusters: everybody gets on, and soon."""

from __future__ import annotations

import pytest

from consensus.simulation.config import Config, topology_of
from consensus.simulation.wishes import Habits
from consensus.simulation.world import World

pytestmark = pytest.mark.long

HABITS = Habits(
    window=1,
    tick_min_us=1_000,
    tick_max_us=3_000,
    retry_us=300_000,
    deadline_us=3_000_000,
    reads=0,
    odd=0,
    hot_accounts=2,
    cross=1,
    insists=1,
    back_off_us=150_000,
)
"""One transfer at a time, always to the other cluster; who loses its locks tries again with its old age."""


def test_hot_accounts_commit_and_nobody_starves() -> None:
    topology = topology_of(3, accounts=2, balance=1_000_000, clusters=2)
    world = World(Config(seed=1, topology=topology, habits=HABITS, clients=50, hash_every=1_000))
    world.run_for(10_000_000)
    clients = list(world.clients.values())
    assert len(clients) == 100
    committed = sum(client.committed for client in clients)
    attempts = committed + sum(client.aborted for client in clients)
    assert committed >= 0.3 * attempts, f"{committed} of {attempts} attempts"
    assert min(client.crossed for client in clients) >= 10, "each client's own transfers"
    waiting = [world.now_us - item.age_us for client in clients for item in client.wishes]
    slowest_us = max([*waiting, *(client.slowest_us for client in clients)])
    assert slowest_us <= HABITS.deadline_us, "with every further attempt, and those that still try"
    world.settle()
