"""A window of traffic: the last transactions, and the hypergraph of all of them or of some."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from consensus.sharding.compiled import Ids, Ints, compiled
from consensus.sharding.hypergraph import Hypergraph, build


@dataclass(frozen=True, slots=True)
class Window:
    """Transactions over accounts 0 … n - 1.

    Attributes:
        vertices: n, accounts with or without traffic.
        start: shape (t + 1,); transaction i touches ``accounts[start[i]:start[i + 1]]``.
        accounts: shape (p,).
        weight: shape (t,): how often it was seen, 1 or more.
        reads: shape (n,): reads of each account, which are load and nothing else.
    """

    vertices: int
    start: Ints
    accounts: Ids
    weight: Ints
    reads: Ints

    @property
    def count(self) -> int:
        """Transactions, each as often as it was seen."""
        return int(self.weight.sum())


def window(
    vertices: int, start: Ints, accounts: Ids, weight: Ints | None = None, reads: Ints | None = None
) -> Window:
    """A window; every transaction once and no reads unless said otherwise.

    Raises:
        ValueError: an account is not from 0 to ``vertices`` - 1, or shapes disagree.
    """
    count = len(start) - 1
    weight = np.ones(count, dtype=np.int64) if weight is None else weight
    reads = np.zeros(vertices, dtype=np.int64) if reads is None else reads
    if count < 0 or len(weight) != count or len(reads) != vertices or int(start[-1]) != len(accounts):
        raise ValueError("window: the lengths of its arrays disagree")
    if len(accounts) and not (int(accounts.min()) >= 0 and int(accounts.max()) < vertices):
        raise ValueError(f"window: an account is not from 0 to {vertices - 1}")
    return Window(
        vertices,
        np.ascontiguousarray(start, dtype=np.int64),
        np.ascontiguousarray(accounts, dtype=np.int32),
        np.ascontiguousarray(weight, dtype=np.int64),
        np.ascontiguousarray(reads, dtype=np.int64),
    )


def hypergraph(seen: Window) -> Hypergraph:
    """Accounts as vertices that weigh 1 and their load, transactions as nets."""
    load = seen.reads + _uses(seen.vertices, seen.start, seen.accounts, seen.weight)
    weights = np.column_stack((np.ones(seen.vertices, dtype=np.int64), load))
    return build(seen.start, seen.accounts, seen.weight, weights)


def split(seen: Window, share: float, seed: int) -> tuple[Window, Window]:
    """Two windows, the first of ``share`` of the traffic; what was seen often is divided as coins would."""
    rng = np.random.default_rng(seed)
    first = rng.binomial(seen.weight, share)
    reads = rng.binomial(seen.reads, share)
    return _with(seen, first, reads), _with(seen, seen.weight - first, seen.reads - reads)


def cross_shard_pct(seen: Window, part: Ids) -> float:
    """Percent of the transactions that touch more than one block."""
    total = seen.count
    return 100.0 * _crossing(seen.start, seen.accounts, seen.weight, part) / total if total else 0.0


def _with(seen: Window, weight: Ints, reads: Ints) -> Window:
    kept = weight > 0
    lengths = np.diff(seen.start)
    start = np.concatenate(([0], np.cumsum(lengths[kept])))
    return Window(seen.vertices, start, seen.accounts[np.repeat(kept, lengths)], weight[kept], reads)


@compiled
def _uses(vertices: int, start: Ints, accounts: Ids, weight: Ints) -> Ints:
    load = np.zeros(vertices, dtype=np.int64)
    for number in range(len(weight)):
        for at in range(start[number], start[number + 1]):
            load[accounts[at]] += weight[number]
    return load


@compiled
def _crossing(start: Ints, accounts: Ids, weight: Ints, part: Ids) -> int:
    total = 0
    for number in range(len(weight)):
        for at in range(start[number] + 1, start[number + 1]):
            if part[accounts[at]] != part[accounts[start[number]]]:
                total += weight[number]
                break
    return int(total)
