"""How old a follower's state is at most: for reads that may be stale, but not by more than they say.

An acknowledgement gets a mark and is noted with this node's own time. The leader echoes the newest mark it
has in its heartbeats. A heartbeat that echoes a mark left the leader after the acknowledgement was sent; once
a majority has acknowledged that heartbeat (or a later one) in the same ballot, no other leader can have had
anything chosen before it left. So everything answered to anybody before the acknowledgement was sent is at or
below that heartbeat's watermark, however long messages were under way. Only this node's clock is asked, and
only for a difference.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from consensus.messages.paxos import Heartbeat
from consensus.paxos.context import Context
from consensus.types import BALLOT_NONE, Slot

NOTED_MAX: Final = 512
"""Acknowledgements and heartbeats remembered; what is older is of no use to anybody."""


class Freshness:
    """Of one follower. Everything is forgotten when its process ends.

    Attributes:
        since_us: own time; everything answered before it is in the state at ``slot``. None: not known.
        slot: what has to be applied for that.
    """

    def __init__(self, ctx: Context) -> None:
        self.since_us: int | None = None
        self.slot: Slot = 0
        self._ctx = ctx
        self._place = ctx.members.index(ctx.me)
        self._ballot = BALLOT_NONE
        self._next_mark = ctx.life + 1
        self._sent: deque[int] = deque(maxlen=NOTED_MAX)
        """When the last marks were sent; the last element is that of ``_next_mark - 1``."""
        self._beats: deque[tuple[int, int, Slot]] = deque(maxlen=NOTED_MAX)
        """(round, when the mark it echoes was sent, watermark) of heartbeats that are not yet confirmed."""

    def mark(self) -> int:
        """A mark for an acknowledgement that leaves now."""
        self._sent.append(self._ctx.now_us)
        self._next_mark += 1
        return self._next_mark - 1

    def heard(self, beat: Heartbeat) -> None:
        """A heartbeat of the leader of the promised ballot."""
        if beat.ballot != self._ballot:
            # Its majority has not confirmed the heartbeats of the leader before.
            self._ballot = beat.ballot
            self._beats.clear()
        if len(beat.echoes) == len(self._ctx.members):
            sent_us = self._sent_us(beat.echoes[self._place])
            if sent_us is not None:
                self._beats.append((beat.round, sent_us, beat.watermark))
        waiting: list[tuple[int, int, Slot]] = []
        for noted in self._beats:
            if noted[0] > beat.confirmed:
                waiting.append(noted)
            elif self.since_us is None or noted[1] >= self.since_us:
                _, self.since_us, self.slot = noted
        if len(waiting) != len(self._beats):
            self._beats = deque(waiting, maxlen=NOTED_MAX)

    def _sent_us(self, mark: int) -> int | None:
        """When the acknowledgement of that mark was sent; None if not by this process, or too long ago."""
        at = len(self._sent) - (self._next_mark - mark)
        return self._sent[at] if 0 <= at < len(self._sent) else None

    def within(self, age_us: int, applied: Slot) -> bool:
        """Whether a state at ``applied`` is less than ``age_us`` old now."""
        if self.since_us is None or applied < self.slot:
            return False
        return self._ctx.now_us - self.since_us < age_us
