"""Waiting for locks. It is the leader's business only: nothing of it is replicated, and apply never waits.

Held locks are those of prepared transactions (replicated state) and those a leader has promised to a prepare
entry it has queued or proposed (``claims``). A transaction that meets one waits in a queue per account, in
arrival order, until all its accounts are free and it is first in each of their queues, or until the lock wait
is over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from consensus.types import AccountId, TxId

WAITERS_MAX: Final = 20_000


class Age(NamedTuple):
    """Who is older: arrival at the coordinator, then the TxId. The lower one is older."""

    arrived_us: int
    tx: TxId


class Waiter:
    """``age`` is None for a transaction of one cluster: it holds nothing while it waits."""

    __slots__ = ("accounts", "age", "deadline_us", "payload", "tx")

    def __init__(
        self, tx: TxId, accounts: tuple[AccountId, ...], age: Age | None, deadline_us: int, payload: Any
    ) -> None:
        self.tx = tx
        self.accounts = accounts
        self.age = age
        self.deadline_us = deadline_us
        self.payload = payload


class Waiting:
    """Lock queues of one leadership. ``locks`` is the applied state's table of held locks."""

    def __init__(self, locks: Callable[[], Mapping[AccountId, TxId]]) -> None:
        self._locks = locks
        self.claims: dict[AccountId, Age] = {}
        self.waiting: dict[TxId, Waiter] = {}
        self._queues: dict[AccountId, deque[Waiter]] = {}

    def idle(self) -> bool:
        """Whether no account can be busy: the common case, decided without looking at any."""
        return not self.claims and not self._queues and not self._locks()

    def free(self, accounts: Iterable[AccountId]) -> bool:
        """Whether none of ``accounts`` is locked, claimed, or waited for."""
        locks = self._locks()
        return not any(a in locks or a in self.claims or a in self._queues for a in accounts)

    def claim(self, accounts: Iterable[AccountId], age: Age) -> None:
        """Promise the locks to a prepare entry that is about to be proposed."""
        for account in accounts:
            assert account not in self.claims
            self.claims[account] = age

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
            self._queues.setdefault(account, deque()).append(waiter)
        return True

    def ahead(self, accounts: Iterable[AccountId]) -> list[Age]:
        """Ages of those waiting for ``accounts`` that hold locks elsewhere meanwhile."""
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
