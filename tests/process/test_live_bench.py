"""``make bench-live``: a reader of the live data really reads, and what it costs is told."""

from __future__ import annotations

import argparse
import io

import pytest
from rich.console import Console

from consensus.cli import live_bench


async def test_rounds_with_and_without_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    options = argparse.Namespace(clients=8, cross=20.0, duration=0.5, rounds=1)
    result = await live_bench.measure(options)
    assert result["conserved"] and result["alone_tps"] > 0
    assert [row["level"] for row in result["levels"]] == [1, 2]
    for row in result["levels"]:
        assert row["frames"] > 0 and row["bytes"] > 0 and row["tps"] > 0
    said = io.StringIO()
    monkeypatch.setattr(live_bench, "table_console", lambda: Console(file=said, width=120))
    live_bench.show(result)
    assert "a page is open" in said.getvalue()
