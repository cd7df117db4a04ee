"""Compile the partitioner's loops to machine code, once per version of these sources (``cache``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from consensus.sharding import cache

P = ParamSpec("P")
R = TypeVar("R")

Ints = NDArray[np.int64]
Ids = NDArray[np.int32]
Flags = NDArray[np.bool_]
Seeds = NDArray[np.uint64]
"""One word: the state of a generator of random numbers."""


_FOLDER: Final = cache.folder()
if _FOLDER is not None:
    vars(numba.config)["CACHE_DIR"] = str(_FOLDER)


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """``function`` as machine code; the argument types of its first call decide the code."""
    wrap: Any = numba.njit(cache=_FOLDER is not None, nogil=True)
    return cast(Callable[P, R], wrap(function))


def seed_state(seed: int) -> Seeds:
    """A generator's first state; the same seed draws the same numbers on every machine."""
    return np.array([(seed * 0x9E3779B97F4A7C15 + 0x1234567) & (2**64 - 1)], dtype=np.uint64)


@compiled
def draw(state: Seeds, bound: int) -> int:
    """A number from 0 to ``bound`` - 1 (SplitMix64, Steele, Lea and Flood 2014)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return int(z >> np.uint64(1)) % int(bound)


@compiled
def shuffled(count: int, state: Seeds) -> Ids:
    """The numbers 0 … ``count`` - 1 in a random order."""
    order = np.arange(count).astype(np.int32)
    for last in range(count - 1, 0, -1):
        other = draw(state, last + 1)
        order[last], order[other] = order[other], order[last]
    return order
