"""Messages between a client and a node (numbers 80–119)."""

from __future__ import annotations

from enum import IntEnum

from consensus.messages.base import Message
from consensus.messages.entries import Item
from consensus.types import AccountId, Ballot, ClusterId, NodeId, SessionId, Slot


class Status(IntEnum):
    """Final outcome of a transaction. 0 is committed; the others are abort reasons."""

    COMMITTED = 0
    INSUFFICIENT_FUNDS = 1
    UNKNOWN_ACCOUNT = 2
    INVALID = 3
    LOCK_TIMEOUT = 4
    LOCK_CONFLICT = 5
    COORDINATOR_TIMEOUT = 6
    PARTICIPANT_UNAVAILABLE = 7
    CONDITION_FAILED = 8


class Refusal(IntEnum):
    """Why a node did nothing. Never stored; the client may try again under the same TxId."""

    NOT_LEADER = 1
    OVERLOADED = 2
    WRONG_OWNER = 3
    MIGRATING = 4
    IN_DOUBT = 5
    UNAVAILABLE = 6
    SESSION_EXPIRED = 7
    SESSION_UNKNOWN = 8
    UNSUPPORTED = 9
    LOCKED = 10


class Level(IntEnum):
    """Consistency of a read; docs/protocol.md says what each promises."""

    LINEARIZABLE = 0
    LEASE = 1
    RYW = 2
    BOUNDED = 3
    EVENTUAL = 4


class Outcome(Message):
    """What applying a transaction did; stored with its session and never changed.

    ``legs`` is flat: version, balance of each leg's account, in leg order, after the transaction (for an
    abort: as it saw them; empty where an account is unknown). ``index`` is the position among the
    transactions of the slot; ``ballot`` the one the batch was first proposed in. Of a transaction over
    several clusters these are the coordinator's decision, and ``parts`` tells, flat, of each participant:
    cluster, slot, index, round and node of the ballot of its prepare entry. ``payer`` is the account of the
    first debited leg, whose owner keeps the outcome, also when the account moves; 0 where it is not known.
    """

    status: int
    slot: Slot
    index: int
    ballot: Ballot
    legs: tuple[int, ...]
    parts: tuple[int, ...] = ()
    payer: AccountId = 0


class Open(Message, tag=80):
    """Open (or find again) a session in the node's cluster."""

    session: SessionId


class Opened(Message, tag=81):
    """The session exists in ``cluster``. ``settled_below`` is what the cluster knows of it."""

    session: SessionId
    cluster: ClusterId
    settled_below: int


class Submit(Message, tag=82):
    """Transactions to run. ``settled_below``: the client holds the outcome of every lower number."""

    session: SessionId
    settled_below: int
    items: list[Item]


class Replies(Message, tag=83):
    """Outcomes, in apply order. ``epoch`` counts the ownership flips known to the node."""

    session: SessionId
    numbers: list[int]
    outcomes: list[Outcome]
    epoch: int = 0


class Refused(Message, tag=84):
    """Nothing was done for ``numbers`` (all open numbers of the session if empty).

    ``owners``: flat triples account, cluster, epoch of accounts that have moved, as far as the node knows.
    """

    session: SessionId
    numbers: list[int]
    reason: int
    leader: NodeId = 0
    retry_after_ms: int = 0
    owners: tuple[int, ...] = ()


class ReadItem(Message):
    """One read of one or more accounts of this cluster.

    ``bound`` is the greatest age in ms for BOUNDED, and unused otherwise; ``versions`` gives, for
    RYW, the least version wanted of each account (same order). ``wait_ms``: how long the client waits for an
    answer, and so the node for what the answer needs (0: as long as two-phase commit waits for votes).
    """

    request: int
    accounts: tuple[AccountId, ...]
    level: int = Level.LINEARIZABLE
    bound: int = 0
    versions: tuple[int, ...] = ()
    wait_ms: int = 0


class Read(Message, tag=85):
    items: list[ReadItem]


class ReadResult(Message):
    """``values`` is flat: version, balance per account. ``slot`` is the applied slot it was read at."""

    request: int
    slot: Slot
    values: tuple[int, ...]


class ReadReplies(Message, tag=86):
    results: list[ReadResult]
    epoch: int = 0


class ReadRefused(Message, tag=87):
    """``reason`` is a :class:`Refusal`, or minus a :class:`Status` (unknown_account is final)."""

    requests: list[int]
    reason: int
    leader: NodeId = 0
    owners: tuple[int, ...] = ()


class ResolveRequest(Message, tag=88):
    """Make these transactions final, and say how they ended.

    ``payers``: of each the account of the first debited leg, whose owner is asked; 0 or none: not known.
    """

    session: SessionId
    numbers: list[int]
    payers: tuple[AccountId, ...] = ()


class WhoLeads(Message, tag=90):
    """Ask a node whom it follows."""


class Leads(Message, tag=91):
    """``leader`` 0: no leader known. Also pushed to clients when leadership changes."""

    cluster: ClusterId
    ballot: Ballot
    leader: NodeId


ClientRequest = Open | Submit | Read | ResolveRequest | WhoLeads
ClientReply = Opened | Replies | Refused | ReadReplies | ReadRefused | Leads
