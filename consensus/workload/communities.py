"""Traffic with structure: who pays whom, drawn from a seed, with accounts numbered from 0.

* ``uniform``: any account pays any other.
* ``zipf``: sender and receiver drawn by rank, frequency 1 / rank^s, ranks scattered over the accounts.
* ``planted``: communities of equal size, scattered over the accounts; a share of the transfers stays inside.
* ``planted-zipf``: the same with Zipf activity inside the communities.
* ``lfr``: community sizes by a power law, Zipf activity, a share outside (after Lancichinetti, Fortunato and
  Radicchi 2008).
* ``multi``: planted, one payer and 1 to 7 payees.

:meth:`Traffic.drift` lets some accounts change community, as months do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from consensus.workload.generator import LoadError

KINDS: Final = ("uniform", "zipf", "planted", "planted-zipf", "lfr", "multi")
COMMUNITY: Final = 30
INSIDE: Final = 0.9
LFR_INSIDE: Final = 0.85
LFR_SIZES: Final = (10, 300)
LFR_EXPONENT: Final = 1.5
ZIPF: Final = 0.99
ACTIVITY: Final = 0.6
"""Zipf exponent of the activity inside communities; above it a few accounts would be all the load."""
PAYEES_MAX: Final = 7


@dataclass(frozen=True, slots=True)
class Transfers:
    """``start``: (t + 1,); transaction i is ``accounts[start[i]:start[i + 1]]``.

    The payer comes first; a payee may stand twice.
    """

    start: NDArray[np.int64]
    accounts: NDArray[np.int32]


class Traffic:
    """A population of accounts and its habits.

    Args:
        kind: one of ``KINDS``.
        accounts: how many; 2 or more.
        seed: the same seed draws the same transfers.
        inside: share of the transfers inside a community; None: the kind's own.

    Raises:
        LoadError: the kind is unknown, or there are too few accounts.
    """

    def __init__(self, kind: str, accounts: int, seed: int, *, inside: float | None = None) -> None:
        if kind not in KINDS:
            raise LoadError(f"traffic {kind!r:.40} is none of {', '.join(KINDS)}")
        if accounts < 2:
            raise LoadError(f"{accounts} accounts; a transfer needs two")
        self.kind = kind
        self.accounts = accounts
        self._rng = np.random.default_rng([seed, KINDS.index(kind)])
        self._inside = inside if inside is not None else LFR_INSIDE if kind == "lfr" else INSIDE
        self.community: NDArray[np.int32] = self._settle()
        exponent = ZIPF if kind == "zipf" else ACTIVITY if kind in ("lfr", "planted-zipf") else 0.0
        rank = self._rng.permutation(accounts) + 1
        self._activity = rank.astype(np.float64) ** -exponent
        self._index()

    def reseed(self, seed: int) -> None:
        """Draw what follows from ``seed``; who belongs together stays as it is."""
        self._rng = np.random.default_rng([seed, KINDS.index(self.kind), 1])

    def transfers(self, count: int) -> Transfers:
        """The next ``count`` transactions."""
        rng = self._rng
        payers = self._anybody(count)
        width = np.ones(count, dtype=np.int64)
        if self.kind == "multi":
            width = rng.integers(1, PAYEES_MAX + 1, count)
        owner = np.repeat(payers, width)
        stays = np.repeat(rng.random(count) < self._inside, width)
        payees = self._anybody(len(owner))
        if self.kind not in ("uniform", "zipf"):
            payees[stays] = self._neighbours(owner[stays])
        same = payees == owner
        payees[same] = (payees[same] + 1) % self.accounts
        start = np.concatenate(([0], np.cumsum(width + 1)))
        result = np.empty(start[-1], dtype=np.int32)
        first = np.zeros(start[-1], dtype=np.bool_)
        first[start[:-1]] = True
        result[first] = payers
        result[~first] = payees
        return Transfers(start, result)

    def drift(self, share: float) -> None:
        """Let ``share`` of the accounts join a community drawn anew, by the size communities have."""
        moving = self._rng.choice(self.accounts, int(share * self.accounts), replace=False)
        self.community[moving] = self.community[self._rng.integers(0, self.accounts, len(moving))]
        self._index()

    def _settle(self) -> NDArray[np.int32]:
        scattered = self._rng.permutation(self.accounts)
        community = np.empty(self.accounts, dtype=np.int32)
        if self.kind != "lfr":
            community[scattered] = np.arange(self.accounts) // COMMUNITY
            return community
        low, high = LFR_SIZES
        power = 1 - LFR_EXPONENT
        drawn = self._rng.random(self.accounts // low + 1)
        sizes = (low**power + drawn * (high**power - low**power)) ** (1 / power)
        bounds = np.cumsum(sizes.astype(np.int64))
        community[scattered] = np.searchsorted(bounds, np.arange(self.accounts), side="right")
        return community

    def _index(self) -> None:
        """Members of each community side by side, with the running sum of their activity."""
        self._members = np.argsort(self.community, kind="stable").astype(np.int32)
        self._sums = np.concatenate(([0.0], np.cumsum(self._activity[self._members])))
        number = self.community[self._members]
        blocks = np.arange(int(self.community.max()) + 1)
        self._first = np.searchsorted(number, blocks, side="left")
        self._last = np.searchsorted(number, blocks, side="right")

    def _anybody(self, count: int) -> NDArray[np.int32]:
        at = np.searchsorted(self._sums, self._rng.random(count) * self._sums[-1], side="right") - 1
        chosen: NDArray[np.int32] = self._members[np.clip(at, 0, self.accounts - 1)]
        return chosen

    def _neighbours(self, payers: NDArray[np.int32]) -> NDArray[np.int32]:
        """Another member of the payer's community, by activity; a few draws more where it is the payer."""
        chosen = payers.copy()
        again = np.arange(len(payers))
        for _try in range(8):
            group = self.community[payers[again]]
            low, high = self._sums[self._first[group]], self._sums[self._last[group]]
            point = low + self._rng.random(len(again)) * (high - low)
            at = np.searchsorted(self._sums, point, side="right") - 1
            at = np.clip(at, self._first[group], self._last[group] - 1)
            chosen[again] = self._members[at]
            again = again[chosen[again] == payers[again]]
            if not len(again):
                break
        return chosen
