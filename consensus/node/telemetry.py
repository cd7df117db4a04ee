"""What a node tells those who watch it: status, trace events, exact counts per window.

Without watchers nothing is recorded, counted or encoded. With them everything is bounded: events wait in a
buffer per watcher, what does not fit is counted as dropped, and transactions are sampled by a hash of their
id so that all nodes of a cluster pick the same ones.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from consensus import codec
from consensus.effects import Event
from consensus.messages import migration, paxos, txn
from consensus.messages.base import Message
from consensus.messages.client import Replies, Status
from consensus.messages.control import Telemetry as TelemetryMessage
from consensus.net.wire import Wire
from consensus.node.sampling import KeptLimit, Sampler, is_kept, kept_in
from consensus.types import KEPT_PREFIX, ClusterId, NodeId, TxId

HZ_MAX: Final = 50.0
BUFFER_EVENTS_MAX: Final = 2_000
"""Events that wait for one watcher's next message."""
MESSAGE_EVENTS_MAX: Final = 200
"""Events in one telemetry message; about 40 KB."""
WINDOW_MS: Final = 100
SUBMITTED_MAX: Final = 1_000
"""Recorded submissions that wait for their reply."""
_NAMES: Final = {**paxos.TRACE_NAMES, **txn.TRACE_NAMES, **migration.TRACE_NAMES}
_NAME_BY_TAG: Final = {kind.__struct_config__.tag: name for kind, name in _NAMES.items()}
_CROSS: Final = {
    kind.__struct_config__.tag: kind for kind in (txn.TxPrepare, txn.TxVote, txn.TxDecision, txn.TxAck)
}
_CROSS_KINDS: Final = frozenset(_CROSS.values())
_cross_message: Final = msgspec.msgpack.Decoder(txn.TxnMessage)
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
        status: the status document.
        counts: growing totals; their differences make up the ``tx`` part of a window.
        on_level: told the highest level watched (-1: nobody watches).

    Attributes:
        level: -1 nobody, 0 status and windows, 1 also slots, transactions and counts of messages, 2 also
            single messages.
    """

    def __init__(
        self,
        node: NodeId,
        cluster: ClusterId,
        status: Callable[[], dict[str, Any]],
        counts: Callable[[], Mapping[str, float]],
        on_level: Callable[[int], None],
    ) -> None:
        self.level = -1
        self.incarnation = 0
        self._node = node
        self._cluster = cluster
        self._status = status
        self._counts = counts
        self._on_level = on_level
        self._watches: dict[Wire, Watch] = {}
        self._sequence = 0
        self._links: dict[NodeId, Counter[int]] = {}
        self._latencies: Counter[int] = Counter()
        self._counted: dict[str, float] = {}
        self._window: asyncio.TimerHandle | None = None
        self._sampler = Sampler()
        self._kept = KeptLimit()
        self._submitted: dict[str, int] = {}

    # --- watchers ------------------------------------------------------------------

    def watch(self, wire: Wire, hz: float, level: int) -> None:
        """Begin, change or (``hz`` 0) end what the operator behind ``wire`` is told.

        After a change the watcher is still told what waited: a page that opens or closes costs no event.
        """
        before = self._watches.get(wire)
        self.forget(wire)
        if hz > 0:
            watch = Watch(wire, min(hz, HZ_MAX), level)
            if before is not None:
                watch.events, watch.dropped, watch.seq = before.events, before.dropped, before.seq
            self._watches[wire] = watch
            self._tick(watch)
        self._level_changed()

    def forget(self, wire: Wire) -> None:
        """The connection is gone."""
        watch = self._watches.pop(wire, None)
        if watch is not None and watch.timer is not None:
            watch.timer.cancel()
            self._level_changed()

    def _level_changed(self) -> None:
        level = max((watch.level for watch in self._watches.values()), default=-1)
        if level != self.level:
            self.level = level
            self._on_level(level)
        if level >= 0 and self._window is None:
            self._counted = dict(self._counts())
            self._links.clear()
            self._latencies.clear()
            self._arm_window()

    def _tick(self, watch: Watch) -> None:
        """Send what waits for a watcher, its status first."""
        loop = asyncio.get_running_loop()
        watch.timer = loop.call_later(watch.period_s, self._tick, watch)
        events, watch.events = watch.events, []
        dropped, watch.dropped = watch.dropped, 0
        status = self._status()
        for start in range(0, max(1, len(events)), MESSAGE_EVENTS_MAX):
            watch.seq += 1
            some = events[start : start + MESSAGE_EVENTS_MAX]
            watch.wire.send(codec.encode(TelemetryMessage(watch.seq, status, some, dropped)))
            dropped = 0

    # --- events ----------------------------------------------------------------------

    def record(self, events: Iterable[Event]) -> None:
        """Events of the replica. Those of single transactions are sampled."""
        if self.level < 0:
            return
        for kind, fields in events:
            kept = False
            if kind in _PER_TRANSACTION:
                kept = is_kept(fields["tx"])
                if not (self._keeps(fields["tx"]) if kept else self._sampler.takes(fields)):
                    continue
                if kind == "tx.submit":
                    if len(self._submitted) >= SUBMITTED_MAX:
                        # Its answer was a refusal, or went out elsewhere.
                        del self._submitted[next(iter(self._submitted))]
                    self._submitted.setdefault(fields["tx"], time.monotonic_ns() // 1_000)
            self._note(kind, 0 if kept else 1, fields)

    def _keeps(self, tx: str) -> bool:
        """Whether another event of a kept transaction is recorded; if not, that is counted."""
        if self._kept.takes(tx):
            return True
        for watch in self._watches.values():
            watch.dropped += 1
        return False

    def note(self, kind: str, **fields: Any) -> None:
        """One event, for every watcher who wants its kind."""
        self._note(kind, 2 if kind.startswith("msg.") else 1, fields)

    def _note(self, kind: str, least: int, fields: Mapping[str, Any]) -> None:
        """One event, for every watcher of level ``least`` or above."""
        if self.level < least:
            return
        self._sequence += 1
        event = {
            "k": kind,
            "n": self._node,
            "cl": self._cluster,
            "inc": self.incarnation,
            "ns": self._sequence,
            "ts": time.time_ns() // 1_000,
            **{name: value for name, value in fields.items() if value is not None},
        }
        for watch in self._watches.values():
            if watch.level < least:
                continue
            if len(watch.events) < BUFFER_EVENTS_MAX:
                watch.events.append(event)
            else:
                watch.dropped += 1

    def replied(self, message: Replies, now_us: int) -> None:
        """Answers leave: those to transactions whose submission was recorded are recorded, too."""
        submitted = self._submitted
        if not submitted:
            return
        for number, outcome in zip(message.numbers, message.outcomes, strict=True):
            tx = str(TxId(message.session, number))
            since_us = submitted.pop(tx, None)
            if since_us is not None:
                keep = is_kept(tx)
                told = {
                    "tx": tx,
                    "outcome": "aborted" if outcome.status else "committed",
                    "why": Status(outcome.status).name.lower() if outcome.status else None,
                    "ms": round((now_us - since_us) / 1e3, 3),
                    "s": outcome.slot,
                    "b": list(outcome.ballot),
                    "keep": keep or None,
                }
                self._note("tx.reply", 0 if keep else 1, told)

    # --- messages ----------------------------------------------------------------------

    def sent(self, to: NodeId, connection: str, messages: list[bytes], first: int) -> None:
        """A frame left for ``to``: counts its messages, records kept transactions, at level 2 all."""
        if self.level >= 1:
            counts = self._links.get(to)
            if counts is None:
                counts = self._links[to] = Counter()
            for message in messages:
                counts[message[1]] += 1
        for index, message in enumerate(messages, first):
            tag = message[1]
            kept = kept_in(_cross_message.decode(message)) if tag in _CROSS and KEPT_PREFIX in message else []
            if kept or self.level >= 2:
                name = _NAME_BY_TAG.get(tag)
                if name is not None:
                    mid = f"{connection}.{self._node}.{to}.{index}"
                    self._message("msg.send", kept, {"mid": mid, "to": to, "m": name, "bytes": len(message)})

    def hears(self, messages: list[Message]) -> bool:
        """Whether a frame that came holds anything to be recorded."""
        if self.level < 0:
            return False
        return self.level >= 2 or any(type(message) in _CROSS_KINDS for message in messages)

    def received(self, sender: NodeId, connection: str, messages: list[Message], first: int) -> None:
        """A frame came from ``sender`` while somebody watches. See :meth:`sent`."""
        for index, message in enumerate(messages, first):
            kind = type(message)
            kept = kept_in(message) if kind in _CROSS_KINDS else []
            name = _NAMES.get(kind) if kept or self.level >= 2 else None
            if name is not None:
                size = len(codec.encode(message))
                mid = f"{connection}.{sender}.{self._node}.{index}"
                told = {"n": sender, "mid": mid, "to": self._node, "m": name, "bytes": size}
                self._message("msg.recv", kept, told)

    def _message(self, kind: str, kept: list[str], fields: dict[str, Any]) -> None:
        """One event of a message; of one about kept transactions, one for each of them."""
        for tx in kept:
            if self._keeps(tx):
                self._note(kind, 0, {**fields, "tx": tx})
        if not kept:
            self._note(kind, 2, fields)

    def lost(self, to: NodeId, message: bytes, why: str) -> None:
        """A message to ``to`` fell victim to a fault that somebody caused."""
        name = _NAME_BY_TAG.get(message[1])
        if self.level >= 2 and name is not None:
            self.note("msg.drop", mid="", to=to, m=name, bytes=len(message), why=why)

    def latency(self, bucket: int) -> None:
        """A transaction was answered; ``bucket`` of :func:`consensus.trace.events.hist_index`."""
        if self.level < 0:
            return
        self._latencies[bucket] += 1
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
        links: dict[str, dict[str, int]] = {}
        for to, counts in self._links.items():
            by_name: Counter[str] = Counter()
            for tag, count in counts.items():
                by_name[_NAME_BY_TAG.get(tag, "other")] += count
            links[f"{self._node}>{to}"] = dict(by_name)
        self._links.clear()
        now = dict(self._counts())
        tx = {name: round(value - self._counted.get(name, 0)) for name, value in now.items()}
        self._counted = now
        hist = {str(bucket): count for bucket, count in sorted(self._latencies.items())}
        self._latencies.clear()
        if links or hist or any(tx.values()):
            told = {"window": WINDOW_MS, "links": links or None, "tx": tx, "hist": hist}
            self._note("agg", 0, told)
        elif self.level < 1:
            # An idle node has nothing to tell and no timer; the next answer begins a window.
            return
        self._arm_window()
