"""How long a leader takes from a request to its answer, measured on a sample, as a histogram."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from consensus.messages.client import Refused, Replies, Submit
from consensus.trace.events import hist_bound_us, hist_index
from consensus.types import SessionId


class Latencies:
    """Follows one transaction per connection at a time, so that it costs next to nothing.

    The one followed is the first of a frame that comes while none is; when its answer or a refusal leaves,
    the next one is picked.
    """

    def __init__(self) -> None:
        self._followed: dict[int, tuple[SessionId, int, int]] = {}
        self.buckets: Counter[int] = Counter()
        self.sum_us = 0
        self.since = time.monotonic()

    def submitted(self, connection: int, message: Submit, now_us: int) -> None:
        """A frame of transactions came."""
        if connection not in self._followed and message.items:
            self._followed[connection] = (message.session, message.items[0].number, now_us)

    def replied(self, connection: int, message: Replies, now_us: int) -> int:
        """Answers leave. Returns the bucket of the followed transaction if it is among them, else -1."""
        followed = self._followed.get(connection)
        if followed is None or followed[0] != message.session or followed[1] not in message.numbers:
            return -1
        del self._followed[connection]
        took = now_us - followed[2]
        bucket = hist_index(took)
        self.buckets[bucket] += 1
        self.sum_us += took
        return bucket

    def refused(self, connection: int, message: Refused) -> None:
        """A refusal leaves: who was followed is tried again elsewhere, perhaps, and not answered here."""
        followed = self._followed.get(connection)
        if followed is not None and followed[0] == message.session and followed[1] in message.numbers:
            del self._followed[connection]

    def forget(self, connection: int) -> None:
        """The connection is gone."""
        self._followed.pop(connection, None)

    def figures(self) -> dict[str, Any]:
        """Mean and percentiles in ms (each at most 19 % too high), and how many were measured."""
        count = self.buckets.total()
        figures: dict[str, Any] = {"count": count, "mean": self.sum_us / count / 1e3 if count else None}
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            figures[name] = self._percentile(share * count) if count else None
        return figures

    def _percentile(self, rank: float) -> float:
        passed = 0
        for bucket, held in sorted(self.buckets.items()):
            passed += held
            if passed >= rank:
                return hist_bound_us(bucket) / 1e3
        raise AssertionError("a rank beyond the count")
