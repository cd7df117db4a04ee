"""Transfers of people who know each other: communities that are scattered over the clusters.

Who belongs together depends on the seed alone, so a second run with it meets the same communities; where
their accounts lie now, after a redistribution, decides how many of the transfers cross clusters.
"""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Final

from consensus.types import AccountId, ClusterId
from consensus.workload.communities import Traffic
from consensus.workload.generator import Mix

DRAWN_AT_ONCE: Final = 4_096
WAITING_MAX: Final = 2 * DRAWN_AT_ONCE
"""Transfers of payers in one cluster that wait; above that the streams of others help to make them."""
Home = Callable[[AccountId], ClusterId | None]


class Crowd:
    """The people of a bank and the transfers that they are about to make, shared by the streams of a process.

    Drawing is most of what such a load costs its generator, so what is drawn for a payer elsewhere waits.

    Args:
        accounts: of the bank, numbered from 1.
        people: decides who belongs together.
        seed: of the draws.
    """

    def __init__(self, accounts: int, people: int, seed: int) -> None:
        self._traffic = Traffic("planted", accounts, people)
        self._traffic.reseed(seed)
        self._waiting: defaultdict[ClusterId | None, deque[list[int]]] = defaultdict(deque)

    def pair(self, cluster: ClusterId, home: Home) -> list[int]:
        """Payer and payee, counted from 0: a payer whose account lies in ``cluster``, as ``home`` has it."""
        waiting = self._waiting[cluster]
        while not waiting:
            longest = max(self._waiting.values(), key=len)
            if len(longest) > WAITING_MAX:
                return longest.popleft()
            for pair in self._traffic.transfers(DRAWN_AT_ONCE).accounts.reshape(-1, 2).tolist():
                if pair[0] != pair[1]:
                    self._waiting[home(pair[0] + 1)].append(pair)
        return waiting.popleft()


class CommunityGenerator:
    """What :class:`~consensus.workload.generator.Generator` is, for planted communities over all accounts.

    People pay through a connection to the cluster of their account, wherever that has moved.

    Args:
        crowd: whose transfers these are.
        mix: its share of reads and its greatest amount count; accounts are drawn by community.
        seed: of what is drawn here.
        cluster: of the stream.
        home: where an account lies.
    """

    def __init__(
        self, crowd: Crowd, mix: Mix, seed: int, cluster: ClusterId = 0, home: Home = lambda _: 0
    ) -> None:
        self._crowd = crowd
        self._cluster = cluster
        self._home = home
        self._draw = random.Random(seed).random
        self._read_share = mix.read_pct / 100
        self._amount_max = mix.amount_max

    def is_read(self) -> bool:
        """Whether the next operation is a read."""
        return self._read_share > 0 and self._draw() < self._read_share

    def account(self) -> AccountId:
        """An account to read."""
        return self._crowd.pair(self._cluster, self._home)[0] + 1

    def legs(self) -> tuple[int, int, int, int]:
        """A transfer: sender, -amount, receiver, amount."""
        payer, payee = self._crowd.pair(self._cluster, self._home)
        amount = 1 + int(self._draw() * self._amount_max)
        return (payer + 1, -amount, payee + 1, amount)
