"""The multilevel scheme: coarsen, partition what is left, refine level by level on the way back.

A V-cycle does it again from a partition: only vertices of one block are joined, so the coarsest level starts
with the same cost, and FM moves clusters that it could not move before (Karypis and Kumar 1999, section 3.3).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from consensus.sharding.coarsen import Level, cluster, contract, summed
from consensus.sharding.compiled import Flags, Ids, Ints, Seeds
from consensus.sharding.gains import Rows, Terms, rows
from consensus.sharding.hypergraph import Hypergraph
from consensus.sharding.initial import TRIES, Tries, best_of_tries, fixed_blocks
from consensus.sharding.refine import PATIENT, Observer, Stall, refine

COARSEST: Final = 40
"""Vertices per block at which coarsening stops."""
HEAVIEST: Final = 1.2
"""A cluster weighs at most this many times the mean weight at the coarsest level."""
SHRINK_MIN: Final = 0.03
"""Coarsening stops when a level is smaller by less than this share."""
LEVELS_MAX: Final = 40


def multilevel(
    graph: Hypergraph,
    k: int,
    limit: Ints,
    seeds: Seeds,
    *,
    start: Ids | None = None,
    fixed: Ids | None = None,
    pull: Ints | None = None,
    tries: Tries = TRIES,
    stall: Stall = PATIENT,
    observer: Observer | None = None,
    label: dict[str, Any] | None = None,
) -> Ids:
    """A partition, from nothing or (a V-cycle) from ``start``.

    Args:
        graph: the hypergraph.
        k: how many blocks.
        limit: shape (2,).
        seeds: the generator; advanced.
        start: shape (n,), or None.
        fixed: shape (n,): the block of each locked vertex, -1 for the others; None: none is locked.
        pull: shape (n, k), see :mod:`consensus.sharding.gains`; None: no price.
        tries: first partitions of the coarsest hypergraph.
        stall: see :func:`~consensus.sharding.refine.refine`.
        observer: told levels and moves; None costs nothing.
        label: fields added to each event.
    """
    locked = np.zeros(0, dtype=np.bool_) if fixed is None else fixed >= 0
    levels = [Level(graph, np.zeros(0, dtype=np.int32))]
    pulls = [np.zeros((0, k), dtype=np.int64) if pull is None else pull]
    parts = [np.zeros(0, dtype=np.int32) if start is None else start.astype(np.int32)]
    locks: list[Flags] = [locked]
    fixes = [fixed_blocks(fixed, locked, graph.vertices)]
    total = graph.vertex_weight.sum(axis=0)
    fewest = COARSEST * k
    heaviest = np.maximum(HEAVIEST * total / fewest, 1).astype(np.int64)
    while levels[-1].graph.vertices > fewest and len(levels) < LEVELS_MAX:
        finer = levels[-1].graph
        # at most a factor of 1.8 per level, so that refinement sees enough levels
        floor = max(fewest, int(finer.vertices / 1.8))
        onto, count = cluster(rows(finer), parts[-1], locks[-1], heaviest, floor, seeds)
        if count > (1 - SHRINK_MIN) * finer.vertices:
            break
        levels.append(Level(contract(finer, onto, count), onto))
        pulls.append(summed(pulls[-1], onto, count) if len(pulls[-1]) else pulls[-1])
        parts.append(_carried(parts[-1], onto, count))
        locks.append(_carried(locks[-1], onto, count))
        fixes.append(_carried(fixes[-1], onto, count))
        if observer is not None:
            coarse = levels[-1].graph
            observer(
                {
                    "k": "hg.level", **(label or {}), "level": len(levels) - 1, "vertices": coarse.vertices,
                    "nets": coarse.net_count, "pins": len(coarse.pins),
                }
            )  # fmt: skip
    part = parts[-1]
    for at in range(len(levels) - 1, -1, -1):
        level: Rows = rows(levels[at].graph)
        term = Terms(limit, pulls[at], np.zeros(0, dtype=np.int32), 2**62, locks[at])
        if at == len(levels) - 1 and start is None:
            part = best_of_tries(level, k, term, seeds, fixes[at], tries)
        named = None if observer is None else {**(label or {}), "level": at}
        part, _gain, _above = refine(level, part, k, term, seeds, stall=stall, observer=observer, label=named)
        if at > 0:
            part = part[levels[at].onto]
    return part


def _carried(values: Any, onto: Ids, count: int) -> Any:
    """Values that all vertices of a cluster share, for the clusters."""
    if not len(values):
        return values
    result = np.empty(count, dtype=values.dtype)
    result[onto] = values
    return result
