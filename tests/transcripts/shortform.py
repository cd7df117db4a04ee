"""Messages, records and events as one short line each."""

from __future__ import annotations

from typing import Any, Final

from consensus.codec import decode_batch
from consensus.effects import Event
from consensus.messages.base import Message
from consensus.messages.client import Outcome, ReadItem, ReadResult, Refusal, Status
from consensus.messages.entries import Item, NewView, OpenSession, Transact, ViewSlot
from consensus.messages.paxos import SlotValue
from consensus.types import Ballot, NodeId

SHORT: Final = {"watermark": "chosen", "confirmed": "conf"}
"""Fields that go by another name here."""
LEFT_OUT: Final = frozenset(
    (
        "session",
        "settled_below",
        "cluster",
        "epoch",
        "nonce",
        "traced",
        "mark",
        "echoes",
        "wait_ms",
        "retry_after_ms",
        "part",
        "parts",
        "incarnation",
    )
)
"""Fields that no transcript is about."""
EVENTS: Final = (
    "paxos.ballot",
    "paxos.chosen",
    "paxos.leader",
    "tx.apply",
    "timer.fire",
    "node.fail",
    "node.recover",
)
"""Events of note; the rest repeats what records and messages say."""


def name_of(session: bytes) -> str:
    return session.rstrip(b".").decode()


def message(found: Message) -> str:
    """``Accept (1,1) slot=2 chosen=1 {alice 1: 1->2:5}``."""
    fields = [name for name in found.__struct_fields__ if name not in LEFT_OUT]
    parts = [type(found).__name__, *(_field(found, name, getattr(found, name)) for name in fields)]
    return " ".join(part for part in parts if part)


def _field(found: Message, field: str, value: Any) -> str:
    name = SHORT.get(field, field)
    kind = type(found).__name__
    if isinstance(value, Ballot):
        return str(value) if field == "ballot" else f"{name}={value}"
    if field == "owners" and not value:
        return ""
    if field == "ask":
        return "ask" if value else ""
    if isinstance(value, bytes):
        return batch(value) if field == "value" else f"{name}=…"
    if field == "reason" and kind in ("Refused", "ReadRefused"):
        return Refusal(value).name.lower() if value > 0 else Status(-value).name.lower()
    if isinstance(value, bool):
        return name if value else f"not-{name}"
    if isinstance(value, (list, tuple)):
        return f"{name}=[{', '.join(_element(part) for part in value)}]"
    return f"{name}={value}"


def _element(part: Any) -> str:
    if isinstance(part, SlotValue):
        mark = "chosen" if part.chosen else f"accepted {part.ballot}"
        return f"{part.slot} {mark} {batch(part.value)}"
    if isinstance(part, Outcome):
        return f"{Status(part.status).name.lower()} in slot {part.slot}"
    if isinstance(part, Item):
        return f"{part.number}: {_legs(part.legs)}"
    if isinstance(part, ReadItem):
        return f"read {part.request} of {', '.join(map(str, part.accounts))}"
    if isinstance(part, ReadResult):
        return f"read {part.request}: {', '.join(map(str, part.values[1::2]))} as of slot {part.slot}"
    if isinstance(part, Message):
        return message(part)
    return str(part)


def batch(value: bytes) -> str:
    """The entries of a slot's value."""
    return "{" + ("; ".join(_entry(entry) for entry in decode_batch(value).entries) or "no-op") + "}"


def _entry(entry: Any) -> str:
    if isinstance(entry, OpenSession):
        return f"open {name_of(entry.session)}"
    if isinstance(entry, Transact):
        return f"{name_of(entry.session)} " + ", ".join(f"{i.number}: {_legs(i.legs)}" for i in entry.items)
    if isinstance(entry, NewView):
        return f"view {entry.ballot} slots=[{', '.join(_slot(slot) for slot in entry.slots)}]"
    return message(entry)


def _slot(slot: ViewSlot) -> str:
    return f"{slot.slot} of {slot.accepted}" if slot.size_bytes else f"{slot.slot} no-op"


def _legs(legs: tuple[int, ...]) -> str:
    if len(legs) == 4 and legs[1] < 0:
        return f"{legs[0]}->{legs[2]}:{legs[3]}"
    return ",".join(f"{account}{delta:+}" for account, delta in zip(legs[::2], legs[1::2], strict=True))


def event(node: NodeId, found: Event) -> str:
    """What happened at ``node``. Empty for events that are not of note."""
    fields = dict(found.fields)
    if found.kind not in EVENTS:
        return ""
    if found.kind == "paxos.ballot":
        return f"promises {Ballot(*fields['b'])}"
    if found.kind == "paxos.chosen":
        return f"knows as chosen: up to {fields['s']}"
    if found.kind == "paxos.leader":
        leader, ballot = fields["leader"], Ballot(*fields["b"])
        if leader == node:
            return f"leads in {ballot}"
        return f"follows n{leader} in {ballot}" if leader else "follows nobody"
    if found.kind == "tx.apply":
        number = fields["tx"].rpartition("-")[2]
        why = f" ({fields['why']})" if fields["why"] else ""
        return f"applies slot {fields['s']}: tx {number} {fields['outcome']}{why}"
    if found.kind == "timer.fire":
        return f"timer {fields['name']}"
    return found.kind.removeprefix("node.") + "s" + (f": {fields['why']}" if "why" in fields else "")
