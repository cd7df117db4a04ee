"""Which slots a node records with their messages, and what leads to what in them.

A slot is *open* while everything about it is recorded: from its acceptance on, if its Accept says that it is
traced (it holds a kept or a sampled transaction), or if traffic is light. So all nodes of a cluster record
the same ones, and a slot that nobody records costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from consensus import codec
from consensus.messages.base import Message
from consensus.trace.clock import SYSTEM, Clock
from consensus.trace.heads import SLOT_KINDS, SLOT_TAGS, Head, head_of
from consensus.types import NodeId, Slot

OPEN_MAX: Final = 64
OPEN_S: Final = 5.0
"""How long a slot stays open that is not applied, and ``AFTER_S`` once it is and somebody owes an answer."""
AFTER_S: Final = 0.5
SLOTS_PER_S: Final = 50
"""Up to so many slots a second each is told of, without its messages; of more, those that are open."""
EVENTS_PER_S: Final = 1_500
MIDS_MAX: Final = 1_024


class Tell(Protocol):
    """Records one event for watchers of level ``least`` or above; its number, 0 if there was nobody."""

    def __call__(self, kind: str, least: int, fields: Mapping[str, Any], ts: int) -> int: ...


class Frame(NamedTuple):
    """Messages that were sent (``sent``) to or came from ``peer``; ``first`` is the index of the first."""

    ts: int
    sent: bool
    peer: NodeId
    connection: str
    messages: Sequence[Message | bytes]
    first: int

    def heads(self) -> list[tuple[int, Head]]:
        """Messages about slots by their place in the frame."""
        return [(i, head_of(m)) for i, m in enumerate(self.messages) if _is_of_slots(m)]


def _is_of_slots(message: Message | bytes) -> bool:
    return message[1] in SLOT_TAGS if isinstance(message, bytes) else type(message) in SLOT_KINDS


class Open:
    """A slot that is recorded; the numbers are those of events that lead to others."""

    __slots__ = ("accepted", "applied", "chosen", "got", "heard", "least", "owed", "until_s")

    def __init__(self, least: int, until_s: float) -> None:
        self.least = least
        self.until_s = until_s
        self.got = 0
        """The Accept came, and ``heard``, the last message that helped to know it chosen."""
        self.heard = 0
        self.accepted = 0
        self.chosen = 0
        self.applied = False
        self.owed: set[tuple[str, NodeId]] = set()
        """Of a leader: whose Accepted has not come, and who has not been told that the slot is chosen."""


class SlotTrace:
    """See the module.

    Args:
        me, others: this node and the other members of its cluster.
        tell: records an event.
        drop: counts one that the limit keeps out.
    """

    def __init__(
        self,
        me: NodeId,
        others: tuple[NodeId, ...],
        tell: Tell,
        drop: Callable[[int], None],
        clock: Clock = SYSTEM,
    ) -> None:
        self._clock = clock
        self._wall_us = clock.wall_us
        self.level = -1
        self.open: dict[Slot, Open] = {}
        self._me = me
        self._others = frozenset(others)
        self._tell_event = tell
        self._drop = drop
        self._last: tuple[Any, ...] | None = None
        """Of the frame that came last: sender, connection, messages, index of the first."""
        self._mids: dict[str, int] = {}
        """Messages told of lately, and the numbers of their events."""
        self._told: dict[NodeId, Slot] = dict.fromkeys(others, 0)
        """By peer: the highest watermark between it and this node that was looked at."""
        self._last_open: Slot = 0
        self._chosen: Slot = 0
        """The highest watermark that was told of."""
        self._second = 0
        self._slots = 0
        self._events = 0
        self.few = True
        """Whether every slot is told of."""
        self._tidied_s = 0.0

    def watched(self, level: int) -> None:
        """Somebody watches at another level than before."""
        self.level = level
        if level < 0:
            self.forget()

    def forget(self) -> None:
        """A new life of the bank begins, or nobody watches: later slots have nothing to do with these."""
        self.open.clear()
        self._last = None
        self._mids.clear()
        self._told = dict.fromkeys(self._others, 0)
        self._last_open = self._chosen = 0

    # --- messages ------------------------------------------------------------------------

    def sent(self, to: NodeId, connection: str, messages: list[bytes], first: int) -> None:
        """A frame leaves for ``to``."""
        if self.open and to in self._others:
            self._saw(Frame(self._wall_us(), True, to, connection, messages, first))

    def received(self, sender: NodeId, connection: str, messages: list[Message], first: int) -> None:
        """A frame of ``sender`` came and is about to be taken in."""
        self._last = (sender, connection, messages, first)
        if self.open and sender in self._others:
            self._saw(Frame(self._wall_us(), False, sender, connection, messages, first))

    def _saw(self, frame: Frame) -> None:
        self._tidy()
        for index, head in frame.heads():
            if self._concerns(head, frame.peer):
                self._tell(frame, index, head)

    def _concerns(self, head: Head, peer: NodeId) -> bool:
        """Whether a message is of an open slot, or the first between these two to say that one is chosen."""
        told = self._told[peer]
        news = False
        if head.watermark > told:
            self._told[peer] = head.watermark
            news = self._last_open > told and any(told < slot <= head.watermark for slot in self.open)
        return news or head.slot in self.open

    def lost(self, to: NodeId, message: bytes, why: str) -> bool:
        """A message is lost; False if it is of no open slot."""
        if not self.open or message[1] not in SLOT_TAGS:
            return False
        head = head_of(message)
        entry = self.open.get(head.slot)
        if entry is None:
            return False
        told = {"mid": "", "to": to, "m": head.name, "bytes": len(message), "why": why, **head.fields()}
        self._limited("msg.drop", entry.least, told, self._clock.wall_us())
        return True

    def was_told(self, mid: str) -> bool:
        """Whether the message was recorded already."""
        return mid in self._mids

    def _tell(self, frame: Frame, index: int, head: Head) -> None:
        sent = frame.sent
        ends = (self._me, frame.peer) if sent else (frame.peer, self._me)
        mid = f"{frame.connection}.{ends[0]}.{ends[1]}.{frame.first + index}"
        about = [entry for slot, entry in self.open.items() if slot <= head.watermark]
        number = self._mids.get(mid)
        if number is None:
            message = frame.messages[index]
            size = len(message) if isinstance(message, bytes) else len(codec.encode(message))
            fields = {"mid": mid, "n": ends[0], "to": ends[1], "m": head.name, "bytes": size, **head.fields()}
            if sent:
                fields["by"] = self._cause_of_sending(head, about)
            own = self.open.get(head.slot)
            least = min((entry.least for entry in [own, *about] if entry is not None), default=1)
            number = self._limited("msg.send" if sent else "msg.recv", least, fields, frame.ts)
            self._mids[mid] = number
            if len(self._mids) > MIDS_MAX:
                del self._mids[next(iter(self._mids))]
        if not sent:
            self._heard(frame.peer, head, about, number)
        elif head.name == "accept" and head.slot in self.open:
            self.open[head.slot].owed |= {("accepted", frame.peer), ("commit", frame.peer)}
        if sent and about:
            for slot in [slot for slot in self.open if slot <= head.watermark]:
                self._settle(slot, ("commit", frame.peer))

    def _heard(self, peer: NodeId, head: Head, about: list[Open], number: int) -> None:
        """A message came; what it leads to will name it as its cause."""
        for entry in about:
            entry.heard = number
        own = self.open.get(head.slot)
        if own is not None and head.name == "accept":
            own.got = number
        elif own is not None:
            own.heard = number
            if head.name == "accepted":
                self._settle(head.slot, ("accepted", peer))

    def _settle(self, slot: Slot, paid: tuple[str, NodeId] | None = None) -> None:
        """Close a slot of which nothing more is to come: it is applied, and nobody owes anything."""
        entry = self.open[slot]
        if paid is not None:
            entry.owed.discard(paid)
        if entry.applied and not entry.owed:
            del self.open[slot]

    def _cause_of_sending(self, head: Head, about: list[Open]) -> int | None:
        if head.slot in self.open:
            return self.open[head.slot].accepted or None
        return max((entry.chosen for entry in about), default=0) or None

    # --- events ------------------------------------------------------------------------------

    def passed(self, slots: int) -> None:
        """So many slots were accepted or applied since this was called last."""
        self._slots += slots
        self._roll()

    def happened(self, kind: str, fields: Mapping[str, Any], everything: bool) -> None:
        """A slot was accepted, chosen or applied here. ``everything``: traffic is light."""
        self._roll()
        slot: Slot = fields["s"]
        if kind == "paxos.accepted":
            if fields.get("keep"):
                self._begin(slot, 0)
            elif self.level > 0 and (fields.get("traced") or (everything and self.few)):
                self._begin(slot, 1)
        if self.few or self.open:
            self._take(kind, fields)

    def touched(self, slot: Slot, least: int) -> None:
        """A recorded transaction is in ``slot``, which is being applied."""
        entry = self.open.get(slot)
        if entry is not None:
            entry.least = min(entry.least, least)
            entry.until_s = self._clock.steady_s() + AFTER_S

    def _begin(self, slot: Slot, least: int) -> None:
        """Record ``slot`` from now on, and what the frame that came last holds of it: its Accept, if any."""
        entry = self.open.get(slot)
        if entry is not None:
            entry.least = min(entry.least, least)
            return
        self._tidy()
        if len(self.open) >= OPEN_MAX:
            del self.open[next(iter(self.open))]
        self.open[slot] = Open(least, self._clock.steady_s() + OPEN_S)
        self._last_open = max(self._last_open, slot)
        if self._last is not None and self._last[0] in self._others:
            frame = Frame(self._wall_us(), False, *self._last)
            for index, head in frame.heads():
                if head.slot == slot or head.watermark >= slot:
                    self._tell(frame, index, head)

    def _take(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Tell of an event if its slot is open, or if there are few slots."""
        slot: Slot = fields["s"]
        if kind == "paxos.chosen":
            self._take_chosen(slot, fields)
            return
        entry = self.open.get(slot)
        if entry is None and not self.few:
            return
        by = None
        if entry is not None:
            by = (entry.got if kind == "paxos.accepted" else entry.chosen) or None
        told = {**fields, "by": by, "traced": None}
        number = self._limited(kind, entry.least if entry else 1, told, self._wall_us())
        if entry is not None and kind == "paxos.accepted":
            entry.accepted = number
        elif entry is not None:
            entry.until_s = min(entry.until_s, self._clock.steady_s() + AFTER_S)
            entry.applied = True
            self._settle(slot)

    def _take_chosen(self, slot: Slot, fields: Mapping[str, Any]) -> None:
        if slot <= self._chosen:
            return
        about = [entry for number, entry in self.open.items() if self._chosen < number <= slot]
        if not about and not self.few:
            return
        self._chosen = slot
        by = max((entry.heard for entry in about), default=0) or None
        least = min((entry.least for entry in about), default=1)
        number = self._limited("paxos.chosen", least, {**fields, "by": by}, self._wall_us())
        for entry in about:
            entry.chosen = number

    # --- bounds ------------------------------------------------------------------------------

    def _limited(self, kind: str, least: int, fields: Mapping[str, Any], ts: int) -> int:
        self._roll()
        self._events += 1
        if self._events > EVENTS_PER_S:
            self._drop(least)
            return 0
        return self._tell_event(kind, least, fields, ts)

    def _roll(self) -> None:
        second = int(self._clock.steady_s())
        if second != self._second:
            self.few = self._slots <= SLOTS_PER_S * max(1, second - self._second)
            self._slots = self._events = 0
            self._second = second

    def _tidy(self) -> None:
        """Close what is over, a few times a second."""
        now_s = self._clock.steady_s()
        if now_s - self._tidied_s < AFTER_S / 2:
            return
        self._tidied_s = now_s
        for slot in [slot for slot, entry in self.open.items() if entry.until_s <= now_s]:
            del self.open[slot]
