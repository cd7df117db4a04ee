"""How far the window of traffic is from one that a plan can be made of, and when it will be there."""

from __future__ import annotations

import asyncio
import math
from typing import Any, Final, NamedTuple

import numpy as np

from bankweb.benchmarks.models import Benchmark
from bankweb.benchmarks.service import SHOWN, benchmarks
from bankweb.redistribution.traffic import HALF_LIFE_S, gatherer
from consensus.sharding.request import TRANSFERS_PER_ACCOUNT_MIN
from consensus.sharding.traffic import Sample

WAIT_MAX_S: Final = 80.0
RATE_S: Final = 3.0
"""The traffic of so many seconds says how fast the window grows."""
LOOK_S: Final = 0.5
UNSEEN_MAX: Final = 0.1
"""Accounts that trade but have not been seen, per one that has; above, the window has only begun."""
_LIFE_S: Final = HALF_LIFE_S / math.log(2)


class Outlook(NamedTuple):
    """What the window is, and what becomes of it."""

    transactions: int
    """In the window now."""
    needed: int
    """As many as it should have once everybody who trades has been seen."""
    eta_s: float | None
    """Until then, as the traffic comes now; None: it will not get there."""
    enough: bool
    """A plan would not be refused as too thin, and nearly all who trade have been seen."""


def outlook(sample: Sample, rate: float) -> Outlook:
    """Of a window that gets ``rate`` transactions a second.

    Accounts that have not been seen yet are estimated from those seen once and twice (Chao, Scandinavian
    Journal of Statistics 11, 1984). The window forgets as it grows: of a steady traffic it never has more
    than that of ``half_life / ln 2`` seconds.
    """
    seen, transactions = np.bincount(sample.accounts, minlength=1), sample.count
    active = int(np.count_nonzero(seen))
    once, twice = int(np.count_nonzero(seen == 1)), int(np.count_nonzero(seen == 2))
    unseen = once * (once - 1) / (2 * (twice + 1))
    needed = math.ceil(TRANSFERS_PER_ACCOUNT_MIN * min(active + unseen, sample.vertices))
    if active and transactions >= TRANSFERS_PER_ACCOUNT_MIN * active and unseen <= UNSEEN_MAX * active:
        return Outlook(transactions, min(needed, transactions), 0.0, True)
    most = rate * _LIFE_S
    if most <= needed or not active:
        return Outlook(transactions, needed, None, False)
    left_s = _LIFE_S * math.log((most - transactions) / (most - needed))
    return Outlook(transactions, needed, round(max(left_s, LOOK_S), 1), False)


async def outlook_now() -> tuple[Outlook, Sample]:
    """Of the bank on show, and the window that it is about."""
    here = gatherer()
    await here.gather()
    sample = await here.window()
    return outlook(sample, here.share(RATE_S)[1] / RATE_S), sample


class Observing:
    """Waits for a window that can tell, unless none is to be expected."""

    def __init__(self, wait_s: float) -> None:
        self.outlook: Outlook | None = None
        self._wait_s = wait_s
        self._stopped = asyncio.Event()

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()

    def stop(self) -> None:
        """Somebody does not want to wait any longer."""
        self._stopped.set()

    async def wait(self) -> None:
        """Return when there is enough, when it is not to be expected, after ``wait_s``, or when stopped.

        Before the first transaction of a load the window tells of others, and of a rate that will not last.
        """
        now = asyncio.get_running_loop().time
        until = now() + self._wait_s
        while not self.stopped:
            found, _ = await outlook_now()
            if starts():
                found = found._replace(eta_s=None, enough=False)
            self.outlook = found
            expected = found.eta_s is not None or load() is not None
            if found.enough or not expected or now() >= until:
                return
            try:
                await asyncio.wait_for(self._stopped.wait(), LOOK_S)
            except TimeoutError:
                continue

    def document(self) -> dict[str, Any] | None:
        """As REST shows it; None before the first look."""
        if self.outlook is None:
            return None
        return {
            "transactions": self.outlook.transactions,
            "needed": self.outlook.needed,
            "eta_s": self.outlook.eta_s,
        }


def load() -> Benchmark | None:
    """The benchmark on the bank on show that runs or waits, if any."""
    running = benchmarks().running
    candidates = [*([running] if running is not None else []), *benchmarks().waiting]
    return next((row for row in candidates if row.bank == SHOWN), None)


def starts() -> bool:
    """Whether there is a load of which nothing has ended yet."""
    row = load()
    return row is not None and not (row.progress or {}).get("ended")
