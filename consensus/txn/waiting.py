"""Waiting for locks. It is the leader's business only: nothing of it is replicated, and apply never waits.

Held locks are those of prepared transactions (replicated state) and those a leader has promised to a prepare
entry it has queued or proposed (``claims``). A transaction that meets one waits in a queue per account until
all its accounts are free and it is first in each of their queues, or until the lock wait is over.

The oldest is first, by the time it arrived, or its first attempt did. A prepare of another coordinator holds
locks there while it waits here: behind one that is older and may come to wait for it in turn, it gives way
(wait-die; Rosenkrantz, Stearns and Lewis, System Level Concurrency Control for Distributed Database Systems,
1978).
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, Final, NamedTuple

from consensus.types import AccountId, TxId

WAITERS_MAX: Final = 20_000


class Age(NamedTuple):
    """Who is older: arrival at the coordinator, then the TxId. The lower one is older."""

    arrived_us: int
    tx: TxId


_place = attrgetter("place")


class Waiter:
    """``age`` is None for a transaction of one cluster: it never holds anything while it waits.

    ``holds``: it does so now, in another cluster. ``place`` orders the queues.
    """

    __slots__ = ("accounts", "age", "deadline_us", "holds", "payload", "place", "tx")

    def __init__(
        self,
        tx: TxId,
        accounts: tuple[AccountId, ...],
        age: Age | None,
        deadline_us: int,
        payload: Any,
        arrived_us: int = 0,
        holds: bool = False,
    ) -> None:
        self.place = age or Age(arrived_us, tx)
        self.holds = holds
        self.tx = tx
        self.accounts = accounts
        self.age = age
        self.deadline_us = deadline_us
        self.payload = payload


class Waiting:
    """Lock queues of one leadership. ``locks`` is the applied state's table of held locks.

    ``give_way`` is called with each waiter that leaves because an older one got a lock it waits for.
    """

    def __init__(self, locks: Callable[[], Mapping[AccountId, TxId]]) -> None:
        self._locks = locks
        self.give_way: Callable[[Waiter], None] = lambda waiter: None
        self.claims: dict[AccountId, Age] = {}
        self.waiting: dict[TxId, Waiter] = {}
        self._queues: dict[AccountId, list[Waiter]] = {}

    def idle(self) -> bool:
        """Whether no account can be busy: the common case, decided without looking at any."""
        return not self.claims and not self._queues and not self._locks()

    def free(self, accounts: Iterable[AccountId]) -> bool:
        """Whether none of ``accounts`` is locked, claimed, or waited for."""
        locks, claims, queues = self._locks(), self.claims, self._queues
        for account in accounts:  # noqa: SIM110  (a generator costs more than the one account there mostly is)
            if account in locks or account in claims or account in queues:
                return False
        return True

    def claim(self, accounts: Iterable[AccountId], age: Age) -> None:
        """Promise the locks to a prepare entry that is about to be proposed.

        Younger ones that hold locks elsewhere and wait for these give way.
        """
        late: dict[TxId, Waiter] = {}
        for account in accounts:
            assert account not in self.claims
            self.claims[account] = age
            for waiter in self._queues.get(account, ()):
                if waiter.holds and waiter.place > age:
                    late[waiter.tx] = waiter
        for waiter in late.values():
            self.leave(waiter)
            self.give_way(waiter)

    def unclaim(self, accounts: Iterable[AccountId], tx: TxId) -> None:
        """The prepare entry is applied: what it locked stands in the state now, or nothing does."""
        for account in accounts:
            claim = self.claims.get(account)
            if claim is not None and claim.tx == tx:
                del self.claims[account]

    def enter(self, waiter: Waiter) -> bool:
        """Wait. False when too many do, or one with the same TxId does (a client used it twice)."""
        if len(self.waiting) >= WAITERS_MAX or waiter.tx in self.waiting:
            return False
        self.waiting[waiter.tx] = waiter
        for account in waiter.accounts:
            insort(self._queues.setdefault(account, []), waiter, key=_place)
        return True

    def ahead(self, accounts: Iterable[AccountId]) -> list[Age]:
        """Ages of those waiting for ``accounts`` that hold locks elsewhere, or will while they hold these."""
        return [w.age for a in accounts for w in self._queues.get(a, ()) if w.age is not None]

    def turn(self, accounts: Iterable[AccountId]) -> Waiter | None:
        """One that can go on now that ``accounts`` may have become free; it leaves the queues.

        One at a time, so that what its admission claims is seen before the next is looked at.
        """
        locks = self._locks()
        for account in accounts:
            queue = self._queues.get(account)
            if queue is None:
                continue
            waiter = queue[0]
            if not any(
                a in locks or a in self.claims or self._queues[a][0] is not waiter for a in waiter.accounts
            ):
                self.leave(waiter)
                return waiter
        return None

    def expired(self, now_us: int) -> list[Waiter]:
        """Those whose lock wait is over. They leave the queues."""
        late: list[Waiter] = []
        for waiter in self.waiting.values():
            if waiter.deadline_us > now_us:
                break
            late.append(waiter)
        for waiter in late:
            self.leave(waiter)
        return late

    def leave(self, waiter: Waiter) -> None:
        del self.waiting[waiter.tx]
        for account in waiter.accounts:
            queue = self._queues[account]
            queue.remove(waiter)
            if not queue:
                del self._queues[account]

    def wake_us(self) -> int:
        """When the first lock wait ends; 0 when nobody waits."""
        return next(iter(self.waiting.values())).deadline_us if self.waiting else 0

    def clear(self) -> list[Waiter]:
        """Forget everything; returns those that waited."""
        left = list(self.waiting.values())
        self.waiting.clear()
        self._queues.clear()
        self.claims.clear()
        return left
