"""What the trace tells of a message between the nodes of a cluster: ballot, slot, watermark.

Read from the encoded message as it leaves, without the values it carries, and from the decoded one that came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from consensus.messages import paxos
from consensus.messages.base import Message
from consensus.types import Ballot, Slot

AGAIN_MAX: Final = 32
"""Slots that the event of a promise names."""


class Head(NamedTuple):
    """``slot`` 0: about no single one. ``watermark``: what it says is chosen, 0 if nothing."""

    name: str
    ballot: Ballot
    slot: Slot
    watermark: Slot
    more: Mapping[str, Any] = MappingProxyType({})

    def fields(self) -> dict[str, Any]:
        """Fields of its ``msg.*`` events. A commit is about the slot that it reaches up to."""
        slot = self.slot or (self.watermark if self.name in TELLS_CHOSEN else 0)
        known = {"b": list(self.ballot), "s": slot or None, "w": self.watermark or None}
        return {**known, **self.more}


class AcceptHead(Message, frozen=True, tag=6):
    """The first fields of an :class:`~consensus.messages.paxos.Accept`: its value is not copied."""

    ballot: Ballot
    slot: Slot
    watermark: Slot


_decode: Final = msgspec.msgpack.Decoder(
    AcceptHead
    | paxos.Accepted
    | paxos.Commit
    | paxos.Heartbeat
    | paxos.PreVote
    | paxos.PreVoteReply
    | paxos.Prepare
    | paxos.Promise
    | paxos.NewViewNotice
    | paxos.Nack
).decode

TELLS_CHOSEN: Final = frozenset(("commit", "heartbeat"))
"""Messages about a slot only because they say that it is chosen."""


def _promise(message: paxos.Promise) -> Head:
    carried = [value.slot for value in message.entries if not value.chosen][:AGAIN_MAX]
    return Head("promise", message.ballot, 0, message.watermark, {"again": carried or None})


def _new_view(message: paxos.NewViewNotice) -> Head:
    more = {"first": message.first, "last": message.last}
    return Head("newview", message.ballot, 0, message.watermark, more)


_SLOT: Final[dict[type[Message], Callable[[Any], Head]]] = {
    paxos.Accept: lambda m: Head("accept", m.ballot, m.slot, m.watermark),
    AcceptHead: lambda m: Head("accept", m.ballot, m.slot, m.watermark),
    paxos.Accepted: lambda m: Head("accepted", m.ballot, m.slot, 0),
    paxos.Commit: lambda m: Head("commit", m.ballot, 0, m.watermark),
    paxos.Heartbeat: lambda m: Head("heartbeat", m.ballot, 0, m.watermark),
}
_ELECTION: Final[dict[type[Message], Callable[[Any], Head]]] = {
    paxos.PreVote: lambda m: Head("prevote", m.ballot, 0, m.watermark),
    paxos.PreVoteReply: lambda m: Head("prevote", m.ballot, 0, 0, {"granted": m.granted}),
    paxos.Prepare: lambda m: Head("prepare", m.ballot, 0, m.watermark),
    paxos.Promise: _promise,
    paxos.NewViewNotice: _new_view,
    paxos.Nack: lambda m: Head("nack", m.ballot, 0, 0),
}
_HEADS: Final = {**_SLOT, **_ELECTION}
SLOT_KINDS: Final = frozenset(_SLOT)
ELECTION_KINDS: Final = frozenset(_ELECTION)
SLOT_TAGS: Final = frozenset(kind.__struct_config__.tag for kind in SLOT_KINDS)
ELECTION_TAGS: Final = frozenset(kind.__struct_config__.tag for kind in ELECTION_KINDS)


def head_of(message: Message | bytes) -> Head:
    """The head of a message of ``SLOT_KINDS`` or ``ELECTION_KINDS``, decoded or encoded."""
    found = _decode(message) if isinstance(message, bytes) else message
    return _HEADS[type(found)](found)
