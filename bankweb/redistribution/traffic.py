"""Gathers what the bank's nodes remember of their traffic, when somebody wants to know."""

from __future__ import annotations

import asyncio
import time
from functools import cache
from typing import Any, Final

import numpy as np

from bankweb.orchestration.hub import hub
from bankweb.redistribution.placement import Placement
from bankweb.rest.problems import Problem
from consensus.sharding.traffic import Traffic
from consensus.types import NodeId

HALF_LIFE_S: Final = 60.0
"""Traffic of a minute ago counts half."""
FRESH_S: Final = 0.5
ASK_DEADLINE_S: Final = 2.0
ROUNDS_MAX: Final = 64
"""Answers taken from one node at a time; the rest comes with the next gathering."""
HOT: Final = 20
HISTORY_BUCKETS: Final = 30
HISTORY_BUCKET_S: Final = 2.0
HISTORY_BINS: Final = 90
RECENT_S: Final = 10.0


class Gatherer:
    """Traffic and placement of the bank on show, brought up to date on request."""

    def __init__(self) -> None:
        self.placement = Placement()
        self.traffic = Traffic(self.placement.accounts)
        self._gathered_at = -1e9
        self._lock = asyncio.Lock()

    async def gather(self, *, fresh_s: float = FRESH_S) -> None:
        """Take up what every connected node remembers; done at most once at a time."""
        async with self._lock:
            if time.monotonic() - self._gathered_at < fresh_s:
                return
            await asyncio.gather(*(self._from(node) for node in hub().connected()))
            await self.placement.refresh(fresh_s=fresh_s)
            self._gathered_at = time.monotonic()

    async def _from(self, node: NodeId) -> None:
        for _ in range(ROUNDS_MAX):
            cursors = self.traffic.cursors(node)
            try:
                answer = await hub().call(node, "access", deadline_s=ASK_DEADLINE_S, **cursors)
            except Problem:
                return
            if not self.traffic.add(node, answer):
                return

    def share(self, span_s: float) -> tuple[float | None, int]:
        """Percent of the last ``span_s`` seconds' transactions that would cross now, and how many."""
        seen = self.traffic.since(now_ms(), span_s)
        if not seen.count:
            return None, 0
        return round(seen.cross_shard_pct(self.placement.blocks), 2), seen.count

    def figures(self, span_s: float) -> dict[str, Any] | None:
        """The last ``span_s`` seconds as a plan's figures; None without traffic."""
        seen = self.traffic.since(now_ms(), span_s)
        if not seen.count:
            return None
        k = len(self.placement.clusters)
        load = seen.load(self.placement.blocks, k)
        sizes = np.bincount(self.placement.blocks, minlength=k)
        return {
            "cross_shard_pct": round(seen.cross_shard_pct(self.placement.blocks), 3),
            "load_imbalance_pct": _imbalance(load),
            "account_imbalance_pct": _imbalance(sizes),
            "window": seen.count,
        }

    def stats(self) -> dict[str, Any]:
        """The document of ``access-stats/``."""
        now = now_ms()
        placement = self.placement
        seen = self.traffic.window(now, HALF_LIFE_S)
        k = len(placement.clusters)
        load = seen.load(placement.blocks, k)
        total = max(1, int(load.sum()))
        recent = self.traffic.recent(now, RECENT_S)
        hottest = np.argsort(-recent, kind="stable")[:HOT]
        sizes = np.bincount(placement.blocks, minlength=k)
        return {
            "half_life_s": HALF_LIFE_S,
            "transactions": seen.count,
            "reads": int(seen.reads.sum()),
            "missed": self.traffic.missed,
            "cross_shard_pct": round(seen.cross_shard_pct(placement.blocks), 2) if seen.count else None,
            "clusters": [
                {
                    "id": cluster,
                    "accounts": int(sizes[block]),
                    "load": int(load[block]),
                    "load_pct": round(100 * int(load[block]) / total, 1),
                }
                for block, cluster in enumerate(placement.clusters)
            ],
            "recent_s": RECENT_S,
            "hot": [
                {
                    "account": int(vertex) + 1,
                    "cluster": placement.owner(int(vertex) + 1),
                    "count": int(recent[vertex]),
                }
                for vertex in hottest
                if recent[vertex]
            ],
        }

    def history(self) -> dict[str, Any]:
        """Accesses by account and time: rows from the newest, columns of neighbouring accounts."""
        bins = min(HISTORY_BINS, self.placement.accounts)
        rows = self.traffic.history(now_ms(), HISTORY_BUCKET_S, HISTORY_BUCKETS, bins)
        return {"bucket_s": HISTORY_BUCKET_S, "bins": bins, "rows": rows.tolist()}


def now_ms() -> float:
    return time.time() * 1_000


def _imbalance(weights: Any) -> float:
    """By how many percent the heaviest is above the mean."""
    mean = float(weights.mean())
    return round(100 * (float(weights.max()) / mean - 1), 3) if mean else 0.0


@cache
def gatherer() -> Gatherer:
    """Of this process."""
    return Gatherer()
