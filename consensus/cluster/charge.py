"""One process in the supervisor's charge: what it should be doing, and what happens when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any, Final

from consensus.cluster.process import Child

BACKOFF_FIRST_S: Final = 0.25
BACKOFF_MOST_S: Final = 10.0
STEADY_S: Final = 30.0
"""A process that ran this long is well again: the next unasked end starts from the first back-off."""
CONFIG_ERROR: Final = 2
"""Exit status of a process that will not run until someone changes its configuration."""


class Charge:
    """Keeps a :class:`Child` in its desired state, up or down.

    Ended unasked, it is started again after a back-off that doubles from a quarter of a second to ten
    seconds. Killed on purpose it stays down, and so it does after a configuration error, until
    :meth:`restart`.

    Args:
        child: the process; need not exist in the system yet.
        spawn: starts it.
        told: called with a line of text on each unasked end.
    """

    def __init__(self, child: Child, spawn: Callable[[], None], told: Callable[[str], None]) -> None:
        self.child = child
        self.wanted = True
        self.restarts = 0
        """Starts after an unasked end."""
        self.reason = ""
        """Why it is down against what is wanted."""
        self._spawn = spawn
        self._told = told
        self._delay_s = BACKOFF_FIRST_S
        self._changed = asyncio.Event()
        self._asked = False
        """The coming end (or the last one) is a restart that was asked for."""

    async def watch(self) -> None:
        """Run until cancelled."""
        while True:
            if self.wanted and not self.child.running and not self._start():
                await self._nap(self._next_delay())
                continue
            if self.child.running:
                await self.child.wait()
            self._changed.clear()
            if not self.wanted:
                await self._changed.wait()
            elif not self._asked:
                await self._after_unasked_end()

    def _start(self) -> bool:
        self._changed.clear()
        self._asked = False
        self.reason = ""
        try:
            self._spawn()
        except OSError as error:
            self.reason = f"cannot be started: {error}"
            self._told(f"{self.child.name} {self.reason}")
            return False
        return True

    async def _after_unasked_end(self) -> None:
        end = self.child.describe_end()
        last = self.child.tail(1)
        if self.child.exit_status == CONFIG_ERROR:
            self.reason = f"{end}: {last}"
            self._told(f"{self.child.name} {self.reason}; it stays down until restart")
            await self._changed.wait()
            return
        if time.monotonic() - self.child.started_at > STEADY_S:
            self._delay_s = BACKOFF_FIRST_S
        delay_s = self._next_delay()
        self.reason = f"{end}; starting it again in {delay_s:g} s"
        self._told(f"{self.child.name} {self.reason}" + (f"; its last line: {last}" if last else ""))
        await self._nap(delay_s)
        if self.wanted and not self._asked:
            self.restarts += 1

    def _next_delay(self) -> float:
        delay_s = self._delay_s
        self._delay_s = min(2 * delay_s, BACKOFF_MOST_S)
        return delay_s

    async def _nap(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)

    def kill(self) -> None:
        """End it with SIGKILL; it stays down."""
        self.wanted = False
        self.child.kill()
        self._changed.set()

    def restart(self) -> None:
        """Start it, after ending one that still runs."""
        self.wanted = True
        self._asked = True
        self._delay_s = BACKOFF_FIRST_S
        self.child.kill()
        self._changed.set()

    def status(self) -> dict[str, Any]:
        """A JSON-like document: state, pid, wanted, restarts, exit, uptime_s, reason."""
        child = self.child
        return {
            "state": ("paused" if child.paused else "running") if child.running else "down",
            "pid": child.pid,
            "wanted": "up" if self.wanted else "down",
            "restarts": self.restarts,
            "exit": child.exit_status,
            "uptime_s": round(time.monotonic() - child.started_at, 3) if child.running else 0.0,
            "reason": self.reason,
        }
