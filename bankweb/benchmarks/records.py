"""Rows of :mod:`bankweb.benchmarks.models`."""

from __future__ import annotations

from typing import Final

from bankweb.benchmarks.models import Benchmark
from bankweb.runs.records import Records

records: Final = Records(
    Benchmark,
    "benchmark",
    kept_max=500,
    deferred=("course", "result"),
    figures={"tps": "result__throughput_tps", "p99_ms": "result__latency_ms__p99"},
)
