"""What leaders' windows say of throughput and latency."""

from __future__ import annotations

from typing import Any

from bankweb.redistribution.latency import LatencyWatch


def window(committed: int, **hist: int) -> dict[str, Any]:
    return {"k": "agg", "tx": {"committed": committed}, "hist": {name[1:]: n for name, n in hist.items()}}


def test_what_committed_counts_where_no_latency_was_sampled() -> None:
    watch = LatencyWatch()
    watch.heard(1, {}, [window(30, b4=1), window(50), window(0), {"k": "node.up"}], 0)
    watch.heard(4, {}, [{"k": "agg", "tx": {"committed": 20}}, {"k": "agg", "window": 100}], 0)
    assert watch.tps(1.0) == 100.0
    assert watch.p99_ms() is None, "one latency says nothing about one in a hundred"


def test_the_99th_percentile_is_of_all_that_was_sampled() -> None:
    watch = LatencyWatch()
    watch.heard(1, {}, [window(0, b0=98), window(5, b8=2)], 0)
    assert watch.p99_ms() == 0.4
