"""Traffic of a whole bank, gathered from its nodes: what a window is made of.

Nodes hand out what came since a position (``node.access``), so asking often costs little. Old traffic
fades: an entry of age ``a`` takes part in a window with probability ``2 ** (-a / half_life)``, which keeps
weights integers and each transaction whole, as the held-out split needs it. What a node forgot before it
was asked is counted.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from consensus.types import NodeId

KEPT: Final = 2_000_000
"""Transactions, and as many reads, that are remembered of all nodes together."""
CHUNK: Final = 16_384
"""Small answers are put together until so many entries lie in one chunk."""
SEEN_BITS: Final = 32

Times = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Sample:
    """Traffic as plain arrays, those of a :class:`~consensus.sharding.window.Window` where all weigh 1.

    Whoever gathers traffic need not have the compiled partitioner in memory.
    """

    vertices: int
    start: Ints
    accounts: Ids
    reads: Ints

    @property
    def count(self) -> int:
        return len(self.start) - 1

    def cross_shard_pct(self, part: Ids) -> float:
        """Percent of the transactions that touch more than one block of ``part``, shape (vertices,)."""
        if not self.count:
            return 0.0
        blocks = part[self.accounts]
        first = self.start[:-1]
        across = np.minimum.reduceat(blocks, first) != np.maximum.reduceat(blocks, first)
        return float(100.0 * across.mean())

    def partners(self, account: int, most: int) -> list[tuple[int, int]]:
        """Vertices that ``account`` shares most transactions with, and how many."""
        own = np.repeat(np.arange(self.count), np.diff(self.start))[self.accounts == account]
        shares = np.isin(np.repeat(np.arange(self.count), np.diff(self.start)), own)
        others = self.accounts[shares & (self.accounts != account)]
        counts = np.bincount(others, minlength=self.vertices)
        first = np.argsort(-counts, kind="stable")[:most]
        return [(int(other), int(counts[other])) for other in first if counts[other]]

    def load(self, part: Ids, k: int) -> Ints:
        """Shape (k,): accesses of each block."""
        own = np.bincount(part[self.accounts], minlength=k)
        return own + np.bincount(part, weights=self.reads, minlength=k).astype(np.int64)


@dataclass(slots=True)
class _Source:
    """How far a node has been read, and since when it has been counting."""

    started_ms: int
    pairs: int = 0
    sets: int = 0
    reads: int = 0


@dataclass(slots=True)
class _Chunk:
    """Entries of one answer. ``start`` as in a window; ``at_ms``: shape (t,)."""

    at_ms: Times
    start: Ints
    accounts: Ids

    def __len__(self) -> int:
        return len(self.at_ms)

    def then(self, later: _Chunk) -> _Chunk:
        start = np.concatenate((self.start, self.start[-1] + later.start[1:]))
        return _Chunk(
            np.concatenate((self.at_ms, later.at_ms)), start, np.concatenate((self.accounts, later.accounts))
        )


class _Kept:
    """The newest entries, about :data:`KEPT` of them; a chunk never changes once it lies here."""

    def __init__(self) -> None:
        self._chunks: deque[_Chunk] = deque()
        self._held = 0

    def add(self, chunk: _Chunk) -> None:
        self._held += len(chunk)
        if self._chunks and len(self._chunks[-1]) + len(chunk) <= CHUNK:
            chunk = self._chunks.pop().then(chunk)
        self._chunks.append(chunk)
        while self._held > KEPT:
            self._held -= len(self._chunks.popleft())

    def chunks(self) -> list[_Chunk]:
        """All, oldest first; a list of its own, for another thread may read it while this one adds."""
        return list(self._chunks)


@dataclass(slots=True)
class Traffic:
    """Of a bank with accounts 1 … ``accounts``. One thread adds, others may read meanwhile.

    Attributes:
        missed: entries that nodes had forgotten when they were asked.
    """

    accounts: int
    missed: int = 0
    _sources: dict[NodeId, _Source] = field(default_factory=dict)
    _sets: _Kept = field(default_factory=_Kept)
    _reads: _Kept = field(default_factory=_Kept)

    def cursors(self, node: NodeId) -> dict[str, int]:
        """What to ask ``node`` for next: arguments of its ``access`` command."""
        source = self._sources.get(node)
        return {} if source is None else {"pairs": source.pairs, "sets": source.sets, "reads": source.reads}

    def add(self, node: NodeId, answer: dict[str, Any]) -> bool:
        """Take up an answer. Returns whether there is more to ask for.

        One that comes from an earlier or later process than the positions asked for is dropped; ask again.
        """
        source = self._sources.get(node)
        if source is None or source.started_ms != answer["started_ms"]:
            fresh = self._sources[node] = _Source(answer["started_ms"])
            if source is not None:
                return True
            source = fresh
        pairs, sets, reads = answer["pairs"], answer["sets"], answer["reads"]
        self.missed += (
            pairs["first"] - source.pairs + sets["first"] - source.sets + reads["first"] - source.reads
        )
        marks = answer["marks"]
        both = np.frombuffer(pairs["data"], dtype="<u8")
        ends = np.column_stack((both >> SEEN_BITS, both & ((1 << SEEN_BITS) - 1))).reshape(-1)
        at_ms = _times(marks, 1, pairs["first"], len(both), answer["now_ms"])
        self._keep(self._sets, at_ms, np.arange(len(both) + 1) * 2, ends)
        rows = sets["rows"]
        lengths = np.array([0, *map(len, rows)], dtype=np.int64)
        flat = np.array([account for row in rows for account in row], dtype=np.int64)
        at_ms = _times(marks, 2, sets["first"], len(rows), answer["now_ms"])
        self._keep(self._sets, at_ms, np.cumsum(lengths), flat)
        ids = np.frombuffer(reads["data"], dtype="<u4")
        at_ms = _times(marks, 3, reads["first"], len(ids), answer["now_ms"])
        self._keep(self._reads, at_ms, np.arange(len(ids) + 1), ids)
        source.pairs, source.sets, source.reads = pairs["next"], sets["next"], reads["next"]
        return any(kind["next"] < kind["total"] for kind in (pairs, sets, reads))

    def window(self, now_ms: float, half_life_s: float, seed: int = 0) -> Sample:
        """The traffic at ``now_ms``; account ``a`` is vertex ``a - 1``."""
        rng = np.random.default_rng(seed)
        starts: list[Ints] = [np.zeros(1, dtype=np.int64)]
        accounts: list[Ids] = []
        total = 0
        for chunk in self._sets.chunks():
            kept = _fading(rng, chunk.at_ms, now_ms, half_life_s)
            lengths = np.diff(chunk.start)
            starts.append(total + np.cumsum(lengths[kept]))
            accounts.append(chunk.accounts[np.repeat(kept, lengths)])
            total += int(lengths[kept].sum())
        reads = np.zeros(self.accounts, dtype=np.int64)
        for chunk in self._reads.chunks():
            kept = _fading(rng, chunk.at_ms, now_ms, half_life_s)
            reads += np.bincount(chunk.accounts[kept], minlength=self.accounts)
        flat = np.concatenate(accounts) if accounts else np.zeros(0, dtype=np.int32)
        return Sample(self.accounts, np.concatenate(starts), flat, reads)

    def recent(self, now_ms: float, span_s: float, until_s: float = 0.0) -> Ints:
        """Shape (accounts,): how often each was used or read between ``span_s`` and ``until_s`` ago."""
        found = np.zeros(self.accounts, dtype=np.int64)
        since, until = now_ms - 1_000 * span_s, now_ms - 1_000 * until_s
        for chunk in (*self._sets.chunks(), *self._reads.chunks()):
            kept = (chunk.at_ms >= since) & (chunk.at_ms < until)
            if kept.any():
                chosen = chunk.accounts[np.repeat(kept, np.diff(chunk.start))]
                found += np.bincount(chosen, minlength=self.accounts)
        return found

    def history(self, now_ms: float, bucket_s: float, buckets: int, bins: int) -> Ints:
        """Shape (buckets, bins): uses and reads by age, newest first, and by place of the account."""
        found = np.zeros(buckets * bins, dtype=np.int64)
        for chunk in (*self._sets.chunks(), *self._reads.chunks()):
            ages = np.floor_divide(now_ms - chunk.at_ms, 1_000 * bucket_s).astype(np.int64)
            kept = (ages >= 0) & (ages < buckets)
            if kept.any():
                lengths = np.diff(chunk.start)
                rows = np.repeat(ages[kept], lengths[kept])
                chosen = chunk.accounts[np.repeat(kept, lengths)].astype(np.int64)
                found += np.bincount(rows * bins + chosen * bins // self.accounts, minlength=buckets * bins)
        return found.reshape(buckets, bins)

    def since(self, now_ms: float, span_s: float, until_s: float = 0.0) -> Sample:
        """Exactly the transactions of the ``span_s`` seconds that ended ``until_s`` ago, without reads."""
        last_ms = now_ms - 1_000 * until_s
        starts: list[Ints] = [np.zeros(1, dtype=np.int64)]
        accounts: list[Ids] = []
        total = 0
        for chunk in self._sets.chunks():
            kept = chunk.at_ms >= last_ms - 1_000 * span_s
            if until_s:
                kept &= chunk.at_ms < last_ms
            if kept.any():
                lengths = np.diff(chunk.start)
                starts.append(total + np.cumsum(lengths[kept]))
                accounts.append(chunk.accounts[np.repeat(kept, lengths)])
                total += int(lengths[kept].sum())
        flat = np.concatenate(accounts) if accounts else np.zeros(0, dtype=np.int32)
        return Sample(self.accounts, np.concatenate(starts), flat, np.zeros(self.accounts, dtype=np.int64))

    def _keep(self, kept: _Kept, at_ms: Times, start: Ints, ids: npt.NDArray[Any]) -> None:
        """Keep entries whose accounts exist."""
        accounts = ids.astype(np.int64)
        if not len(at_ms):
            return
        wrong = (accounts < 1) | (accounts > self.accounts)
        if wrong.any():
            lengths = np.diff(start)
            bad = np.add.reduceat(wrong, start[:-1]) > 0
            accounts = accounts[np.repeat(~bad, lengths)]
            start = np.concatenate(([0], np.cumsum(lengths[~bad])))
            at_ms = at_ms[~bad]
        kept.add(_Chunk(at_ms, start.astype(np.int64), (accounts - 1).astype(np.int32)))


def _times(marks: list[list[int]], column: int, first: int, count: int, now_ms: int) -> Times:
    """When each of ``count`` entries from position ``first`` came: a mark tells what was next at its time."""
    if not count:
        return np.zeros(0)
    if not marks:
        return np.full(count, float(now_ms))
    positions = np.array([mark[column] for mark in marks])
    found = np.searchsorted(positions, np.arange(first, first + count), side="right") - 1
    times = np.array([float(mark[0]) for mark in marks])
    return times[np.maximum(found, 0)]


def _fading(
    rng: np.random.Generator, at_ms: Times, now_ms: float, half_life_s: float
) -> npt.NDArray[np.bool_]:
    ages_s = np.maximum(now_ms - at_ms, 0.0) / 1_000
    return rng.random(len(at_ms)) < np.exp2(-ages_s / half_life_s)
