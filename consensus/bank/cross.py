"""State of transactions across clusters: what is prepared, locked, to be undone, decided, remembered.

An account with a lock has exactly one undo record, and the other way round: the lock says which prepared
transaction holds the account, the undo record what that transaction changed its balance by. Undo records are
*deltas*: undoing adds to whatever the balance is and cannot overwrite anybody's money.
"""

from __future__ import annotations

from heapq import heappop, heappush

import msgspec

from consensus.types import AccountId, Ballot, ClusterId, Slot, TxId

NUMBER_BYTES = 8


def tx_key(tx: TxId) -> bytes:
    """Canonical bytes of a TxId, key of the tables about transactions."""
    return tx.session + tx.number.to_bytes(NUMBER_BYTES, "big")


def tx_of_key(key: bytes) -> TxId:
    return TxId(key[:-NUMBER_BYTES], int.from_bytes(key[-NUMBER_BYTES:], "big"))


class Prepared(msgspec.Struct, array_like=True, gc=False):
    """A transaction between its P and its decision, in one of its clusters.

    ``legs`` are the own ones (account, delta, …), ``after`` their (version, balance, …) if it commits.
    """

    session: bytes
    number: int
    coordinator: ClusterId
    at: Slot
    age_us: int
    legs: tuple[int, ...]
    after: tuple[int, ...]
    slot: Slot
    index: int
    ballot: Ballot
    all_legs: tuple[int, ...] = ()
    """At the coordinator: every leg, in the order of the request; ``homes`` has the cluster of each."""
    homes: tuple[ClusterId, ...] = ()
    conditions: tuple[int, ...] = ()

    @property
    def tx(self) -> TxId:
        return TxId(self.session, self.number)

    @property
    def coordinates(self) -> bool:
        """Whether this is the coordinator's side."""
        return bool(self.homes)

    def participants(self, own: ClusterId) -> tuple[ClusterId, ...]:
        """Clusters other than ``own`` that have a leg, ascending."""
        return tuple(sorted(set(self.homes) - {own}))


class Unfinished(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A decision of this coordinator that some participant may not have applied yet."""

    at: Slot
    commit: bool
    participants: tuple[ClusterId, ...]


class FinishedTx(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A decision a participant has applied, remembered until its coordinator needs it no more."""

    coordinator: ClusterId
    at: Slot
    commit: bool


class CrossState:
    """All of it, for one cluster. ``touched``: (table, key) of what changed, for hash and checkpoint."""

    def __init__(self) -> None:
        self.prepared: dict[TxId, Prepared] = {}
        self.locks: dict[AccountId, TxId] = {}
        self.undo: dict[AccountId, int] = {}
        self.unfinished: dict[TxId, Unfinished] = {}
        self.finished: dict[TxId, FinishedTx] = {}
        self.finished_below: dict[ClusterId, Slot] = {}
        self.touched: set[tuple[str, int | bytes]] = set()
        self._by_number: dict[ClusterId, list[tuple[Slot, TxId]]] = {}
        self._coordinating: list[tuple[Slot, TxId]] = []

    # --- prepared ------------------------------------------------------------------

    def hold(self, prepared: Prepared) -> None:
        """Lock the own legs' accounts and note their undo records."""
        tx = prepared.tx
        self.prepared[tx] = prepared
        self.touched.add(("prepared", tx_key(tx)))
        for account, delta in zip(prepared.legs[::2], prepared.legs[1::2], strict=True):
            assert account not in self.locks, f"account {account} locked twice"
            self.locks[account] = tx
            self.undo[account] = delta
            self.touched.add(("undo", account))
        if prepared.coordinates:
            heappush(self._coordinating, (prepared.at, tx))

    def release(self, prepared: Prepared) -> None:
        """The decision is applied: locks and undo records fall."""
        tx = prepared.tx
        del self.prepared[tx]
        self.touched.add(("prepared", tx_key(tx)))
        for account in prepared.legs[::2]:
            assert self.locks[account] == tx
            del self.locks[account]
            del self.undo[account]
            self.touched.add(("undo", account))

    # --- the coordinator's memory ------------------------------------------------------

    def decided(self, tx: TxId, unfinished: Unfinished) -> None:
        """Keep a decision until every participant acknowledged it."""
        self.unfinished[tx] = unfinished
        self.touched.add(("unfinished", tx_key(tx)))

    def coordinate(self, tx: TxId, at: Slot) -> None:
        """Count a transaction that was decided without ever being prepared among the open ones."""
        heappush(self._coordinating, (at, tx))

    def finish(self, tx: TxId) -> None:
        if self.unfinished.pop(tx, None) is not None:
            self.touched.add(("unfinished", tx_key(tx)))

    def own_finished_below(self, next_slot: Slot) -> Slot:
        """No transaction numbered lower has anything open. Later ones are numbered from ``next_slot``."""
        open_ones = self._coordinating
        while open_ones and (tx := open_ones[0][1]) not in self.unfinished and tx not in self.prepared:
            heappop(open_ones)
        return min(open_ones[0][0], next_slot) if open_ones else next_slot

    # --- the participant's memory --------------------------------------------------------

    def is_over(self, tx: TxId, at: Slot) -> bool:
        """Whether the attempt numbered ``at``, or a later one, was decided here, or an earlier one committed.

        After a commit there is no further attempt, whatever number a deposed leader gave to its copy.
        """
        finished = self.finished.get(tx)
        return finished is not None and (finished.commit or finished.at >= at)

    def remember(self, tx: TxId, finished: FinishedTx) -> None:
        if finished.at < self.finished_below.get(finished.coordinator, 0):
            return
        self.finished[tx] = finished
        heappush(self._by_number.setdefault(finished.coordinator, []), (finished.at, tx))
        self.touched.add(("finished", tx_key(tx)))

    def pass_below(self, coordinator: ClusterId, at: Slot) -> None:
        """The coordinator is done with everything numbered below ``at``: forget it."""
        if at <= self.finished_below.get(coordinator, 0):
            return
        self.finished_below[coordinator] = at
        self.touched.add(("finished_below", coordinator))
        heap = self._by_number.get(coordinator, [])
        while heap and heap[0][0] < at:
            tx = heappop(heap)[1]
            finished = self.finished.get(tx)
            # A later attempt may be remembered by now.
            if finished is not None and finished.at < at:
                del self.finished[tx]
                self.touched.add(("finished", tx_key(tx)))

    # --- restoring -----------------------------------------------------------------------

    def index(self) -> None:
        """Rebuild what is not stored, after rows were put in."""
        self._coordinating = sorted(
            [(p.at, tx) for tx, p in self.prepared.items() if p.coordinates]
            + [(u.at, tx) for tx, u in self.unfinished.items()]
        )
        for tx, finished in self.finished.items():
            heappush(self._by_number.setdefault(finished.coordinator, []), (finished.at, tx))
