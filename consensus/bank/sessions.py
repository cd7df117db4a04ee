"""Replicated sessions: every outcome a client may still ask for, so that a retry finds it.

A session's numbers below ``settled_below`` are done with: the client holds their outcomes, the
table has dropped them, and a late copy is refused, never run (Ongaro, Raft dissertation, 6.3,
with the client's low-water mark instead of one request at a time).
"""

from __future__ import annotations

import msgspec

from consensus.messages.client import Outcome
from consensus.types import OPEN_NUMBERS_MAX, SessionId, Slot

_encoder = msgspec.msgpack.Encoder()
_outcomes = msgspec.msgpack.Decoder(dict[int, Outcome])


class Session:
    """Outcomes of one client's transactions, by number.

    ``opened``: by its client, through this cluster's log. A session that is only known from accounts that
    moved here may have run, before it was evicted, what it has no outcome of: it takes nothing (ADR 25).
    """

    __slots__ = ("id", "opened", "outcomes", "settled_below", "used_slot")

    def __init__(
        self, id: SessionId, settled_below: int = 0, used_slot: Slot = 0, opened: bool = True
    ) -> None:
        self.id = id
        self.opened = opened
        self.settled_below = settled_below
        self.used_slot = used_slot
        self.outcomes: dict[int, Outcome] = {}

    def settle(self, below: int) -> None:
        """Drop outcomes of numbers lower than ``below``; the mark never goes back."""
        if below <= self.settled_below:
            return
        outcomes = self.outcomes
        if below - self.settled_below <= len(outcomes):
            for number in range(self.settled_below, below):
                outcomes.pop(number, None)
        else:
            self.outcomes = {number: kept for number, kept in outcomes.items() if number >= below}
        self.settled_below = below

    def takes(self, number: int) -> bool:
        """Whether ``number`` may still run."""
        return self.opened and self.spans(number)

    def spans(self, number: int) -> bool:
        """Whether ``number`` may have an outcome here: not settled, and within the open span."""
        return self.settled_below <= number < self.settled_below + OPEN_NUMBERS_MAX

    def pack(self) -> bytes:
        """The outcomes in canonical form (ascending numbers)."""
        return _encoder.encode(dict(sorted(self.outcomes.items())))

    def columns(self) -> tuple[int, int, bytes]:
        """The values of the session's row; ``used_slot`` is negative while it is not opened."""
        return self.settled_below, self.used_slot if self.opened else -self.used_slot, self.pack()

    @classmethod
    def of_columns(cls, id: SessionId, settled_below: int, used_slot: int, packed: bytes) -> Session:
        """Inverse of :meth:`columns`.

        Raises:
            msgspec.DecodeError: the bytes are not packed outcomes.
        """
        session = cls(id, settled_below, abs(used_slot), used_slot >= 0)
        session.outcomes = unpack(packed)
        return session


def unpack(packed: bytes) -> dict[int, Outcome]:
    """Inverse of :meth:`Session.pack`.

    Raises:
        msgspec.DecodeError: the bytes are not packed outcomes.
    """
    return _outcomes.decode(packed)
