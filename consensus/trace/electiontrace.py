"""Elections in the trace, always: who stood, who promised, what led to what. They are rare, and bounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from consensus import codec
from consensus.messages.base import Message
from consensus.trace.clock import SYSTEM, Clock
from consensus.trace.heads import Head, head_of
from consensus.trace.slottrace import Tell
from consensus.types import NodeId

EVENTS_PER_S: Final = 300
REMEMBERED_MAX: Final = 32
KINDS: Final = frozenset(("paxos.ballot", "paxos.leader", "timer.fire"))


class ElectionTrace:
    """Messages and events of elections. ``tell`` and ``drop`` as for a slot trace."""

    def __init__(self, me: NodeId, tell: Tell, drop: Callable[[int], None], clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._me = me
        self._tell_event = tell
        self._drop = drop
        self._numbers: dict[tuple[str, tuple[int, ...]], int] = {}
        """What happened last, by its name and ballot, and the number of its event."""
        self._second = 0
        self._events = 0

    def sent(self, peer: NodeId, mid: str, message: bytes) -> None:
        """A message of an election leaves for ``peer``."""
        head = head_of(message)
        causes = {
            "prevote": ("got prevote", "timer"),
            "prepare": ("ballot",),
            "promise": ("ballot", "got prepare"),
            "newview": ("leader",),
        }
        fields = self._fields(mid, self._me, peer, head, len(message))
        self._tell("msg.send", {**fields, "by": self._last(head, *causes.get(head.name, ()))})

    def received(self, peer: NodeId, mid: str, message: Message) -> None:
        """A message of an election came from ``peer`` and is about to be taken in."""
        head = head_of(message)
        fields = self._fields(mid, peer, self._me, head, len(codec.encode(message)))
        self._remember(f"got {head.name}", tuple(head.ballot), self._tell("msg.recv", fields))

    def lost(self, peer: NodeId, message: bytes, why: str) -> None:
        """A message of an election fell victim to a fault."""
        head = head_of(message)
        self._tell("msg.drop", {**self._fields("", self._me, peer, head, len(message)), "why": why})

    def happened(self, kind: str, fields: Mapping[str, Any]) -> None:
        """An event of :data:`KINDS`."""
        name = kind.partition(".")[2]
        ballot = tuple(fields.get("b", ()))
        by = None
        if kind == "paxos.ballot":
            own = ballot[1] == self._me
            by = self._find(("got prevote", "timer") if own else ("got prepare",), ballot)
        elif kind == "paxos.leader":
            by = self._find(("got promise", "got newview"), ballot)
        number = self._tell(kind, {**fields, "by": by})
        if kind == "timer.fire":
            self._remember("timer", (), number)
        else:
            self._remember(name, ballot, number)

    @staticmethod
    def _fields(mid: str, sender: NodeId, to: NodeId, head: Head, size: int) -> dict[str, Any]:
        return {"mid": mid, "n": sender, "to": to, "m": head.name, "bytes": size, **head.fields()}

    def _last(self, head: Head, *names: str) -> int | None:
        return self._find(names, tuple(head.ballot))

    def _find(self, names: tuple[str, ...], ballot: tuple[int, ...]) -> int | None:
        """The event that happened last under the first of ``names`` that anything happened under."""
        for name in names:
            number = self._numbers.get((name, () if name == "timer" else ballot))
            if number:
                return number
        return None

    def _remember(self, name: str, ballot: tuple[int, ...], number: int) -> None:
        self._numbers.pop((name, ballot), None)
        self._numbers[name, ballot] = number
        if len(self._numbers) > REMEMBERED_MAX:
            del self._numbers[next(iter(self._numbers))]

    def _tell(self, kind: str, fields: Mapping[str, Any]) -> int:
        second = int(self._clock.steady_s())
        if second != self._second:
            self._second, self._events = second, 0
        self._events += 1
        if self._events > EVENTS_PER_S:
            self._drop(0)
            return 0
        return self._tell_event(kind, 0, fields, self._clock.wall_us())
