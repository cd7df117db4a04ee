"""A transfer or two between clusters, with crashes at one point of the protocol, and what must come of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from consensus.messages.client import Outcome, Submit
from consensus.messages.entries import Item
from consensus.simulation.client import Frame, SimClient, Transaction
from consensus.simulation.config import Config, topology_of
from consensus.simulation.points import Point, Points
from consensus.simulation.wishes import Habits
from consensus.simulation.world import World
from consensus.types import NodeId

ACCOUNTS = 4
BALANCE = 100
BEGIN_US = 20_000
"""By then the sessions are open."""
LOOK_US = 1_000
SOON_US = 10_000
"""A node that is back before anybody misses it."""
ELECTION_US = 1_000_000
"""Within this a cluster with a majority has a leader again, whatever was lost on the way."""
TWOPC_US = 500_000
HABITS = Habits(
    window=1, tick_min_us=500, tick_max_us=1_000, retry_us=40_000, deadline_us=3_000_000, reads=0, odd=0
)


class Wish(NamedTuple):
    """A transaction and the cluster whose client wants it."""

    cluster: int
    legs: tuple[int, ...]


class Payer(SimClient):
    """Wants one thing at :data:`BEGIN_US`, and remembers what it was told."""

    wish: Wish
    outcome: Outcome | None = None

    def _work(self, now_us: int, frames: list[Frame]) -> None:
        if self._next or now_us < BEGIN_US:
            super()._work(now_us, frames)
            return
        self._next = 1
        item = Item(0, self.wish.legs)
        self._open[0] = Transaction(item, now_us, now_us, self._home)
        frames.append((self._home.target, [Submit(self.session, 0, [item])]))

    def _outcome(self, now_us: int, number: int, outcome: Outcome) -> None:
        super()._outcome(now_us, number, outcome)
        self.outcome = outcome

    @property
    def idle(self) -> bool:
        return self.outcome is not None and super().idle


RETURNS = ("soon", "led", "over")
"""When crashed nodes are back: before anybody misses them, under a new leader, or when all is over."""


class Crash(NamedTuple):
    """Crash ``nodes`` at a point; ``back`` is one of :data:`RETURNS`."""

    point: Point
    nodes: tuple[NodeId, ...]
    back: str


class Play:
    """One run. ``status``: how each wish ended, in order."""

    def __init__(
        self, wishes: tuple[Wish, ...], clusters: int = 2, crash: Crash | None = None, seed: int = 1
    ) -> None:
        topology = topology_of(3, ACCOUNTS, BALANCE, clusters=clusters)
        self.world = World(Config(seed=seed, topology=topology, habits=HABITS, clients=0, hash_every=1_000))
        self.points: list[Point] = []
        self.crash = crash
        self.crashed_us = -1
        self.down: set[NodeId] = set()
        owners = {node: cluster.id for node, cluster in topology.cluster_by_node.items()}
        self.world.hook = Points(owners, self._at).moment
        self.payers: list[Payer] = []
        for number, wish in enumerate(wishes, 1):
            cluster = topology.cluster_by_id[wish.cluster]
            payer = Payer(seed, number, cluster, HABITS, self.world.checkers)
            payer.wish = wish
            payer.draining = True
            self.payers.append(payer)
            self.world.add(payer)

    def _at(self, point: Point) -> None:
        if self.crash is None:
            self.points.append(point)
        elif point == self.crash.point and self.crashed_us < 0:
            self.crashed_us = self.world.now_us
            for node in self.crash.nodes:
                self.world.nodes[node].crash()
                self.down.add(node)

    # --- running ---------------------------------------------------------------------

    def quiet(self) -> list[Point]:
        """Run without a crash. Returns every point."""
        assert self.world.run_until(self.is_over, 2_000_000, LOOK_US), self.world.unrest()
        self.world.settle()
        return self.points

    def run(self) -> None:
        """Run with the crash, and see that nobody is blocked for longer than the protocol allows."""
        world = self.world
        assert self.crash is not None
        assert world.run_until(lambda: self.crashed_us >= 0, 2_000_000, LOOK_US), "never came to the point"
        if self.crash.back == "soon":
            world.run_for(SOON_US)
            self._boot(self.down)
        assert world.run_until(self.is_led, ELECTION_US, LOOK_US), "no leader"
        if self.crash.back == "led":
            self._boot(self.down)
        assert world.run_until(self.is_over, 2 * TWOPC_US, LOOK_US), f"blocked: {self.blocked()}"
        world.settle()

    def _boot(self, nodes: Iterable[NodeId]) -> None:
        for node in sorted(nodes):
            self.world.boot(self.world.nodes[node])
        self.down = set()

    # --- looking -----------------------------------------------------------------------

    def leader(self, cluster: int) -> NodeId | None:
        """The node that leads ``cluster``, has established its view and is up."""
        members = self.world.config.topology.cluster_by_id[cluster].members
        leading = [
            (r.leader.ballot, m)
            for m in members
            if (r := self.world.nodes[m].replica) and r.leads and r.leader
        ]
        return max(leading)[1] if leading else None

    def is_led(self) -> bool:
        return all(self.leader(cluster.id) for cluster in self.world.config.topology.clusters)

    def is_over(self) -> bool:
        return not self.blocked()

    def blocked(self) -> str:
        """What is not over yet: an answer, a lock, an undo record, a decision somebody has not applied."""
        for payer in self.payers:
            if not payer.idle:
                return f"client {payer.number} waits for {payer.open_numbers}"
        for cluster in self.world.config.topology.clusters:
            node = self.leader(cluster.id)
            if node is None:
                return f"cluster {cluster.id} has no leader"
            replica = self.world.nodes[node].replica
            assert replica is not None
            cross = replica.machine.state.cross
            if cross.prepared or cross.locks or cross.undo or cross.unfinished:
                return f"n{node}: {cross.prepared}, {cross.unfinished}"
        return ""

    @property
    def status(self) -> tuple[int, ...]:
        return tuple(payer.outcome.status for payer in self.payers if payer.outcome is not None)

    def balances(self) -> dict[int, int]:
        """Every account, as the logs have it."""
        return {a: b for checker in self.world.checkers.values() for a, b in checker.bank.balances.items()}
