"""Counting what happened in the measured window, in bounded memory."""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import Any, Final

import msgspec
from hdrh.histogram import HdrHistogram

from consensus.client.results import ABORTED, COMMITTED, UNKNOWN, ReadValues, TxResult

LATENCY_US_MAX: Final = 600_000_000
BIN_S: Final = 0.1
"""Resolution of the timeline."""
_DIGITS: Final = 3
_PERCENTILES: Final = (("p50", 50.0), ("p95", 95.0), ("p99", 99.0), ("p999", 99.9))
CURVE: Final = (
    *(float(at) for at in range(0, 90, 5)), *(float(at) for at in range(90, 99)),
    99.0, 99.5, 99.9, 99.95, 99.99, 100.0,
)  # fmt: skip
"""Percentiles of the curve of a distribution."""


class KindCounts(msgspec.Struct, frozen=True):
    """What :class:`Kind` counted, to send: ``latency`` is operations per microsecond of latency."""

    succeeded: int
    latency: dict[int, int]
    failed: int = 0


class Counts(msgspec.Struct, frozen=True):
    """What :class:`Tally` counted, to send and to add up."""

    started_s: float
    unknown: int
    reads_refused: int
    aborted: dict[str, int]
    refused: dict[str, int]
    retried: dict[str, int]
    kinds: dict[str, KindCounts]
    operations: dict[str, KindCounts]
    outcomes: dict[str, dict[int, int]]
    bins: dict[int, int]


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

    def merge(self, counts: dict[int, int]) -> None:
        """Add operations per microsecond."""
        for us, count in counts.items():
            self._counts[us] = self._counts.get(us, 0) + count

    @property
    def counts(self) -> dict[int, int]:
        """Operations per microsecond of latency."""
        return self._counts

    @property
    def count(self) -> int:
        return sum(self._counts.values())

    def quantile(self, share: float) -> float | None:
        """Milliseconds that this share of them does not exceed; cheaper than a histogram. None: of none."""
        wanted = math.ceil(share * self.count)
        for us in sorted(us for us, count in self._counts.items() if count):
            wanted -= self._counts[us]
            if wanted <= 0:
                return us / 1e3
        return None

    def histogram(self) -> HdrHistogram:
        """Microseconds, three significant digits."""
        histogram = HdrHistogram(1, LATENCY_US_MAX, _DIGITS)
        for us, count in self._counts.items():
            histogram.record_value(min(max(us, 1), LATENCY_US_MAX), count)
        return histogram

    def report(self) -> dict[str, float | None]:
        """Milliseconds: mean, p50, p95, p99, p999, max; None where there is nothing to tell."""
        total = self.count
        if not total:
            return {"mean": None, **{name: None for name, _ in _PERCENTILES}, "max": None}
        histogram = self.histogram()
        mean = sum(us * count for us, count in self._counts.items()) / total / 1e3
        values = {name: histogram.get_value_at_percentile(at) / 1e3 for name, at in _PERCENTILES}
        highest = max(self._counts) / 1e3
        rounded = {name: round(value, 3) for name, value in values.items()}
        return {"mean": round(mean, 3), **rounded, "max": highest}


class Kind:
    """Operations of one kind."""

    def __init__(self) -> None:
        self.succeeded = 0
        self.latency = Latencies()

    def report(self, rate: float) -> dict[str, Any]:
        return {"throughput_tps": round(self.succeeded * rate, 1), "latency_ms": self.latency.report()}

    def counts(self) -> KindCounts:
        return KindCounts(self.succeeded, self.latency.counts)

    def add(self, counts: KindCounts) -> None:
        self.succeeded += counts.succeeded
        self.latency.merge(counts.latency)


class OperationKind(Kind):
    """Operations of one kind of a mix. Aborts count in latencies, not in rates."""

    def __init__(self) -> None:
        super().__init__()
        self.failed = 0

    def report(self, rate: float) -> dict[str, Any]:
        return {**super().report(rate), "succeeded": self.succeeded, "failed": self.failed}

    def counts(self) -> KindCounts:
        return KindCounts(self.succeeded, self.latency.counts, self.failed)

    def add(self, counts: KindCounts) -> None:
        super().add(counts)
        self.failed += counts.failed


class Tally:
    """Results of operations that ended in the measured window.

    A transfer counts once, by how its last attempt ended; attempts that lost a lock are counted apart.
    """

    def __init__(self) -> None:
        self.unknown = 0
        self.aborted: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.retried: Counter[str] = Counter()
        """Attempts that lost a lock and are followed by another, by reason."""
        self.intra = Kind()
        self.cross = Kind()
        self.reads = Kind()
        self.reads_refused = 0
        self.operations: dict[str, OperationKind] = {}
        """By kind, of mixes that have kinds of their own."""
        self.outcomes = {COMMITTED: Latencies(), ABORTED: Latencies()}
        self.bins: Counter[int] = Counter()
        self.started_s = 0.0

    def start(self, now_s: float) -> None:
        """The measured window begins."""
        self.started_s = now_s

    @property
    def committed(self) -> int:
        return self.intra.succeeded + self.cross.succeeded

    @property
    def ended(self) -> int:
        """Operations that ended, however they did."""
        return (
            self.committed + self.reads.succeeded + self.unknown + self.aborted.total() + self.refused.total()
        )

    def retry(self, result: TxResult) -> None:
        """An attempt lost a lock, and another follows."""
        self.retried[str(result.reason)] += 1

    def transfer(self, result: TxResult, latency_ms: float) -> None:
        """A transfer ended, ``latency_ms`` after it was meant to begin."""
        outcome = result.outcome
        kind = self.cross if len(result.clusters) > 1 else self.intra
        if outcome == COMMITTED:
            kind.succeeded += 1
            self._success()
        elif outcome == ABORTED:
            self.aborted[str(result.reason)] += 1
        elif outcome == UNKNOWN:
            self.unknown += 1
            return
        else:
            self.refused[str(result.reason)] += 1
            return
        kind.latency.add(latency_ms)
        self.outcomes[outcome].add(latency_ms)

    def read(self, values: ReadValues, latency_ms: float) -> None:
        if values.outcome != "ok":
            self.refused[str(values.reason)] += 1
            self.reads_refused += 1
            return
        self.reads.succeeded += 1
        self.reads.latency.add(latency_ms)
        self._success()

    def operation(self, kind: str, succeeded: bool, latency_ms: float) -> None:
        """An operation of a mix ended; it was counted as a read or transfer, too."""
        found = self._operation(kind)
        if succeeded:
            found.succeeded += 1
        else:
            found.failed += 1
        found.latency.add(latency_ms)

    def _operation(self, kind: str) -> OperationKind:
        found = self.operations.get(kind)
        if found is None:
            found = self.operations[kind] = OperationKind()
        return found

    def counts(self) -> Counts:
        """Everything, to send to another process."""
        return Counts(
            started_s=self.started_s,
            unknown=self.unknown,
            reads_refused=self.reads_refused,
            aborted=dict(self.aborted),
            refused=dict(self.refused),
            retried=dict(self.retried),
            kinds={name: kind.counts() for name, kind in self._kinds().items()},
            operations={name: kind.counts() for name, kind in self.operations.items()},
            outcomes={name: latencies.counts for name, latencies in self.outcomes.items()},
            bins=dict(self.bins),
        )

    def add(self, counts: Counts) -> None:
        """Add what another process counted in the same window; it began when the first of them began."""
        began_s = [at_s for at_s in (self.started_s, counts.started_s) if at_s]
        self.started_s = min(began_s, default=0.0)
        self.unknown += counts.unknown
        self.reads_refused += counts.reads_refused
        self.aborted.update(counts.aborted)
        self.refused.update(counts.refused)
        self.retried.update(counts.retried)
        self.bins.update(counts.bins)
        for name, kind in self._kinds().items():
            kind.add(counts.kinds[name])
        for name, operations in counts.operations.items():
            self._operation(name).add(operations)
        for name, latencies in self.outcomes.items():
            latencies.merge(counts.outcomes[name])

    def _kinds(self) -> dict[str, Kind]:
        return {"intra": self.intra, "cross": self.cross, "read": self.reads}

    def _success(self) -> None:
        self.bins[int((time.monotonic() - self.started_s) / BIN_S)] += 1

    def latency(self) -> dict[str, float | None]:
        """Of everything that ended so far, in ms (see :meth:`Latencies.report`)."""
        return self.every().report()

    def every(self) -> Latencies:
        """Latencies of all kinds together."""
        every = Latencies()
        for kind in self._kinds().values():
            every.merge(kind.latency.counts)
        return every

    def report(self, duration_s: float) -> dict[str, Any]:
        """The figures of a run measured for ``duration_s``. Aborts count in latencies, not in rates."""
        rate = 1 / duration_s if duration_s > 0 else 0.0
        transfers = self.ended - self.reads.succeeded - self.reads_refused
        return {
            "throughput_tps": round((self.committed + self.reads.succeeded) * rate, 1),
            "committed": self.committed,
            "reads": self.reads.succeeded,
            "aborted": dict(self.aborted),
            "refused": dict(self.refused),
            "unknown": self.unknown,
            "transfers": transfers,
            "attempts": transfers + self.retried.total(),
            "retried": dict(self.retried),
            "duration_s": round(duration_s, 3),
            "latency_ms": self.latency(),
            "distribution": self.distribution(),
            "by_kind": {name: kind.report(rate) for name, kind in self._kinds().items()},
            "by_operation": {name: self.operations[name].report(rate) for name in sorted(self.operations)},
            "by_outcome": {name: latencies.report() for name, latencies in self.outcomes.items()},
            "timeline": self.timeline(duration_s),
        }

    def distribution(self) -> list[list[float]]:
        """Rows of percentile and ms, close enough together to draw a curve."""
        every = self.every()
        if not every.count:
            return []
        histogram = every.histogram()
        return [[at, round(histogram.get_value_at_percentile(at) / 1e3, 3)] for at in CURVE]

    def timeline(self, duration_s: float) -> dict[str, Any]:
        """What succeeded in each bin of the window, from its start; the last may be cut short."""
        bins = max(1, math.ceil(duration_s / BIN_S))
        return {"bin_ms": round(BIN_S * 1e3), "succeeded": [self.bins[i] for i in range(bins)]}
