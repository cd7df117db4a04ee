"""Ambient traffic: a few transfers a second of the site's own, so that the bank on show is never still.

They go among the last accounts of each cluster's range, from the richer to the poorer of two, so money goes
back and forth and no account drains. Their ids tell them from others (``types.AMBIENT_PREFIX``). They are
silent while an experiment has the bank, make way for whoever else sends much, and leave alone a cluster that
does not answer.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from functools import cache
from typing import Any, Final, NamedTuple

from django.conf import settings

from bankweb.identity import audit
from bankweb.ledger import switches
from bankweb.ledger.gateway import gateway
from bankweb.orchestration.bank import topology
from bankweb.orchestration.experiments import experiments
from bankweb.orchestration.hub import hub
from bankweb.rest.problems import Problem
from consensus.client.results import COMMITTED, REFUSED, UNKNOWN, TxResult
from consensus.topology import Cluster
from consensus.types import AccountId, ClusterId, NodeId

_log = logging.getLogger(__name__)

RATE_TPS: Final = 10.0
ACCOUNTS: Final = 20
"""In each cluster that take part; fewer where the cluster is small."""
SPARED: Final = 30
"""The very last accounts of a cluster stay out of it, as those that people try first."""
CROSS_SHARE: Final = 0.25
AMOUNT_MAX: Final = 3
IN_FLIGHT_MAX: Final = 20
REST_S: Final = 5.0
"""How long a cluster that did not answer is left alone."""
OTHERS_TPS: Final = 100.0
SPAN_S: Final = 3.0
"""Others are counted over so long."""
SWITCH: Final = "ambient"

OFF, ON, SILENT, YIELDING, WAITING = "off", "on", "silent", "yielding", "waiting"
MODES: Final = (OFF, ON, SILENT, YIELDING, WAITING)


class Range(NamedTuple):
    """Accounts of one cluster that take part."""

    cluster: ClusterId
    first: AccountId
    last: AccountId


def ranges() -> list[Range]:
    """Who takes part."""
    return [_range(cluster) for cluster in topology().clusters]


def _range(cluster: Cluster) -> Range:
    size = cluster.last_account - cluster.first_account + 1
    last = cluster.last_account - min(SPARED, size // 3)
    first = max(cluster.first_account, last - min(ACCOUNTS, max(2, size // 3)) + 1)
    return Range(cluster.id, first, last)


class Rate:
    """Counts over the last seconds."""

    def __init__(self) -> None:
        self._counts: deque[tuple[float, int]] = deque(maxlen=4_096)

    def add(self, count: int) -> None:
        if count:
            self._counts.append((time.monotonic(), count))

    def total(self) -> int:
        since = time.monotonic() - SPAN_S
        while self._counts and self._counts[0][0] < since:
            self._counts.popleft()
        return sum(count for _, count in self._counts)


class Ambient:
    """Of this process. A :class:`bankweb.orchestration.hub.Listener`: it hears how much all others send."""

    def __init__(self, seed: int = 0) -> None:
        self.switched_on = False
        self.mode, self.why = OFF, ""
        self.sent = self.committed = 0
        self._dice = random.Random(seed)
        self._known: dict[AccountId, int] = {}
        """Balances, as the last answer told them."""
        self._resting: dict[ClusterId, float] = {}
        self._all, self._own = Rate(), Rate()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    # --- the switch --------------------------------------------------------------------

    async def begin(self) -> None:
        """Start, if it is to be on: as it was left, or as this process was told."""
        told = settings.BANK_AMBIENT
        stored = None if told in ("on", "off") else await switches.read(SWITCH)
        self._turn(told in ("on", "fresh") if stored is None else stored)

    async def switch(self, *, on: bool, actor: str) -> None:
        """Turn it on or off, also for sites to come.

        Raises:
            StoreError: that could not be stored; nothing was changed.
        """
        await switches.write(SWITCH, on=on)
        await audit.record(actor, "ambient", {"on": on}, "ok")
        self._turn(on)

    def _turn(self, on: bool) -> None:
        self.switched_on = on
        if not on:
            self._stop()
            self._show(OFF)
        elif self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def close(self) -> None:
        """End; what is under way is waited for no longer."""
        self._stop()
        under_way = [*self._in_flight, *([self._task] if self._task is not None else [])]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    def row(self) -> dict[str, Any]:
        """For REST and pages."""
        return {
            "on": self.switched_on,
            "mode": self.mode,
            "why": self.why,
            "rate_tps": RATE_TPS,
            "accounts": [[one.first, one.last] for one in ranges()],
            "sent": self.sent,
            "committed": self.committed,
        }

    # --- sending -----------------------------------------------------------------------

    async def _run(self) -> None:
        due = time.monotonic()
        while True:
            # What is late is not made up for.
            due = max(due + self._dice.uniform(0.5, 1.5) / RATE_TPS, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            self._show(*self._judged())
            if self.mode == ON and len(self._in_flight) < IN_FLIGHT_MAX:
                task = asyncio.ensure_future(self._transfer(*self._pair()))
                self._in_flight.add(task)
                task.add_done_callback(self._in_flight.discard)

    def _judged(self) -> tuple[str, str]:
        """Whether to send now, and why not."""
        holders = experiments().holders
        if holders:
            return SILENT, ", ".join(holder.title for holder in holders)
        if self.others_tps() > OTHERS_TPS:
            return YIELDING, "others send many transfers"
        if not self._awake():
            return WAITING, "no cluster answers"
        return ON, ""

    def others_tps(self) -> float:
        """Transactions and reads a second that others send."""
        return (self._all.total() - self._own.total()) / SPAN_S

    def _awake(self) -> list[Range]:
        now = time.monotonic()
        return [one for one in ranges() if self._resting.get(one.cluster, 0.0) <= now]

    def _pair(self) -> tuple[AccountId, AccountId]:
        """Who pays whom: of two accounts, the one that has more."""
        awake, dice = self._awake(), self._dice
        if len(awake) > 1 and dice.random() < CROSS_SHARE:
            one, other = (dice.randint(r.first, r.last) for r in dice.sample(awake, 2))
        else:
            home = dice.choice(awake)
            one, other = dice.sample(range(home.first, home.last + 1), 2)
        known = self._known
        return (other, one) if known.get(other, 0) > known.get(one, 0) else (one, other)

    async def _transfer(self, sender: AccountId, receiver: AccountId) -> None:
        known = self._known
        amount = self._dice.randint(1, AMOUNT_MAX)
        amount = max(1, min(amount, known.get(sender, amount)))
        legs = (sender, -amount, receiver, amount)
        self.sent += 1
        try:
            result = await gateway().submit_ambient(legs)
            self._own.add(1)
            if result.outcome == UNKNOWN:
                # One that stays open holds up its session, so it is asked for once.
                self._rest(result)
                result = await gateway().resolve(result.id, legs)
        except Problem as problem:
            _log.info("ambient: %s", problem)
            self._resting = {one.cluster: time.monotonic() + REST_S for one in ranges()}
            return
        if result.outcome == REFUSED:
            self._rest(result)
        self.committed += result.outcome == COMMITTED
        for account, seen in result.accounts.items():
            known[account] = seen["balance"]

    def _rest(self, result: TxResult) -> None:
        for cluster in result.clusters:
            self._resting[cluster] = time.monotonic() + REST_S

    def _show(self, mode: str, why: str = "") -> None:
        if (mode, why) != (self.mode, self.why):
            self.mode, self.why = mode, why
            told = {"k": "ambient", "n": 0, "mode": mode, "rate": RATE_TPS, "why": why}
            hub().happened({name: value for name, value in told.items() if value != ""})

    # --- Listener ----------------------------------------------------------------------

    def heard(self, node: NodeId, status: dict[str, Any], events: list[dict[str, Any]], dropped: int) -> None:
        for event in events:
            if event.get("k") == "agg" and event.get("tx"):
                self._all.add(
                    sum(int(event["tx"].get(name, 0)) for name in ("committed", "aborted", "reads"))
                )

    def came(self, node: NodeId) -> None: ...

    def went(self, node: NodeId) -> None: ...

    def happened(self, event: dict[str, Any]) -> None: ...


@cache
def ambient() -> Ambient:
    """Of this process; listens from its first use on."""
    made = Ambient()
    hub().listeners.append(made)
    return made
