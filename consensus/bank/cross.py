"""State of transactions across clusters: what is prepared, locked, to be undone, decided, remembered.

An account with a lock has exactly one undo record, and the other way round: the lock says which prepared
transaction holds the account, the undo record what that transaction changed its balance by. Undo records are
*deltas*: undoing adds to whatever the balance is and cannot overwrite anybody's money.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Final

import msgspec

from consensus.bank.changes import Changes
from consensus.types import AccountId, Ballot, ClusterId, Slot, TxId

NUMBER_BYTES = 8

OPEN_TIDIED_MIN: Final = 1_024
"""Entries of transactions that this cluster coordinates before those that ended are looked for."""


def tx_key(tx: TxId) -> bytes:
    """Canonical bytes of a TxId, key of the tables about transactions."""
    return tx.session + tx.number.to_bytes(NUMBER_BYTES, "big")


def tx_of_key(key: bytes) -> TxId:
    return TxId(key[:-NUMBER_BYTES], int.from_bytes(key[-NUMBER_BYTES:], "big"))


def others_of(homes: tuple[ClusterId, ...], own: ClusterId) -> tuple[ClusterId, ...]:
    """Clusters of ``homes`` other than ``own``, ascending."""
    if len(homes) == 2 and own in homes and homes[0] != homes[1]:
        return (homes[0] + homes[1] - own,)
    return tuple(sorted(set(homes) - {own}))


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
    """All of it, for one cluster. The ``…_changes`` tell hash and checkpoint which rows to look at."""

    def __init__(self) -> None:
        self.prepared: dict[TxId, Prepared] = {}
        self.locks: dict[AccountId, TxId] = {}
        self.undo: dict[AccountId, int] = {}
        self.unfinished: dict[TxId, Unfinished] = {}
        self.finished: dict[TxId, FinishedTx] = {}
        self.finished_below: dict[ClusterId, Slot] = {}
        self.prepared_changes: Changes[TxId] = Changes()
        self.unfinished_changes: Changes[TxId] = Changes()
        self.finished_changes: Changes[TxId] = Changes()
        self.below_changes: Changes[ClusterId] = Changes()
        self._undo_changes: set[AccountId] = set()
        """Accounts whose undo record changed besides those of ``prepared_changes``: which stood, and fell."""
        self._by_number: dict[ClusterId, list[tuple[Slot, TxId]]] = {}
        self._coordinating: list[tuple[Slot, TxId]] = []
        """A heap of those that are open, and of some that were."""
        self._tidied_at = OPEN_TIDIED_MIN

    # --- prepared ------------------------------------------------------------------

    def hold(self, tx: TxId, prepared: Prepared) -> None:
        """Lock the own legs' accounts and note their undo records."""
        self.prepared[tx] = prepared
        self.prepared_changes.put(tx)
        legs, locks, undo = prepared.legs, self.locks, self.undo
        for account, delta in (legs,) if len(legs) == 2 else zip(legs[::2], legs[1::2], strict=True):
            assert account not in locks, f"account {account} locked twice"
            locks[account] = tx
            undo[account] = delta
        if prepared.homes:
            self.coordinate(tx, prepared.at)

    def release(self, tx: TxId, prepared: Prepared) -> None:
        """The decision is applied: locks and undo records fall."""
        del self.prepared[tx]
        accounts = prepared.legs[::2]
        if tx not in self.prepared_changes.born:
            self._undo_changes.update(accounts)
        self.prepared_changes.drop(tx)
        for account in accounts:
            holder = self.locks.pop(account)
            assert holder == tx
            del self.undo[account]

    # --- the coordinator's memory ------------------------------------------------------

    def decided(self, tx: TxId, unfinished: Unfinished) -> None:
        """Keep a decision until every participant acknowledged it."""
        changes = self.unfinished_changes
        (changes.update if tx in self.unfinished else changes.put)(tx)
        self.unfinished[tx] = unfinished

    def coordinate(self, tx: TxId, at: Slot) -> None:
        """Count ``tx`` among the open ones, now that it is prepared, or decided without having been."""
        open_ones = self._coordinating
        heappush(open_ones, (at, tx))
        if len(open_ones) >= self._tidied_at:
            # Nobody asks a follower for the lowest open one, which is when a leader forgets those that ended.
            open_ones[:] = [one for one in open_ones if self._is_open(one[1])]
            heapify(open_ones)
            self._tidied_at = max(OPEN_TIDIED_MIN, 2 * len(open_ones))

    def _is_open(self, tx: TxId) -> bool:
        return tx in self.unfinished or tx in self.prepared

    def finish(self, tx: TxId) -> None:
        if self.unfinished.pop(tx, None) is not None:
            self.unfinished_changes.drop(tx)

    def own_finished_below(self, next_slot: Slot) -> Slot:
        """No transaction numbered lower has anything open. Later ones are numbered from ``next_slot``."""
        open_ones = self._coordinating
        while open_ones and not self._is_open(open_ones[0][1]):
            heappop(open_ones)
        return min(open_ones[0][0], next_slot) if open_ones else next_slot

    # --- the participant's memory --------------------------------------------------------

    def is_over(self, tx: TxId, coordinator: ClusterId, at: Slot) -> bool:
        """Whether the attempt that ``coordinator`` numbered ``at``, or a later one of its, was decided here.

        After a commit there is no further attempt, whoever coordinates it and whatever number a deposed
        leader gave to its copy. Numbers of two coordinators say nothing about each other: the payer's account
        may have moved in between.
        """
        finished = self.finished.get(tx)
        if finished is None:
            return False
        return finished.commit or (finished.coordinator == coordinator and finished.at >= at)

    def remember(self, tx: TxId, finished: FinishedTx) -> None:
        if finished.at < self.finished_below.get(finished.coordinator, 0):
            return
        changes = self.finished_changes
        (changes.update if tx in self.finished else changes.put)(tx)
        self.finished[tx] = finished
        heappush(self._by_number.setdefault(finished.coordinator, []), (finished.at, tx))

    def pass_below(self, coordinator: ClusterId, at: Slot) -> None:
        """The coordinator is done with everything numbered below ``at``: forget it."""
        if at <= self.finished_below.get(coordinator, 0):
            return
        self.finished_below[coordinator] = at
        self.below_changes.update(coordinator)
        heap = self._by_number.get(coordinator, [])
        while heap and heap[0][0] < at:
            tx = heappop(heap)[1]
            finished = self.finished.get(tx)
            # A later attempt may be remembered by now.
            if finished is not None and finished.coordinator == coordinator and finished.at < at:
                del self.finished[tx]
                self.finished_changes.drop(tx)

    # --- hash and checkpoint -------------------------------------------------------------

    def take_changes(self) -> Iterator[tuple[str, int | bytes]]:
        """(table, key) of the rows to look at since this was last called."""
        accounts, self._undo_changes = self._undo_changes, set()
        for tx in self.prepared_changes.take():
            yield "prepared", tx_key(tx)
            prepared = self.prepared.get(tx)
            if prepared is not None:
                accounts.update(prepared.legs[::2])
        yield from (("undo", account) for account in accounts)
        yield from (("unfinished", tx_key(tx)) for tx in self.unfinished_changes.take())
        yield from (("finished", tx_key(tx)) for tx in self.finished_changes.take())
        yield from (("finished_below", cluster) for cluster in self.below_changes.take())

    # --- restoring -----------------------------------------------------------------------

    def index(self) -> None:
        """Rebuild what is not stored, after rows were put in. All of them are to be looked at."""
        self.prepared_changes.changed.update(self.prepared)
        self._undo_changes.update(self.undo)
        self.unfinished_changes.changed.update(self.unfinished)
        self.finished_changes.changed.update(self.finished)
        self.below_changes.changed.update(self.finished_below)
        self._coordinating = sorted(
            [(p.at, tx) for tx, p in self.prepared.items() if p.coordinates]
            + [(u.at, tx) for tx, u in self.unfinished.items()]
        )
        for tx, finished in self.finished.items():
            heappush(self._by_number.setdefault(finished.coordinator, []), (finished.at, tx))
