"""Which cluster owns an account, as far as somebody knows: the first ranges, and what moved since."""

from __future__ import annotations

from collections.abc import Iterable

from consensus.topology import Topology
from consensus.types import AccountId, ClusterId


class ShardMap:
    """Owners by account. Of two claims about one account the one with the higher epoch is right."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._moved: dict[AccountId, tuple[ClusterId, int]] = {}

    def owner(self, account: AccountId) -> ClusterId | None:
        """The cluster believed to own ``account``; None when there is no such account."""
        moved = self._moved.get(account)
        if moved is not None:
            return moved[0]
        home = self._topology.home(account)
        return None if home is None else home.id

    def epoch(self, account: AccountId) -> int:
        """How often ``account`` has changed its owner, as far as is known here."""
        moved = self._moved.get(account)
        return 0 if moved is None else moved[1]

    def learn(self, account: AccountId, cluster: ClusterId, epoch: int) -> bool:
        """Take a claim into account; True if it was news."""
        if epoch <= self.epoch(account) or cluster not in self._topology.cluster_by_id:
            return False
        self._moved[account] = (cluster, epoch)
        return True

    def learn_rows(self, rows: tuple[int, ...]) -> bool:
        """The same with flat triples account, cluster, epoch; whether any was news."""
        news = False
        for account, cluster, epoch in zip(rows[::3], rows[1::3], rows[2::3], strict=False):
            news = self.learn(account, cluster, epoch) or news
        return news

    def any_moved(self, accounts: Iterable[AccountId]) -> bool:
        """Whether any of ``accounts`` has moved."""
        return not self._moved.keys().isdisjoint(accounts)

    def hints(self, accounts: Iterable[AccountId]) -> tuple[int, ...]:
        """Flat triples account, cluster, epoch of those of ``accounts`` that have moved."""
        flat: list[int] = []
        for account in accounts:
            moved = self._moved.get(account)
            if moved is not None:
                flat += (account, *moved)
        return tuple(flat)

    def rows(self, after: AccountId, limit: int) -> list[tuple[AccountId, ClusterId, int]]:
        """(account, cluster, epoch) of up to ``limit`` moved accounts above ``after``, ascending."""
        accounts = sorted([account for account in self._moved if account > after])[:limit]
        return [(account, *self._moved[account]) for account in accounts]

    def clear(self) -> None:
        """Back to the first ranges: a new incarnation."""
        self._moved.clear()

    def __len__(self) -> int:
        """How many accounts are known to have moved."""
        return len(self._moved)
