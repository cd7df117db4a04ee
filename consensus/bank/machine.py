"""The replicated bank: applies chosen batches, in slot order, the same way on every replica.

No clock, no randomness, no waiting: time is the batch's stamp, and an entry that cannot run here has no
effect and stores nothing. The rules of each entry are the table in docs/protocol.md.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import NamedTuple

from consensus.bank.audit import AccountCut, AuditReport, report
from consensus.bank.movement import MoveEntry, Movement, MoveResult
from consensus.bank.rules import first_debited, judge, well_formed
from consensus.bank.sessions import Session
from consensus.bank.state import Account, BankState
from consensus.bank.twophase import CrossPrepared, Decided, PartDecided, PartPrepared, TwoPhase
from consensus.messages.client import Outcome, Refusal, Status
from consensus.messages.entries import (
    Abort,
    Audit,
    Batch,
    CrossPrepare,
    Decide,
    Entry,
    EvictSessions,
    Finish,
    Item,
    NewView,
    OpenSession,
    PartDecide,
    PartPrepare,
    Resolve,
    Transact,
)
from consensus.types import (
    AMOUNT_MAX,
    BALANCE_MAX,
    SESSIONS_MAX,
    AccountId,
    Ballot,
    ClusterId,
    SessionId,
    Slot,
    TxId,
)

HASH_EVERY_SLOTS = 1_000
LARGE_ACCOUNTS = 20_000
"""Each so many accounts of the bank add as many slots: between two hashes, more of them change."""
LARGE_MAX = 10
HASHES_KEPT = 32
AUDITS_KEPT = 8
ACCOUNT_CUTS_KEPT = 2
NO_NUMBER = -1
"""Stands for the session itself where a refusal is not about one transaction."""


class Applied(NamedTuple):
    """What one entry did for one session: outcomes to answer, and numbers it had no effect for."""

    session: SessionId
    numbers: list[int]
    outcomes: list[Outcome]
    refused: list[tuple[int, Refusal]]
    opened: bool


Result = Applied | CrossPrepared | PartPrepared | Decided | PartDecided | MoveResult
"""What an entry did, for the leader to act on. Followers ignore it."""


class Machine:
    """State machine of one cluster; ``state`` is read by others and changed only here."""

    def __init__(self, state: BankState, own: ClusterId) -> None:
        self.state = state
        self.two_phase = TwoPhase(state, own)
        self.movement = Movement(state, own)
        self.own = own
        self.audits: dict[int, AuditReport] = {}
        """Reports of the last few cuts."""
        self.account_cuts: dict[int, AccountCut] = {}
        """Accounts at the cuts of ``audits``; of fewer, since they are larger."""
        self.hashes: dict[Slot, bytes] = {}
        """State hash at recent multiples of :data:`HASH_EVERY_SLOTS`, of a large bank at fewer of them."""

    def apply(self, slot: Slot, batch: Batch) -> list[Result]:
        """Apply the value of ``slot``, which must be the next one. Returns what the entries did."""
        state = self.state
        assert slot == state.slot + 1, f"slot {slot} applied after {state.slot}"
        state.slot = slot
        results: list[Result] = []
        index = 0
        for entry in batch.entries:
            if type(entry) is Transact:
                applied = self._transact(slot, batch.ballot, index, entry)
                index += len(entry.items)
                results.append(applied)
            else:
                index = self._other(slot, batch.ballot, index, entry, results)
        if slot % (HASH_EVERY_SLOTS * min(LARGE_MAX, 1 + state.accounts_total // LARGE_ACCOUNTS)) == 0:
            self.hashes[slot] = state.digest()
            if len(self.hashes) > HASHES_KEPT:
                del self.hashes[next(iter(self.hashes))]
        return results

    # --- transactions ----------------------------------------------------

    def _transact(self, slot: Slot, ballot: Ballot, index: int, entry: Transact) -> Applied:
        state = self.state
        session = state.sessions.get(entry.session)
        if session is None:
            expired = [(item.number, Refusal.SESSION_EXPIRED) for item in entry.items]
            return Applied(entry.session, [], [], expired, False)
        session.settle(entry.settled_below)
        self._use(session, slot)
        outcomes = session.outcomes
        prepared = state.cross.prepared
        numbers: list[int] = []
        answered: list[Outcome] = []
        refused: list[tuple[int, Refusal]] = []
        for item in entry.items:
            number = item.number
            outcome = outcomes.get(number)
            if outcome is None:
                if prepared and TxId(entry.session, number) in prepared:
                    # A client used one number for two wishes: the first one's decision will be its outcome.
                    refused.append((number, Refusal.IN_DOUBT))
                    index += 1
                    continue
                if not session.takes(number):
                    refused.append((number, Refusal.SESSION_EXPIRED))
                    index += 1
                    continue
                ran = self._run(item, slot, index, ballot)
                if isinstance(ran, Refusal):
                    refused.append((number, ran))
                    index += 1
                    continue
                outcomes[number] = outcome = ran
            numbers.append(number)
            answered.append(outcome)
            index += 1
        return Applied(entry.session, numbers, answered, refused, False)

    def _use(self, session: Session, slot: Slot) -> None:
        """Mark the session as used: it moves to the end of the eviction order."""
        if session.used_slot != slot:
            session.used_slot = slot
            sessions = self.state.sessions
            del sessions[session.id]
            sessions[session.id] = session
        self.state.touched_sessions.add(session.id)

    def _run(self, item: Item, slot: Slot, index: int, ballot: Ballot) -> Outcome | Refusal:
        """Execute one transaction, all legs or none."""
        legs = item.legs
        if len(legs) == 4 and not item.conditions:
            paid = self._pay(legs, slot, index, ballot)
            if paid is not None:
                return paid
        if not well_formed(legs, item.conditions):
            return Outcome(Status.INVALID, slot, index, ballot, ())
        payer = first_debited(legs)
        state = self.state
        accounts = state.accounts
        held: list[Account] = []
        missing = False
        for account_id in legs[::2]:
            account = accounts.get(account_id)
            if account is not None:
                held.append(account)
            elif 1 <= account_id <= state.accounts_total:
                return Refusal.WRONG_OWNER
            else:
                missing = True
        taken = state.moves.taken
        if taken and any(account_id in taken for account_id in legs[::2]):
            # Whatever the outcome would be: one that is stored now would not go with its payer.
            return Refusal.MIGRATING
        if missing:
            return Outcome(Status.UNKNOWN_ACCOUNT, slot, index, ballot, (), (), payer)
        locks = state.cross.locks
        if locks and any(account_id in locks for account_id in legs[::2]):
            return Refusal.LOCKED
        status = judge(accounts, held, legs, item.conditions)
        if status:
            seen = tuple([x for a in held for x in (a.version, a.balance)])
            return Outcome(status, slot, index, ballot, seen, (), payer)
        after: list[int] = []
        touched = state.touched_accounts
        captures = state.captures
        for account, delta in zip(held, legs[1::2], strict=True):
            if delta:
                if captures:
                    for capture in captures:
                        capture.keep(account.id)
                account.balance += delta
                account.version += 1
                touched.add(account.id)
            after += (account.version, account.balance)
        return Outcome(Status.COMMITTED, slot, index, ballot, tuple(after), (), payer)

    def _pay(self, legs: tuple[int, ...], slot: Slot, index: int, ballot: Ballot) -> Outcome | None:
        """The common case of :meth:`_run`, in a third of its time: one account pays another.

        None when anything is in the way; the general rules then say what.
        """
        payer_id, debit, payee_id, credit = legs
        state = self.state
        payer = state.accounts.get(payer_id)
        payee = state.accounts.get(payee_id)
        if payer is None or payee is None or state.captures or payer is payee:
            return None
        if debit + credit or (not 0 < credit <= AMOUNT_MAX and not 0 < debit <= AMOUNT_MAX):
            return None
        locks = state.cross.locks
        if locks and (payer_id in locks or payee_id in locks):
            return None
        taken = state.moves.taken
        if taken and (payer_id in taken or payee_id in taken):
            return None
        left = payer.balance + debit
        got = payee.balance + credit
        if left < 0 or got < 0 or left > BALANCE_MAX or got > BALANCE_MAX:
            return None
        payer.balance = left
        payee.balance = got
        payer.version += 1
        payee.version += 1
        touched = state.touched_accounts
        touched.add(payer_id)
        touched.add(payee_id)
        return Outcome(
            0, slot, index, ballot, (payer.version, left, payee.version, got), (),
            payer_id if debit < 0 else payee_id,
        )  # fmt: skip

    # --- everything else ---------------------------------------------------

    def _other(self, slot: Slot, ballot: Ballot, index: int, entry: Entry, results: list[Result]) -> int:
        """Apply any other entry; returns the index after it."""
        if isinstance(entry, CrossPrepare | PartPrepare | Decide | PartDecide | Finish):
            return self._cross(slot, ballot, index, entry, results)
        if isinstance(entry, MoveEntry):
            moved = self.movement.apply(slot, entry)
            if moved is not None:
                results.append(moved)
        elif isinstance(entry, OpenSession):
            results.append(self._open(slot, entry.session))
        elif isinstance(entry, Abort):
            results.append(
                self._finish(slot, ballot, index, entry.session, [entry.number], entry.reason, (entry.payer,))
            )
        elif isinstance(entry, Resolve):
            results.append(
                self._finish(
                    slot,
                    ballot,
                    index,
                    entry.session,
                    entry.numbers,
                    Status.COORDINATOR_TIMEOUT,
                    entry.payers,
                )
            )
        elif isinstance(entry, NewView):
            self.state.add_view(slot, entry)
        elif isinstance(entry, Audit):
            self._audit(entry.number)
        elif isinstance(entry, EvictSessions):
            for session_id in entry.sessions:
                if self.state.sessions.pop(session_id, None) is not None:
                    self.state.touched_sessions.add(session_id)
        else:
            raise AssertionError(f"entry without a rule: {entry!r}")
        return index + 1

    def _cross(self, slot: Slot, ballot: Ballot, index: int, entry: Entry, results: list[Result]) -> int:
        """Two-phase commit: see ``bank.twophase``."""
        rules = self.two_phase
        if isinstance(entry, CrossPrepare):
            session = self.state.sessions.get(entry.session)
            if session is not None:
                session.settle(entry.settled_below)
                self._use(session, slot)
            answer, prepared, aborted = rules.cross_prepare(slot, index, ballot, entry, session)
            results.append(Applied(*answer, False))
            results.append(prepared)
            if aborted.decided:
                results.append(aborted)
            return index + len(entry.items)
        if isinstance(entry, PartPrepare):
            results.append(rules.part_prepare(slot, index, ballot, entry))
            return index + len(entry.rows)
        if isinstance(entry, Decide):
            answers, decided = rules.decide(slot, index, ballot, entry)
            results.extend(Applied(*answer, False) for answer in answers.values())
            results.append(decided)
            return index + len(entry.rows)
        if isinstance(entry, PartDecide):
            results.append(rules.part_decide(entry))
        elif isinstance(entry, Finish):
            rules.finish(entry)
        return index

    def _audit(self, number: int) -> None:
        """Make the cut, once: a later copy of the entry changes nothing."""
        if number <= self.state.audit:
            return
        self.state.audit = number
        self.audits[number] = report(self.state, self.own, number)
        if len(self.audits) > AUDITS_KEPT:
            del self.audits[next(iter(self.audits))]
        self.account_cuts[number] = AccountCut(self.state)
        if len(self.account_cuts) > ACCOUNT_CUTS_KEPT:
            del self.account_cuts[next(iter(self.account_cuts))]

    def _open(self, slot: Slot, session_id: SessionId) -> Applied:
        sessions = self.state.sessions
        session = sessions.get(session_id)
        if session is None:
            if len(sessions) >= SESSIONS_MAX:
                return Applied(session_id, [], [], [(NO_NUMBER, Refusal.OVERLOADED)], False)
            session = sessions[session_id] = Session(session_id, 0, slot)
            self.state.touched_sessions.add(session_id)
        elif not session.opened:
            session.opened = True
            self.state.touched_sessions.add(session_id)
        return Applied(session_id, [], [], [], True)

    def _finish(
        self,
        slot: Slot,
        ballot: Ballot,
        index: int,
        session_id: SessionId,
        numbers: list[int],
        reason: int,
        payers: tuple[AccountId, ...],
    ) -> Applied:
        """Store ``aborted(reason)`` where no outcome exists; answer with what stands there."""
        session = self.state.sessions.get(session_id)
        if session is None:
            return Applied(session_id, [], [], [(n, Refusal.SESSION_EXPIRED) for n in numbers], False)
        self._use(session, slot)
        answered: list[Outcome] = []
        known: list[int] = []
        refused: list[tuple[int, Refusal]] = []
        moves = self.state.moves
        for number, payer in zip_longest(numbers, payers[: len(numbers)], fillvalue=0):
            outcome = session.outcomes.get(number)
            if outcome is None:
                if payer in moves.taken or payer in moves.forwards:
                    # Its outcomes are told to the new owner, or were: none may be added.
                    reason_ = Refusal.MIGRATING if payer in moves.taken else Refusal.WRONG_OWNER
                    refused.append((number, reason_))
                    continue
                if TxId(session_id, number) in self.state.cross.prepared:
                    refused.append((number, Refusal.IN_DOUBT))
                    continue
                if not session.takes(number):
                    refused.append((number, Refusal.SESSION_EXPIRED))
                    continue
                outcome = session.outcomes[number] = Outcome(reason, slot, index, ballot, (), (), payer)
            known.append(number)
            answered.append(outcome)
        return Applied(session_id, known, answered, refused, False)
