"""The logical clock of a node (Lamport, *Time, clocks, and the ordering of events*, 1978)."""

from __future__ import annotations


class LamportClock:
    """Counts what happens at a node, and never stands behind a frame that reached it."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 0

    def tick(self) -> int:
        """The time of something that happens now; each is later than all before."""
        self.now += 1
        return self.now

    def hear(self, sent: int) -> None:
        """A frame came that left at ``sent``."""
        if sent > self.now:
            self.now = sent
