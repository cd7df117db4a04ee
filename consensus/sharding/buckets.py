"""Gain buckets: the moves that are possible, by target block and gain, with the best one at hand.

A bucket is a doubly linked list of vertices, last in first out. Gains up to ``EXACT`` have a bucket of their
own; above, where weights of merged nets make them large, a bucket spans 1/128 of its power of two, so that
the number of buckets is bounded whatever the weights are. A bit for each tells which are in use, so that the
next one is found without a look at all the empty ones between.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from consensus.sharding.compiled import Ids, Ints, Seeds, compiled

EXACT: Final = 1024
_STEPS: Final = 128
_OCTAVES: Final = 40
_HALF: Final = EXACT + _OCTAVES * _STEPS
BUCKETS: Final = 2 * _HALF + 1
_WORD: Final = 64
_WORDS: Final = BUCKETS // _WORD + 1


class Buckets(NamedTuple):
    """``head``: (k, BUCKETS); ``after``, ``before``, ``where``: (n, k), -1 for none.

    ``used``: (k, words), a bit per bucket; ``top``: (k,), no word above it has any.
    """

    head: Ids
    after: Ids
    before: Ids
    where: Ids
    used: Seeds
    top: Ints


@compiled
def empty(vertices: int, k: int) -> Buckets:
    head = np.full((k, BUCKETS), -1, dtype=np.int32)
    where = np.full((vertices, k), -1, dtype=np.int32)
    after = np.empty((vertices, k), dtype=np.int32)
    before = np.empty((vertices, k), dtype=np.int32)
    used = np.zeros((k, _WORDS), dtype=np.uint64)
    return Buckets(head, after, before, where, used, np.full(k, -1, dtype=np.int64))


@compiled
def bucket_of(gain: int) -> int:
    """The bucket of a gain; a larger gain never has a smaller number."""
    size = abs(gain)
    if size < EXACT:
        step = size
    else:
        octave = 0
        while (size >> octave) >= 2 * EXACT:
            octave += 1
        inside = ((size >> octave) - EXACT) * _STEPS // EXACT
        step = min(EXACT + octave * _STEPS + inside, _HALF)
    return _HALF + step if gain >= 0 else _HALF - step


@compiled
def remove(buckets: Buckets, vertex: int, target: int) -> None:
    """Take a move out; nothing happens when it is not in."""
    place = buckets.where[vertex, target]
    if place < 0:
        return
    after, before = buckets.after[vertex, target], buckets.before[vertex, target]
    if before < 0:
        buckets.head[target, place] = after
        if after < 0:
            buckets.used[target, place // _WORD] &= ~(np.uint64(1) << np.uint64(place % _WORD))
    else:
        buckets.after[before, target] = after
    if after >= 0:
        buckets.before[after, target] = before
    buckets.where[vertex, target] = -1


@compiled
def put(buckets: Buckets, vertex: int, target: int, gain: int) -> None:
    """Put a move in, or move it to the bucket of its new gain."""
    place = bucket_of(gain)
    if buckets.where[vertex, target] == place:
        return
    remove(buckets, vertex, target)
    first = buckets.head[target, place]
    buckets.after[vertex, target] = first
    buckets.before[vertex, target] = -1
    if first >= 0:
        buckets.before[first, target] = vertex
    else:
        buckets.used[target, place // _WORD] |= np.uint64(1) << np.uint64(place % _WORD)
    buckets.head[target, place] = vertex
    buckets.where[vertex, target] = place
    if place // _WORD > buckets.top[target]:
        buckets.top[target] = place // _WORD


@compiled
def _highest(word: int) -> int:
    """The number of the highest bit of a word that has one."""
    found = 0
    for step in (32, 16, 8, 4, 2, 1):
        if word >> np.uint64(found + step):
            found += step
    return found


@compiled
def top_of(buckets: Buckets, target: int) -> int:
    """The highest bucket in use for ``target``; -1 for none."""
    at = int(buckets.top[target])
    while at >= 0 and not buckets.used[target, at]:
        at -= 1
    buckets.top[target] = at
    return at * _WORD + _highest(buckets.used[target, at]) if at >= 0 else -1


@compiled
def below(buckets: Buckets, target: int, place: int) -> int:
    """The highest bucket in use for ``target`` under ``place``; -1 for none."""
    at = place // _WORD
    word = buckets.used[target, at] & ((np.uint64(1) << np.uint64(place % _WORD)) - np.uint64(1))
    while not word:
        at -= 1
        if at < 0:
            return -1
        word = buckets.used[target, at]
    return at * _WORD + _highest(word)
