"""Which cluster owns an account, as far as somebody knows: the first ranges, and what moved since."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from consensus.topology import Topology
from consensus.types import AccountId, ClusterId

FURTHER: Final = 200


class ShardMap:
    """Owners by account. Of two claims about one account the one with the higher epoch is right.

    Attributes:
        moved: owners of the accounts that are known to have moved; not to be written from outside.
    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self.moved: dict[AccountId, ClusterId] = {}
        self._epochs: dict[AccountId, int] = {}
        self._order: list[AccountId] = []
        """Of ``moved``, as they were learnt, so that :meth:`hints` can go through them in turn."""
        self._next = 0

    def owner(self, account: AccountId) -> ClusterId | None:
        """The cluster believed to own ``account``; None when there is no such account."""
        moved = self.moved.get(account)
        if moved is not None:
            return moved
        home = self._topology.home(account)
        return None if home is None else home.id

    def epoch(self, account: AccountId) -> int:
        """How often ``account`` has changed its owner, as far as is known here."""
        return self._epochs.get(account, 0)

    def learn(self, account: AccountId, cluster: ClusterId, epoch: int) -> bool:
        """Take a claim into account; True if it was news."""
        if epoch <= self.epoch(account) or cluster not in self._topology.cluster_by_id:
            return False
        if account not in self.moved:
            self._order.append(account)
        self.moved[account] = cluster
        self._epochs[account] = epoch
        return True

    def learn_rows(self, rows: tuple[int, ...]) -> bool:
        """The same with flat triples account, cluster, epoch; whether any was news."""
        news = False
        for account, cluster, epoch in zip(rows[::3], rows[1::3], rows[2::3], strict=False):
            news = self.learn(account, cluster, epoch) or news
        return news

    def hints(self, accounts: Iterable[AccountId], further: int = FURTHER) -> tuple[int, ...]:
        """What a refusal tells: flat triples account, cluster, epoch of what has moved of ``accounts``.

        And of the next ``further`` others, in turn, from call to call: who has missed one move has mostly
        missed more, and need not be refused for each of them.
        """
        first = self._next if self._next < len(self._order) else 0
        others = self._order[first : first + further]
        self._next = first + len(others)
        flat: list[int] = []
        for account in (*accounts, *others):
            if account in self.moved:
                flat += (account, self.moved[account], self._epochs[account])
        return tuple(flat)

    def rows(self, after: AccountId, limit: int) -> list[tuple[AccountId, ClusterId, int]]:
        """(account, cluster, epoch) of up to ``limit`` moved accounts above ``after``, ascending."""
        accounts = sorted([account for account in self.moved if account > after])[:limit]
        return [(account, self.moved[account], self._epochs[account]) for account in accounts]

    def clear(self) -> None:
        """Back to the first ranges: a new incarnation."""
        self.moved.clear()
        self._epochs.clear()
        self._order.clear()

    def __len__(self) -> int:
        """How many accounts are known to have moved."""
        return len(self.moved)
