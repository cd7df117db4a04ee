"""What goes into :meth:`Replica.step`, and what comes out of it.

Times are microseconds of a monotonic clock (``now_us``). An output never happens by itself:
the shell (``node`` or ``simulation``) appends ``persist``, sends ``sends`` once the journal is
synced up to their ``after``, answers ``replies``, and steps again with :class:`Persisted`,
:class:`Wake` and :class:`CheckpointDone`.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import msgspec

from consensus.messages.base import Message
from consensus.messages.records import Record
from consensus.messages.rows import Row
from consensus.types import AccountId, ClusterId, NodeId, Position, Slot

# --- start ---------------------------------------------------------------


class Recovered(msgspec.Struct):
    """What a node found on its disk when it started.

    ``rows`` is the last checkpoint (empty: the genesis state); ``records`` the journal, in
    order.
    """

    incarnation: int
    bootstrap: bool
    """A folder made just now for a new incarnation: promise (1, first node) holds from the start."""
    learner: bool
    """Something synced may be missing: take no part in votes until the others have brought us up."""
    rows: list[Row] = []
    records: list[Record] = []


# --- inputs ---------------------------------------------------------------


class Receive(NamedTuple):
    """Messages of one frame from another node of the cluster, in order."""

    sender: NodeId
    messages: list[Any]


class Requests(NamedTuple):
    """Messages of one frame from a client. ``connection`` is the shell's number for it."""

    connection: int
    messages: list[Any]


class Disconnected(NamedTuple):
    """A client connection is gone; nothing can be answered on it any more."""

    connection: int


class Persisted(NamedTuple):
    """Every record up to ``position`` is on the disk."""

    position: Position


class Wake(NamedTuple):
    """The time asked for in ``wake_at_us`` has come (or passed)."""


class CheckpointDone(NamedTuple):
    """The checkpoint at ``slot`` is durable."""

    slot: Slot


class Freeze(NamedTuple):
    """Act disconnected (the course's F): timers stand still, state is kept."""


class Thaw(NamedTuple):
    """End of :class:`Freeze` (R): timers start anew, the node does not campaign at once."""


class Cut(NamedTuple):
    """Begin audit cut ``number`` here (a leader logs it; the others hear of it by messages)."""

    number: int


class Move(NamedTuple):
    """Begin part ``part`` of a plan here: move ``accounts`` to another cluster (leaders only)."""

    plan: bytes
    part: int
    destination: ClusterId
    accounts: tuple[AccountId, ...]


class Together(NamedTuple):
    """What came in during one turn of the shell's loop, in order: what follows is done once for all."""

    inputs: list[Input]


Input = (
    Receive
    | Requests
    | Disconnected
    | Persisted
    | Wake
    | CheckpointDone
    | Freeze
    | Thaw
    | Cut
    | Move
    | Together
)

# --- outputs --------------------------------------------------------------


class Append(NamedTuple):
    """A record for the journal. ``slot`` is the slot it belongs to (0 = none)."""

    record: Record
    slot: Slot


class Send(NamedTuple):
    """A message to nodes of the cluster, to leave once the journal is synced up to ``after``."""

    to: tuple[NodeId, ...]
    message: Message
    after: Position


class ReplyTo(NamedTuple):
    """``until_us``: discard the reply if the clock, read again after the step, is past it (0: never)."""

    connection: int
    message: Message
    until_us: int = 0


class Event(NamedTuple):
    """A trace event (kind and fields of the trace schema); the shell adds node, clocks, numbers."""

    kind: str
    fields: dict[str, Any]


class Capture(Protocol):
    """The state at exactly one slot, handed out in pieces while the replica goes on.

    ``replace`` true: the rows are the whole state (the checkpoint before is void).
    """

    slot: Slot
    state_hash: bytes
    replace: bool

    def take(self, limit: int) -> list[Row]:
        """Up to ``limit`` further rows; an empty list ends the capture. Call on the replica's thread."""
        ...


class Outputs:
    """Effects of one step. Empty lists are shared by nobody: the shell may keep them."""

    __slots__ = ("checkpoint", "events", "persist", "replies", "sends", "truncate_to")

    def __init__(self) -> None:
        self.persist: list[Append] = []
        self.sends: list[Send] = []
        self.replies: list[ReplyTo] = []
        self.events: list[Event] = []
        self.checkpoint: Capture | None = None
        """Write this capture as a checkpoint, then step with :class:`CheckpointDone`."""
        self.truncate_to: Slot = 0
        """Journal segments whose every slot is at or below this may be dropped."""
