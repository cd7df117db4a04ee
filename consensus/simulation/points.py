"""Points of a run: before and after every message, before, during and after every write to a disk.

A run without faults is recorded, which names every point by what happens there and how often the same thing
happened before. A run of the same configuration is the same up to any of them, so that a node can be crashed
exactly there; and the list is complete by construction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from consensus.codec import decode_batch
from consensus.messages.base import Message
from consensus.messages.entries import CrossPrepare, Decide, Finish, PartDecide, PartPrepare
from consensus.messages.paxos import Accept, Accepted
from consensus.messages.records import AcceptedValue, Record
from consensus.messages.txn import TxAck, TxDecision, TxPending, TxPrepare, TxResolve, TxVote
from consensus.types import NodeId, Slot

BETWEEN_CLUSTERS = (TxPrepare, TxVote, TxDecision, TxAck, TxResolve, TxPending)
ENTRY_NAMES = {CrossPrepare: "P", PartPrepare: "P", Decide: "CA", PartDecide: "CA", Finish: "F"}


class Moment(NamedTuple):
    """A node is about to do something, is at it, or has just done it.

    ``act``: send, receive (``about`` a message, ``other`` the node at the far end) or persist (``about`` a
    list of records). ``phase``: before, during (of persist only) or after.
    """

    act: str
    phase: str
    node: NodeId
    about: Any
    other: NodeId = 0


class Point(NamedTuple):
    """The ``nth`` time that ``node`` comes to this moment, from 1 on. ``label``: what it is about."""

    act: str
    phase: str
    node: NodeId
    other: NodeId
    label: str
    nth: int

    def __str__(self) -> str:
        far = f" {'to' if self.act == 'send' else 'from'} n{self.other}" if self.other else ""
        return f"{self.phase} n{self.node} {self.act}s {self.label}{far}, no. {self.nth}"


class Points:
    """Names the moments of two-phase commit in a run, and calls ``act`` when it comes to one of them.

    Moments of entries that have nothing to do with it (heartbeats, sessions, views) have no name.
    """

    def __init__(self, cluster_of: dict[NodeId, int], act: Callable[[Point], None]) -> None:
        self._act = act
        self._cluster_of = cluster_of
        self._counts: Counter[tuple[str, str, NodeId, NodeId, str]] = Counter()
        self._names: dict[tuple[int, Slot], str] = {}
        """What is in a slot, by cluster."""

    def moment(self, moment: Moment) -> None:
        """To be set as the world's ``hook``."""
        cluster = self._cluster_of[moment.node]
        if moment.act == "persist":
            label = "+".join(filter(None, [self._record(cluster, record) for record in moment.about]))
        else:
            label = self._message(cluster, moment.about)
        if not label:
            return
        key = (moment.act, moment.phase, moment.node, moment.other, label)
        self._counts[key] += 1
        self._act(Point(*key, self._counts[key]))

    def _record(self, cluster: int, record: Record) -> str:
        return self._value(cluster, record.slot, record.value) if isinstance(record, AcceptedValue) else ""

    def _message(self, cluster: int, message: Message) -> str:
        if isinstance(message, BETWEEN_CLUSTERS):
            return type(message).__name__
        if isinstance(message, Accept):
            name = self._value(cluster, message.slot, message.value)
        elif isinstance(message, Accepted):
            name = self._names.get((cluster, message.slot), "")
        else:
            return ""
        return name and f"{type(message).__name__} {name}"

    def _value(self, cluster: int, slot: Slot, value: bytes) -> str:
        name = self._names.get((cluster, slot))
        if name is None:
            entries = decode_batch(value).entries
            name = "+".join(dict.fromkeys([n for e in entries if (n := ENTRY_NAMES.get(type(e)))]))
            self._names[cluster, slot] = name
        return name
