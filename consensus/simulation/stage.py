"""A world by hand: every message, sync and tick happens when it is asked for, and nothing is random.

The same nodes, disks and checkers as in :mod:`consensus.simulation.world`, for tests of one scenario and for
transcripts. Messages wait in the order they were sent until :meth:`Stage.quiet` or :meth:`Stage.deliver`
takes them; cut links drop them, held ones keep them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from consensus.effects import Disconnected, Input, Receive, Requests, Wake
from consensus.messages.base import Message
from consensus.messages.client import Refused, Replies
from consensus.simulation.clock import Clock
from consensus.simulation.config import topology_of
from consensus.simulation.disk import Disk
from consensus.simulation.invariants import Checker
from consensus.simulation.node import FAR_US, SimNode
from consensus.simulation.whole import Whole
from consensus.topology import Limits, Topology
from consensus.types import NodeId, SessionId

ROUNDS_MAX = 100_000
"""Steps at one moment before it is taken for a loop that does not end."""


class Flight(NamedTuple):
    """A message on its way."""

    source: NodeId
    target: NodeId
    message: Message


class Note(NamedTuple):
    """Something that happened, for whoever watches: kind, node, and what it is about."""

    kind: str
    node: NodeId
    what: Any


class Stage:
    """``now_us`` moves by :meth:`run` and :meth:`pass_time` only."""

    def __init__(
        self,
        nodes: int = 3,
        limits: Limits | None = None,
        topology: Topology | None = None,
        segment_bytes: int = 16_384,
    ) -> None:
        self.topology = topology or topology_of(nodes, accounts=10, balance=100, limits=limits)
        self.now_us = 1_000_000
        self.flying: list[Flight] = []
        self.dropped: list[Flight] = []
        """What cut links swallowed, for tests that deliver it later."""
        self.answers: dict[int, list[Message]] = {}
        """Per connection, everything it was told, oldest first."""
        self.watch: Callable[[Note], None] = lambda note: None
        self.intercept: Callable[[Flight], bool] = lambda flight: True
        """Asked for each message that leaves; False drops it."""
        self.stuck: set[NodeId] = set()
        """Nodes whose disk does not end a sync."""
        self.unsaved: set[NodeId] = set()
        """Nodes whose checkpoints are not written on."""
        self.stopped: set[NodeId] = set()
        """Nodes whose process stands still."""
        self._cut: set[tuple[NodeId, NodeId]] = set()
        self._held: set[tuple[NodeId, NodeId]] = set()
        self.whole = Whole(self.topology)
        self.checkers: dict[int, Checker] = {}
        self.nodes: dict[NodeId, SimNode] = {}
        for cluster in self.topology.clusters:
            checker = self.checkers[cluster.id] = Checker(self.topology, cluster, self.whole)
            for member in cluster.members:
                disk = Disk(member, member, segment_bytes)
                node = SimNode(1, member, self.topology, disk, Clock(), checker)
                self.nodes[member] = node
                node.format()
                node.boot(bootstrap=True)
                self._begin(node)

    # --- looking ---------------------------------------------------------------------

    @property
    def checker(self) -> Checker:
        """Of the only cluster, or the first."""
        return next(iter(self.checkers.values()))

    def replica(self, node: NodeId) -> Any:
        """The replica that runs at ``node``, with everything open to a test."""
        found = self.nodes[node].replica
        assert found is not None, f"n{node} is down"
        return found

    @property
    def leaders(self) -> list[NodeId]:
        """Nodes that lead and have established their view, whether or not they still may."""
        return [n for n, node in self.nodes.items() if node.replica is not None and node.replica.leads]

    def told(self, connection: int, kind: type[Message]) -> list[Any]:
        """Everything of one type that ``connection`` was told."""
        return [message for message in self.answers.get(connection, []) if type(message) is kind]

    def outcomes(self, connection: int, session: SessionId) -> dict[int, int]:
        """Status by number, of all outcomes that ``connection`` was told for ``session``."""
        return {
            number: outcome.status
            for reply in self.told(connection, Replies)
            if reply.session == session
            for number, outcome in zip(reply.numbers, reply.outcomes, strict=True)
        }

    def refusals(self, connection: int) -> list[Refused]:
        return self.told(connection, Refused)

    # --- single things -----------------------------------------------------------------

    def step(self, node: NodeId, input: Input) -> None:
        """Step a node and take up what comes of it."""
        target = self.nodes[node]
        watch = self.watch
        watch(Note("input", node, input))
        out, leaving = target.step(self.now_us, input)
        for append in out.persist:
            watch(Note("persist", node, append.record))
        for send in leaving:
            watch(Note("send", node, send))
            for to in send.to:
                self._send(Flight(node, to, send.message))
        for reply in out.replies:
            if not target.frozen:
                watch(Note("reply", node, reply))
                self.answers.setdefault(reply.connection, []).append(reply.message)
        for event in out.events:
            watch(Note("event", node, event))
        if out.checkpoint is not None:
            watch(Note("capture", node, out.checkpoint))

    def _send(self, flight: Flight) -> None:
        if (flight.source, flight.target) in self._cut or not self.intercept(flight):
            self.dropped.append(flight)
        else:
            self.flying.append(flight)

    def request(self, node: NodeId, *messages: Message, connection: int = 1) -> None:
        """A client's frame arrives at ``node``."""
        if self._hears(node):
            self.step(node, Requests(connection, list(messages)))

    def disconnect(self, node: NodeId, connection: int) -> None:
        self.step(node, Disconnected(connection))

    def arrive(self, flight: Flight) -> None:
        """A message arrives now, wherever it comes from (``dropped``, a test's own)."""
        if self._hears(flight.target):
            self.step(flight.target, Receive(flight.source, [flight.message]))

    def _hears(self, node: NodeId) -> bool:
        return self.nodes[node].up and not self.nodes[node].frozen

    def deliver(self, source: NodeId, target: NodeId, count: int = 0) -> int:
        """Deliver what waits on one link, held or not: all of it, or the first ``count``."""
        due = [f for f in self.flying if (f.source, f.target) == (source, target)]
        due = due[:count] if count else due
        for flight in due:
            self.flying.remove(flight)
            self.arrive(flight)
        return len(due)

    def drop(self, source: NodeId, target: NodeId) -> int:
        """Lose what waits on one link."""
        lost = [f for f in self.flying if (f.source, f.target) == (source, target)]
        self.flying = [f for f in self.flying if (f.source, f.target) != (source, target)]
        self.dropped.extend(lost)
        return len(lost)

    def sync(self, node: NodeId) -> bool:
        """Let the disk of ``node`` write and sync what was appended. False when there is nothing."""
        target = self.nodes[node]
        target.disk.start_write()
        if target.disk.writing is None:
            return False
        persisted = target.synced()
        self.watch(Note("synced", node, persisted))
        self.step(node, persisted)
        return True

    def checkpoint(self, node: NodeId, rows: int = 1_000) -> bool:
        """Write a further piece of the checkpoint that is due at ``node``. False when none is."""
        target = self.nodes[node]
        if target.capture is None:
            return False
        done = target.write_checkpoint(rows)
        if done is not None:
            self.watch(Note("checkpoint", node, done))
            self.step(node, done)
        return True

    def campaign(self, node: NodeId) -> None:
        """Let the election timeout of ``node`` run out now; nobody objects for having heard a leader."""
        for other in self.nodes.values():
            if other.replica is not None:
                other.replica.election.heard_us = -FAR_US
        self.replica(node).election.deadline_us = self.now_us
        self.replica(node).wake_at_us = self.now_us

    # --- time --------------------------------------------------------------------------

    def pass_time(self, ms: float) -> None:
        """Move the clock. Nothing else happens."""
        self.now_us += int(ms * 1000)

    def wake(self, node: NodeId) -> bool:
        """Wake a node if its time has come."""
        target = self.nodes[node]
        replica = target.replica
        if replica is None or node in self.stopped or replica.wake_at_us > self.now_us:
            return False
        self.step(node, Wake())
        return True

    def quiet(self) -> None:
        """Sync, deliver, wake and write checkpoints until nothing is left to do at this moment."""
        for _ in range(ROUNDS_MAX):
            if not self._once():
                return
        raise AssertionError(f"no end of steps at {self.now_us} µs")

    def _once(self) -> bool:
        for node, target in self.nodes.items():
            if not target.up or node in self.stopped:
                continue
            if node not in self.stuck and self.sync(node):
                return True
            if self.wake(node) or (node not in self.unsaved and self.checkpoint(node)):
                return True
        for i, flight in enumerate(self.flying):
            if (flight.source, flight.target) not in self._held and flight.target not in self.stopped:
                del self.flying[i]
                self.arrive(flight)
                return True
        return False

    def run(self, ms: float) -> None:
        """Let time pass; whatever comes due on the way happens at its time, messages take none."""
        end = self.now_us + int(ms * 1000)
        self.quiet()
        while True:
            due = [
                node.replica.wake_at_us
                for number, node in self.nodes.items()
                if node.replica is not None and number not in self.stopped
            ]
            soonest = min(due, default=FAR_US)
            if soonest > end:
                break
            self.now_us = max(self.now_us, soonest)
            self.quiet()
        self.now_us = end
        self.quiet()

    def run_until(self, condition: Callable[[], bool], within_ms: float = 10_000) -> None:
        """Let time pass, 5 ms at a time, until ``condition`` holds.

        Raises:
            AssertionError: it does not in time.
        """
        end = self.now_us + int(within_ms * 1000)
        self.quiet()
        while not condition():
            assert self.now_us < end, f"the condition did not come true within {within_ms} ms"
            self.run(5)

    # --- faults ------------------------------------------------------------------------

    def cut(self, source: NodeId, target: NodeId, both: bool = True) -> None:
        """From now on nothing gets from ``source`` to ``target`` (and back)."""
        self._cut.add((source, target))
        if both:
            self._cut.add((target, source))

    def isolate(self, node: NodeId) -> None:
        """Cut a node off from all others; clients still reach it."""
        for other in self.nodes:
            if other != node:
                self.cut(node, other)

    def hold(self, source: NodeId, target: NodeId) -> None:
        """What is sent on this link waits until :meth:`deliver` or :meth:`heal`."""
        self._held.add((source, target))

    def heal(self) -> None:
        """All links work again, all disks sync, all processes run."""
        self._cut.clear()
        self._held.clear()
        self.stuck.clear()
        self.unsaved.clear()
        self.stopped.clear()

    def crash(self, node: NodeId) -> None:
        self.nodes[node].crash()

    def restart(self, node: NodeId) -> None:
        """Start the node's process from its disk."""
        self.nodes[node].boot()
        self._begin(self.nodes[node])

    def _begin(self, node: SimNode) -> None:
        """Start of a process: its first step, at once."""
        self.step(node.id, Wake())

    def lose_disk(self, node: NodeId) -> None:
        """The node is down, and everything it ever stored is gone."""
        if self.nodes[node].up:
            self.crash(node)
        self.nodes[node].disk.wipe()
        self.nodes[node].checker.lost(node)

    def fail(self, node: NodeId) -> None:
        """The course's F."""
        self.step(node, self.nodes[node].freeze())

    def recover(self, node: NodeId) -> None:
        """The course's R."""
        self.step(node, self.nodes[node].thaw())
