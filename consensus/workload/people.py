"""Transfers of people who know each other: communities that are scattered over the clusters.

Who belongs together depends on the seed alone, so a second run with it meets the same communities; where
their accounts lie now, after a redistribution, decides how many of the transfers cross clusters.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from consensus.types import AccountId
from consensus.workload.communities import Traffic
from consensus.workload.generator import Mix

DRAWN_AT_ONCE: Final = 4_096
PASSED_OVER_MAX: Final = 1_000
"""Transfers of payers who live elsewhere that are passed over in a row; then nobody seems to live here."""


class CommunityGenerator:
    """What :class:`~consensus.workload.generator.Generator` is, for planted communities over all accounts.

    Args:
        accounts: of the bank, numbered from 1.
        mix: its share of reads and its greatest amount count; accounts are drawn by community.
        people: decides who belongs together.
        seed: of the draws; the same seed draws the same sequence.
        lives_here: whether an account lies in the cluster of the stream that draws: people pay through a
            connection to the cluster of their account, wherever that has moved.
    """

    def __init__(
        self,
        accounts: int,
        mix: Mix,
        people: int,
        seed: int,
        lives_here: Callable[[AccountId], bool] = lambda _: True,
    ) -> None:
        self.lives_here = lives_here
        self._traffic = Traffic("planted", accounts, people)
        self._traffic.reseed(seed)
        self._draw = random.Random(seed).random
        self._read_share = mix.read_pct / 100
        self._amount_max = mix.amount_max
        self._drawn: list[list[int]] = []

    def is_read(self) -> bool:
        """Whether the next operation is a read."""
        return self._read_share > 0 and self._draw() < self._read_share

    def account(self) -> AccountId:
        """An account to read."""
        return self._pair()[0] + 1

    def legs(self) -> tuple[int, int, int, int]:
        """A transfer: sender, -amount, receiver, amount."""
        payer, payee = self._pair()
        amount = 1 + int(self._draw() * self._amount_max)
        return (payer + 1, -amount, payee + 1, amount)

    def _pair(self) -> list[int]:
        passed_over = 0
        while True:
            if not self._drawn:
                self._drawn = self._traffic.transfers(DRAWN_AT_ONCE).accounts.reshape(-1, 2).tolist()
            pair = self._drawn.pop()
            if pair[0] == pair[1]:
                continue
            if passed_over >= PASSED_OVER_MAX or self.lives_here(pair[0] + 1):
                return pair
            passed_over += 1
