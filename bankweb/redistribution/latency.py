"""How long transfers take now, from the windows that leaders report."""

from __future__ import annotations

import time
from collections import Counter, deque
from functools import cache
from typing import Any, Final

from bankweb.orchestration.hub import hub
from consensus.trace.events import hist_bound_us
from consensus.types import NodeId

SPAN_S: Final = 2.0
LEAST: Final = 50
"""Fewer answers say nothing about one in a hundred."""


class LatencyWatch:
    """A :class:`bankweb.orchestration.hub.Listener` that keeps the last seconds' histograms."""

    def __init__(self) -> None:
        self._windows: deque[tuple[float, dict[str, int], int]] = deque(maxlen=4_096)

    def heard(self, node: NodeId, status: dict[str, Any], events: list[dict[str, Any]], dropped: int) -> None:
        now = time.monotonic()
        for event in events:
            if event.get("k") != "agg":
                continue
            # Latencies are of a sample, which a window may miss; what committed in it counts all the same.
            hist, committed = event.get("hist") or {}, (event.get("tx") or {}).get("committed", 0)
            if hist or committed:
                self._windows.append((now, hist, committed))

    def came(self, node: NodeId) -> None: ...

    def went(self, node: NodeId) -> None: ...

    def happened(self, event: dict[str, Any]) -> None: ...

    def p99_ms(self) -> float | None:
        """Of the answers of the last two seconds; None when there were too few."""
        since = time.monotonic() - SPAN_S
        counts: Counter[int] = Counter()
        for at, hist, _ in self._windows:
            if at >= since:
                for bucket, count in hist.items():
                    counts[int(bucket)] += count
        left = counts.total() / 100
        if counts.total() < LEAST:
            return None
        for bucket in sorted(counts, reverse=True):
            left -= counts[bucket]
            if left <= 0:
                return round(hist_bound_us(bucket) / 1_000, 2)
        return None

    def tps(self, span_s: float = 1.0, until_s: float = 0.0) -> float:
        """Committed per second in the ``span_s`` seconds that ended ``until_s`` ago."""
        until = time.monotonic() - until_s
        counted = sum(committed for at, _, committed in self._windows if until - span_s <= at < until)
        return round(counted / span_s, 1)


@cache
def watch() -> LatencyWatch:
    """Of this process; listens from its first use on."""
    found = LatencyWatch()
    hub().listeners.append(found)
    return found
