"""Compile the partitioner's loops to machine code, once per version of these sources.

Numba keys its cache by the file a function stands in, not by the files of the functions it calls, so an
edited helper would leave stale callers behind. The cache folder therefore carries a digest of all files with
compiled functions.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")

Ints = NDArray[np.int64]
Ids = NDArray[np.int32]
Flags = NDArray[np.bool_]
Seeds = NDArray[np.uint64]
"""One word: the state of a generator of random numbers."""


def _digest() -> str:
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        source = path.read_bytes()
        if b"@compiled" in source:
            digest.update(source)
    return digest.hexdigest()[:16]


def _cache_folder() -> Path | None:
    """The first folder that can be written; None: compile anew in each process."""
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    for base in (Path(__file__).parent / "__pycache__", cache_home / "paxos-bank"):
        folder = base / f"numba-{_digest()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return None


_FOLDER: Final = _cache_folder()
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
