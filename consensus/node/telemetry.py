"""What a node tells those who watch it: status, trace events, exact counts per window.

Without watchers nothing is recorded, counted or encoded. With them everything is bounded: events wait in a
buffer per watcher, what does not fit is counted as dropped, and transactions are sampled by a hash of their
id so that all nodes of a cluster pick the same ones.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from consensus import codec
from consensus.effects import Event
from consensus.messages import migration, paxos, txn
from consensus.messages.base import Message
from consensus.messages.client import Refusal, Refused, Replies, Status, Submit
from consensus.messages.control import Telemetry as TelemetryMessage
from consensus.net.lamport import LamportClock
from consensus.net.wire import Wire
from consensus.node.heat import Heat
from consensus.node.late import Late
from consensus.node.sampling import Classes, KeptLimit, Sampler, class_of, is_kept, kept_in
from consensus.trace.electiontrace import KINDS as ELECTION_EVENTS
from consensus.trace.electiontrace import ElectionTrace
from consensus.trace.events import HEAT_WINDOW_US
from consensus.trace.heads import ELECTION_KINDS, ELECTION_TAGS
from consensus.trace.slottrace import SlotTrace
from consensus.types import KEPT_PREFIX, ClusterId, NodeId, SessionId, TxId, parse_tx_id

HZ_MAX: Final = 50.0
BUFFER_EVENTS_MAX: Final = 2_000
"""Events that wait for one watcher's next message."""
MESSAGE_EVENTS_MAX: Final = 200
"""Events in one telemetry message; about 40 KB."""
BUSY_PERIOD_S: Final = 0.2
"""In heavy traffic, of which a sample is told, watchers hear no more often than this."""
WINDOW_MS: Final = 100
SUBMITTED_MAX: Final = 1_000
"""Recorded submissions that wait for their reply."""
_NAMES: Final = {**paxos.TRACE_NAMES, **txn.TRACE_NAMES, **migration.TRACE_NAMES}
_NAME_BY_TAG: Final = {kind.__struct_config__.tag: name for kind, name in _NAMES.items()}
_CROSS: Final = {
    kind.__struct_config__.tag: kind for kind in (txn.TxPrepare, txn.TxVote, txn.TxDecision, txn.TxAck)
}
_CROSS_KINDS: Final = frozenset(_CROSS.values())
_RARE_TAGS: Final = ELECTION_TAGS | _CROSS.keys()
_RARE_KINDS: Final = ELECTION_KINDS | _CROSS_KINDS
"""Messages looked at one by one, whatever traffic there is."""
_cross_message: Final = msgspec.msgpack.Decoder(txn.TxnMessage)
_SLOT_EVENTS: Final = frozenset(("paxos.accepted", "paxos.chosen", "paxos.applied"))
_PER_TRANSACTION: Final = frozenset(("tx.submit", "tx.lock", "tx.vote", "tx.decide", "tx.apply", "tx.reply"))


class Watch:
    """One watcher: an operator connection with its rate, level and buffer."""

    def __init__(self, wire: Wire, hz: float, level: int) -> None:
        self.wire = wire
        self.period_s = 1.0 / hz
        self.level = level
        self.events: list[dict[str, Any]] = []
        self.dropped = 0
        self.seq = 0
        self.timer: asyncio.TimerHandle | None = None


class Telemetry:
    """All watchers of one node.

    Args:
        node, cluster: stamped on events.
        others: the other members of the cluster.
        clock: of the node; stamps events.
        status: the status document.
        counts: growing totals; their differences make up the ``tx`` part of a window.
        on_level: told the highest level watched (-1: nobody watches).
        applied: see :class:`~consensus.node.sampling.Sampler`.
        slot: the highest that was applied.
        on_sample: told what is wanted, see :meth:`consensus.replica.door.Replica.sample`.
        heat: counts how busy accounts are.

    Attributes:
        level: -1 nobody; 0 status, windows, elections and what is kept; 1 also slots, a sample of
            transactions with the messages of their slots, and counts of messages; 2 also every message.
    """

    def __init__(
        self,
        node: NodeId,
        cluster: ClusterId,
        others: tuple[NodeId, ...],
        clock: LamportClock,
        status: Callable[[], dict[str, Any]],
        counts: Callable[[], Mapping[str, float]],
        on_level: Callable[[int], None],
        applied: Callable[[], int],
        slot: Callable[[], int],
        on_sample: Callable[[int, bool], None],
        heat: Heat,
    ) -> None:
        self.level = -1
        self.incarnation = 0
        self._node = node
        self._cluster = cluster
        self._clock = clock
        self._status = status
        self._counts = counts
        self._on_level = on_level
        self._watches: dict[Wire, Watch] = {}
        self._sequence = 0
        self._links: dict[NodeId, bytearray] = {}
        """Tags of the messages of this window, by receiver."""
        self._latencies: Counter[int] = Counter()
        self._counted: dict[str, float] = {}
        self._window: asyncio.TimerHandle | None = None
        self._on_sample = on_sample
        self._heat = heat
        self._slot = slot
        self._passed = 0
        """The slot up to which traffic has been measured."""
        self._sampler = Sampler(applied, lambda every: on_sample(every, self._slots.few))
        self._kept = KeptLimit()
        self._classes = Classes()
        self._late = Late()
        self._submitted: dict[SessionId, dict[int, int]] = {}
        """When recorded transactions came, by session: an answer looks there for each number it has."""
        self._awaited = 0
        self._slots = SlotTrace(node, others, self._note, self._leave_out)
        self._elections = ElectionTrace(node, self._note, self._leave_out)

    # --- watchers ------------------------------------------------------------------

    def watch(self, wire: Wire, hz: float, level: int) -> None:
        """Begin, change or (``hz`` 0) end what the operator behind ``wire`` is told.

        After a change the watcher is still told what waited: a page that opens or closes costs no event.
        """
        before = self._end(wire)
        if hz > 0:
            watch = Watch(wire, min(hz, HZ_MAX), level)
            if before is not None:
                watch.events, watch.dropped, watch.seq = before.events, before.dropped, before.seq
            self._watches[wire] = watch
            self._tick(watch)
        self._level_changed()

    @property
    def sample(self) -> tuple[int, bool]:
        """What ``on_sample`` was told last."""
        return self._sampler.every, self._slots.few

    def lives_in(self, incarnation: int) -> None:
        """The node begins another life of the bank."""
        self.incarnation = incarnation
        self._slots.forget()

    def forget(self, wire: Wire) -> None:
        """The connection is gone."""
        if self._end(wire) is not None:
            self._level_changed()

    def _end(self, wire: Wire) -> Watch | None:
        watch = self._watches.pop(wire, None)
        if watch is not None and watch.timer is not None:
            watch.timer.cancel()
        return watch

    def _level_changed(self) -> None:
        before, level = self.level, max((watch.level for watch in self._watches.values()), default=-1)
        if level == before:
            return
        self.level = level
        self._on_level(level)
        self._slots.watched(level)
        if before < 0:
            self._counted = dict(self._counts())
            self._links.clear()
            self._latencies.clear()
            self._heat.skip()
        if level < 1:
            self._late.forget()
        if level >= 0 and self._window is None:
            self._arm_window()

    def _tick(self, watch: Watch) -> None:
        """Send what waits for a watcher, its status first."""
        loop = asyncio.get_running_loop()
        period_s = watch.period_s if self._sampler.takes_all() else max(watch.period_s, BUSY_PERIOD_S)
        watch.timer = loop.call_later(period_s, self._tick, watch)
        events, watch.events = watch.events, []
        dropped, watch.dropped = watch.dropped, 0
        status = self._status()
        for start in range(0, max(1, len(events)), MESSAGE_EVENTS_MAX):
            watch.seq += 1
            some = events[start : start + MESSAGE_EVENTS_MAX]
            watch.wire.send(codec.encode(TelemetryMessage(watch.seq, status, some, dropped)))
            dropped = 0

    # --- events ----------------------------------------------------------------------

    def record(self, events: Sequence[Event]) -> None:
        """Events of the replica. Those of single transactions are sampled."""
        if self.level < 0:
            return
        self._follow()
        takes_all = self._sampler.takes_all()
        for kind, fields in events:
            if kind in _SLOT_EVENTS:
                self._slots.happened(kind, fields, takes_all)
            elif kind in ELECTION_EVENTS:
                self._elections.happened(kind, fields)
            elif kind in _PER_TRANSACTION:
                self._record_step(kind, fields)
            else:
                self.note(kind, **fields)

    def _follow(self) -> None:
        """Follow the traffic, of which single slots and transactions may tell nothing."""
        few, slot = self._slots.few, self._slot()
        self._sampler.roll()
        self._slots.passed(max(0, slot - self._passed))
        self._passed = slot
        if self._slots.few is not few:
            self._on_sample(*self.sample)

    def _record_step(self, kind: str, fields: Mapping[str, Any]) -> None:
        """A step of a transaction, if it is kept or in the sample."""
        tx: str = fields["tx"]
        kept = is_kept(tx)
        if not (self._keeps(tx) if kept else self._takes(tx, class_of(fields))):
            return
        if kind == "tx.submit":
            self._await_reply(parse_tx_id(tx))
        elif kind in ("tx.apply", "tx.lock"):
            self._slots.touched(fields["s"], 0 if kept else 1)
        self._note(kind, 0 if kept else 1, fields)

    def _takes(self, tx: str, name: str) -> bool:
        """Whether a step is recorded that the replica told of: one of the sample, or of a class besides.

        What of a class is over its limit is counted.
        """
        if not name or self._sampler.takes_all() or self._classes.takes(name) or self._sampler.holds(tx):
            return True
        self._leave_out(1)
        return False

    def _await_reply(self, tx: TxId) -> None:
        if self._awaited >= SUBMITTED_MAX:
            # Their answers were refusals, or went out elsewhere.
            self._awaited -= len(self._submitted.pop(next(iter(self._submitted))))
        numbers = self._submitted.setdefault(tx.session, {})
        if tx.number not in numbers:
            numbers[tx.number] = time.monotonic_ns() // 1_000
            self._awaited += 1

    def _keeps(self, tx: str) -> bool:
        """Whether another event of a kept transaction is recorded; if not, that is counted."""
        if self._kept.takes(tx):
            return True
        self._leave_out(0)
        return False

    def _leave_out(self, least: int) -> None:
        """An event that watchers of level ``least`` were to be told of is over a limit."""
        for watch in self._watches.values():
            watch.dropped += watch.level >= least

    def note(self, kind: str, **fields: Any) -> None:
        """One event, for every watcher who wants its kind."""
        self._note(kind, 2 if kind.startswith("msg.") else 0, fields)

    def _note(self, kind: str, least: int, fields: Mapping[str, Any], ts: int = 0) -> int:
        """One event, for every watcher of level ``least`` or above, of time ``ts`` (0: now).

        Returns its number, 0 if nobody wants it.
        """
        if self.level < least:
            return 0
        self._sequence += 1
        event = {
            "k": kind,
            "n": self._node,
            "cl": self._cluster,
            "inc": self.incarnation,
            "ns": self._sequence,
            "lc": self._clock.tick(),
            "ts": ts or time.time_ns() // 1_000,
            **{name: value for name, value in fields.items() if value is not None},
        }
        for watch in self._watches.values():
            if watch.level < least:
                continue
            if len(watch.events) < BUFFER_EVENTS_MAX:
                watch.events.append(event)
            else:
                watch.dropped += 1
        return self._sequence

    def submitted(self, message: Submit, now_us: int) -> None:
        """A client's transactions came."""
        if self.level > 0 and not self._sampler.takes_all():
            self._late.submitted(message, now_us)

    def replied(self, message: Replies, now_us: int) -> None:
        """Answers leave: those to transactions whose submission was recorded are recorded, and late ones."""
        submitted = self._submitted.get(message.session)
        if self.level > 0 and not self._sampler.takes_all():
            for place, took_us in self._late.replied(message, now_us):
                if submitted is not None and message.numbers[place] in submitted:
                    continue
                if self._classes.takes("late"):
                    self._reply(message, place, took_us)
                else:
                    self._leave_out(1)
        if submitted is None or submitted.keys().isdisjoint(message.numbers):
            return
        for place, number in enumerate(message.numbers):
            since_us = submitted.pop(number, None)
            if since_us is not None:
                self._awaited -= 1
                self._reply(message, place, now_us - since_us)
        if not submitted:
            del self._submitted[message.session]

    def _reply(self, message: Replies, place: int, took_us: int) -> None:
        """Record one of the answers in a message."""
        tx, outcome = str(TxId(message.session, message.numbers[place])), message.outcomes[place]
        keep = is_kept(tx)
        told = {
            "tx": tx,
            "outcome": "aborted" if outcome.status else "committed",
            "why": Status(outcome.status).name.lower() if outcome.status else None,
            "ms": round(took_us / 1e3, 3),
            "s": outcome.slot,
            "b": list(outcome.ballot),
            "keep": keep or None,
        }
        self._note("tx.reply", 0 if keep else 1, told)

    def refused(self, message: Refused) -> None:
        """A refusal leaves: transactions that met an account on its way are told of."""
        if self.level < 1 or message.reason != Refusal.MIGRATING:
            return
        for number in message.numbers:
            if self._classes.takes("moving"):
                tx = str(TxId(message.session, number))
                self._note("tx.reply", 1, {"tx": tx, "outcome": "refused", "why": "migrating"})
            else:
                self._leave_out(1)

    # --- messages ----------------------------------------------------------------------

    def sent(self, to: NodeId, connection: str, messages: list[bytes], first: int) -> None:
        """A frame left for ``to``: counts its messages, records those that the trace is about."""
        tags = bytes([message[1] for message in messages])
        if self.level >= 1:
            self._links.setdefault(to, bytearray()).extend(tags)
        done = () if _RARE_TAGS.isdisjoint(tags) else self._sent_rare(to, connection, messages, first)
        self._slots.sent(to, connection, messages, first)
        if self.level >= 2:
            for index, message in enumerate(messages, first):
                if index not in done:
                    self._any_message("msg.send", self._sent(to, connection, index, message))

    def _sent_rare(self, to: NodeId, connection: str, messages: list[bytes], first: int) -> Collection[int]:
        """Record messages of elections and of kept transactions across clusters; indices of those."""
        done = set()
        for index, message in enumerate(messages, first):
            tag = message[1]
            if tag in ELECTION_TAGS:
                self._elections.sent(to, f"{connection}.{self._node}.{to}.{index}", message)
                done.add(index)
            elif tag in _CROSS and KEPT_PREFIX in message:
                told = self._sent(to, connection, index, message)
                self._kept_message("msg.send", kept_in(_cross_message.decode(message)), told)
                done.add(index)
        return done

    def _sent(self, to: NodeId, connection: str, index: int, message: bytes) -> dict[str, Any]:
        mid = f"{connection}.{self._node}.{to}.{index}"
        return {"mid": mid, "to": to, "m": _NAME_BY_TAG.get(message[1], ""), "bytes": len(message)}

    def received(self, sender: NodeId, connection: str, messages: list[Message], first: int) -> None:
        """A frame came from ``sender`` while somebody watches. See :meth:`sent`."""
        rare = not _RARE_KINDS.isdisjoint(map(type, messages))
        done = self._received_rare(sender, connection, messages, first) if rare else ()
        self._slots.received(sender, connection, messages, first)
        if self.level >= 2:
            for index, message in enumerate(messages, first):
                if index not in done:
                    self._any_message("msg.recv", self._received(sender, connection, index, message))

    def _received_rare(
        self, sender: NodeId, connection: str, messages: list[Message], first: int
    ) -> Collection[int]:
        """See :meth:`_sent_rare`."""
        done = set()
        for index, message in enumerate(messages, first):
            kind = type(message)
            if kind in ELECTION_KINDS:
                self._elections.received(sender, f"{connection}.{sender}.{self._node}.{index}", message)
                done.add(index)
            elif kind in _CROSS_KINDS and (kept := kept_in(message)):
                self._kept_message("msg.recv", kept, self._received(sender, connection, index, message))
                done.add(index)
        return done

    def _received(self, sender: NodeId, connection: str, index: int, message: Message) -> dict[str, Any]:
        mid = f"{connection}.{sender}.{self._node}.{index}"
        size = len(codec.encode(message))
        return {"n": sender, "mid": mid, "to": self._node, "m": _NAMES.get(type(message), ""), "bytes": size}

    def _kept_message(self, kind: str, kept: list[str], fields: dict[str, Any]) -> None:
        """One event for each kept transaction that a message is about."""
        for tx in kept:
            if self._keeps(tx):
                self._note(kind, 0, {**fields, "tx": tx})

    def _any_message(self, kind: str, fields: dict[str, Any]) -> None:
        """A message for those who want to hear of every one."""
        if fields["m"] and not self._slots.was_told(fields["mid"]):
            self._note(kind, 2, fields)

    def lost(self, to: NodeId, message: bytes, why: str) -> None:
        """A message to ``to`` fell victim to a fault that somebody caused."""
        if self.level < 0:
            return
        if message[1] in ELECTION_TAGS:
            self._elections.lost(to, message, why)
        elif not self._slots.lost(to, message, why) and self.level >= 2:
            name = _NAME_BY_TAG.get(message[1])
            if name is not None:
                self.note("msg.drop", mid="", to=to, m=name, bytes=len(message), why=why)

    def latency(self, bucket: int) -> None:
        """A transaction was answered; ``bucket`` of :func:`consensus.trace.events.hist_index`."""
        if self.level < 0:
            return
        self._latencies[bucket] += 1
        if self.level > 0:
            self._late.timed(bucket)
        if self._window is None:
            self._arm_window()

    # --- windows -------------------------------------------------------------------------

    def _arm_window(self) -> None:
        self._window = asyncio.get_running_loop().call_later(WINDOW_MS / 1e3, self._close_window)

    def _close_window(self) -> None:
        """Report the window that ends now, and begin the next while somebody wants it."""
        self._window = None
        if self.level < 0:
            return
        self._follow()
        links: dict[str, dict[str, int]] = {}
        for to, tags in self._links.items():
            by_name: Counter[str] = Counter()
            for tag, count in Counter(tags).items():
                by_name[_NAME_BY_TAG.get(tag, "other")] += count
            links[f"{self._node}>{to}"] = dict(by_name)
        self._links.clear()
        now = dict(self._counts())
        tx = {name: round(value - self._counted.get(name, 0)) for name, value in now.items()}
        self._counted = now
        hist = {str(bucket): count for bucket, count in sorted(self._latencies.items())}
        self._latencies.clear()
        busy = bool(links or hist or any(tx.values()))
        heat = self._heat.look(time.time_ns() // 1_000, ending=not busy)
        if heat is not None:
            self._note("agg", 0, {"window": HEAT_WINDOW_US // 1_000, **heat})
        if busy:
            told = {"window": WINDOW_MS, "links": links or None, "tx": tx, "hist": hist}
            self._note("agg", 0, told)
        elif self.level < 1:
            # An idle node has nothing to tell and no timer; the next answer begins a window.
            return
        self._arm_window()
