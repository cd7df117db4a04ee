"""Gathers what the bank's nodes remember of their traffic, when somebody wants to know."""

from __future__ import annotations

import asyncio
import time
from functools import cache
from typing import Any, Final

import numpy as np

from bankweb.orchestration.bank import topology
from bankweb.orchestration.hub import hub
from bankweb.orchestration.nodes import best_node
from bankweb.rest.problems import Problem
from consensus.cluster import plans
from consensus.cluster.plans import Placement
from consensus.sharding.traffic import Ints, Sample, Traffic
from consensus.types import NodeId

HALF_LIFE_S: Final = 60.0
"""Traffic of a minute ago counts half."""
FRESH_S: Final = 0.5
ASK_DEADLINE_S: Final = 2.0
HOT: Final = 20
HISTORY_BUCKETS: Final = 30
HISTORY_BUCKET_S: Final = 2.0
HISTORY_BINS: Final = 90
RECENT_S: Final = 10.0


class Gatherer:
    """Traffic and placement of the bank on show, brought up to date on request."""

    def __init__(self) -> None:
        self.placement = Placement(topology())
        self.traffic = Traffic(self.placement.accounts)
        self.silent: list[NodeId] = []
        """Nodes that did not tell what they remember when they were asked last."""
        self._gathered_at = -1e9
        self._incarnation = -1
        self._placed: list[Any] | None = None
        """What nodes said of the number of their moves when all of the map was read last."""
        self._lock = asyncio.Lock()

    async def gather(self, *, fresh_s: float = FRESH_S) -> None:
        """Take up what every connected node remembers; done at most once at a time.

        Args:
            fresh_s: what was gathered so long ago will do; 0 also reads the map where nothing seems to have
                moved, for a node's status may be a moment old.
        """
        async with self._lock:
            if time.monotonic() - self._gathered_at < fresh_s:
                return
            nodes = list(hub().nodes)
            heard = await asyncio.gather(*(plans.gather(self.traffic, node, ask) for node in nodes))
            self.silent = [node for node, answered in zip(nodes, heard, strict=True) if not answered]
            await self._place(always=fresh_s == 0.0)
            self._gathered_at = time.monotonic()

    async def place(self) -> bool:
        """Bring the map alone up to date, where something has moved; whether every cluster told of it."""
        async with self._lock:
            await self._place(always=False)
            return self._placed is not None

    @property
    def incarnation(self) -> int:
        """The life of the bank that the placement is of."""
        return self._incarnation

    async def _place(self, *, always: bool) -> None:
        """Ask a node of every cluster what has moved.

        What one of them cannot tell another does: each is told of every flip. A cluster out of reach changes
        nothing here.
        """
        incarnation = max((hub().nodes[n].status.get("incarnation", 0) for n in hub().nodes), default=0)
        if incarnation != self._incarnation:
            self._incarnation = incarnation
            self.placement.begin()
        known = [(view.status.get("incarnation"), view.status.get("epoch")) for view in hub().nodes.values()]
        if known == self._placed and not always:
            return
        whole = True
        for cluster in self.placement.clusters:
            try:
                whole &= await self.placement.read(best_node(cluster), ask)
            except Problem:
                whole = False
        self._placed = known if whole else None

    def share(self, span_s: float, until_s: float = 0.0) -> tuple[float | None, int]:
        """Percent of the transactions of a stretch of time that would cross now, and how many there were.

        Args:
            span_s: how long it was.
            until_s: how long ago it ended.
        """
        seen = self.traffic.since(now_ms(), span_s, until_s)
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

    async def window(self, seed: int = 0) -> Sample:
        """The traffic that a plan is made of; large, so not on the event loop."""
        return await asyncio.to_thread(self.traffic.window, now_ms(), HALF_LIFE_S, seed)

    async def recent(self) -> Ints:
        """Shape (accounts,): how often each was used in the last :data:`RECENT_S` seconds."""
        return await asyncio.to_thread(self.traffic.recent, now_ms(), RECENT_S)

    async def stats(self, seen: Sample | None = None) -> dict[str, Any]:
        """The document of ``access-stats/``; of the window ``seen``, if somebody has it already."""
        seen = await self.window() if seen is None else seen
        recent = await self.recent()
        placement = self.placement
        k = len(placement.clusters)
        load = seen.load(placement.blocks, k)
        total = max(1, int(load.sum()))
        hottest = np.argsort(-recent, kind="stable")[:HOT]
        sizes = np.bincount(placement.blocks, minlength=k)
        return {
            "half_life_s": HALF_LIFE_S,
            "transactions": seen.count,
            "active": len(np.unique(seen.accounts)),
            "reads": int(seen.reads.sum()),
            "missed": self.traffic.missed,
            "silent": self.silent,
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

    async def history(self) -> dict[str, Any]:
        """Accesses by account and time: rows from the newest, columns of neighbouring accounts."""
        bins = min(HISTORY_BINS, self.placement.accounts)
        rows = await asyncio.to_thread(
            self.traffic.history, now_ms(), HISTORY_BUCKET_S, HISTORY_BUCKETS, bins
        )
        return {"bucket_s": HISTORY_BUCKET_S, "bins": bins, "rows": rows.tolist()}


async def ask(node: NodeId, name: str, **arguments: Any) -> Any:
    """The body of a node's answer, or None when it gives none in time."""
    return await hub().ask(node, name, deadline_s=ASK_DEADLINE_S, **arguments)


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
