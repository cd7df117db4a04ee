"""The time that events are stamped with, and by which limits count: the system's, or a simulation's."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    def wall_us(self) -> int:
        """UTC microseconds."""
        ...

    def steady_s(self) -> float:
        """Seconds that never go back."""
        ...


class SystemClock:
    def wall_us(self) -> int:
        return time.time_ns() // 1_000

    def steady_s(self) -> float:
        return time.monotonic()


SYSTEM: Clock = SystemClock()
