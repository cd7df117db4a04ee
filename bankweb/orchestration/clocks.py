"""How far each node's wall clock may be from the site's: what the times of its events are worth.

The node's time is asked for; it was read somewhere between question and answer, so the clocks differ by the
distance to the middle, give or take half the round trip (Cristian, Probabilistic clock synchronization,
1989). Of several rounds the shortest tells most.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple

from bankweb.orchestration.hub import hub
from consensus.types import NodeId

_log = logging.getLogger(__name__)

EVERY_S: Final = 5.0
ROUNDS_KEPT: Final = 12
"""A minute's: clocks drift, and an old short round says less and less."""
ASK_DEADLINE_S: Final = 1.0


class Reading(NamedTuple):
    """A node's clock minus the site's, and by how much that may be wrong."""

    offset_us: int
    within_us: int

    @property
    def error_us(self) -> int:
        """At most so far are the two apart."""
        return abs(self.offset_us) + self.within_us

    def document(self) -> dict[str, float]:
        """As REST and pages show it."""
        return {"offset_ms": self.offset_us / 1e3, "within_ms": self.within_us / 1e3}


class Clocks:
    """Readings of all nodes' clocks."""

    def __init__(self, wall_us: Callable[[], int] = lambda: time.time_ns() // 1_000) -> None:
        self._wall_us = wall_us
        self._task: asyncio.Task[None] | None = None
        self._readings: dict[NodeId, deque[Reading]] = {}

    def reading(self, node: NodeId) -> Reading | None:
        """The best of the last minute; None when the node has not been asked."""
        return min(self._readings.get(node, ()), key=lambda reading: reading.within_us, default=None)

    async def read(self, node: NodeId) -> None:
        """Ask a node once; of one that gives no answer the oldest reading goes."""
        asked_us = self._wall_us()
        body: Any = await hub().ask(node, "clock", deadline_s=ASK_DEADLINE_S)
        answered_us = self._wall_us()
        readings = self._readings.setdefault(node, deque(maxlen=ROUNDS_KEPT))
        if not isinstance(body, dict) or type(body.get("wall_us")) is not int or answered_us < asked_us:
            if readings:
                readings.popleft()
            return
        half_us = (answered_us - asked_us + 1) // 2
        readings.append(Reading(body["wall_us"] - (asked_us + half_us), half_us))

    async def begin(self) -> None:
        """Ask every node, again and again, until :meth:`close`."""
        if self._task is None:
            self._task = asyncio.create_task(self._watch(), name="clocks")

    async def _watch(self) -> None:
        while True:
            try:
                for node in hub().nodes:
                    await self.read(node)
            except Exception:
                _log.exception("clocks of nodes")
            await asyncio.sleep(EVERY_S)

    async def close(self) -> None:
        """Ask nobody any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


@cache
def clocks() -> Clocks:
    """Of this process."""
    return Clocks()
