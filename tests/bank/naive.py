"""One cluster's bank written down as plainly as possible: dictionaries, no rows, no hash, no fast way.

It says how each entry must end. Amounts and legs are those of ``test_stateful``: far from every limit.
"""

from __future__ import annotations

from consensus.messages.client import Refusal, Status
from consensus.messages.entries import Condition
from consensus.types import ClusterId, SessionId, Slot, TxId

Leg = tuple[int, int]
Wish = tuple[int, int, int]


class NaiveBank:
    """Accounts ``first`` to ``last`` of ``total``."""

    def __init__(self, own: ClusterId, first: int, last: int, total: int, money: int) -> None:
        self.own = own
        self.total = total
        self.balance = dict.fromkeys(range(first, last + 1), money)
        self.version = dict.fromkeys(self.balance, 0)
        self.outcomes: dict[TxId, int] = {}
        self.settled: dict[SessionId, int] = {}
        self.holder: dict[int, TxId] = {}
        self.prepared: dict[TxId, tuple[ClusterId, Slot, list[Leg]]] = {}
        self.finished: dict[TxId, tuple[ClusterId, Slot, bool]] = {}
        """How attempts of others ended here: coordinator, number, whether it committed."""

    def judge(self, legs: list[Leg], conditions: list[Wish]) -> int:
        """Whether the money is there and the conditions hold."""
        if any(self.balance[account] + delta < 0 for account, delta in legs):
            return Status.INSUFFICIENT_FUNDS
        for account, kind, value in conditions:
            if kind == Condition.BALANCE_AT_LEAST and self.balance[account] < value:
                return Status.INSUFFICIENT_FUNDS
            if kind == Condition.VERSION_EQUALS and self.version[account] != value:
                return Status.CONDITION_FAILED
        return Status.COMMITTED

    def move(self, legs: list[Leg], sign: int, versions: bool) -> None:
        for account, delta in legs:
            self.balance[account] += sign * delta
            self.version[account] += versions and delta != 0

    def may_run(self, tx: TxId) -> Refusal | None:
        if tx in self.prepared:
            return Refusal.IN_DOUBT
        return Refusal.SESSION_EXPIRED if tx.number < self.settled.get(tx.session, 0) else None

    def is_over(self, tx: TxId, coordinator: ClusterId, at: Slot) -> bool:
        """Whether attempt ``at`` can prepare nothing here any more."""
        other, last, committed = self.finished.get(tx, (0, 0, False))
        return committed or (other == coordinator and last >= at)

    def settle(self, session: SessionId, below: int) -> None:
        self.settled[session] = max(self.settled.get(session, 0), below)
        self.outcomes = {
            tx: status
            for tx, status in self.outcomes.items()
            if tx.session != session or tx.number >= self.settled[session]
        }

    def transact(
        self, tx: TxId, legs: list[Leg], conditions: list[Wish]
    ) -> tuple[int | None, Refusal | None]:
        """(status of the outcome, or None; the refusal, or None)."""
        if tx in self.outcomes:
            return self.outcomes[tx], None
        if (refusal := self.may_run(tx)) is not None:
            return None, refusal
        status = self._shape(legs)
        if status is None:
            missing = [account for account, _ in legs if account not in self.balance]
            if any(account <= self.total for account in missing):
                return None, Refusal.WRONG_OWNER
            if missing:
                status = Status.UNKNOWN_ACCOUNT
        if status is None:
            if any(account in self.holder for account, _ in legs):
                return None, Refusal.LOCKED
            status = self.judge(legs, conditions)
            if not status:
                self.move(legs, 1, versions=True)
        self.outcomes[tx] = status
        return status, None

    def _shape(self, legs: list[Leg]) -> int | None:
        ids = [account for account, _ in legs]
        wrong = len(set(ids)) != len(ids) or sum(delta for _, delta in legs) or len(legs) < 2
        return Status.INVALID if wrong else None

    def give_up(self, tx: TxId, reason: int) -> tuple[int | None, Refusal | None]:
        if tx in self.outcomes:
            return self.outcomes[tx], None
        if (refusal := self.may_run(tx)) is not None:
            return None, refusal
        self.outcomes[tx] = reason
        return reason, None

    def prepare(
        self,
        coordinator: ClusterId,
        tx: TxId,
        at: Slot,
        legs: list[Leg],
        conditions: list[Wish],
    ) -> int | str:
        """Status 0: prepared; another: cannot commit; "locked": no effect."""
        if any(account not in self.balance for account, _ in legs):
            return Status.UNKNOWN_ACCOUNT
        if any(account in self.holder for account, _ in legs):
            return "locked"
        status = self.judge(legs, conditions)
        if not status:
            self.move(legs, 1, versions=False)
            self.prepared[tx] = (coordinator, at, legs)
            self.holder.update({account: tx for account, _ in legs})
        return status

    def decide(self, tx: TxId, commit: bool) -> None:
        _, _, legs = self.prepared.pop(tx)
        if commit:
            self.move(legs, 0, versions=True)
        else:
            self.move(legs, -1, versions=False)
        for account, _ in legs:
            del self.holder[account]
