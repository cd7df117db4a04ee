"""The coordinator's leader: asks, counts, decides, tells, and what a new one takes up."""

from __future__ import annotations

import pytest

from consensus.messages.client import Status
from consensus.messages.entries import Decide, DecideRow, Finish
from consensus.messages.txn import (
    DecisionRow,
    PrepareRow,
    TxAck,
    TxDecision,
    TxPrepare,
    TxRow,
    TxVote,
    VoteRow,
)
from consensus.txn import coordinator as coordinator_module
from consensus.types import Ballot, TxId
from tests.bank.batches import ALICE, copy_of, cross, pay
from tests.txn.parties import Coordinating

LEGS = (1, -30, 11, 10, 21, 20)
TX = TxId(ALICE, 0)


def vote(
    cluster: int, status: int = 0, at: int = 2, number: int = 0, legs: tuple[int, ...] = (1, 110)
) -> TxVote:
    return TxVote(cluster, [VoteRow(ALICE, number, at, status, 7, cluster, Ballot(1, 4), legs)])


def ack(cluster: int, number: int = 0, at: int = 2) -> TxAck:
    return TxAck(cluster, [TxRow(ALICE, number, at)])


def asked() -> Coordinating:
    """A transaction over three clusters is prepared here, the others are asked."""
    party = Coordinating()
    party.prepare(0, LEGS)
    party.coordinator.flush()
    party.take_sends()
    return party


def decided(status: int = 0) -> Coordinating:
    """Its decision is applied and told."""
    party = asked()
    for cluster in (2, 3):
        party.coordinator.on_votes(vote(cluster, status))
    party.apply(Decide(party.decides))
    party.coordinator.flush()
    return party


# --- phase one ---------------------------------------------------------------------------


def test_participants_are_asked_at_once_and_in_parallel() -> None:
    party = Coordinating()
    party.begin(0, LEGS)
    party.coordinator.flush()
    assert party.told(TxPrepare) == [
        ((4,), TxPrepare(1, 2, [PrepareRow(ALICE, 0, 2, 5, (11, 10))])),
        ((7,), TxPrepare(1, 2, [PrepareRow(ALICE, 0, 2, 5, (21, 20))])),
    ]
    assert party.coordinator.busy and party.coordinator.knows(TX)
    party.wait(49)
    assert party.take_sends() == [], "once is enough for now"


def test_unanswered_prepares_go_to_every_member_after_50_ms() -> None:
    party = asked()
    party.coordinator.on_votes(vote(2))
    for _ in range(3):
        party.wait(50)
        ((to, message),) = party.told(TxPrepare)
        assert to == (7, 8, 9) and [row.legs for row in message.rows] == [(21, 20)]
    party.wait(10)
    assert party.take_sends() == []


def test_the_believed_leader_is_who_was_heard_last() -> None:
    party = Coordinating()
    party.groups.heard(2, 5)
    party.groups.heard(3, 5)
    party.begin(0, LEGS)
    party.coordinator.flush()
    assert [to for to, _ in party.told(TxPrepare)] == [(5,), (7,)], "node 5 speaks for cluster 2 only"


def test_commit_when_every_vote_is_yes() -> None:
    party = asked()
    party.coordinator.on_votes(vote(2, legs=(1, 110)))
    assert party.decides == [], "one of two"
    party.coordinator.on_votes(vote(3, legs=(4, 120)))
    legs = (1, 70, 1, 110, 4, 120)
    assert party.decides == [DecideRow(ALICE, 0, 0, legs, (2, 7, 2, 1, 4, 3, 7, 3, 1, 4))]
    party.coordinator.on_votes(vote(3))
    assert len(party.decides) == 1


@pytest.mark.parametrize("order", [(2, 3), (3, 2)])
def test_one_no_aborts_without_waiting_for_the_rest(order: tuple[int, int]) -> None:
    party = asked()
    party.coordinator.on_votes(vote(order[0], Status.INSUFFICIENT_FUNDS, legs=(0, 100)))
    (row,) = party.decides
    assert (row.status, row.parts) == (Status.INSUFFICIENT_FUNDS, ())
    assert row.legs == ((0, 100, 0, 100, -1, -1) if order[0] == 2 else (0, 100, -1, -1, 0, 100))
    party.coordinator.on_votes(vote(order[1]))
    assert len(party.decides) == 1


def test_votes_count_only_when_the_own_prepare_is_applied() -> None:
    party = Coordinating()
    entry = party.begin(0, LEGS)
    party.coordinator.on_votes(vote(2, Status.LOCK_CONFLICT))
    party.coordinator.on_votes(vote(3))
    party.wait(600)
    assert party.decides == [], "not even the deadline decides what is not prepared"
    party.apply(entry)
    assert [row.status for row in party.decides] == [Status.LOCK_CONFLICT]


def test_votes_of_strangers_and_of_other_numbers_do_not_count() -> None:
    party = asked()
    party.coordinator.on_votes(vote(2, at=1))
    party.coordinator.on_votes(vote(1))
    party.coordinator.on_votes(vote(9))
    party.coordinator.on_votes(vote(3, number=8))
    party.coordinator.on_votes(vote(2))
    party.coordinator.on_votes(vote(2, Status.LOCK_TIMEOUT))
    assert party.decides == [], "a participant's first vote is its vote"
    party.coordinator.on_votes(vote(3))
    assert [row.status for row in party.decides] == [0]


def test_the_deadline_aborts_what_is_prepared() -> None:
    party = asked()
    party.coordinator.on_votes(vote(2))
    party.wait(499)
    assert party.decides == []
    party.take_sends()
    party.wait(1)
    (row,) = party.decides
    assert row.status == Status.PARTICIPANT_UNAVAILABLE and row.legs == (0, 100, 0, 100, -1, -1)
    party.wait(600)
    assert len(party.decides) == 1 and party.take_sends() == [], "it is left to the log now"


def test_a_prepare_that_had_no_effect_is_dropped() -> None:
    party = Coordinating()
    party.begin(0, LEGS)
    party.coordinator.drop(TX)
    party.coordinator.flush()
    party.take_sends()
    party.coordinator.on_votes(vote(2))
    party.wait(600)
    assert party.take_sends() == [] and party.decides == [] and not party.coordinator.busy


def test_what_cannot_commit_here_is_told_to_the_participants() -> None:
    party = Coordinating()
    party.prepare(0, (1, -101, 11, 101))
    party.coordinator.flush()
    first, second = (send.message for send in party.take_sends())
    assert isinstance(first, TxPrepare)
    assert second == TxDecision(1, 2, [DecisionRow(ALICE, 0, 2, False)])
    assert party.decides == []


# --- phase two ---------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0, Status.LOCK_CONFLICT])
def test_the_decision_is_told_until_everybody_acknowledged_it(status: int) -> None:
    party = decided(status)
    row = DecisionRow(ALICE, 0, 2, not status)
    assert party.told(TxDecision) == [((4,), TxDecision(1, 2, [row])), ((7,), TxDecision(1, 2, [row]))]
    party.coordinator.on_acks(ack(2))
    party.coordinator.on_acks(ack(2))
    assert party.finishes == []
    for _ in range(3):
        party.wait(50)
        assert party.told(TxDecision) == [((7, 8, 9), TxDecision(1, 2, [row]))]
    party.coordinator.on_acks(ack(3))
    assert party.finishes == [TxRow(ALICE, 0, 2)] and not party.coordinator.busy
    party.coordinator.on_acks(ack(3))
    party.wait(50)
    assert party.take_sends() == [] and len(party.finishes) == 1


def test_who_acknowledged_an_earlier_attempt_has_still_to_hear_of_this_one() -> None:
    party = decided()
    late = TxAck(2, [TxRow(ALICE, 0, 1)])
    party.coordinator.on_acks(late)
    party.coordinator.on_acks(ack(3))
    party.take_sends()
    party.wait(50)
    assert [to for to, _ in party.told(TxDecision)] == [(4, 5, 6)] and party.finishes == []
    party.coordinator.on_acks(ack(2))
    assert party.finishes == [TxRow(ALICE, 0, 2)]


def test_finished_below_rises_when_the_finish_is_applied() -> None:
    party = decided()
    for cluster in (2, 3):
        party.coordinator.on_acks(ack(cluster))
    party.take_sends()
    party.begin(1, pay(2, 12, 1))
    party.coordinator.flush()
    ((_, before),) = party.told(TxPrepare)
    party.apply(Finish(party.finishes))
    party.begin(2, pay(3, 13, 1))
    party.coordinator.flush()
    ((_, after),) = party.told(TxPrepare)
    assert (before.finished_below, after.finished_below) == (2, 5)


def test_messages_carry_the_last_cut() -> None:
    party = asked()
    party.machine.state.audit = 6
    party.wait(50)
    assert {message.audit for _, message in party.told(TxPrepare)} == {6}


def test_many_rows_are_split_over_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordinator_module, "ROWS_MAX", 2)
    party = Coordinating()
    for number in range(5):
        party.begin(number, pay(number + 1, 11, 1))
    party.coordinator.flush()
    assert [[row.number for row in message.rows] for _, message in party.told(TxPrepare)] == [
        [0, 1],
        [2, 3],
        [4],
    ]


# --- a new leader ------------------------------------------------------------------------


def test_a_new_leader_asks_for_what_is_prepared_with_a_fresh_deadline() -> None:
    old = asked()
    old.coordinator.on_votes(vote(2))
    new = Coordinating(copy_of(old.machine))
    new.pass_ms(10_000)
    new.coordinator.adopt()
    new.coordinator.flush()
    assert [(to, message.rows[0].at) for to, message in new.told(TxPrepare)] == [((4,), 2), ((7,), 2)]
    new.wait(499)
    assert new.decides == []
    for cluster in (2, 3):
        new.coordinator.on_votes(vote(cluster))
    assert [row.status for row in new.decides] == [0]


def test_a_new_leader_tells_decisions_that_were_not_acknowledged() -> None:
    old = decided()
    new = Coordinating(copy_of(old.machine))
    new.coordinator.adopt()
    new.coordinator.flush()
    assert [message.rows for _, message in new.told(TxDecision)] == [[DecisionRow(ALICE, 0, 2, True)]] * 2
    new.coordinator.on_acks(ack(2))
    new.coordinator.on_acks(ack(3))
    assert new.finishes == [TxRow(ALICE, 0, 2)]


def test_a_prepare_of_the_leader_before_is_adopted_when_it_is_applied() -> None:
    party = Coordinating()
    party.apply(cross(0, LEGS))
    assert party.coordinator.knows(TX)
    party.coordinator.flush()
    assert len(party.told(TxPrepare)) == 2


def test_the_end_of_a_leadership_forgets_everything() -> None:
    for party in (asked(), decided()):
        party.take_sends()
        party.begin(5, pay(4, 14, 1))
        party.coordinator.clear()
        party.wait(600)
        assert party.take_sends() == [] and not party.coordinator.busy and party.finishes == []
