"""The clock of one node: its own zero, a rate that is a little off, and the times when its process rests.

World time and node time are both whole microseconds. A core is told node time only, which is monotonic over
the life of a node as a real CLOCK_MONOTONIC is.
"""

from __future__ import annotations

from typing import Final

PPM: Final = 1_000_000


class Clock:
    """``drift_ppm`` parts per million too fast (or, negative, too slow)."""

    __slots__ = ("drift_ppm", "offset_us", "paused_until_us")

    def __init__(self, offset_us: int = 0, drift_ppm: int = 0) -> None:
        self.offset_us = offset_us
        self.drift_ppm = drift_ppm
        self.paused_until_us = 0
        """World time until which the process does not run (SIGSTOP, or a host too busy to schedule it)."""

    def local(self, world_us: int) -> int:
        """What the node's clock shows at ``world_us``."""
        return self.offset_us + world_us + world_us * self.drift_ppm // PPM

    def world(self, local_us: int) -> int:
        """The earliest world time at which the node's clock shows ``local_us`` or more."""
        elapsed = local_us - self.offset_us
        guess = elapsed * PPM // (PPM + self.drift_ppm) - 2
        while self.local(guess) < local_us:
            guess += 1
        return guess

    def pause(self, until_us: int) -> None:
        self.paused_until_us = max(self.paused_until_us, until_us)
