"""A second, naive bank: what the log means, written from the rules and not from ``consensus.bank``.

It keeps everything for ever and looks everything up, so that it is slow, obvious, and fit to judge the real
one: balances, versions, sessions, and the outcome of every transaction that ever ran.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from consensus.messages.client import Status
from consensus.messages.entries import (
    Abort,
    Batch,
    Condition,
    EvictSessions,
    Item,
    NewView,
    OpenSession,
    Resolve,
    Transact,
)
from consensus.types import AMOUNT_MAX, BALANCE_MAX, SESSIONS_MAX, AccountId, SessionId, Slot, TxId

OPEN_SPAN: Final = 16_384


class Verdict(NamedTuple):
    """How a transaction ended: status, slot of the entry that ended it, versions and balances of its legs."""

    status: int
    slot: Slot
    legs: tuple[int, ...]


class ModelError(AssertionError):
    """The log itself breaks a rule of the bank."""


class ModelSession:
    """Numbers below ``settled_below`` are done with; ``verdicts`` has how others ended."""

    __slots__ = ("settled_below", "verdicts")

    def __init__(self) -> None:
        self.settled_below = 0
        self.verdicts: dict[int, Verdict] = {}

    def takes(self, number: int) -> bool:
        return self.settled_below <= number < self.settled_below + OPEN_SPAN

    def settle(self, below: int) -> None:
        if below > self.settled_below:
            self.settled_below = below
            self.verdicts = {number: kept for number, kept in self.verdicts.items() if number >= below}


class Bank:
    """The state after every chosen slot so far."""

    def __init__(
        self,
        first: AccountId,
        last: AccountId,
        balance: int,
        accounts_total: int,
        sessions_max: int = SESSIONS_MAX,
    ) -> None:
        self.sessions_max = sessions_max
        self.slot: Slot = 0
        self.accounts_total = accounts_total
        self.balances = dict.fromkeys(range(first, last + 1), balance)
        self.versions = dict.fromkeys(self.balances, 0)
        self.total = sum(self.balances.values())
        self.sessions: dict[SessionId, ModelSession] = {}
        self.evicted: set[SessionId] = set()
        self.ended: dict[TxId, Verdict] = {}
        """Every outcome there ever was; never forgotten."""
        self.views = 0
        self.history: dict[AccountId, list[tuple[Slot, int]]] = {
            account: [(0, balance)] for account in self.balances
        }
        """Per account and version: the slot that made it, and the balance."""

    def apply(self, slot: Slot, batch: Batch) -> set[AccountId]:
        """Run a slot. Returns the accounts that changed.

        Raises:
            ModelError: what was chosen cannot be right (a transaction runs twice, money appears).
        """
        if slot != self.slot + 1:
            raise ModelError(f"slot {slot} after {self.slot}")
        self.slot = slot
        changed: set[AccountId] = set()
        for entry in batch.entries:
            if isinstance(entry, Transact):
                self._transact(entry, changed)
            elif isinstance(entry, OpenSession):
                if len(self.sessions) < self.sessions_max:
                    self.sessions.setdefault(entry.session, ModelSession())
            elif isinstance(entry, Abort):
                self._finish(entry.session, [entry.number], entry.reason)
            elif isinstance(entry, Resolve):
                self._finish(entry.session, entry.numbers, Status.COORDINATOR_TIMEOUT)
            elif isinstance(entry, EvictSessions):
                for session in entry.sessions:
                    if self.sessions.pop(session, None) is not None:
                        self.evicted.add(session)
            else:
                assert isinstance(entry, NewView)
                self.views += 1
        if changed and sum(self.balances.values()) != self.total:
            raise ModelError(f"slot {slot}: the total is {sum(self.balances.values())}, not {self.total}")
        return changed

    def _transact(self, entry: Transact, changed: set[AccountId]) -> None:
        session = self.sessions.get(entry.session)
        if session is None:
            return
        session.settle(entry.settled_below)
        for item in entry.items:
            if item.number in session.verdicts or not session.takes(item.number):
                continue
            verdict = self._run(item, changed)
            if verdict is not None:
                self._end(entry.session, session, item.number, verdict)

    def _finish(self, session_id: SessionId, numbers: list[int], reason: int) -> None:
        session = self.sessions.get(session_id)
        if session is None:
            return
        for number in numbers:
            if number not in session.verdicts and session.takes(number):
                self._end(session_id, session, number, Verdict(reason, self.slot, ()))

    def _end(self, session_id: SessionId, session: ModelSession, number: int, verdict: Verdict) -> None:
        tx = TxId(session_id, number)
        before = self.ended.setdefault(tx, verdict)
        if before is not verdict:
            raise ModelError(f"{tx} ended at slot {before.slot} and again at {verdict.slot}")
        session.verdicts[number] = verdict

    def _run(self, item: Item, changed: set[AccountId]) -> Verdict | None:
        legs = dict(zip(item.legs[::2], item.legs[1::2], strict=False))
        status = self._status(item, legs)
        if status is None:
            return None
        if not _shape(item) or any(account not in self.balances for account in legs):
            return Verdict(status, self.slot, ())
        if status == Status.COMMITTED:
            for account, delta in legs.items():
                if delta:
                    self.balances[account] += delta
                    self.versions[account] += 1
                    self.history[account].append((self.slot, self.balances[account]))
                    changed.add(account)
                if self.balances[account] < 0:
                    raise ModelError(f"slot {self.slot}: account {account} is at {self.balances[account]}")
        seen: list[int] = []
        for account in legs:
            seen += (self.versions[account], self.balances[account])
        return Verdict(status, self.slot, tuple(seen))

    def _status(self, item: Item, legs: dict[AccountId, int]) -> Status | None:
        """How the transaction ends now; None when it has no effect here (an account of another cluster)."""
        if not _shape(item):
            return Status.INVALID
        for account in legs:
            if account not in self.balances:
                return None if 1 <= account <= self.accounts_total else Status.UNKNOWN_ACCOUNT
        for account, delta in legs.items():
            if self.balances[account] + delta < 0:
                return Status.INSUFFICIENT_FUNDS
            if self.balances[account] + delta > BALANCE_MAX:
                return Status.INVALID
        for account, kind, value in _triples(item.conditions):
            if kind == Condition.BALANCE_AT_LEAST and self.balances[account] < value:
                return Status.INSUFFICIENT_FUNDS
            if kind == Condition.VERSION_EQUALS and self.versions[account] != value:
                return Status.CONDITION_FAILED
        return Status.COMMITTED


def _triples(conditions: tuple[int, ...]) -> list[tuple[int, int, int]]:
    return [(conditions[i], conditions[i + 1], conditions[i + 2]) for i in range(0, len(conditions), 3)]


def _shape(item: Item) -> bool:
    """2–16 legs on distinct accounts that sum to zero, within limits; conditions on accounts among them."""
    if len(item.legs) % 2 or not 2 <= len(item.legs) // 2 <= 16:
        return False
    accounts, deltas = item.legs[::2], item.legs[1::2]
    if len(set(accounts)) != len(accounts) or sum(deltas) != 0:
        return False
    if any(abs(delta) > AMOUNT_MAX for delta in deltas):
        return False
    if len(item.conditions) % 3 or len(item.conditions) > 48:
        return False
    kinds = (Condition.BALANCE_AT_LEAST, Condition.VERSION_EQUALS)
    return all(account in accounts and kind in kinds for account, kind, _ in _triples(item.conditions))
