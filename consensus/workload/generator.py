"""What a load consists of: accounts, amounts, the shares of reads and of transfers across clusters."""

from __future__ import annotations

import random
from typing import Final

import msgspec

from consensus.topology import Cluster, Topology
from consensus.types import AccountId, ClusterId
from consensus.workload.distribution import SKEWNESS, UNIFORM, Picker, picker

REDRAWS_MAX: Final = 8
"""Draws of a receiver that is not the sender; after that its neighbour receives."""


class LoadError(ValueError):
    """The load asked for makes no sense; the text names what is wrong."""


class Mix(msgspec.Struct, frozen=True):
    """What operations are drawn.

    Attributes:
        read_pct: percent of operations that read one account.
        cross_pct: percent of transfers whose receiver lies in another cluster.
        distribution, skewness: which accounts, within each cluster (see :func:`distribution.picker`).
        amount_max: transfers move 1 to this many units.
    """

    read_pct: float = 0.0
    cross_pct: float = 0.0
    distribution: str = UNIFORM
    skewness: float = SKEWNESS
    amount_max: int = 10


class Accounts:
    """The accounts of every cluster and how popular each is; shared by all streams of a run.

    Args:
        topology: clusters without accounts are left out.
        mix: what is drawn.
        seed: decides which accounts are popular.

    Raises:
        LoadError: a cluster has too few accounts, or there is no second cluster to send to.
    """

    def __init__(self, topology: Topology, mix: Mix, seed: int) -> None:
        self.clusters = [c for c in topology.clusters if _count(c) > 0]
        self._picks: dict[ClusterId, tuple[AccountId, int, Picker]] = {}
        for cluster in self.clusters:
            count = _count(cluster)
            if count < 2 and mix.cross_pct < 100 and mix.read_pct < 100:
                raise LoadError(f"cluster {cluster.id} has {count} accounts; a transfer needs two")
            pick = picker(mix.distribution, count, skewness=mix.skewness, seed=f"{seed}/{cluster.id}")
            self._picks[cluster.id] = (cluster.first_account, count, pick)
        if mix.cross_pct and len(self.clusters) < 2:
            raise LoadError("cross-shard: needs two clusters with accounts or more")

    def of(self, cluster: ClusterId) -> tuple[AccountId, int, Picker]:
        """First account, number of accounts, and the picker of an index among them."""
        return self._picks[cluster]

    def others(self, cluster: ClusterId) -> list[tuple[AccountId, int, Picker]]:
        """The same of every other cluster."""
        return [picks for other, picks in self._picks.items() if other != cluster]


class Generator:
    """Draws transfers and reads that begin in one cluster, from a seed.

    Args:
        accounts: the accounts of the bank.
        cluster: where senders and accounts that are read lie.
        mix: what is drawn.
        seed: the same seed draws the same sequence.
    """

    def __init__(self, accounts: Accounts, cluster: ClusterId, mix: Mix, seed: str) -> None:
        self._first, self._count, self._pick = accounts.of(cluster)
        self._others = accounts.others(cluster)
        self._draw = random.Random(f"{seed}/{cluster}").random
        self._read_share = mix.read_pct / 100
        self._cross_share = mix.cross_pct / 100
        self._amount_max = mix.amount_max

    def is_read(self) -> bool:
        """Whether the next operation is a read."""
        return self._read_share > 0 and self._draw() < self._read_share

    def account(self) -> AccountId:
        """An account to read."""
        return self._first + self._pick(self._draw)

    def legs(self) -> tuple[int, int, int, int]:
        """A transfer between two different accounts: sender, -amount, receiver, amount."""
        draw = self._draw
        sender = self._pick(draw)
        amount = 1 + int(draw() * self._amount_max)
        if self._cross_share and draw() < self._cross_share:
            others = self._others
            first, _, pick = others[int(draw() * len(others))]
            return (self._first + sender, -amount, first + pick(draw), amount)
        receiver = self._pick(draw)
        redraws = 0
        while receiver == sender:
            redraws += 1
            if redraws > REDRAWS_MAX:
                receiver = (sender + 1) % self._count
                break
            receiver = self._pick(draw)
        return (self._first + sender, -amount, self._first + receiver, amount)


def _count(cluster: Cluster) -> int:
    return cluster.last_account - cluster.first_account + 1
