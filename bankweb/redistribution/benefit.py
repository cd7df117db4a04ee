"""What a smaller share across clusters is worth in transactions per second."""

from __future__ import annotations

from typing import Any, Final

ACROSS_COST: Final = 3.7
"""What a transaction across clusters costs a busy bank, one within being 1: 66.8 to 6.6 % across brought
2.3 to 2.4 times the throughput (docs/performance.md, "Redistribution under load")."""


def expected_tps(now_tps: float, before_pct: float, after_pct: float) -> float:
    """Throughput after the share went from ``before_pct`` to ``after_pct``.

    That of a load which takes what it gets; one at a fixed rate stays where it is.
    """
    return round(now_tps * _cost(before_pct) / _cost(after_pct), 1)


def _cost(share_pct: float) -> float:
    return 1 + (ACROSS_COST - 1) * share_pct / 100


def with_throughput(before: dict[str, Any], predicted: dict[str, Any], now_tps: float) -> None:
    """Add ``throughput_tps`` to a plan's figures; None while nobody trades."""
    before["throughput_tps"] = now_tps or None
    share = before["cross_shard_pct"], predicted["cross_shard_pct"]
    predicted["throughput_tps"] = expected_tps(now_tps, *share) if now_tps else None
