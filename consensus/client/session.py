"""Sessions of a client: transaction numbers, and which of them are settled.

A session is 16 random bytes and a count. Nodes keep the outcome of every number that the client
may still ask about, so the client tells them with each frame below which number it holds all
outcomes (``settled_below``). A number that ended ``unknown`` stays open until it is resolved: were
it settled, a copy still travelling could not be told from a new transaction.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

import msgspec

from consensus.client.results import TxResult
from consensus.messages.client import Outcome
from consensus.messages.entries import Item
from consensus.types import OPEN_NUMBERS_MAX, SESSION_BYTES, ClusterId, NodeId, SessionId

SPAN_MAX: Final = OPEN_NUMBERS_MAX * 3 // 4
"""Numbers between ``settled_below`` and the next one before the client goes on in a new session.

Below the nodes' own bound, because what they know of ``settled_below`` lags behind.
"""

OnDone = Callable[[TxResult], None]


class Pending(msgspec.Struct, gc=False, eq=False):
    """A transaction without an answer.

    Attributes:
        item: what goes over the wire, the same bytes in every attempt.
        session: the session its number belongs to.
        clusters: the clusters touched; the first one coordinates and is the one that is asked.
        on_done: called once, with the result.
        started_s: when it was submitted, on the monotonic clock.
        deadline_s: when the client gives up, on the monotonic clock.
        sent_to: the node that the last attempt went to; 0 before the first.
        resend_s: when the next attempt goes out if no answer comes.
        attempts: copies sent.
        unanswered: copies sent that were not refused. Above 0 the transaction may have happened.
        refusal: the last refusal, 0 for none.
        queued: whether it waits in its lane's queue (or for a delay to pass).
        done: whether ``on_done`` was called.
    """

    item: Item
    session: Session
    clusters: tuple[ClusterId, ...]
    on_done: OnDone
    started_s: float
    deadline_s: float
    sent_to: NodeId = 0
    resend_s: float = 0.0
    attempts: int = 0
    unanswered: int = 0
    refusal: int = 0
    queued: bool = True
    done: bool = False


class Unsettled(msgspec.Struct, gc=False):
    """A number that ended ``unknown``: whom to ask about it, and its outcome if that came late."""

    clusters: tuple[ClusterId, ...]
    legs: tuple[int, ...]
    stored: Outcome | None = None
    epoch: int = 0


class Session:
    """One session and its open numbers.

    Attributes:
        id: 16 bytes, random after the session's prefix, if it has one (``types.KEPT_PREFIX``).
        next_number: the number the next transaction gets; the first is 1.
        pending: transactions without an answer. In the order of their numbers, but for reserved ones.
        unknown: numbers that ended unknown and were not resolved.
        opened: clusters that confirmed the session.
    """

    __slots__ = ("_floor", "_held", "id", "next_number", "opened", "pending", "prefix", "unknown")

    def __init__(self, session_id: SessionId | None = None, *, prefix: bytes = b"") -> None:
        self.prefix = prefix
        if session_id is None:
            session_id = prefix + secrets.token_bytes(SESSION_BYTES - len(prefix))
        self.id: SessionId = session_id
        self.next_number = 1
        self.pending: dict[int, Pending] = {}
        self.unknown: dict[int, Unsettled] = {}
        self.opened: set[ClusterId] = set()
        # Open numbers that the order of `pending` says nothing about: reserved or unknown ones.
        self._held: set[int] = set()
        # A lower bound of `settled_below`, so that most submissions need not look for the exact one.
        self._floor = 1

    def take_number(self) -> int:
        """The next number, for a transaction that is put into ``pending`` at once."""
        number = self.next_number
        self.next_number = number + 1
        return number

    def reserve(self) -> int:
        """A number that stays open until its transaction, submitted later, is settled."""
        number = self.take_number()
        self._held.add(number)
        return number

    def is_reserved(self, number: int) -> bool:
        """Whether ``number`` was reserved and no transaction was submitted under it yet."""
        return number in self._held and number not in self.pending and number not in self.unknown

    def hold_unknown(self, number: int, unsettled: Unsettled) -> None:
        """Keep ``number`` open although the client stopped waiting for it."""
        self.unknown[number] = unsettled
        self._held.add(number)

    def settle(self, number: int) -> None:
        """The client holds the outcome of ``number``, or knows that it will never run."""
        self.unknown.pop(number, None)
        if self._held:
            self._held.discard(number)

    @property
    def settled_below(self) -> int:
        """Every lower number is settled."""
        lowest = next(iter(self.pending), self.next_number)
        if self._held:
            return min(lowest, *self._held)
        return lowest

    @property
    def idle(self) -> bool:
        """Nothing is open: the session can be forgotten."""
        return not self.pending and not self._held

    @property
    def full(self) -> bool:
        """Whether the next number would be too far above ``settled_below``."""
        if self.next_number - self._floor < SPAN_MAX:
            return False
        self._floor = self.settled_below
        return self.next_number - self._floor >= SPAN_MAX
