"""The participant's leader: answers prepares from the state, applies decisions, asks when in doubt.

A yes exists only as an applied entry; the same question gets the same answer from whoever leads. Nobody here
ever decides by the clock: a transaction in doubt is asked about until its coordinator's group answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from consensus.bank.state import BankState
from consensus.bank.twophase import PartDecided, PartPrepared, no, same_part, yes
from consensus.messages.client import Status
from consensus.messages.txn import (
    MOVED,
    DecisionRow,
    PrepareRow,
    TxAck,
    TxDecision,
    TxPrepare,
    TxResolve,
    TxRow,
    TxVote,
    VoteRow,
)
from consensus.paxos.context import Context
from consensus.txn.groups import Groups
from consensus.txn.queue import ProposalQueue
from consensus.txn.waiting import Age, Waiter, Waiting
from consensus.types import AccountId, ClusterId, TxId

ROWS_MAX: Final = 512


class PartWait:
    """Payload of a waiter: a prepare that waits for its locks."""

    __slots__ = ("coordinator", "row")

    def __init__(self, coordinator: ClusterId, row: PrepareRow) -> None:
        self.coordinator = coordinator
        self.row = row


class Participant:
    """Transactions of other coordinators, in one leadership of this cluster."""

    def __init__(
        self,
        ctx: Context,
        groups: Groups,
        state: Callable[[], BankState],
        waiting: Waiting,
        queue: ProposalQueue,
    ) -> None:
        self._ctx = ctx
        self._groups = groups
        self._state = state
        self._waiting = waiting
        self._queue = queue
        self._lock_wait_us = int(ctx.topology.timings.lock_wait_ms * 1000)
        self._doubt_us = int(ctx.topology.timings.twopc_ms * 1000)
        self._proposed: dict[TxId, int] = {}
        """Prepares queued or in flight, by the number they were asked with."""
        self._deciding: set[TxId] = set()
        self._doubts: dict[TxId, int] = {}
        """Prepared here, and when to ask (again) how it ended."""
        self._look_us = 0
        """Nobody has to be asked before."""
        self._votes: dict[ClusterId, list[VoteRow]] = {}
        self._acks: dict[ClusterId, list[TxRow]] = {}
        self._asks: dict[ClusterId, list[TxRow]] = {}

    # --- prepares --------------------------------------------------------------------

    def on_prepare(self, message: TxPrepare) -> None:
        cross = self._state().cross
        self._queue.note_finished_below(message.coordinator, message.finished_below)
        below = max(cross.finished_below.get(message.coordinator, 0), message.finished_below)
        for row in message.rows:
            tx = TxId(row.session, row.number)
            prepared = cross.prepared.get(tx)
            if prepared is not None and not same_part(prepared, message.coordinator, row):
                self._vote_no(message.coordinator, row, MOVED)
            elif prepared is not None and prepared.at == row.at:
                self._votes.setdefault(message.coordinator, []).append(yes(prepared))
            elif prepared is not None:
                if row.at > prepared.at and self._proposed.get(tx, 0) < row.at:
                    self._proposed[tx] = row.at
                    self._queue.add_part(message.coordinator, row, self._ctx.now_us)
            elif (
                row.at < below
                or cross.is_over(tx, message.coordinator, row.at)
                or self._proposed.get(tx, 0) >= row.at
                or tx in self._waiting.waiting
            ):
                continue
            else:
                self._new(message.coordinator, tx, row)

    def _new(self, coordinator: ClusterId, tx: TxId, row: PrepareRow) -> None:
        self._ctx.counters["twopc_participant"] += 1
        accounts = row.legs[::2]
        if self._waiting.free(accounts):
            self.admit(coordinator, row)
            return
        age = Age(row.age_us, tx)
        if any(age > other for other in self._holders(accounts)) or any(
            age > other for other in self._waiting.ahead(accounts)
        ):
            self._vote_no(coordinator, row, Status.LOCK_CONFLICT)
            return
        deadline = self._ctx.now_us + self._lock_wait_us
        if not self._waiting.enter(
            Waiter(tx, tuple(sorted(accounts)), age, deadline, PartWait(coordinator, row), holds=True)
        ):
            self._vote_no(coordinator, row, Status.LOCK_TIMEOUT)

    def _holders(self, accounts: tuple[int, ...]) -> list[Age]:
        """Ages of those that hold or have claimed the locks."""
        cross = self._state().cross
        ages: list[Age] = []
        for account in accounts:
            tx = cross.locks.get(account)
            if tx is not None:
                ages.append(Age(cross.prepared[tx].age_us, tx))
            if account in self._waiting.claims:
                ages.append(self._waiting.claims[account])
        return ages

    def admit(self, coordinator: ClusterId, row: PrepareRow) -> None:
        """Its accounts are free: propose the prepare entry."""
        tx = TxId(row.session, row.number)
        self._waiting.claim(row.legs[::2], Age(row.age_us, tx))
        self._proposed[tx] = row.at
        self._queue.add_part(coordinator, row, self._ctx.now_us)

    def timed_out(self, wait: PartWait) -> None:
        self._ctx.counters["locks_timed_out"] += 1
        self._vote_no(wait.coordinator, wait.row, Status.LOCK_TIMEOUT)

    def gives_way(self, wait: PartWait) -> None:
        """An older transaction got a lock that it waits for."""
        self._vote_no(wait.coordinator, wait.row, Status.LOCK_CONFLICT)

    def _vote_no(self, coordinator: ClusterId, row: PrepareRow, status: int) -> None:
        vote = no(row, status)
        self._votes.setdefault(coordinator, []).append(vote)
        if self._ctx.traces_tx(vote.session, vote.number):
            self._trace(vote)

    def on_prepared(self, result: PartPrepared) -> None:
        """A prepare entry is applied: its votes may leave. Rows that met a lock start over."""
        acquired = 0
        ask_us = self._ctx.now_us + self._doubt_us
        for vote in result.votes:
            tx = TxId(vote.session, vote.number)
            self._proposed.pop(tx, None)
            if not vote.status:
                acquired += 1
                self._doubts[tx] = ask_us
        self._ctx.counters["locks_acquired"] += acquired
        for vote in self._ctx.traced_rows(result.votes):
            self._trace(vote)
        if result.votes:
            self._votes.setdefault(result.coordinator, []).extend(result.votes)
        for row in result.locked:
            tx = TxId(row.session, row.number)
            self._proposed.pop(tx, None)
            self._waiting.unclaim(row.legs[::2], tx)
            self._new(result.coordinator, tx, row)

    def _trace(self, vote: VoteRow) -> None:
        tx = TxId(vote.session, vote.number)
        why = (
            {"why": "moved" if vote.status == MOVED else Status(vote.status).name.lower()}
            if vote.status
            else {}
        )
        slot = {"s": vote.slot} if vote.slot else {}
        self._ctx.event("tx.vote", tx=str(tx), yes=not vote.status, **slot, **why)

    # --- decisions -------------------------------------------------------------------

    def on_decision(self, message: TxDecision) -> list[AccountId]:
        """Queue what is not settled yet. Returns the accounts of decided ones that waited."""
        cross = self._state().cross
        left: list[AccountId] = []
        self._queue.note_finished_below(message.coordinator, message.finished_below)
        for row in message.rows:
            tx = TxId(row.session, row.number)
            waiter = self._waiting.waiting.get(tx)
            if waiter is not None and isinstance(waiter.payload, PartWait):
                self._waiting.leave(waiter)
                left.extend(waiter.accounts)
            if tx in self._deciding:
                continue
            if tx not in cross.prepared and tx not in self._proposed:
                known = tx in cross.finished or row.at < cross.finished_below.get(message.coordinator, 0)
                if known:
                    self._ack(message.coordinator, row)
                    continue
            self._deciding.add(tx)
            self._queue.add_part_decide(message.coordinator, row, self._ctx.now_us)
        return left

    def _ack(self, coordinator: ClusterId, row: DecisionRow) -> None:
        self._acks.setdefault(coordinator, []).append(TxRow(row.session, row.number, row.at))

    def on_decided(self, result: PartDecided) -> None:
        """Decisions are applied: acknowledge them.

        What is still prepared is so for another coordinator, and stays in doubt: the payer has moved since.
        """
        prepared = self._state().cross.prepared
        for row in result.acks:
            tx = TxId(row.session, row.number)
            self._deciding.discard(tx)
            self._proposed.pop(tx, None)
            if tx not in prepared:
                self._doubts.pop(tx, None)
        self._deciding.difference_update(result.stale)
        self._acks.setdefault(result.coordinator, []).extend(result.acks)

    # --- time, beginnings, ends --------------------------------------------------------

    def adopt(self) -> None:
        """A new leadership: whatever is prepared here is in doubt until it is decided."""
        for tx, prepared in self._state().cross.prepared.items():
            if not prepared.coordinates:
                self._doubts[tx] = self._ctx.now_us + self._ctx.resend_us

    def on_time(self) -> None:
        """Ask about what has been in doubt for too long."""
        now = self._ctx.now_us
        if now < self._look_us:
            return
        prepared = self._state().cross.prepared
        # What is prepared or adopted from now on is not asked about before.
        look_us = now + min(self._ctx.resend_us, self._doubt_us)
        for tx, ask_us in self._doubts.items():
            if now < ask_us:
                look_us = min(look_us, ask_us)
                continue
            held = prepared.get(tx)
            if held is None:
                continue
            self._doubts[tx] = now + self._ctx.resend_us
            self._asks.setdefault(held.coordinator, []).append(TxRow(tx.session, tx.number, held.at))
        self._look_us = look_us

    @property
    def busy(self) -> bool:
        return bool(self._doubts)

    def flush(self) -> None:
        """Send what gathered in this step."""
        own = self._ctx.cluster.id
        audit = self._state().audit
        for coordinator, votes in self._votes.items():
            for i in range(0, len(votes), ROWS_MAX):
                self._groups.send(coordinator, TxVote(own, votes[i : i + ROWS_MAX], audit))
        for coordinator, acks in self._acks.items():
            for i in range(0, len(acks), ROWS_MAX):
                self._groups.send(coordinator, TxAck(own, acks[i : i + ROWS_MAX], audit))
        for coordinator, asks in self._asks.items():
            for i in range(0, len(asks), ROWS_MAX):
                self._groups.send(coordinator, TxResolve(own, asks[i : i + ROWS_MAX], audit), everyone=True)
        if self._votes:
            self._votes = {}
        if self._acks:
            self._acks = {}
        if self._asks:
            self._asks = {}

    def clear(self) -> None:
        self._proposed.clear()
        self._deciding.clear()
        self._doubts.clear()
        self._look_us = 0
        self._votes.clear()
        self._acks.clear()
        self._asks.clear()
