"""Rules of the two-phase-commit entries: what P, C and A do to the state, at coordinator and participant.

Gray and Lamport, Consensus on Transaction Commit (2006), 3: each group is one reliable process because its
steps are log entries. A vote, a decision or an acknowledgement leaves only after its entry was applied.
"""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from consensus.bank.cross import FinishedTx, Prepared, Unfinished, others_of
from consensus.bank.rules import first_debited, judge, well_formed
from consensus.bank.sessions import Session
from consensus.bank.state import Account, BankState
from consensus.messages.client import Outcome, Refusal, Status
from consensus.messages.entries import CrossItem, CrossPrepare, Decide, Finish, PartDecide, PartPrepare
from consensus.messages.txn import MOVED, DecisionRow, PrepareRow, TxRow, VoteRow
from consensus.types import BALANCE_MAX, BALLOT_NONE, AccountId, Ballot, ClusterId, SessionId, Slot, TxId


class CrossPrepared(NamedTuple):
    """What a CrossPrepare did: transactions that wait for votes now, and those that met a lock."""

    prepared: list[TxId]
    locked: list[tuple[SessionId, CrossItem]]


class PartPrepared(NamedTuple):
    """What a PartPrepare did: votes to send, and rows that met a lock."""

    coordinator: ClusterId
    votes: list[VoteRow]
    locked: list[PrepareRow]


class Decided(NamedTuple):
    """Decisions to send to the participants; ``freed`` accounts have no lock any more."""

    decided: list[tuple[TxId, Unfinished]]
    freed: list[AccountId]


class PartDecided(NamedTuple):
    """Decisions to acknowledge to the coordinator; ``freed`` accounts have no lock any more.

    ``stale``: decisions on attempts that were taken back, while a later one is prepared: no effect.
    """

    coordinator: ClusterId
    acks: list[TxRow]
    freed: list[AccountId]
    stale: list[TxId]


class CrossAnswer(NamedTuple):
    """Outcomes and refusals of cross transactions for their session's client."""

    session: SessionId
    numbers: list[int]
    outcomes: list[Outcome]
    refused: list[tuple[int, Refusal]]


class TwoPhase:
    """Applies the entries 7–11 to the state of cluster ``own``."""

    def __init__(self, state: BankState, own: ClusterId) -> None:
        self.state = state
        self.own = own

    # --- coordinator -----------------------------------------------------------------

    def cross_prepare(
        self, slot: Slot, index: int, ballot: Ballot, entry: CrossPrepare, session: Session | None
    ) -> tuple[CrossAnswer, CrossPrepared, Decided]:
        """P at the coordinator. ``session`` is None when it does not exist (any more)."""
        answer = CrossAnswer(entry.session, [], [], [])
        result = CrossPrepared([], [])
        aborted = Decided([], [])
        for item in entry.items:
            tx = TxId(entry.session, item.number)
            if session is None:
                answer.refused.append((item.number, Refusal.SESSION_EXPIRED))
            elif (known := session.outcomes.get(item.number)) is not None:
                answer.numbers.append(item.number)
                answer.outcomes.append(known)
            elif (held := self.state.cross.prepared.get(tx)) is not None:
                if held.coordinates:
                    result.prepared.append(tx)
                else:
                    # The payer has moved here from the coordinator of an attempt that is about to end.
                    answer.refused.append((item.number, Refusal.MIGRATING))
            elif not session.takes(item.number):
                answer.refused.append((item.number, Refusal.SESSION_EXPIRED))
            elif tx in self.state.cross.unfinished:
                # An attempt was taken back (MOVED): the next one begins when its participants know.
                answer.refused.append((item.number, Refusal.MIGRATING))
            else:
                self._cross_item(slot, index, ballot, tx, item, session, answer, result, aborted)
            index += 1
        return answer, result, aborted

    def _cross_item(
        self,
        slot: Slot,
        index: int,
        ballot: Ballot,
        tx: TxId,
        item: CrossItem,
        session: Session,
        answer: CrossAnswer,
        result: CrossPrepared,
        aborted: Decided,
    ) -> None:
        state = self.state
        legs, conditions = local_part(item, self.own)
        proper = well_formed(item.legs, item.conditions) and len(item.homes) == len(item.legs) // 2
        after = self._take_one(legs, conditions) if proper else None
        if after is None:
            status: int = Status.INVALID
            held: list[Account] = []
            if proper:
                found = self._find(legs)
                taken = state.moves.taken
                if found is None or (taken and any(account in taken for account in legs[::2])):
                    # The payer left after this entry was proposed. The participants have been asked already,
                    # so they are told at once that nothing comes of it; the client tries again.
                    reason = Refusal.WRONG_OWNER if found is None else Refusal.MIGRATING
                    answer.refused.append((item.number, reason))
                    self._take_back(slot, tx, item, aborted)
                    return
                held = found
                if len(held) < len(legs) // 2:
                    status = Status.UNKNOWN_ACCOUNT
                elif _any_in(state.cross.locks, held):
                    result.locked.append((tx.session, item))
                    return
                else:
                    status = judge(state.accounts, held, legs, conditions)
            if status:
                payer = 0 if status == Status.INVALID else first_debited(item.legs)
                outcome = Outcome(status, slot, index, ballot, self._seen(item, held), (), payer)
                session.outcomes[item.number] = outcome
                answer.numbers.append(item.number)
                answer.outcomes.append(outcome)
                self._take_back(slot, tx, item, aborted)
                return
            after = self._take(held, legs)
        prepared = Prepared(
            tx.session, tx.number, self.own, slot, item.age_us, legs, after, slot, index, ballot,
            item.legs, item.homes, item.conditions,
        )  # fmt: skip
        state.cross.hold(tx, prepared)
        result.prepared.append(tx)

    def _take_back(self, slot: Slot, tx: TxId, item: CrossItem, aborted: Decided) -> None:
        """The attempt of this slot ends without having been prepared: whoever was asked has to know."""
        unfinished = Unfinished(slot, False, others_of(item.homes, self.own))
        self.state.cross.decided(tx, unfinished)
        self.state.cross.coordinate(tx, slot)
        aborted.decided.append((tx, unfinished))

    def _seen(self, item: CrossItem, held: list[Account]) -> tuple[int, ...]:
        """Version and balance of each leg, as an abort saw them; (-1, -1) for those of other clusters."""
        if not held:
            return ()
        own = iter(held)
        flat: list[int] = []
        for home in item.homes:
            account = next(own) if home == self.own else None
            flat += (-1, -1) if account is None else (account.version, account.balance)
        return tuple(flat)

    def decide(
        self, slot: Slot, index: int, ballot: Ballot, entry: Decide
    ) -> tuple[dict[SessionId, CrossAnswer], Decided]:
        """C or A at the coordinator: the first decision of a prepared transaction counts."""
        answers: dict[SessionId, CrossAnswer] = {}
        result = Decided([], [])
        freed = result.freed.extend
        cross = self.state.cross
        session: Session | None = None
        answer: CrossAnswer | None = None
        for row in entry.rows:
            tx = TxId(row.session, row.number)
            prepared = cross.prepared.get(tx)
            if prepared is None or not prepared.homes:
                index += 1
                continue
            self._settle(tx, prepared, commit=not row.status)
            freed(prepared.legs[::2])
            unfinished = Unfinished(prepared.at, not row.status, others_of(prepared.homes, self.own))
            cross.decided(tx, unfinished)
            result.decided.append((tx, unfinished))
            if answer is None or row.session != answer.session:
                session = self.state.sessions.get(row.session)
                answer = answers.get(row.session)
                if answer is None:
                    answer = answers[row.session] = CrossAnswer(row.session, [], [], [])
                if session is not None:
                    self.state.touch_session(row.session)
            if row.status == MOVED:
                answer.refused.append((row.number, Refusal.MIGRATING))
            elif session is not None and session.spans(row.number):
                payer = first_debited(prepared.all_legs)
                outcome = Outcome(row.status, slot, index, ballot, row.legs, row.parts, payer)
                session.outcomes[row.number] = outcome
                answer.numbers.append(row.number)
                answer.outcomes.append(outcome)
            else:
                # Nothing remembers the outcome, but whoever waits for it must hear that.
                answer.refused.append((row.number, Refusal.SESSION_EXPIRED))
            index += 1
        return answers, result

    def finish(self, entry: Finish) -> None:
        for row in entry.rows:
            self.state.cross.finish(TxId(row.session, row.number))

    # --- participant -------------------------------------------------------------------

    def part_prepare(self, slot: Slot, index: int, ballot: Ballot, entry: PartPrepare) -> PartPrepared:
        """P at a participant. A yes exists only once this has run; a no changes nothing."""
        cross = self.state.cross
        cross.pass_below(entry.coordinator, entry.finished_below)
        below = cross.finished_below.get(entry.coordinator, 0)
        result = PartPrepared(entry.coordinator, [], [])
        for row in entry.rows:
            tx = TxId(row.session, row.number)
            prepared = cross.prepared.get(tx)
            if prepared is not None and not same_part(prepared, entry.coordinator, row):
                result.votes.append(moved(self.state, row))
            elif prepared is not None:
                if row.at > prepared.at:
                    prepared.at = row.at
                    cross.prepared_changes.update(tx)
                result.votes.append(yes(prepared))
            elif row.at >= below and not cross.is_over(tx, entry.coordinator, row.at):
                self._part_row(slot, index, ballot, entry.coordinator, tx, row, result)
            index += 1
        return result

    def _part_row(
        self,
        slot: Slot,
        index: int,
        ballot: Ballot,
        coordinator: ClusterId,
        tx: TxId,
        row: PrepareRow,
        result: PartPrepared,
    ) -> None:
        after = self._take_one(row.legs, row.conditions)
        if after is None:
            after = self._judge_row(slot, index, ballot, row, result)
            if after is None:
                return
        prepared = Prepared(
            row.session, row.number, coordinator, row.at, row.age_us, row.legs, after, slot, index, ballot
        )
        self.state.cross.hold(tx, prepared)
        result.votes.append(yes(prepared))

    def _judge_row(
        self, slot: Slot, index: int, ballot: Ballot, row: PrepareRow, result: PartPrepared
    ) -> tuple[int, ...] | None:
        """Version and balance of each own account if it commits, or None when the row is not prepared."""
        state = self.state
        held = self._find(row.legs)
        taken = state.moves.taken
        if held is None or (taken and _any_in(taken, held)):
            result.votes.append(moved(state, row))
            return None
        status: int = Status.COMMITTED
        if len(held) < len(row.legs) // 2:
            status = Status.UNKNOWN_ACCOUNT
        elif _any_in(state.cross.locks, held):
            result.locked.append(row)
            return None
        else:
            status = judge(state.accounts, held, row.legs, row.conditions)
        if status:
            seen = tuple([x for a in held for x in (a.version, a.balance)])
            result.votes.append(VoteRow(row.session, row.number, row.at, status, slot, index, ballot, seen))
            return None
        return self._take(held, row.legs)

    def part_decide(self, entry: PartDecide) -> PartDecided:
        """C or A at a participant. Repeated ones only repeat the acknowledgement."""
        cross = self.state.cross
        cross.pass_below(entry.coordinator, entry.finished_below)
        result = PartDecided(entry.coordinator, [], [], [])
        for row in entry.rows:
            tx = TxId(row.session, row.number)
            prepared = cross.prepared.get(tx)
            at = row.at
            if prepared is not None and prepared.coordinator == entry.coordinator:
                if at < prepared.at:
                    result.stale.append(tx)
                    continue
                self._settle(tx, prepared, row.commit)
                result.freed.extend(prepared.legs[::2])
            if not cross.is_over(tx, entry.coordinator, at):
                cross.remember(tx, FinishedTx(entry.coordinator, at, row.commit))
            result.acks.append(TxRow(row.session, row.number, row.at))
        return result

    # --- both ----------------------------------------------------------------------------

    def _find(self, legs: tuple[int, ...]) -> list[Account] | None:
        """The legs' accounts: None when one is owned elsewhere, fewer than legs when one does not exist."""
        state = self.state
        held: list[Account] = []
        missing = False
        for account_id in legs[::2]:
            account = state.accounts.get(account_id)
            if account is not None:
                held.append(account)
            elif 1 <= account_id <= state.accounts_total:
                return None
            else:
                missing = True
        return [] if missing else held

    def _take_one(self, legs: tuple[int, ...], conditions: tuple[int, ...]) -> tuple[int, ...] | None:
        """The common case of finding, judging and :meth:`_take`: one account, and nothing in the way.

        None when anything is; the general rules then say what.
        """
        state = self.state
        if len(legs) != 2 or conditions or state.captures:
            return None
        account_id, delta = legs
        account = state.accounts.get(account_id)
        if account is None or not delta or account_id in state.cross.locks or account_id in state.moves.taken:
            return None
        balance = account.balance + delta
        if not 0 <= balance <= BALANCE_MAX:
            return None
        state.touched_accounts.add(account_id)
        account.balance = balance
        return (account.version + 1, balance)

    def _take(self, held: list[Account], legs: tuple[int, ...]) -> tuple[int, ...]:
        """Apply the deltas, subject to undo; returns version and balance of each account if it commits."""
        after: list[int] = []
        for account, delta in zip(held, legs[1::2], strict=True):
            if delta:
                self.state.changing(account)
                account.balance += delta
            after += (account.version + (delta != 0), account.balance)
        return tuple(after)

    def _settle(self, tx: TxId, prepared: Prepared, commit: bool) -> None:
        """Make a prepared transaction's changes final, or take its deltas back."""
        state = self.state
        legs = prepared.legs
        for account_id, delta in (legs,) if len(legs) == 2 else zip(legs[::2], legs[1::2], strict=True):
            if not delta:
                continue
            account = state.accounts[account_id]
            if state.captures:
                state.changing(account)
            else:
                state.touched_accounts.add(account_id)
            if commit:
                account.version += 1
            else:
                account.balance -= delta
        state.cross.release(tx, prepared)


def _any_in(accounts: Container[AccountId], held: list[Account]) -> bool:
    for account in held:  # noqa: SIM110  (a generator costs more than the one account there mostly is)
        if account.id in accounts:
            return True
    return False


def yes(prepared: Prepared) -> VoteRow:
    """The vote of a participant that is prepared; the same whenever it is asked."""
    return VoteRow(
        prepared.session, prepared.number, prepared.at, Status.COMMITTED, prepared.slot, prepared.index,
        prepared.ballot, prepared.after,
    )  # fmt: skip


def no(row: PrepareRow, status: int) -> VoteRow:
    """A vote against ``row`` that no log entry was needed for."""
    return VoteRow(row.session, row.number, row.at, status, 0, 0, BALLOT_NONE, ())


def moved(state: BankState, row: PrepareRow) -> VoteRow:
    """The vote where an account is on its way, or gone: ``legs`` are triples account, cluster, epoch."""
    forwards = state.moves.forwards
    hints: list[int] = []
    for account in row.legs[::2]:
        forward = forwards.get(account)
        if forward is not None:
            hints += (account, forward.cluster, forward.epoch)
    return VoteRow(row.session, row.number, row.at, MOVED, 0, 0, BALLOT_NONE, tuple(hints))


def same_part(prepared: Prepared, coordinator: ClusterId, row: PrepareRow) -> bool:
    """Whether a yes to what is prepared is a yes to ``row``, a later attempt at the same transaction.

    Accounts may have moved in between: the payer, then another cluster coordinates, or others, then this
    cluster's legs are not the same. The earlier attempt is about to end, the later is taken back meanwhile.
    """
    return prepared.coordinator == coordinator and prepared.legs == row.legs


def decision_row(tx: TxId, unfinished: Unfinished) -> DecisionRow:
    return DecisionRow(tx.session, tx.number, unfinished.at, unfinished.commit)


def local_part(item: CrossItem, own: ClusterId) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Legs and conditions of ``item`` that lie in cluster ``own``."""
    if len(item.homes) == 2 and not item.conditions and item.homes[0] != item.homes[1]:
        if item.homes[0] == own:
            return item.legs[:2], ()
        return (item.legs[2:4] if item.homes[1] == own else ()), ()
    legs: list[int] = []
    ids: set[int] = set()
    for i, home in enumerate(item.homes):
        if home == own:
            legs += item.legs[2 * i : 2 * i + 2]
            ids.add(item.legs[2 * i])
    conditions: list[int] = []
    for i in range(0, len(item.conditions), 3):
        if item.conditions[i] in ids:
            conditions += item.conditions[i : i + 3]
    return tuple(legs), tuple(conditions)


def part_rows(session: SessionId, item: CrossItem, at: Slot, own: ClusterId) -> dict[ClusterId, PrepareRow]:
    """What each participant is asked to prepare, by cluster, ascending."""
    rows: dict[ClusterId, PrepareRow] = {}
    for cluster in others_of(item.homes, own):
        legs, conditions = local_part(item, cluster)
        rows[cluster] = PrepareRow(session, item.number, at, item.age_us, legs, conditions)
    return rows
