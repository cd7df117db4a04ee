"""Counting what happened in the measured window, in bounded memory."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from hdrh.histogram import HdrHistogram

from consensus.client.results import ABORTED, COMMITTED, UNKNOWN, ReadValues, TxResult

LATENCY_US_MAX: Final = 600_000_000
_DIGITS: Final = 3
_PERCENTILES: Final = (("p50", 50.0), ("p95", 95.0), ("p99", 99.0), ("p999", 99.9))


class Latencies:
    """Latencies of one kind of operation.

    Kept as a count per microsecond and turned into a histogram at the end, because recording
    in the histogram itself costs more than everything else the client does for a transfer.
    """

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def add(self, latency_ms: float) -> None:
        us = int(latency_ms * 1e3)
        self._counts[us] = self._counts.get(us, 0) + 1

    def merge(self, other: Latencies) -> None:
        for us, count in other._counts.items():
            self._counts[us] = self._counts.get(us, 0) + count

    @property
    def count(self) -> int:
        return sum(self._counts.values())

    def histogram(self) -> HdrHistogram:
        """Microseconds, three significant digits."""
        histogram = HdrHistogram(1, LATENCY_US_MAX, _DIGITS)
        for us, count in self._counts.items():
            histogram.record_value(min(max(us, 1), LATENCY_US_MAX), count)
        return histogram

    def report(self) -> dict[str, float | None]:
        """Milliseconds: mean, p50, p95, p99, p999; None where there is nothing to tell."""
        total = self.count
        if not total:
            return {"mean": None, **{name: None for name, _ in _PERCENTILES}}
        histogram = self.histogram()
        mean = sum(us * count for us, count in self._counts.items()) / total / 1e3
        values = {name: histogram.get_value_at_percentile(at) / 1e3 for name, at in _PERCENTILES}
        return {"mean": round(mean, 3), **{name: round(value, 3) for name, value in values.items()}}


class Tally:
    """Results of operations that ended in the measured window."""

    def __init__(self) -> None:
        self.committed = 0
        self.reads = 0
        self.unknown = 0
        self.aborted: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.transfer_latency = Latencies()
        self.read_latency = Latencies()

    @property
    def ended(self) -> int:
        """Operations that ended, however they did."""
        return self.committed + self.reads + self.unknown + self.aborted.total() + self.refused.total()

    def transfer(self, result: TxResult) -> None:
        outcome = result.outcome
        if outcome == COMMITTED:
            self.committed += 1
        elif outcome == ABORTED:
            self.aborted[str(result.reason)] += 1
        elif outcome == UNKNOWN:
            self.unknown += 1
            return
        else:
            self.refused[str(result.reason)] += 1
            return
        self.transfer_latency.add(result.latency_ms)

    def read(self, values: ReadValues) -> None:
        if values.outcome != "ok":
            self.refused[str(values.reason)] += 1
            return
        self.reads += 1
        self.read_latency.add(values.latency_ms)

    def report(self, duration_s: float) -> dict[str, Any]:
        """The figures of a run measured for ``duration_s``. Aborts count in latencies, not in rates."""
        every = Latencies()
        every.merge(self.transfer_latency)
        every.merge(self.read_latency)
        rate = 1 / duration_s if duration_s > 0 else 0.0
        return {
            "throughput_tps": round((self.committed + self.reads) * rate, 1),
            "committed": self.committed,
            "reads": self.reads,
            "aborted": dict(self.aborted),
            "refused": dict(self.refused),
            "unknown": self.unknown,
            "duration_s": round(duration_s, 3),
            "latency_ms": every.report(),
            "by_kind": {
                "intra": {
                    "throughput_tps": round(self.committed * rate, 1),
                    "latency_ms": self.transfer_latency.report(),
                },
                "cross": {"throughput_tps": 0.0, "latency_ms": Latencies().report()},
                "read": {
                    "throughput_tps": round(self.reads * rate, 1),
                    "latency_ms": self.read_latency.report(),
                },
            },
        }
