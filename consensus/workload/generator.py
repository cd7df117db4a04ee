"""What a load consists of: accounts, amounts, the share of reads. Uniform, within one cluster."""

from __future__ import annotations

import random

from consensus.topology import Cluster
from consensus.types import AccountId


class LoadError(ValueError):
    """The load asked for makes no sense; the text names what is wrong."""


class Generator:
    """Draws transfers and reads among the accounts of one cluster, from a seed.

    Args:
        cluster: needs two accounts or more.
        seed: the same seed draws the same sequence.
        read_pct: percent of operations that read one account.
        amount_max: transfers move 1 to this many units.

    Raises:
        LoadError: the cluster has fewer than two accounts.
    """

    def __init__(self, cluster: Cluster, seed: int, *, read_pct: float = 0.0, amount_max: int = 10) -> None:
        self._first = cluster.first_account
        self._count = cluster.last_account - cluster.first_account + 1
        if self._count < 2:
            raise LoadError(f"cluster {cluster.id} has {max(self._count, 0)} accounts; a transfer needs two")
        self._draw = random.Random(f"{seed}/{cluster.id}").random
        self._read_share = read_pct / 100
        self._amount_max = amount_max

    def is_read(self) -> bool:
        """Whether the next operation is a read."""
        return self._read_share > 0 and self._draw() < self._read_share

    def account(self) -> AccountId:
        """An account to read."""
        return self._first + int(self._draw() * self._count)

    def legs(self) -> tuple[int, int, int, int]:
        """A transfer between two different accounts: sender, -amount, receiver, amount."""
        draw, count = self._draw, self._count
        sender = int(draw() * count)
        receiver = (sender + 1 + int(draw() * (count - 1))) % count
        amount = 1 + int(draw() * self._amount_max)
        return (self._first + sender, -amount, self._first + receiver, amount)
