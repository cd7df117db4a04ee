"""Which answers came later than nearly all others: what a trace tells of although no sample holds it."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from typing import Final, NamedTuple

from consensus.messages.client import Replies, Submit
from consensus.trace.events import hist_bound_us
from consensus.types import SessionId

SESSIONS_MAX: Final = 1_000
FRAMES_MAX: Final = 64
"""Of a session that wait for answers; with more, the oldest are followed no longer."""
ANSWERS_MIN: Final = 200
"""Fewer timed answers say nothing about one in a hundred."""
SHARE: Final = 0.99


class _Frame(NamedTuple):
    """Transactions that came together; numbers grow from frame to frame, but for retries."""

    last: int
    came_us: int


class Late:
    """Times frames, not transactions: those of a frame wait for their answers since the same moment."""

    def __init__(self) -> None:
        self._frames: dict[SessionId, deque[_Frame]] = {}
        self.above_us = 0
        """Answers that took longer are late; 0: it is not known yet what late is."""
        self._times: Counter[int] = Counter()
        self._timed = 0

    def timed(self, bucket: int) -> None:
        """An answer of the measured sample took so long (:func:`consensus.trace.events.hist_index`)."""
        self._times[bucket] += 1
        self._timed += 1
        if self._timed >= ANSWERS_MIN:
            self.above_us = self._bound_us()
            self._times.clear()
            self._timed = 0

    def _bound_us(self) -> int:
        left = self._timed * (1 - SHARE)
        for bucket in sorted(self._times, reverse=True):
            left -= self._times[bucket]
            if left < 0:
                return int(hist_bound_us(bucket))
        raise AssertionError("a share above all")

    def submitted(self, message: Submit, now_us: int) -> None:
        """A frame of transactions came."""
        if not message.items:
            return
        frames = self._frames.get(message.session)
        if frames is None:
            if len(self._frames) >= SESSIONS_MAX:
                del self._frames[next(iter(self._frames))]
            frames = self._frames[message.session] = deque(maxlen=FRAMES_MAX)
        last = message.items[-1].number
        while frames and frames[0].last < message.settled_below:
            frames.popleft()
        # Retries alone are not timed anew: their numbers lie within an earlier frame.
        if not frames or last > frames[-1].last:
            frames.append(_Frame(last, now_us))

    def replied(self, message: Replies, now_us: int) -> list[tuple[int, int]]:
        """Answers leave: places in the message of those that are late, and how long each took, in µs."""
        frames = self._frames.get(message.session)
        if not frames or not self.above_us or now_us - frames[0].came_us <= self.above_us:
            return []
        late = []
        lasts = [frame.last for frame in frames]
        for place, number in enumerate(message.numbers):
            at = bisect_left(lasts, number)
            if at < len(lasts) and now_us - frames[at].came_us > self.above_us:
                late.append((place, now_us - frames[at].came_us))
        return late

    def forget(self) -> None:
        """Nobody watches any more."""
        self._frames.clear()
        self._times.clear()
        self._timed = self.above_us = 0
