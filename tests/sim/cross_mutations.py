"""Rules of two-phase commit taken away, one at a time. Numbers: see ``test_defects``.

22, an undo record with an absolute balance, is not among them: a lock that lasts until the decision makes
both kinds of record do the same.
"""

from __future__ import annotations

from typing import Any

from consensus.bank import machine
from consensus.bank.cross import CrossState
from consensus.bank.state import BankState
from consensus.bank.twophase import PartDecided, PartPrepared, TwoPhase
from consensus.messages.base import Message
from consensus.messages.client import Status
from consensus.messages.entries import Audit, DecideRow, PartDecide, PartPrepare
from consensus.messages.txn import DecisionRow, PrepareRow, TxDecision, TxResolve, TxRow, VoteRow
from consensus.txn.coordinator import Coordinator, OpenTx
from consensus.txn.doubts import Doubts
from consensus.txn.groups import Groups
from consensus.txn.participant import Participant
from consensus.txn.queue import ProposalQueue
from consensus.types import BALLOT_NONE, TxId
from tests.sim.mutations import Mutation, Patch


def decision_leaves_before_it_is_chosen(patch: Patch) -> None:
    """19: the leader tells its decision when it has made it."""
    propose = Coordinator._propose

    def hasty(self: Coordinator, tx: TxId, row: DecideRow) -> None:
        open_ = self._open[tx]
        for cluster in open_.rows:
            told = DecisionRow(tx.session, tx.number, open_.at, not row.status)
            self._decisions.setdefault((cluster, False), []).append(told)
        propose(self, tx, row)

    patch.setattr(Coordinator, "_propose", hasty)


def new_leader_takes_nothing_up(patch: Patch) -> None:
    """20: what is prepared or not acknowledged is unknown to the next leader."""
    patch.setattr(Coordinator, "adopt", lambda self: None)


def nobody_asks(patch: Patch) -> None:
    """20: a participant in doubt waits until it is told."""
    patch.setattr(Participant, "on_time", lambda self: None)


def abort_takes_back_what_was_never_taken(patch: Patch) -> None:
    """21: an abort without a prepare changes balances."""
    prepare, decide = TwoPhase.part_prepare, TwoPhase.part_decide
    legs: dict[tuple[int, TxId], tuple[int, ...]] = {}

    def part_prepare(self: TwoPhase, *args: Any) -> PartPrepared:
        entry: PartPrepare = args[-1]
        legs.update({(id(self), TxId(row.session, row.number)): row.legs for row in entry.rows})
        return prepare(self, *args)

    def part_decide(self: TwoPhase, entry: PartDecide) -> PartDecided:
        for row in entry.rows:
            tx = TxId(row.session, row.number)
            if not row.commit and tx not in self.state.cross.prepared:
                taken = legs.pop((id(self), tx), ())
                for account, delta in zip(taken[::2], taken[1::2], strict=True):
                    self.state.changing(self.state.accounts[account])
                    self.state.accounts[account].balance -= delta
        return decide(self, entry)

    patch.setattr(TwoPhase, "part_prepare", part_prepare)
    patch.setattr(TwoPhase, "part_decide", part_decide)


def abort_keeps_the_deltas(patch: Patch) -> None:
    """21: locks and undo records fall, the money stays where the prepare put it."""
    settle = TwoPhase._settle

    def lax(self: TwoPhase, tx: TxId, prepared: Any, commit: bool) -> None:
        if commit:
            settle(self, tx, prepared, commit)
        else:
            self.state.cross.release(tx, prepared)

    patch.setattr(TwoPhase, "_settle", lax)


def yes_without_an_entry(patch: Patch) -> None:
    """23: a participant's leader says yes to what its log does not know."""

    def trusting(self: Participant, coordinator: int, tx: TxId, row: PrepareRow) -> None:
        vote = VoteRow(row.session, row.number, row.at, Status.COMMITTED, 0, 0, BALLOT_NONE, row.legs)
        self._votes.setdefault(coordinator, []).append(vote)

    patch.setattr(Participant, "_new", trusting)


def first_leader_only(patch: Patch) -> None:
    """24: messages to a cluster go to the node that led it first."""

    def send(self: Groups, cluster: int, message: Message, everyone: bool = False) -> None:
        self._ctx.send((self._ctx.topology.cluster_by_id[cluster].first_leader,), message)

    patch.setattr(Groups, "send", send)


def late_prepares_run_again(patch: Patch) -> None:
    """35: a participant does not remember what is decided."""
    patch.setattr(CrossState, "is_over", lambda self, tx, coordinator, at: False)


def ended_means_committed_again(patch: Patch) -> None:
    """35: who asks about a finished commit is told to commit, although everybody has."""
    answer = Doubts.on_resolve

    def by_outcome(self: Doubts, message: TxResolve) -> None:
        state: BankState = self._state()
        rest: list[TxRow] = []
        for row in message.rows:
            session = state.sessions.get(row.session)
            outcome = session.outcomes.get(row.number) if session is not None else None
            if outcome is None or outcome.status:
                rest.append(row)
                continue
            told = DecisionRow(row.session, row.number, row.at, True)
            self._groups.send(message.participant, TxDecision(self._ctx.cluster.id, 0, [told]))
        answer(self, TxResolve(message.participant, rest))

    patch.setattr(Doubts, "on_resolve", by_outcome)


def acknowledged_before_it_is_chosen(patch: Patch) -> None:
    """A participant's leader acknowledges a decision when it hears it."""
    decision = Participant.on_decision

    def hasty(self: Participant, message: TxDecision) -> list[int]:
        for row in message.rows:
            self._ack(message.coordinator, row)
        return decision(self, message)

    patch.setattr(Participant, "on_decision", hasty)


def one_yes_is_enough(patch: Patch) -> None:
    """The coordinator commits when the first participant agrees."""
    decide = Coordinator._maybe_decide

    def eager(self: Coordinator, tx: TxId, open_: OpenTx) -> None:
        if open_.votes:
            open_.rows = {cluster: open_.rows[cluster] for cluster in open_.votes}
        decide(self, tx, open_)

    patch.setattr(Coordinator, "_maybe_decide", eager)


def participant_ends_it_by_the_clock(patch: Patch) -> None:
    """A participant that was in doubt for long enough aborts."""
    on_time = Participant.on_time

    def impatient(self: Participant) -> None:
        for tx, ask_us in self._doubts.items():
            prepared = self._state().cross.prepared.get(tx)
            if prepared is not None and ask_us <= self._ctx.now_us and tx not in self._deciding:
                row = DecisionRow(tx.session, tx.number, prepared.at, False)
                self._deciding.add(tx)
                self._queue.add_part_decide(prepared.coordinator, row, self._ctx.now_us)
        on_time(self)

    patch.setattr(Participant, "on_time", impatient)


def cut_after_the_rest(patch: Patch) -> None:
    """39: an audit cut comes after what was caused by the message that told of it."""
    next_batch = ProposalQueue.next_batch

    def late(self: ProposalQueue, now_us: int) -> Any:
        entries, groups = next_batch(self, now_us)
        return sorted(entries, key=lambda entry: isinstance(entry, Audit)), groups

    patch.setattr(ProposalQueue, "next_batch", late)


def prepared_is_counted_twice(patch: Patch) -> None:
    """39: an audit counts what is prepared as if it were committed, wherever its coordinator stands."""
    report = machine.report

    def blind(*args: Any) -> Any:
        found = report(*args)
        return type(found)(
            *[[] if name == "prepared" else getattr(found, name) for name in found.__struct_fields__]
        )

    patch.setattr(machine, "report", blind)


FOUND_BY_CRASHES: dict[Mutation, str] = {
    decision_leaves_before_it_is_chosen: "transfer",
    new_leader_takes_nothing_up: "transfer",
    abort_takes_back_what_was_never_taken: "participant has not the money",
    abort_keeps_the_deltas: "participant has not the money",
    yes_without_an_entry: "transfer",
    first_leader_only: "transfer",
    one_yes_is_enough: "three clusters",
}
"""Mutations that crashes at the points of a scenario find."""
FOUND_BY_SEEDS: dict[Mutation, int] = {
    acknowledged_before_it_is_chosen: 40,
    late_prepares_run_again: 20,
    participant_ends_it_by_the_clock: 40,
    cut_after_the_rest: 40,
    prepared_is_counted_twice: 20,
}
"""Mutations that runs of several clusters find, and within how many seeds."""
