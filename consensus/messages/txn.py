"""Two-phase commit between clusters (numbers 40–59). Each message carries many transactions.

``at`` is a transaction's number among those of its coordinator: the slot of its prepare entry in the
coordinator's log. A sender below ``finished_below`` has nothing open any more: every transaction numbered
lower is decided and acknowledged by all its participants. ``audit`` is the number of the sender group's last
audit cut: a group that has not made that cut yet makes it before it takes the message.
"""

from __future__ import annotations

from consensus.messages.base import Message
from consensus.types import Ballot, ClusterId, SessionId, Slot


class PrepareRow(Message):
    """The legs and conditions that lie in the addressed cluster.

    ``age_us``: when the transaction first arrived at a coordinator, which decides who waits for whom
    (wait-die).
    """

    session: SessionId
    number: int
    at: Slot
    age_us: int
    legs: tuple[int, ...]
    conditions: tuple[int, ...] = ()


class TxPrepare(Message, tag=40):
    """Would you commit these? From the leader of the coordinating cluster."""

    coordinator: ClusterId
    finished_below: Slot
    rows: list[PrepareRow]
    audit: int = 0


MOVED = 100
"""Stands for a vote's or decision's status: an account is on its way to another cluster, or gone there.

That is no reason against the transaction. Its coordinator takes the attempt back and refuses it
(``migrating``); the client tries again under the same TxId, and a later prepare entry finds the owner.
"""


class VoteRow(Message):
    """``status`` 0 is yes, else the reason for no. After a yes only the decision can undo the prepare entry.

    ``legs``: version and balance of each of the cluster's legs, as they will be after a commit.
    """

    session: SessionId
    number: int
    at: Slot
    status: int
    slot: Slot
    index: int
    ballot: Ballot
    legs: tuple[int, ...]


class TxVote(Message, tag=41):
    participant: ClusterId
    rows: list[VoteRow]
    audit: int = 0


class DecisionRow(Message):
    session: SessionId
    number: int
    at: Slot
    commit: bool


class TxDecision(Message, tag=42):
    """Final. Sent again until acknowledged, and as the answer to :class:`TxResolve`."""

    coordinator: ClusterId
    finished_below: Slot
    rows: list[DecisionRow]
    audit: int = 0


class TxRow(Message):
    session: SessionId
    number: int
    at: Slot


class TxAck(Message, tag=43):
    """The decision is applied."""

    participant: ClusterId
    rows: list[TxRow]
    audit: int = 0


class TxResolve(Message, tag=44):
    """A participant in doubt asks the coordinating cluster how these ended."""

    participant: ClusterId
    rows: list[TxRow]
    audit: int = 0


class TxPending(Message, tag=45):
    """Not decided yet: keep waiting."""

    coordinator: ClusterId
    rows: list[TxRow]
    audit: int = 0


TxnMessage = TxPrepare | TxVote | TxDecision | TxAck | TxResolve | TxPending

TRACE_NAMES: dict[type[Message], str] = {
    TxPrepare: "tx.prepare",
    TxVote: "tx.vote",
    TxDecision: "tx.decision",
    TxAck: "tx.ack",
    TxResolve: "resolve",
    TxPending: "resolve",
}
