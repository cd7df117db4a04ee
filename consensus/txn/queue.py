"""What a leader is about to propose, by kind, and the batches made of it.

In a batch decisions come first (they free locks), then transactions of this cluster in arrival order, then
prepares, then the rest. What comes after the transactions finds a share of the batch kept for it: locks are
claimed for a prepare that waits, and however many transactions arrive, it gets into the next batch.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from consensus import codec
from consensus.messages.entries import (
    Audit,
    CrossItem,
    CrossPrepare,
    Decide,
    DecideRow,
    Entry,
    Finish,
    Item,
    MoveInstall,
    MovePrepare,
    PartDecide,
    PartPrepare,
    Resolve,
    Transact,
)
from consensus.messages.txn import DecisionRow, PrepareRow, TxRow
from consensus.topology import Limits
from consensus.types import ClusterId, SessionId, Slot

CONTROL_MAX: Final = 4_096
"""Entries other than transactions and decisions that may wait for a slot."""

ROW_BYTES: Final = 32
INTEGER_BYTES: Final = 9
"""What a row of a batch, and each of its integers, take up at most."""
LATER_SHARE: Final = 4
"""One part in so many of a batch is for what comes after transactions of this cluster, if any of it waits."""


def resolve_room(batch_bytes: int) -> int:
    """How many transactions a Resolve may name: a longer entry would fit no batch and never leave."""
    return max(1, ((batch_bytes - ROW_BYTES) // INTEGER_BYTES - 3) // 3)


class Group:
    """Transactions of one session that wait together."""

    __slots__ = ("arrived_us", "items", "session", "settled_below")

    def __init__(self, session: SessionId, settled_below: int, items: list[Item], arrived_us: int) -> None:
        self.session = session
        self.settled_below = settled_below
        self.items = items
        self.arrived_us = arrived_us


class Room:
    """What is left of a batch's limits."""

    __slots__ = ("bytes", "rows")

    def __init__(self, limits: Limits) -> None:
        self.rows = limits.batch_transactions
        self.bytes = limits.batch_bytes

    def take(self, numbers: int) -> bool:
        """Make room for a row of so many integers; False when it does not fit any more."""
        size = ROW_BYTES + INTEGER_BYTES * numbers
        if self.rows <= 0 or self.bytes < size:
            return False
        self.rows -= 1
        self.bytes -= size
        return True

    def keep(self, integers: int, limits: Limits) -> Room:
        """Set aside a share of the batch in which a row of so many integers fits; returns it."""
        kept = Room(limits)
        kept.rows = min(self.rows // 2, max(1, limits.batch_transactions // LATER_SHARE))
        kept.bytes = min(
            self.bytes, max(ROW_BYTES + INTEGER_BYTES * integers, limits.batch_bytes // LATER_SHARE)
        )
        self.rows -= kept.rows
        self.bytes -= kept.bytes
        return kept


class ProposalQueue:
    """Queue of one leadership."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.queued = 0
        """Rows (transactions, prepares, decisions) that wait."""
        self.oldest_us = 0
        self._groups: deque[Group] = deque()
        self._cross: deque[tuple[SessionId, int, CrossItem]] = deque()
        self._parts: deque[tuple[ClusterId, PrepareRow]] = deque()
        self._decides: deque[DecideRow] = deque()
        self._part_decides: deque[tuple[ClusterId, DecisionRow]] = deque()
        self._finishes: deque[TxRow] = deque()
        self._control: dict[bytes, Entry] = {}
        """In order of arrival, by their encoding: each waits once, however often it is asked for."""
        self._finished_below: dict[ClusterId, Slot] = {}
        self._audit = 0

    # --- adding --------------------------------------------------------------------

    def _count(self, rows: int, now_us: int) -> None:
        if not self.queued:
            self.oldest_us = now_us
        self.queued += rows

    def add_transactions(self, group: Group) -> None:
        self._count(len(group.items), group.arrived_us)
        last = self._groups[-1] if self._groups else None
        if last is not None and last.session == group.session:
            last.items.extend(group.items)
            last.settled_below = max(last.settled_below, group.settled_below)
        else:
            self._groups.append(group)

    def add_cross(self, session: SessionId, settled_below: int, item: CrossItem, now_us: int) -> None:
        self._count(1, now_us)
        self._cross.append((session, settled_below, item))

    def add_part(self, coordinator: ClusterId, row: PrepareRow, now_us: int) -> None:
        self._count(1, now_us)
        self._parts.append((coordinator, row))

    def add_decide(self, row: DecideRow, now_us: int) -> None:
        self._count(1, now_us)
        self._decides.append(row)

    def add_part_decide(self, coordinator: ClusterId, row: DecisionRow, now_us: int) -> None:
        self._count(1, now_us)
        self._part_decides.append((coordinator, row))

    def add_finish(self, row: TxRow) -> None:
        """Travels with the next batch, whatever it is made for."""
        self._finishes.append(row)

    def add_control(self, entry: Entry) -> bool:
        """False when too many wait. One that waits already counts for the same one asked for again.

        Who is not answered asks again: were each asking an entry, a log that is behind would never catch up.
        """
        key = codec.encode(entry)
        if key not in self._control:
            if len(self._control) >= CONTROL_MAX:
                return False
            self._control[key] = entry
        return True

    def has_control(self, entry: Entry) -> bool:
        """Whether the same entry waits already."""
        return codec.encode(entry) in self._control

    def note_finished_below(self, coordinator: ClusterId, at: Slot) -> None:
        """What the coordinator said last; goes into the entries made for it."""
        if at > self._finished_below.get(coordinator, 0):
            self._finished_below[coordinator] = at

    def cut(self, number: int) -> None:
        """Make audit cut ``number`` before anything else that waits."""
        self._audit = max(self._audit, number)

    # --- taking --------------------------------------------------------------------

    @property
    def pending(self) -> bool:
        """Whether something waits that deserves a slot."""
        return bool(self.queued or self._control or self._audit)

    @property
    def finishes(self) -> int:
        return len(self._finishes)

    @property
    def control(self) -> int:
        return len(self._control)

    @property
    def full(self) -> bool:
        return self.queued >= self._limits.batch_transactions

    def next_batch(self, now_us: int) -> tuple[list[Entry], list[Group]]:
        """Take the entries of the next slot, within the limits of a batch."""
        room = Room(self._limits)
        entries: list[Entry] = []
        if self._audit:
            entries.append(Audit(self._audit))
            self._audit = 0
        self._take_decisions(room, entries)
        kept = room.keep(self._later(), self._limits) if self._cross or self._parts or self._control else None
        groups = self._take_groups(room, entries)
        if kept is not None:
            room.rows += kept.rows
            room.bytes += kept.bytes
        self._take_prepares(room, entries)
        taken = []
        for key, entry in self._control.items():
            if not room.take(_integers(entry)):
                break
            taken.append(key)
            entries.append(entry)
        for key in taken:
            del self._control[key]
        finishes: list[TxRow] = []
        while self._finishes and room.take(3):
            finishes.append(self._finishes.popleft())
        if finishes:
            entries.append(Finish(finishes))
        self.oldest_us = now_us if self.queued else 0
        return entries, groups

    def _later(self) -> int:
        """Integers of the longest of those that are next in line after the transactions."""
        sizes = [_integers(next(iter(self._control.values())))] if self._control else []
        if self._cross:
            sizes.append(_cross_integers(self._cross[0][2]))
        if self._parts:
            sizes.append(_part_integers(self._parts[0][1]))
        return max(sizes)

    def _take_decisions(self, room: Room, entries: list[Entry]) -> None:
        decides: list[DecideRow] = []
        while self._decides and room.take(4 + len(self._decides[0].legs) + len(self._decides[0].parts)):
            decides.append(self._decides.popleft())
        if decides:
            self.queued -= len(decides)
            entries.append(Decide(decides))
        rows: dict[ClusterId, list[DecisionRow]] = {}
        while self._part_decides and room.take(5):
            coordinator, row = self._part_decides.popleft()
            rows.setdefault(coordinator, []).append(row)
            self.queued -= 1
        for coordinator, taken in rows.items():
            entries.append(PartDecide(coordinator, self._finished_below.get(coordinator, 0), taken))

    def _take_groups(self, room: Room, entries: list[Entry]) -> list[Group]:
        taken: list[Group] = []
        while self._groups:
            group = self._groups[0]
            items = group.items
            count = 0
            while count < len(items) and room.take(1 + len(items[count].legs) + len(items[count].conditions)):
                count += 1
            if not count:
                break
            if count == len(items):
                self._groups.popleft()
            else:
                self._groups[0] = Group(group.session, group.settled_below, items[count:], group.arrived_us)
                group.items = items[:count]
            entries.append(Transact(group.session, group.settled_below, group.items))
            taken.append(group)
            self.queued -= count
        return taken

    def _take_prepares(self, room: Room, entries: list[Entry]) -> None:
        cross: dict[SessionId, tuple[int, list[CrossItem]]] = {}
        while self._cross and room.take(_cross_integers(self._cross[0][2])):
            session, settled_below, item = self._cross.popleft()
            below, items = cross.get(session, (0, []))
            items.append(item)
            cross[session] = (max(below, settled_below), items)
            self.queued -= 1
        for session, (settled_below, items) in cross.items():
            entries.append(CrossPrepare(session, settled_below, items))
        parts: dict[ClusterId, list[PrepareRow]] = {}
        while self._parts and room.take(_part_integers(self._parts[0][1])):
            coordinator, row = self._parts.popleft()
            parts.setdefault(coordinator, []).append(row)
            self.queued -= 1
        for coordinator, rows in parts.items():
            entries.append(PartPrepare(coordinator, self._finished_below.get(coordinator, 0), rows))

    def clear(self) -> list[tuple[SessionId, list[int]]]:
        """Forget everything; returns the client transactions that were never proposed."""
        lost = [(group.session, [item.number for item in group.items]) for group in self._groups]
        lost.extend((session, [item.number]) for session, _, item in self._cross)
        for queue in (self._groups, self._cross, self._parts, self._decides, self._part_decides):
            queue.clear()
        self._finishes.clear()
        self._control.clear()
        self._finished_below.clear()
        self._audit = 0
        self.queued = 0
        self.oldest_us = 0
        return lost


def _integers(entry: Entry) -> int:
    """How long a control entry is, in integers; an upper bound."""
    if isinstance(entry, Resolve):
        return 3 + 3 * len(entry.numbers)
    if isinstance(entry, MovePrepare):
        return 6 + len(entry.accounts)
    if isinstance(entry, MoveInstall):
        return 4 + 5 * len(entry.accounts) + sum(6 + len(s.outcomes) // INTEGER_BYTES for s in entry.sessions)
    return 4


def _cross_integers(item: CrossItem) -> int:
    return 3 + 2 * len(item.legs) + len(item.conditions)


def _part_integers(row: PrepareRow) -> int:
    return 6 + len(row.legs) + len(row.conditions)
