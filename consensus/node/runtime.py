"""A node: one engine, and around it the network, the faults people cause, and those who steer and watch.

Everything happens on one event loop. At the end of each turn of the loop, once, the replica takes what came
in and is woken if it asked for that, what was written to connections is flushed, and what was appended is
handed to the disk: so what came in together goes out together.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from consensus.codec import encode
from consensus.effects import Cut, Disconnected, Event, Freeze, Move, Receive, ReplyTo, Requests, Thaw, Wake
from consensus.messages.client import Read, Refused, Replies, Submit
from consensus.net.control import Control
from consensus.net.lamport import LamportClock
from consensus.net.peers import Peers
from consensus.net.redial import Target
from consensus.net.server import Server
from consensus.net.wire import ALIVE_CHECK_S, Wire
from consensus.node.access import Access
from consensus.node.engine import STOP_TIMEOUT_S, Engine, describe, wall_offset_us
from consensus.node.faults import Faults, LinkFault
from consensus.node.heat import Heat
from consensus.node.latency import Latencies
from consensus.node.operator import CommandError, Operators
from consensus.node.telemetry import Telemetry
from consensus.replica import inspect
from consensus.replica.door import Replica
from consensus.storage.broken import BreakableFiles
from consensus.storage.errors import StorageError
from consensus.storage.folder import NodeFolder, Opened
from consensus.topology import Topology
from consensus.types import NodeId, Slot

EXIT_STOPPED: Final = 0
EXIT_BROKEN: Final = 1
EXIT_DISK: Final = 3
GC_THRESHOLDS: Final = (50_000, 20, 50)
"""Messages are structs that the collector does not track, so cycles are rare: look for them rarely."""

_log = logging.getLogger(__name__)


class Node:
    """One node of one cluster.

    What its connections call is described at ``ServerOwner``, ``PeersOwner`` and ``ControlOwner``, what
    operators may do to it at ``Steered``, what its engine needs at ``Host``.

    Args:
        me: which.
        topology: the bank.
        folder: the node's locked folder.
        bootstrap: whether an empty folder may begin incarnation 1.
        secret: the cluster secret.
        site: where to dial the site; None for a bank without one.

    Raises:
        StorageError: the folder cannot be used.
    """

    def __init__(
        self,
        me: NodeId,
        topology: Topology,
        folder: NodeFolder,
        bootstrap: bool,
        secret: str,
        site: Target | None,
    ) -> None:
        self.me = me
        self.topology = topology
        self.incarnation = 0
        self.faults = Faults()
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._started = time.monotonic()
        self._folder = folder
        self._counts: Counter[str] = Counter()
        self._latencies = Latencies()
        self.access = Access()
        self._skew_us = 0
        """How wrong the wall clock is on purpose."""
        self._dirty: list[Wire] = []
        self._turn_due = False
        limits = topology.limits
        others = [node for node in topology.nodes.values() if node.id != me]
        self.clock = LamportClock()
        self._peers = Peers(me, others, secret, self, self._counts, limits.peer_queue_bytes, topology.lease)
        self._server = Server(
            topology.nodes[me], topology, secret, self, self._counts, limits.peer_queue_bytes
        )
        self._control = None if site is None else Control(site, secret, me, self)
        self._operators = Operators(self)
        self._telemetry = Telemetry(
            me,
            topology.cluster_by_node[me].id,
            tuple(node for node in topology.cluster_by_node[me].members if node != me),
            self.clock,
            self.status,
            self._window_counts,
            self._level_changed,
            self._outcomes_applied,
            self._slot_applied,
            self._sample,
            Heat(lambda: self.access, topology.accounts),
        )
        # Looked up for every message: one attribute instead of two.
        self._wires = self._peers.wires
        self._clients = self._server.clients
        self._engine = self._start_engine(folder.start(bootstrap))

    @property
    def replica(self) -> Replica:
        return self._engine.replica

    def _start_engine(self, opened: Opened) -> Engine:
        """Live in the incarnation that ``opened`` holds."""
        engine = Engine(self.me, self.topology, self._folder.files, opened, self)
        self.incarnation = opened.recovered.incarnation
        self._telemetry.lives_in(self.incarnation)
        engine.replica.trace_level = self._telemetry.level
        engine.replica.sample(*self._telemetry.sample)
        slot = engine.replica.machine.state.slot
        _log.info("incarnation %d, checkpoint of slot %d", self.incarnation, slot)
        return engine

    # --- life ------------------------------------------------------------------------

    async def run(self) -> int:
        """Serve until asked to stop or until the disk fails; returns the exit status.

        Raises:
            OSError: the address cannot be listened on.
        """
        await self._server.start()
        self._peers.start()
        if self._control is not None:
            self._control.start()
        self._loop.call_later(ALIVE_CHECK_S, self._check_alive)
        self._engine.step(Wake())
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        address = self.topology.nodes[self.me]
        _log.info("serving on %s:%d", address.host, address.port)
        status = await self._ended
        await self._server.stop()
        await self._peers.stop()
        if self._control is not None:
            await self._control.stop()
        if not await asyncio.to_thread(self._engine.close) and status == EXIT_STOPPED:
            _log.critical("the disk did not finish writing within %g s", STOP_TIMEOUT_S)
            return EXIT_DISK
        _log.info("stopped")
        return status

    def stop(self) -> None:
        """End with status 0, when this turn of the loop is over."""
        self._end(EXIT_STOPPED)

    def disk_failed(self, error: StorageError) -> None:
        _log.critical("%s", error)
        self._end(EXIT_DISK)

    def broken(self) -> None:
        self._end(EXIT_BROKEN)

    def _end(self, status: int) -> None:
        if not self._ended.done():
            self._ended.set_result(status)

    def _check_alive(self) -> None:
        self._loop.call_later(ALIVE_CHECK_S, self._check_alive)
        self.replica.ctx.wall_offset_us = wall_offset_us() + self._skew_us
        self._server.check_alive()
        self._peers.check_alive()
        if self._control is not None:
            self._control.check_alive()

    # --- turns of the loop -----------------------------------------------------------

    def wire_dirty(self, wire: Wire) -> None:
        self._dirty.append(wire)
        if not self._turn_due:
            self._turn_due = True
            self._loop.call_soon(self.end_turn)

    def end_turn_soon(self) -> None:
        if not self._turn_due:
            self._turn_due = True
            self._loop.call_soon(self.end_turn)

    def end_turn(self) -> None:
        """Connections first: followers begin to write while the own disk does."""
        self._turn_due = True
        self._engine.take()
        self._engine.wake_if_due()
        dirty, self._dirty = self._dirty, []
        self._turn_due = False
        for wire in dirty:
            wire.flush()
        self._engine.hand_over()

    # --- out -------------------------------------------------------------------------

    def leave(self, to: tuple[NodeId, ...], data: bytes, urgent: bool = False) -> None:
        faults = self.faults
        if faults.failed:
            return
        wires = self._wires
        for node in to:
            if faults.links and node in faults.links:
                self._leave_by_faulty_link(node, data)
                continue
            wire = wires.get(node)
            if wire is not None:
                if urgent:
                    wire.send_urgent(data)
                else:
                    wire.send(data)

    def _leave_by_faulty_link(self, node: NodeId, data: bytes) -> None:
        why, delay_s = self.faults.fate(node, len(data))
        if why:
            self._telemetry.lost(node, data, why)
        elif delay_s:
            self.faults.delayed_bytes += len(data)
            self._loop.call_later(delay_s, self._leave_delayed, node, data, self.incarnation)
        else:
            self._peers.send(node, data)

    def _leave_delayed(self, node: NodeId, data: bytes, incarnation: int) -> None:
        self.faults.delayed_bytes -= len(data)
        if incarnation == self.incarnation and not self.faults.failed:
            self._peers.send(node, data)

    def reply(self, replies: list[ReplyTo], now_us: int) -> None:
        clients = self._clients
        for connection, message, until_us in replies:
            wire = clients.get(connection)
            if wire is None or (until_us and time.monotonic_ns() // 1_000 >= until_us):
                continue  # gone; or a lease that ran out while the step took its time: the client asks again
            wire.send(encode(message))
            if type(message) is Replies:
                if self._telemetry.level >= 0:
                    self._telemetry.replied(message, now_us)
                bucket = self._latencies.replied(connection, message, now_us)
                if bucket >= 0:
                    self._telemetry.latency(bucket)
            elif type(message) is Refused:
                self._latencies.refused(connection, message)
                self._telemetry.refused(message)

    def record(self, events: list[Event]) -> None:
        for kind, fields in events:
            if kind == "paxos.leader":
                _log.info("ballot %s: node %s leads", tuple(fields["b"]), fields["leader"] or "unknown")
        self._telemetry.record(events)

    # --- in: other nodes -------------------------------------------------------------

    def heard_incarnation(self, incarnation: int) -> None:
        """Another node lives in ``incarnation``: join it if it is a later one.

        Who is a learner may have taken part in it and lost that, and joins as a learner.
        """
        if incarnation > self.incarnation and not self.faults.failed:
            self._live_in(incarnation, learner=self.replica.acceptor.learner)

    def peer_connected(self, node: NodeId, name: str, wire: Wire) -> None:
        self._trace_sent(node, name, wire)

    def peer_frame(self, node: NodeId, incarnation: int, messages: list[Any]) -> None:
        if self.faults.failed:
            return
        if incarnation != self.incarnation:
            if incarnation < self.incarnation:
                self._counts["frames_stale"] += 1
                return
            self.heard_incarnation(incarnation)
        if self._telemetry.level >= 0:
            name, wire = self._server.peers[node]
            self._telemetry.received(node, name, messages, wire.received - len(messages))
        self._engine.put(Receive(node, messages))

    # --- in: clients -----------------------------------------------------------------

    def client_frame(self, connection: int, incarnation: int, messages: list[Any]) -> None:
        if self.faults.failed:
            return
        if incarnation not in (self.incarnation, 0):
            self._counts["frames_stale"] += 1
            self._server.tell_incarnation(connection)
            return
        now_us = time.monotonic_ns() // 1_000
        leads = self.replica.leads
        for message in messages:
            if type(message) is Submit:
                self._latencies.submitted(connection, message, now_us)
                self._telemetry.submitted(message, now_us)
                if leads:
                    self.access.submitted(message.items, now_us)
            elif type(message) is Read:
                self.access.read(message.items, now_us)
        self._engine.put(Requests(connection, messages))

    def client_lost(self, connection: int) -> None:
        self._latencies.forget(connection)
        self._engine.step(Disconnected(connection))

    # --- in: operators ---------------------------------------------------------------

    def operator_frame(self, wire: Wire, messages: list[Any]) -> None:
        self._operators.frame(wire, messages)

    def operator_lost(self, wire: Wire) -> None:
        self._telemetry.forget(wire)

    def status(self) -> dict[str, Any]:
        """The status document of docs/protocol.md."""
        return {
            **inspect.status(self.replica),
            **describe(self._engine),
            "counters": self.counters(reset=False),
            "uptime_s": round(time.monotonic() - self._started, 3),
            "links": {str(to): fault._asdict() for to, fault in self.faults.links.items()},
        }

    def counters(self, reset: bool) -> dict[str, float]:
        """Every counter; ``reset`` sets them to zero afterwards."""
        counters = self.replica.ctx.counters
        values: dict[str, float] = {**counters, **self._counts}
        values["uptime_s"] = round(time.monotonic() - self._started, 3)
        if reset:
            for name in counters:
                counters[name] = 0
            self._counts.clear()
            self._latencies = Latencies()
        return values

    def latency(self) -> dict[str, Any]:
        """What this node measured as a leader since its counters were reset."""
        seconds = time.monotonic() - self._latencies.since
        answered = self.replica.ctx.counters["transactions_committed"]
        return {
            "throughput_tps": round(answered / max(seconds, 0.001), 1),
            "latency_ms": self._latencies.figures(),
            "since_s": round(seconds, 3),
        }

    def break_disk(self, kind: str, span_ms: float) -> bool:
        """Let the disk misbehave (:class:`BreakableFiles`); False where it cannot."""
        files = self._folder.files
        if not isinstance(files, BreakableFiles):
            return False
        files.break_(kind, span_ms)
        return True

    def skew_clock(self, offset_ms: float) -> bool:
        """Let the wall clock be wrong by ``offset_ms``; False where that is not allowed."""
        if not isinstance(self._folder.files, BreakableFiles):
            return False
        self._skew_us = int(offset_ms * 1_000)
        self.replica.ctx.wall_offset_us = wall_offset_us() + self._skew_us
        return True

    def cut(self, number: int) -> None:
        """Begin an audit cut in this cluster; nothing happens unless this node leads it."""
        self._engine.step(Cut(number))

    def move(self, move: Move) -> None:
        """Begin a part of a plan; nothing happens unless this node leads its cluster."""
        self._engine.step(move)

    def watch(self, wire: Wire, hz: float, level: int) -> None:
        self._telemetry.watch(wire, hz, level)

    def fail(self) -> None:
        """Act disconnected to peers and clients (F)."""
        if not self.faults.failed:
            self._engine.step(Freeze())
            self.faults.failed = self._server.silent = True
            self._engine.drop_gated()
            self._peers.discard()
            self._server.discard()

    def recover(self) -> None:
        """End :meth:`fail` (R)."""
        if self.faults.failed:
            self.faults.failed = False
            self._engine.step(Thaw())
            self._server.resume()

    def set_link(self, to: NodeId, fault: LinkFault) -> None:
        """Make the link to a node faulty, or heal it."""
        if to == self.me or to not in self.topology.nodes:
            raise CommandError(f"link: node {self.me} has no link to node {to}")
        self.faults.set_link(to, fault)
        if to in self.faults.links:
            self._telemetry.note("link.cut", a=self.me, b=to, delay=fault.delay_ms, loss=fault.loss)
        else:
            self._telemetry.note("link.heal", a=self.me, b=to)

    def heal(self) -> None:
        """End every link fault of this node."""
        for to in list(self.faults.links):
            self.set_link(to, LinkFault())

    def reset(self, incarnation: int) -> None:
        """Begin a new incarnation; asked again for the present one, nothing happens."""
        if incarnation < self.incarnation:
            raise CommandError(f"reset: the node lives in incarnation {self.incarnation} already")
        if incarnation > self.incarnation:
            self._live_in(incarnation, learner=False)

    # --- incarnations, levels --------------------------------------------------------

    def _live_in(self, incarnation: int, learner: bool) -> None:
        """Drop the state, durably begin ``incarnation``, tell everybody who is connected.

        Blocks for some 20 ms: there is nothing that the node could do meanwhile.
        """
        _log.info("leaving incarnation %d for %d", self.incarnation, incarnation)
        self._engine.close()
        try:
            self._engine = self._start_engine(self._folder.begin(incarnation, learner))
        except StorageError as error:
            self.disk_failed(error)
            return
        self.access = Access()
        self._latencies = Latencies()
        self._peers.stamp(incarnation)
        self._server.stamp(incarnation)
        if self._control is not None:
            self._control.stamp(incarnation)
        if self.faults.failed:
            self._engine.step(Freeze())
        self._engine.step(Wake())

    def _window_counts(self) -> Mapping[str, float]:
        counters = self.replica.ctx.counters
        return {
            "committed": counters["transactions_committed"],
            "aborted": counters["transactions_failed"],
        }

    def _outcomes_applied(self) -> int:
        return self.replica.ctx.outcomes_applied

    def _slot_applied(self) -> Slot:
        return self.replica.machine.state.slot

    def _sample(self, every: int, slots: bool) -> None:
        self.replica.sample(every, slots)

    def _level_changed(self, level: int) -> None:
        self.replica.trace_level = level
        for node, (name, wire) in self._peers.connections.items():
            self._trace_sent(node, name, wire)

    def _trace_sent(self, node: NodeId, name: str, wire: Wire) -> None:
        """Have frames that leave for ``node`` counted while somebody watches."""
        watched = self._telemetry.level >= 0
        wire.on_sent = partial(self._telemetry.sent, node, name) if watched else None
