"""Names and numbers every other module agrees on: ids, ballots, slots, checked money."""

from __future__ import annotations

from typing import Final, NamedTuple

NodeId = int
ClusterId = int
AccountId = int
Slot = int
"""Position in a cluster's log. Slot 0 is the genesis state; the first entry is slot 1."""
Position = int
"""Count of journal records appended by this process; what a message waits for before it leaves."""
SessionId = bytes
"""16 bytes chosen by the client, random but for :data:`KEPT_PREFIX` and :data:`AMBIENT_PREFIX`."""

AMOUNT_MAX: Final = 10**15
"""Largest absolute delta of one leg, in units of money."""
BALANCE_MAX: Final = 2**62
"""Largest balance; fits a signed 64-bit SQLite integer with room for one more leg."""
LEGS_MIN: Final = 2
LEGS_MAX: Final = 16
SESSION_BYTES: Final = 16
KEPT_PREFIX: Final = b"keep"
"""First bytes of a session whose transactions every node records in full, for whoever asks afterwards."""
AMBIENT_PREFIX: Final = b"ambi"
"""First bytes of a session whose transactions a site makes by itself, so that its bank is never still."""
OPEN_NUMBERS_MAX: Final = 16_384
"""Numbers a session may have at or above its ``settled_below``."""
SESSIONS_MAX: Final = 100_000
"""Sessions a cluster remembers; opening one more evicts the longest idle."""


class Ballot(NamedTuple):
    """A leadership claim, ordered by round and then node (Lamport, Paxos Made Simple, 2.2)."""

    round: int
    node: NodeId

    def __str__(self) -> str:
        return f"({self.round},{self.node})"


BALLOT_NONE: Final = Ballot(0, 0)
"""Below every ballot a node can propose."""


class TxId(NamedTuple):
    """Identity of a transaction over all its retries."""

    session: SessionId
    number: int

    def __str__(self) -> str:
        return f"{self.session.hex()}-{self.number}"


def parse_tx_id(text: str) -> TxId:
    """Read the outward form ``<32 hex digits>-<number>``.

    Raises:
        ValueError: the text has another form.
    """
    session, dash, number = text.partition("-")
    if not dash or len(session) != 2 * SESSION_BYTES or not number.isdecimal() or len(number) > 18:
        raise ValueError(f"not a transaction id: {text[:80]!r}")
    return TxId(bytes.fromhex(session), int(number))


def majority(members: int) -> int:
    """Smallest number of acceptors of which any two sets of that size share one."""
    return members // 2 + 1
