"""Log entries: what a cluster agrees on. Their numbers are a space of their own.

A slot's value is the encoding of one :class:`Batch`. A batch without entries is a no-op. The
meaning of an entry number is fixed for ever (docs/protocol.md, "Log entries"): a change of
meaning is a new entry with a new number.
"""

from __future__ import annotations

from consensus.messages.base import Message
from consensus.messages.migration import MovedAccount, MovedSession
from consensus.messages.txn import DecisionRow, PrepareRow, TxRow
from consensus.types import AccountId, Ballot, ClusterId, SessionId, Slot


class Item(Message):
    """One transaction of a session.

    ``legs`` is flat: account, delta, account, delta, … (2–16 legs summing to zero).
    ``conditions`` is flat triples: account, kind, value (see ``Condition``).
    """

    number: int
    legs: tuple[int, ...]
    conditions: tuple[int, ...] = ()
    age_us: int = 0
    """When the first attempt of the same wish arrived, for one that lost a lock conflict; 0: now."""


class Condition:
    """Kinds of condition a transaction may put on an account it touches."""

    BALANCE_AT_LEAST = 1
    VERSION_EQUALS = 2


class OpenSession(Message, tag=1):
    """Begin a session. Opening an open session is a no-op."""

    session: SessionId


class Transact(Message, tag=2):
    """Transactions of one session whose legs all lie in this cluster, in order."""

    session: SessionId
    settled_below: int
    items: list[Item]


class Abort(Message, tag=3):
    """Give up on a transaction: stores ``aborted(reason)`` unless an outcome exists."""

    session: SessionId
    number: int
    reason: int
    payer: AccountId = 0
    """Account of the first debited leg; 0 where it is not known."""


class ViewSlot(Message):
    """One slot that a NEW-VIEW proposed again: the ballot it was last accepted in, its bytes."""

    slot: Slot
    accepted: Ballot
    size_bytes: int
    """0 for a gap that was filled with a no-op."""


class NewView(Message, tag=4):
    """A new leader's view, first entry of its own: what it took over. Kept for PrintView."""

    ballot: Ballot
    watermark: Slot
    slots: list[ViewSlot]
    checkpoint: Slot


class EvictSessions(Message, tag=5):
    """Forget sessions. Their transactions are answered ``session_expired`` afterwards."""

    sessions: list[SessionId]


class Resolve(Message, tag=6):
    """Make transactions final: an unknown one gets ``aborted(coordinator_timeout)``.

    ``payers`` as in ``messages.client.ResolveRequest``.
    """

    session: SessionId
    numbers: list[int]
    payers: tuple[AccountId, ...] = ()


class CrossItem(Message):
    """A transaction over several clusters, at its coordinator. ``homes`` names the cluster of each leg."""

    number: int
    age_us: int
    legs: tuple[int, ...]
    homes: tuple[ClusterId, ...]
    conditions: tuple[int, ...] = ()


class CrossPrepare(Message, tag=7):
    """P at the coordinator: locks the own legs' accounts and takes their deltas, subject to the decision."""

    session: SessionId
    settled_below: int
    items: list[CrossItem]


class PartPrepare(Message, tag=8):
    """P at a participant, as the coordinator's TxPrepare said."""

    coordinator: ClusterId
    finished_below: Slot
    rows: list[PrepareRow]


class DecideRow(Message):
    """``status`` 0 commits; ``legs`` and ``parts`` are what the outcome then says (see ``Outcome``)."""

    session: SessionId
    number: int
    status: int
    legs: tuple[int, ...] = ()
    parts: tuple[int, ...] = ()


class Decide(Message, tag=9):
    """C or A at the coordinator. The first one in the log counts; later ones are no-ops."""

    rows: list[DecideRow]


class PartDecide(Message, tag=10):
    """C or A at a participant, as the coordinator's TxDecision said."""

    coordinator: ClusterId
    finished_below: Slot
    rows: list[DecisionRow]


class Finish(Message, tag=11):
    """Every participant acknowledged the decisions on these: the coordinator forgets them."""

    rows: list[TxRow]


class Audit(Message, tag=12):
    """The cluster's part of consistent cut ``number``: what the state is at this slot."""

    number: int


class MovePrepare(Message, tag=13):
    """At the source: take what is owned here and free of ``accounts``, as one batch.

    The plan's own name of the batch is (``plan``, ``part``): a repeated one is answered, not made again.
    """

    plan: bytes
    part: int
    destination: ClusterId
    accounts: tuple[AccountId, ...]


class MoveReserve(Message, tag=14):
    """At the destination: a batch will come."""

    source: ClusterId
    number: int
    below: int


class MoveInstall(Message, tag=21):
    """At the destination: outcomes to know and, in the last of a batch's entries, its accounts.

    The accounts are owned by nobody here yet. Without accounts the batch stays reserved. A session that was
    not here before is not opened by what comes (ADR 25).
    """

    source: ClusterId
    number: int
    accounts: list[MovedAccount]
    sessions: list[MovedSession]


class MoveInstallOpen(MoveInstall, tag=15):
    """What earlier nodes proposed in its place: sessions that come with it count as opened."""


class MoveFlip(Message, tag=16):
    """At the source: the batch belongs to its destination from here on."""

    number: int


class MoveActivate(Message, tag=17):
    """At the destination: the batch is owned here, as the source's flip said."""

    source: ClusterId
    number: int
    below: int


class MoveRollback(Message, tag=18):
    """At the source: the batch stays, unless it was flipped before."""

    number: int


class MoveDrop(Message, tag=19):
    """At the destination: the source rolled the batch back."""

    source: ClusterId
    number: int
    below: int


class MoveFinish(Message, tag=20):
    """At the source: the destination has activated or dropped these batches."""

    numbers: list[int]


Entry = (
    OpenSession
    | Transact
    | Abort
    | NewView
    | EvictSessions
    | Resolve
    | CrossPrepare
    | PartPrepare
    | Decide
    | PartDecide
    | Finish
    | Audit
    | MovePrepare
    | MoveReserve
    | MoveInstall
    | MoveInstallOpen
    | MoveFlip
    | MoveActivate
    | MoveRollback
    | MoveDrop
    | MoveFinish
)


class Batch(Message):
    """The value of one slot.

    ``ballot`` is the ballot the batch was first proposed in and stays when a later leader proposes
    it again; ``stamp_us`` is that leader's wall clock, the only time that apply ever sees.
    """

    ballot: Ballot
    stamp_us: int
    entries: list[Entry]
