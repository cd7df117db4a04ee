"""Linearizable reads without a log entry (Ongaro, Raft dissertation, 6.4).

A read notes the chosen watermark when it arrives, joins the first heartbeat round *started after* that, and
is evaluated when a majority has acknowledged that round, or a later one, and the watermark noted is applied:
then no other leader can have committed anything before the round began that this node has not applied.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from consensus.types import Slot


class ReadIndex:
    """Reads of one leadership, in arrival order."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Slot, Any]] = []
        """Arrived, and not yet covered by a round."""
        self._rounds: deque[tuple[int, list[tuple[Slot, Any]]]] = deque()

    def add(self, index: Slot, read: Any) -> None:
        self.waiting.append((index, read))

    def __len__(self) -> int:
        return len(self.waiting) + sum(len(reads) for _, reads in self._rounds)

    @property
    def round_open(self) -> bool:
        """Whether reads already wait for a round: further ones gather for the next."""
        return bool(self._rounds)

    def start(self, number: int) -> None:
        """A heartbeat round starts now: everything that waits joins it."""
        if self.waiting:
            self._rounds.append((number, self.waiting))
            self.waiting = []

    def ready(self, confirmed: int, applied: Slot) -> list[Any]:
        """Reads whose round is confirmed and whose index is applied."""
        done: list[Any] = []
        rounds = self._rounds
        while rounds and rounds[0][0] <= confirmed and rounds[0][1][-1][0] <= applied:
            done.extend(read for _, read in rounds.popleft()[1])
        return done

    def drain(self) -> list[Any]:
        """Everything unanswered, when the leadership ends."""
        left = [read for _, reads in self._rounds for _, read in reads]
        left.extend(read for _, read in self.waiting)
        self._rounds.clear()
        self.waiting = []
        return left
