"""Finds a smaller schedule that still fails, by leaving faults out (after Zeller and Hildebrandt, 2002).

A fault that is left out leaves all draws of links, disks and clients as they were, so most of what remains
still happens as before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from consensus.simulation.schedule import Fault

TRIES_MAX: Final = 150


def shrink(
    faults: list[Fault], fails: Callable[[list[Fault]], bool], tries_max: int = TRIES_MAX
) -> list[Fault]:
    """The smallest schedule found within ``tries_max`` runs for which ``fails`` holds.

    ``faults`` itself is known to fail.
    """
    tries = 0
    size = max(1, len(faults) // 2)
    while faults and tries < tries_max:
        for start in range(0, len(faults), size):
            rest = faults[:start] + faults[start + size :]
            tries += 1
            if fails(rest):
                faults = rest
                break
            if tries >= tries_max:
                break
        else:
            if size == 1:
                break
            size //= 2
        size = max(1, min(size, len(faults) // 2))
    return faults
