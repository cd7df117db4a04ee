"""Moving accounts between clusters (numbers 60–79).

A batch of accounts is named by (source cluster, ``number``); the source numbers its batches 1, 2, 3, … in its
log and never uses a number again. ``below``: every batch of the source numbered lower is over, and the
destination needs to remember nothing of it. ``audit`` is what it is in ``messages.txn``.
"""

from __future__ import annotations

from consensus.messages.base import Message
from consensus.types import AccountId, ClusterId, SessionId


class MovedAccount(Message):
    """An account as the source held it when it was taken; ``epoch`` is that of the old owner."""

    id: AccountId
    balance: int
    version: int
    epoch: int


class MovedSession(Message):
    """Outcomes of transactions whose payer is in the batch, packed as a session's row has them.

    A client's retry finds them at the new owner (PROTOCOL, migration, 2).
    """

    id: SessionId
    settled_below: int
    outcomes: bytes


class MoveReserve(Message, tag=60):
    """From the source's leader: will you take a batch of so many accounts?"""

    source: ClusterId
    number: int
    below: int
    count: int
    audit: int = 0


class MoveInstall(Message, tag=61):
    """From the source's leader: outcomes to know first, in chunks, then the accounts, as the last chunk.

    Nobody changes the accounts at the source any more.
    """

    source: ClusterId
    number: int
    below: int
    accounts: list[MovedAccount]
    sessions: list[MovedSession]
    audit: int = 0
    chunk: int = 0


class MoveFlip(Message, tag=62):
    """From the source's leader: the accounts are yours. Sent again until activated."""

    source: ClusterId
    number: int
    below: int
    audit: int = 0


class MoveActivate(Message, tag=63):
    """From the destination's leader: the batch's accounts are owned here."""

    destination: ClusterId
    source: ClusterId
    number: int
    audit: int = 0


class MoveReply(Message, tag=64):
    """From the destination's leader: how far the batch has come there (a :class:`Step`)."""

    destination: ClusterId
    source: ClusterId
    number: int
    step: int
    audit: int = 0
    chunk: int = -1
    """Last chunk of the contents that is applied there, if this answers one."""


class MoveRollback(Message, tag=65):
    """From the source's leader: the batch stays here; forget what was installed. Sent again until dropped."""

    source: ClusterId
    number: int
    below: int
    audit: int = 0


class MoveResolve(Message, tag=66):
    """From the destination's leader, in doubt: what became of these batches?"""

    destination: ClusterId
    source: ClusterId
    numbers: list[int]
    audit: int = 0


class MapNews(Message, tag=67):
    """Owners of accounts, three integers each: account, cluster, epoch. The higher epoch is right."""

    cluster: ClusterId
    rows: tuple[int, ...]
    audit: int = 0


class Step:
    """How far a batch has come at its destination."""

    UNKNOWN = 0
    RESERVED = 1
    INSTALLED = 2
    ACTIVE = 3
    DROPPED = 4


MigrationMessage = (
    MoveReserve | MoveInstall | MoveFlip | MoveActivate | MoveReply | MoveRollback | MoveResolve | MapNews
)

TRACE_NAMES: dict[type[Message], str] = {
    MoveReserve: "move.reserve",
    MoveInstall: "move.install",
    MoveFlip: "move.flip",
    MoveActivate: "move.activate",
    MoveReply: "move.reply",
    MoveRollback: "move.rollback",
    MoveResolve: "move.resolve",
    MapNews: "map.news",
}
