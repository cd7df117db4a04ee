"""Which accounts are used together, as a leader sees it: what the partitioner learns from.

The last transactions and reads are kept as they came, oldest overwritten first: memory is bounded, and the
only error is a window that is shorter than somebody wished; nothing in it is an estimate. A transaction
counts where it is submitted to a leader that may run it (across clusters: to its coordinator); one that
the client sends again because its answer is late counts twice. Nobody else is told of it until a planner
asks.
"""

from __future__ import annotations

import time
from array import array
from collections import Counter, deque
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

from consensus.messages.client import ReadItem
from consensus.messages.entries import Item
from consensus.types import LEGS_MAX

PAIRS: Final = 1 << 17
"""Transactions with two legs that are remembered: 1 MiB."""
SETS: Final = 1 << 12
"""Transactions with more legs."""
READS: Final = 1 << 17
MARK_US: Final = 250_000
"""How finely the age of an entry is known."""
MARKS: Final = 2_048
ROWS_MAX: Final = 8_192
"""Entries of one kind in one answer."""
SHIFT: Final = 32

Position = tuple[int, int, int]
"""How many transactions of two legs, of more legs, and reads there were."""


class Ring:
    """The last ``capacity`` (a power of two) integers; ``position`` counts all there ever were."""

    __slots__ = ("_capacity", "_held", "position")

    def __init__(self, typecode: str, capacity: int) -> None:
        assert capacity & (capacity - 1) == 0
        self._held = array(typecode, bytes(array(typecode).itemsize * capacity))
        self._capacity = capacity
        self.position = 0

    def add(self, values: Iterable[int]) -> None:
        """Keep ``values``; one that does not fit the type is left out: no account has such a number."""
        held, at, mask = self._held, self.position, self._capacity - 1
        for value in values:
            try:
                held[at & mask] = value
            except OverflowError:
                continue
            at += 1
        self.position = at

    def since(self, position: int, limit: int) -> tuple[int, bytes]:
        """Up to ``limit`` integers from ``position`` on, little-endian, and the position of the first."""
        first = max(position, self.position - self._capacity)
        last = min(self.position, first + limit)
        start, end = first & (self._capacity - 1), last & (self._capacity - 1)
        if first >= last:
            return self.position, b""
        held = self._held
        part = held[start:end] if start < end else held[start:] + held[:end]
        return first, part.tobytes()


class Access:
    """Of one process; forgotten with it. Times are those of ``time.time``, in milliseconds."""

    def __init__(self) -> None:
        self.started_ms = time.time_ns() // 1_000_000
        self._pairs = Ring("Q", PAIRS)
        self._reads = Ring("I", READS)
        self._sets: deque[tuple[int, ...]] = deque(maxlen=SETS)
        self._sets_total = 0
        self._marks: deque[tuple[int, int, int, int]] = deque(maxlen=MARKS)
        """(time, positions of pairs, sets and reads), about every :data:`MARK_US` while there is traffic."""
        self._mark_us = 0

    def submitted(self, items: list[Item], now_us: int) -> None:
        """Transactions arrived at this leader."""
        if now_us >= self._mark_us:
            self._mark(now_us)
        pairs: list[int] = []
        for item in items:
            legs = item.legs
            if len(legs) == 4:
                payer, _, payee, _ = legs
                if not payee >> SHIFT:
                    pairs.append(payer << SHIFT | payee)
            elif 4 < len(legs) <= 2 * LEGS_MAX:
                self._sets.append(tuple(legs[::2]))
                self._sets_total += 1
        self._pairs.add(pairs)

    def read(self, items: list[ReadItem], now_us: int) -> None:
        """Reads arrived at this node."""
        if now_us >= self._mark_us:
            self._mark(now_us)
        self._reads.add([account for item in items for account in item.accounts])

    def _mark(self, now_us: int) -> None:
        self._mark_us = now_us + MARK_US
        now_ms = time.time_ns() // 1_000_000
        self._marks.append((now_ms, self._pairs.position, self._sets_total, self._reads.position))

    @property
    def position(self) -> Position:
        return self._pairs.position, self._sets_total, self._reads.position

    def count(self, uses: Counter[int], since: Position) -> Position:
        """Add to ``uses`` each account of what came since a position and is remembered; the position now."""
        pairs, sets, reads = since
        # Both halves of a pair are accounts.
        for _, data in (self._pairs.since(pairs, PAIRS), self._reads.since(reads, READS)):
            uses.update(memoryview(data).cast("I"))
        fresh = min(self._sets_total - sets, len(self._sets))
        for accounts in islice(reversed(self._sets), fresh):
            uses.update(accounts)
        return self.position

    def document(self, pairs: int, sets: int, reads: int, limit: int) -> dict[str, Any]:
        """What came since these positions, oldest first, at most ``limit`` of each kind.

        ``pairs.data``: 64-bit integers, payer's and payee's account in their upper and lower half.
        ``reads.data``: 32-bit integers, accounts. ``marks``: rows of time and the positions that were next
        at it.
        """
        first, data = self._pairs.since(pairs, limit)
        first_read, data_read = self._reads.since(reads, limit)
        first_set = max(sets, self._sets_total - len(self._sets))
        skip = first_set - (self._sets_total - len(self._sets))
        rows = [list(row) for row in list(self._sets)[skip : skip + limit]]
        return {
            "started_ms": self.started_ms,
            "now_ms": time.time_ns() // 1_000_000,
            "pairs": {
                "first": first,
                "next": first + len(data) // 8,
                "total": self._pairs.position,
                "data": data,
            },
            "sets": {
                "first": first_set,
                "next": first_set + len(rows),
                "total": self._sets_total,
                "rows": rows,
            },
            "reads": {
                "first": first_read,
                "next": first_read + len(data_read) // 4,
                "total": self._reads.position,
                "data": data_read,
            },
            "marks": [list(mark) for mark in self._marks if mark[1] >= first or mark[3] >= first_read],
        }
