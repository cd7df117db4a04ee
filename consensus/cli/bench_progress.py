"""What ``manage.py bench`` says while it measures: a line for people, or a document for who started it."""

from __future__ import annotations

import json

from consensus.cluster.private import to_stderr
from consensus.workload.tally import Latencies, Tally


def told(seconds: float, tally: Tally, of: int) -> None:
    """A line for people."""
    share = f" of {of:,}" if of else ""
    rate = tally.ended / max(seconds, 1e-9)
    to_stderr(f"  {seconds:5.1f} s: {tally.ended:,}{share} operations, {rate:,.0f} per second")


class Documents:
    """``{"progress": {…}}``, one document a line: all so far, and latencies since the line before."""

    def __init__(self) -> None:
        self._before: dict[int, int] = {}

    def __call__(self, seconds: float, tally: Tally, of: int) -> None:
        every = tally.every()
        if every.count < sum(self._before.values()):
            self._before = {}  # another run began: the next step of a sweep
        fresh = Latencies()
        fresh.merge({us: n - self._before.get(us, 0) for us, n in every.counts.items()})
        self._before = dict(every.counts)
        document = {
            "seconds": round(seconds, 2),
            "ended": tally.ended,
            "of": of,
            "succeeded": tally.committed + tally.reads.succeeded,
            "aborted": tally.aborted.total(),
            "p50_ms": every.quantile(0.5),
            "p99_ms": every.quantile(0.99),
            "recent_p50_ms": fresh.quantile(0.5),
            "recent_p99_ms": fresh.quantile(0.99),
        }
        to_stderr(json.dumps({"progress": document}))
