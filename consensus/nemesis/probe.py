"""How long a cluster answers nobody: transfer after transfer between two accounts that nobody else uses."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

from consensus.client.results import COMMITTED
from consensus.nemesis.recorder import Recorder
from consensus.types import AccountId, ClusterId

PAUSE_S = 0.01


class Gap(NamedTuple):
    """A time without an acknowledgement, on the monotonic clock."""

    begin_s: float
    end_s: float

    @property
    def ms(self) -> float:
        return 1_000 * (self.end_s - self.begin_s)


class Probe:
    """Of one cluster. ``gaps`` are the times between acknowledgements, oldest first."""

    def __init__(self, cluster: ClusterId, recorder: Recorder, accounts: tuple[AccountId, AccountId]) -> None:
        self.cluster = cluster
        self.gaps: list[Gap] = []
        self._recorder = recorder
        self._accounts = accounts
        self._last_s = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set; the gap that is open then counts, too."""
        self._last_s = time.monotonic()
        sender, receiver = self._accounts
        while not stop.is_set():
            result = await self._recorder.transfer(sender, receiver, 1)
            sender, receiver = receiver, sender
            if result.outcome == COMMITTED:
                self._acknowledged()
            await asyncio.sleep(PAUSE_S)
        self._acknowledged()

    def _acknowledged(self) -> None:
        now_s = time.monotonic()
        self.gaps.append(Gap(self._last_s, now_s))
        self._last_s = now_s
