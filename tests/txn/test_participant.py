"""The participant's leader: answers from the state, wait-die, asks when in doubt, acknowledges."""

from __future__ import annotations

import pytest

from consensus.messages.client import Status
from consensus.messages.entries import PartDecide, PartPrepare
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
)
from consensus.types import TxId
from tests.bank.batches import ALICE, apply, balances, copy_of, cross, pay
from tests.txn.parties import TakingPart


def row(number: int, *legs: int, at: int = 5, age: int = 100) -> PrepareRow:
    return PrepareRow(ALICE, number, at, age, legs)


def ask(*rows: PrepareRow, below: int = 0, coordinator: int = 1) -> TxPrepare:
    return TxPrepare(coordinator, below, list(rows))


def say(commit: bool, *numbers: int, at: int = 5, below: int = 0) -> TxDecision:
    return TxDecision(1, below, [DecisionRow(ALICE, number, at, commit) for number in numbers])


def votes(party: TakingPart) -> list[tuple[int, int]]:
    """(number, status) of the votes sent since the last look."""
    return [(v.number, v.status) for _, message in party.told(TxVote) for v in message.rows]


def prepared(*legs: int, number: int = 0, age: int = 100) -> TakingPart:
    party = TakingPart()
    party.ask(ask(row(number, *legs, age=age)))
    party.slot()
    party.take_sends()
    return party


# --- prepares ----------------------------------------------------------------------------


def test_a_yes_leaves_only_once_the_entry_is_applied() -> None:
    party = TakingPart()
    party.ask(ask(row(0, 11, 20), below=4))
    assert party.take_sends() == [] and party.queue.queued == 1
    assert party.slot() == [PartPrepare(1, 4, [row(0, 11, 20)])]
    ((to, message),) = party.told(TxVote)
    assert to == (1,) and message.participant == 2 and message.rows[0].legs == (1, 120)
    assert balances(party.machine)[0] == 120


def test_a_repeated_prepare_gets_the_same_vote_without_another_entry() -> None:
    party = TakingPart()
    party.ask(ask(row(0, 11, 20)))
    party.ask(ask(row(0, 11, 20)))
    assert party.queue.queued == 1, "one that is on its way is not proposed beside itself"
    party.slot()
    first = party.told(TxVote)
    party.ask(ask(row(0, 11, 20)))
    assert party.told(TxVote) == first and not party.queue.pending


def test_a_new_leader_gives_the_same_vote() -> None:
    party = TakingPart()
    party.ask(ask(row(0, 11, 20)))
    party.slot()
    first = party.told(TxVote)
    new = TakingPart(copy_of(party.machine))
    new.ask(ask(row(0, 11, 20)))
    assert new.told(TxVote) == first


def test_a_prepare_asked_under_a_higher_number_goes_through_the_log() -> None:
    party = prepared(11, 20)
    party.ask(ask(row(0, 11, 20, at=4)))
    assert not party.queue.pending and party.take_sends() == [], "an old copy"
    for _ in range(2):
        party.ask(ask(row(0, 11, 20, at=9)))
    assert party.queue.queued == 1
    party.slot()
    ((_, message),) = party.told(TxVote)
    assert message.rows[0].at == 9 and balances(party.machine)[0] == 120


def test_no_money_is_a_no() -> None:
    party = TakingPart()
    party.ask(ask(row(0, 11, -101), row(1, 12, -100)))
    party.slot()
    assert votes(party) == [(0, Status.INSUFFICIENT_FUNDS), (1, 0)]
    party.wait(600)
    assert [r.number for _, m in party.told(TxResolve) for r in m.rows] == [1], (
        "only what is prepared is in doubt"
    )


def test_prepares_below_the_mark_or_finished_are_ignored() -> None:
    party = prepared(11, 20)
    party.participant.on_decision(say(True, 0))
    party.slot()
    party.take_sends()
    party.ask(ask(row(0, 11, 20), row(1, 12, 20, at=3), below=4))
    assert not party.queue.pending and party.take_sends() == []


def test_a_tx_id_that_another_coordinator_prepared_is_taken_back_meanwhile() -> None:
    party = prepared(11, 20)
    for at in (5, 9):
        party.ask(ask(row(0, 12, 50, at=at), coordinator=3))
        assert votes(party) == [(0, MOVED)] and not party.queue.pending


def test_an_attempt_with_other_legs_than_those_prepared_is_taken_back_meanwhile() -> None:
    party = prepared(11, 20)
    for at in (5, 9):
        party.ask(ask(row(0, 11, 20, 12, -5, at=at)))
        assert votes(party) == [(0, MOVED)] and not party.queue.pending


# --- wait-die ------------------------------------------------------------------------------


def test_an_older_transaction_waits_for_a_younger_holder() -> None:
    party = prepared(11, 20, age=100)
    party.ask(ask(row(1, 11, 5, age=99)))
    assert party.take_sends() == [] and not party.queue.pending
    party.participant.on_decision(say(False, 0))
    party.slot()
    party.take_sends()
    assert party.queue.queued == 1, "its turn"
    party.slot()
    assert votes(party) == [(1, 0)] and balances(party.machine)[0] == 105


@pytest.mark.parametrize(("age", "number"), [(101, 1), (100, 1)])
def test_a_younger_transaction_is_refused(age: int, number: int) -> None:
    party = prepared(11, 20, age=100)
    party.ask(ask(row(number, 11, 5, age=age)))
    assert votes(party) == [(number, Status.LOCK_CONFLICT)] and not party.waiting.waiting


def test_at_equal_age_the_tx_id_decides() -> None:
    party = prepared(11, 20, number=7, age=100)
    party.ask(ask(row(6, 11, 5, age=100)))
    assert party.take_sends() == [] and TxId(ALICE, 6) in party.waiting.waiting
    party.ask(ask(row(8, 11, 5, age=100)))
    assert votes(party) == [(8, Status.LOCK_CONFLICT)]


def test_a_claim_and_those_ahead_count_as_holders() -> None:
    party = TakingPart()
    party.ask(ask(row(0, 11, 20, age=100)))
    party.ask(ask(row(1, 11, 5, age=150)))
    assert votes(party) == [(1, Status.LOCK_CONFLICT)], "claimed by an entry that is queued"
    party.ask(ask(row(2, 11, 5, 12, 5, age=50)))
    party.ask(ask(row(3, 12, 5, age=70)))
    assert votes(party) == [(3, Status.LOCK_CONFLICT)], "account 12 is free, but an older one waits for it"
    party.ask(ask(row(4, 12, 5, age=20)))
    assert party.take_sends() == [] and TxId(ALICE, 4) in party.waiting.waiting


def test_the_lock_wait_ends_with_a_no() -> None:
    party = prepared(11, 20, age=100)
    party.ask(ask(row(1, 11, 5, age=99)))
    party.ask(ask(row(1, 11, 5, age=99)))
    assert len(party.waiting.waiting) == 1
    party.wait(99)
    assert party.take_sends() == []
    party.wait(1)
    assert votes(party) == [(1, Status.LOCK_TIMEOUT)]


def test_an_entry_that_met_a_lock_starts_over() -> None:
    """The lock came from an entry of the leader before, of which this one knew nothing when it proposed."""
    party = TakingPart()
    party.ask(ask(row(1, 11, 5, age=50), row(2, 12, 5, age=500)))
    apply(party.machine, PartPrepare(1, 0, [row(0, 11, 20, 12, 20, age=100)]))
    party.slot()
    assert votes(party) == [(2, Status.LOCK_CONFLICT)], "the younger one is refused"
    assert list(party.waiting.waiting) == [TxId(ALICE, 1)], "the older one waits"
    assert party.waiting.claims == {}


# --- decisions ---------------------------------------------------------------------------


@pytest.mark.parametrize(("commit", "balance"), [(True, 120), (False, 100)])
def test_a_decision_goes_through_the_log_and_is_acknowledged_then(commit: bool, balance: int) -> None:
    party = prepared(11, 20)
    for _ in range(2):
        party.participant.on_decision(say(commit, 0, below=3))
    party.participant.flush()
    assert party.take_sends() == [] and party.queue.queued == 1
    assert party.slot() == [PartDecide(1, 3, [DecisionRow(ALICE, 0, 5, commit)])]
    assert party.told(TxAck) == [((1,), TxAck(2, [TxRow(ALICE, 0, 5)]))]
    assert balances(party.machine)[0] == balance


def test_a_decision_again_is_acknowledged_again_without_an_entry() -> None:
    party = prepared(11, 20)
    party.participant.on_decision(say(True, 0))
    party.slot()
    party.take_sends()
    for _ in range(2):
        party.participant.on_decision(say(True, 0))
        party.participant.flush()
        assert party.told(TxAck) == [((1,), TxAck(2, [TxRow(ALICE, 0, 5)]))]
    party.participant.on_decision(say(True, 8, at=2, below=6))
    assert party.queue.queued == 1, "the mark is not applied yet: that number may still be open here"
    party.slot()
    party.take_sends()
    party.participant.on_decision(say(True, 8, at=2))
    party.participant.flush()
    assert len(party.told(TxAck)) == 1 and not party.queue.pending


def test_a_decision_before_its_prepare_keeps_the_prepare_from_running() -> None:
    party = TakingPart()
    party.participant.on_decision(say(False, 0))
    party.ask(ask(row(0, 11, 20)))
    assert [type(entry) for entry in party.slot()] == [PartDecide, PartPrepare], "decisions come first"
    assert [type(send.message) for send in party.take_sends()] == [TxAck]
    party.ask(ask(row(0, 11, 20)))
    assert not party.queue.pending and balances(party.machine)[0] == 100
    assert party.waiting.idle()


def test_a_decided_prepare_leaves_nothing_behind() -> None:
    """Its entry had no effect, because the decision was applied first."""
    party = TakingPart()
    party.ask(ask(row(0, 11, 20)))
    party.participant.on_decision(say(False, 0))
    party.slot()
    party.take_sends()
    party.participant.on_decision(say(False, 0))
    party.participant.flush()
    assert len(party.told(TxAck)) == 1 and not party.queue.pending, "known as finished: no further entry"


def test_a_decision_takes_a_waiter_out_and_lets_those_behind_go_on() -> None:
    party = prepared(11, 20, age=100)
    party.ask(ask(row(1, 11, 5, 12, 5, age=50)))
    party.ask(ask(row(2, 12, 5, age=20)))
    assert len(party.waiting.waiting) == 2
    party.go_on(party.participant.on_decision(say(False, 1)))
    party.slot()
    assert TxId(ALICE, 2) in party.machine.state.cross.prepared, "account 12 was free all the time"
    assert not party.waiting.waiting


# --- in doubt ------------------------------------------------------------------------------


def test_in_doubt_it_asks_every_member_every_50_ms_after_500() -> None:
    party = prepared(11, 20)
    party.wait(499)
    assert party.take_sends() == []
    party.wait(1)
    expected = [((1, 2, 3), TxResolve(2, [TxRow(ALICE, 0, 5)]))]
    assert party.told(TxResolve) == expected
    party.wait(49)
    assert party.take_sends() == []
    for ms in (1, 50, 50):
        party.wait(ms)
        assert party.told(TxResolve) == expected
    assert party.machine.state.cross.locks, "the clock decides nothing"
    party.participant.on_decision(say(True, 0))
    party.slot()
    party.take_sends()
    party.wait(600)
    assert party.take_sends() == [] and not party.participant.busy


def test_a_decision_of_another_coordinator_leaves_the_doubt_about_the_first() -> None:
    """The payer moved away from cluster 1, and the attempt of its new owner, cluster 3, ended here first."""
    party = prepared(11, 20)
    party.participant.on_decision(TxDecision(3, 0, [DecisionRow(ALICE, 0, 9, commit=False)]))
    party.slot()
    party.take_sends()
    party.wait(500)
    assert party.told(TxResolve) == [((1, 2, 3), TxResolve(2, [TxRow(ALICE, 0, 5)]))]
    party.participant.on_decision(say(False, 0))
    party.slot()
    assert not party.machine.state.cross.locks and not party.participant.busy


def test_a_new_leader_asks_soon() -> None:
    new = TakingPart(copy_of(prepared(11, 20).machine))
    new.participant.adopt()
    new.wait(49)
    assert new.take_sends() == []
    new.wait(1)
    assert [to for to, _ in new.told(TxResolve)] == [(1, 2, 3)]


def test_what_it_coordinates_itself_is_not_in_doubt() -> None:
    party = TakingPart()
    apply(party.machine, cross(0, pay(11, 1, 5)))
    party.participant.adopt()
    party.wait(600)
    assert party.take_sends() == [] and not party.participant.busy


def test_the_end_of_a_leadership_forgets_everything() -> None:
    party = prepared(11, 20)
    party.ask(ask(row(1, 12, 5)))
    party.participant.on_decision(say(True, 0))
    party.participant.clear()
    party.queue.clear()
    party.wait(600)
    assert party.take_sends() == [] and not party.participant.busy


def test_messages_carry_the_last_cut() -> None:
    party = TakingPart()
    party.machine.state.audit = 6
    party.ask(ask(row(0, 11, 20)))
    party.slot()
    assert [message.audit for _, message in party.told(TxVote)] == [6]
