"""The automatic trigger: redistributes when the traffic says so twice in a row, then leaves the bank alone.

High and low water keep it from acting on every wave; an account that was moved stays where it is for a while.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
from functools import cache
from typing import Any, Final

from bankweb.orchestration.experiments import BENCHMARK, experiments
from bankweb.redistribution import records
from bankweb.redistribution.records import PLANNED
from bankweb.redistribution.service import redistributions
from bankweb.redistribution.traffic import gatherer
from bankweb.rest.problems import Problem

_log = logging.getLogger(__name__)

WINDOWS: Final = 2
IDLE_S: Final = 5.0
"""How soon a switch that is turned on takes effect."""
TRANSACTIONS_MIN: Final = 1_000
"""A window with fewer says nothing."""


class AutomaticTrigger:
    """Of this process. ``said`` is what it last thought, for people."""

    def __init__(self) -> None:
        self.armed = True
        self.high_windows = 0
        self.said = "off"
        self._not_before = 0.0
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Look, if it was on when the last site stopped; what that one did still cools down."""
        settings = await records.trigger()
        if not settings.on:
            return
        last = await records.newest_automatic()
        if last is not None:
            age_s = (records.now() - last.created).total_seconds()
            self._not_before = time.monotonic() + settings.cooldown_s - age_s
            self.armed = last.started is None
        self.start()

    def start(self) -> None:
        """Begin to look, on the running loop; once."""
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                settings = await records.trigger()
                if not settings.on:
                    self.armed, self.high_windows, self.said = True, 0, "off"
                    await asyncio.sleep(IDLE_S)
                    continue
                await asyncio.sleep(settings.window_s)
                await gatherer().gather(fresh_s=0.0)
                await self.look(settings, gatherer().figures(settings.window_s))
            except Problem as problem:
                self.said = problem.detail
            except Exception:
                _log.exception("the automatic trigger")
                self.said = "failed; the site's log says how"
                await asyncio.sleep(IDLE_S)

    async def look(self, settings: Any, figures: dict[str, Any] | None) -> None:
        """Judge one window, and act when it is the second that is too high.

        Raises:
            Problem: a redistribution could not be begun.
        """
        if figures is None or figures["window"] < TRANSACTIONS_MIN:
            self.high_windows = 0
            self.said = "too little traffic to tell"
            return
        share, load = figures["cross_shard_pct"], figures["load_imbalance_pct"]
        if share < settings.low_pct and load <= settings.load_high_pct:
            self.armed = True
        too_high = share > settings.high_pct or load > settings.load_high_pct
        self.high_windows = self.high_windows + 1 if too_high else 0
        self.said = f"{share:.1f} % across, load {load:.1f} % uneven" + ("" if self.armed else ", not armed")
        if not self.armed or self.high_windows < WINDOWS or time.monotonic() < self._not_before:
            return
        service = redistributions()
        if service.carrying is not None or service.planning is not None:
            return
        taken = next((one for one in experiments().holders if one.what != BENCHMARK), None)
        if taken is not None:
            self.said = f"waits: {taken.title} has the bank"
            return
        self.high_windows = 0
        self._not_before = time.monotonic() + settings.cooldown_s
        since = records.now() - datetime.timedelta(seconds=settings.cooldown_s)
        row = await service.plan({}, "automatic", "automatic", await records.recently_moved(since))
        if row.status == PLANNED:
            self.armed = False
            await service.apply(row, "automatic")
            self.said = f"began redistribution {row.key[:8]}"
        else:
            self.said = f"plan refused: {row.reason}"


@cache
def trigger() -> AutomaticTrigger:
    """Of this process."""
    return AutomaticTrigger()
