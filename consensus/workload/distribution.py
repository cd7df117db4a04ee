"""Which accounts a load touches: uniform, Zipf, hotspot."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import Final

UNIFORM: Final = "uniform"
ZIPF: Final = "zipf"
HOTSPOT: Final = "hotspot"
DISTRIBUTIONS: Final = (UNIFORM, ZIPF, HOTSPOT)

SKEWNESS: Final = 1.0
HOT_ACCOUNTS: Final = 0.1
"""Share of the accounts that is hot, at least one account."""
HOT_ACCESSES: Final = 0.8
"""Share of the accesses that the hot accounts take."""

Draw = Callable[[], float]
"""A number from 0 up to, not including, 1."""
Picker = Callable[[Draw], int]
"""Draws an index below the count that the picker was made for."""


def picker(distribution: str, count: int, *, skewness: float = SKEWNESS, seed: str = "") -> Picker:
    """A function that draws one of ``count`` indexes.

    Popular indexes are scattered: which ones they are is decided by ``seed``, so that all streams of a run
    share the same hot accounts.

    Args:
        distribution: one of ``DISTRIBUTIONS``.
        count: at least 1.
        skewness: the exponent s of Zipf's law, 0 (uniform) or more: the k-th most popular account is drawn
            in proportion to 1/k**s.
        seed: of the order of popularity.
    """
    assert count >= 1
    assert distribution in DISTRIBUTIONS
    if distribution == UNIFORM:
        return lambda draw: int(draw() * count)
    order = list(range(count))
    random.Random(seed).shuffle(order)
    if distribution == HOTSPOT:
        return _hotspot(order)
    return _zipf(order, skewness)


def _hotspot(order: list[int]) -> Picker:
    count = len(order)
    hot = max(1, int(count * HOT_ACCOUNTS))

    def pick(draw: Draw) -> int:
        if hot == count or draw() < HOT_ACCESSES:
            return order[int(draw() * hot)]
        return order[hot + int(draw() * (count - hot))]

    return pick


def _zipf(order: list[int], skewness: float) -> Picker:
    # The inverse of the distribution function by binary search: exact for any exponent, 0.3 µs a draw.
    sums = list(accumulate([rank**-skewness for rank in range(1, len(order) + 1)]))
    whole = sums[-1]
    last = len(order) - 1
    return lambda draw: order[min(bisect_right(sums, draw() * whole), last)]
