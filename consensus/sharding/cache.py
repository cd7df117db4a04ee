"""Where the partitioner's machine code is kept, and whether all of it is there.

Numba keys its cache by the file a function stands in, not by the files of the functions it calls, so an
edited helper would leave stale callers behind. The folder therefore carries a digest of all files with
compiled functions. Nothing here loads Numba: who only asks should not wait for it.
"""

from __future__ import annotations

import hashlib
import os
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

_MARK: Final = "warm"


def _digest() -> str:
    digest = hashlib.sha256(version("numba").encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        source = path.read_bytes()
        if b"@compiled" in source:
            digest.update(source)
    return digest.hexdigest()[:16]


@cache
def folder() -> Path | None:
    """The first folder that can be written; None: compile anew in each process."""
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    for base in (Path(__file__).parent / "__pycache__", cache_home / "paxos-bank"):
        place = base / f"numba-{_digest()}"
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(place, os.W_OK):
            return place
    return None


def is_warm() -> bool:
    """Whether a plan finds all its machine code; True, too, where none can be kept."""
    place = folder()
    return place is None or (place / _MARK).exists()


def warmed() -> None:
    """All of it has been compiled."""
    place = folder()
    if place is not None:
        (place / _MARK).touch()
