"""``make bench-sizes`` and ``make bench-memory``: real banks are measured, and what was asked is judged."""

from __future__ import annotations

import argparse
import io

import pytest
from rich.console import Console

from consensus.cli import memory_bench, sizes_bench
from consensus.cli.sizes_bench import MILLION, Size


async def test_sizes_are_measured_and_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"clusters": 1, "clients": 4}
    sections = {
        "accounts": (Size("few", accounts=90, **small), Size("many", accounts=MILLION, **small)),
        "rate": (Size("slowly", accounts=90, batch=2, rate=50.0, **small),),
    }
    monkeypatch.setattr(sizes_bench, "SECTIONS", sections)
    monkeypatch.setattr(sizes_bench, "NODES", 1)
    rows = await sizes_bench.measure(list(sections), rounds=1, duration_s=0.5)
    few, many, slowly = rows
    assert all(row["fine"] and row["throughput_tps"] > 0 and row["started_s"] > 0 for row in rows)
    assert slowly["throughput_tps"] < 100 and few["share"] == slowly["share"] == 1
    assert [one["figure"] for one in many["targets"]] == ["of 9,000's", "start s"]
    assert [one["figure"] for one in slowly["targets"]] == ["p99 ms"] and few["targets"] == []
    said = io.StringIO()
    monkeypatch.setattr(sizes_bench, "table_console", lambda: Console(file=said, width=120))
    sizes_bench.show(rows)
    assert "p99 ms ≤ 25" in said.getvalue()


@pytest.mark.parametrize(("share", "started_s", "met"), [(0.9, 20, True), (0.89, 20, False), (1, 21, False)])
def test_a_million_accounts_may_cost_a_tenth(share: float, started_s: float, met: bool) -> None:
    row = {"section": "accounts", "accounts": MILLION, "rate": 0.0, "share": share, "started_s": started_s}
    assert all(one["met"] for one in sizes_bench._targets(row)) is met


async def test_memory_is_watched_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_bench, "EVERY_S", 0.2)
    result = await memory_bench.measure(argparse.Namespace(clients=4, cross=5.0, duration=1.0))
    assert result["fine"] and len(result["seen"]) >= 4
    for row in result["rows"]:
        assert 0 < row["begin_mb"] <= row["most_mb"] and row["end_mb"] <= row["most_mb"]
        assert row["met"] is (row["grown_pct"] <= row["target_pct"])
    said = io.StringIO()
    monkeypatch.setattr(memory_bench, "table_console", lambda: Console(file=said, width=120))
    memory_bench.show(result)
    assert "second half" in said.getvalue()
