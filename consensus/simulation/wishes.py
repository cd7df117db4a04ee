"""What simulated clients ask for: transfers, transactions across clusters, odd ones; drawn one by one."""

from __future__ import annotations

import msgspec

from consensus.messages.entries import Condition, Item
from consensus.simulation.draws import Draws
from consensus.topology import Cluster
from consensus.types import AMOUNT_MAX, AccountId


class Habits(msgspec.Struct, frozen=True):
    """How clients behave in a run. Times in microseconds."""

    window: int = 8
    """Transactions a client has open at most."""
    tick_min_us: int = 1_000
    tick_max_us: int = 10_000
    retry_us: int = 120_000
    deadline_us: int = 1_500_000
    """After it the client stops submitting a transaction and has it resolved."""
    reads: float = 0.1
    """Reads per transaction."""
    odd: float = 0.1
    """Transactions that are invalid, have conditions, or many legs."""
    new_session: float = 0.0
    """Chance per tick that a client finishes what is open and goes on in a new session."""
    stray_reads: float = 0.2
    """Strong reads that are sent to just any node: a follower, or one that believes that it leads."""
    hot_accounts: int = 10
    """Transfers stay among so many accounts of a cluster, which makes conflicts and empty accounts likely."""
    cross: float = 0.0
    """Transactions with legs in other clusters, where there are any."""
    back_off_us: int = 0
    """How long one that lost its locks waits at least before it is tried again, and up to twice that."""
    insists: float = 0.5
    """Chance that one that lost its locks to another is tried again, under a new number with the old age."""


class Wishes:
    """Of a client at home in ``cluster``. Accounts are those that a cluster owned at the start."""

    def __init__(self, draws: Draws, cluster: Cluster, others: tuple[Cluster, ...], habits: Habits) -> None:
        self._draws = draws
        self._cluster = cluster
        self._others = others
        self._habits = habits

    def invent(self, number: int, now_us: int) -> Item:
        draws = self._draws
        if self._others and draws.chance(self._habits.cross):
            return self._across(number, now_us)
        if draws.chance(self._habits.odd):
            return self._odd(number)
        sender, receiver = self._two()
        amount = draws.between(1, 40)
        return Item(number, (sender, -amount, receiver, amount))

    def _across(self, number: int, now_us: int) -> Item:
        """Legs in this cluster and others; the first debited one here, so that this cluster coordinates."""
        draws = self._draws
        other = draws.pick(self._others)
        if not draws.chance(self._habits.odd):
            amount = draws.between(1, 40)
            legs = (self.account(), -amount, self.account(other), amount)
            return Item(number, legs, (), now_us + 1)
        accounts = dict.fromkeys([self.account(), self.account(other)])
        for _ in range(draws.below(15)):
            accounts.setdefault(self.account(draws.pick((self._cluster, *self._others))))
        if draws.chance(0.1):
            accounts[10**9] = None
        deltas = [draws.between(-9, 9) for _ in list(accounts)[1:]]
        first = -abs(sum(deltas)) - 1
        deltas[-1] -= first + sum(deltas)
        conditions: tuple[int, ...] = ()
        if draws.chance(0.2):
            conditions = (list(accounts)[1], Condition.BALANCE_AT_LEAST, draws.between(1, 60))
        flat = [x for pair in zip(accounts, [first, *deltas], strict=True) for x in pair]
        return Item(number, tuple(flat), conditions, now_us + 1)

    def account(self, cluster: Cluster | None = None) -> AccountId:
        cluster = cluster or self._cluster
        count = min(self._habits.hot_accounts, cluster.last_account - cluster.first_account + 1)
        return cluster.first_account + self._draws.below(count)

    def _two(self) -> tuple[AccountId, AccountId]:
        sender = self.account()
        receiver = self.account()
        while receiver == sender:
            receiver = self.account()
        return sender, receiver

    def _odd(self, number: int) -> Item:
        draws = self._draws
        sender, receiver = self._two()
        kind = draws.below(9)
        if kind == 0:
            return Item(number, (sender, -1, sender, 1))
        if kind == 1:
            return Item(number, (sender, -5, 10**9, 5))
        if kind == 2:
            return Item(number, (sender, -5, receiver, 6))
        if kind == 3:
            return Item(number, (sender, -AMOUNT_MAX - 1, receiver, AMOUNT_MAX + 1))
        if kind == 4:
            return Item(number, (sender, 0, receiver, 0))
        if kind == 5:
            floor = draws.between(1, 200)
            conditions = (sender, Condition.BALANCE_AT_LEAST, floor, receiver, Condition.BALANCE_AT_LEAST, 1)
            return Item(number, (sender, -1, receiver, 1), conditions)
        if kind == 6:
            version = draws.below(40)
            return Item(number, (sender, -1, receiver, 1), (sender, Condition.VERSION_EQUALS, version))
        first, last = self._cluster.first_account, self._cluster.last_account
        accounts = list(range(first, min(last, first + 15) + 1))[: draws.between(3, 16)]
        deltas = [draws.between(-9, 9) for _ in accounts[1:]]
        flat: list[int] = [accounts[0], -sum(deltas)]
        for account, delta in zip(accounts[1:], deltas, strict=True):
            flat += (account, delta)
        return Item(number, tuple(flat))
