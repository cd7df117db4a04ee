"""What the coordinator's leader answers to participants in doubt, and to clients that ask again."""

from __future__ import annotations

import pytest

from consensus.bank.cross import Unfinished
from consensus.codec import decode_batch
from consensus.messages.base import Message
from consensus.messages.client import Refusal
from consensus.messages.entries import CrossItem, CrossPrepare, Item, PartDecide, PartPrepare, Resolve
from consensus.messages.txn import (
    DecisionRow,
    PrepareRow,
    TxAck,
    TxDecision,
    TxPending,
    TxPrepare,
    TxResolve,
    TxRow,
    TxVote,
    VoteRow,
)
from consensus.types import BALLOT_NONE, TxId
from tests.replica.leading import ALICE, BOB, Leading, pay

LEGS = pay(1, 11, 5)


def ask(node: Leading, session: bytes = ALICE, number: int = 0, at: int = 9) -> list[Message]:
    """Cluster 2 asks how a transaction ended; returns what it is told."""
    node.sent.clear()
    node.hear(4, TxResolve(2, [TxRow(session, number, at)]))
    return [send.message for send in node.sent]


def commit(node: Leading) -> int:
    """Prepared, voted for, decided. Returns its number among the coordinator's."""
    node.submit(Item(0, LEGS))
    ((_, prepared),) = node.replica.machine.state.cross.prepared.items()
    node.hear(4, TxVote(2, [VoteRow(ALICE, 0, prepared.at, 0, 3, 0, BALLOT_NONE, (1, 105))]))
    assert node.outcomes()[0].status == 0
    return prepared.at


def decisions(messages: list[Message]) -> list[DecisionRow]:
    return [row for message in messages if isinstance(message, TxDecision) for row in message.rows]


def proposed(node: Leading, kind: type) -> list[object]:
    slots = {accept.slot: accept for accept in node.proposed}
    return [e for a in slots.values() for e in decode_batch(a.value).entries if type(e) is kind]


def test_a_decision_that_is_not_acknowledged_is_told() -> None:
    node = Leading()
    at = commit(node)
    assert decisions(ask(node, at=at)) == [DecisionRow(ALICE, 0, at, True)]


def test_what_everybody_acknowledged_does_not_commit_a_second_time() -> None:
    """A prepare of a deposed leader came after it was forgotten: the participant takes it back."""
    node = Leading()
    at = commit(node)
    node.hear(4, TxAck(2, [TxRow(ALICE, 0, at)]))
    node.wait(100)
    assert not node.replica.machine.state.cross.unfinished
    assert decisions(ask(node, at=at + 7)) == [DecisionRow(ALICE, 0, at + 7, False)]


def test_what_is_open_is_pending() -> None:
    node = Leading()
    node.submit(Item(0, LEGS))
    assert [type(message) for message in ask(node)] == [TxPending]


def test_an_attempt_whose_slot_is_applied_is_over_and_the_client_may_try_again() -> None:
    """Whatever that slot did, it did not prepare this: the participant need not wait, the client neither."""
    node = Leading()
    at = node.replica.machine.state.slot
    assert decisions(ask(node, at=at)) == [DecisionRow(ALICE, 0, at, False)]
    node.submit(Item(0, LEGS))
    assert [tx.number for tx in node.replica.machine.state.cross.prepared] == [0]
    assert proposed(node, Resolve) == []


@pytest.mark.parametrize("session", [ALICE, BOB], ids=["open", "unknown"])
def test_a_number_that_a_deposed_leader_gave_waits_for_the_log_to_pass_it(session: bytes) -> None:
    """A session that is not known here may have been opened by another leader; the slot settles it, too."""
    node = Leading()
    at = node.replica.machine.state.slot + 3
    node.answering = False
    assert [type(message) for message in ask(node, session, at=at)] == [TxPending]
    node.answering = True
    asked = 1
    while not (told := decisions(ask(node, session, at=at))):
        node.wait(50)
        asked += 1
    assert told == [DecisionRow(session, 0, at, False)]
    assert asked <= 4, "each question moves a log at rest by a slot"
    node.submit(Item(0, LEGS))
    assert [tx.number for tx in node.replica.machine.state.cross.prepared] == [0]


def test_a_decision_is_for_those_that_were_asked_to_prepare() -> None:
    node = Leading()
    at = commit(node)
    node.sent.clear()
    node.hear(7, TxResolve(3, [TxRow(ALICE, 0, at)]))
    assert decisions([send.message for send in node.sent]) == [DecisionRow(ALICE, 0, at, False)]


def test_a_prepare_entry_that_prepared_nothing_is_taken_back_at_once() -> None:
    """An earlier attempt is not over everywhere: the entry is refused, after its participants were asked."""
    node = Leading()
    node.answering = False
    node.submit(Item(0, LEGS))
    (at,) = [row.at for s in node.sent if isinstance(s.message, TxPrepare) for row in s.message.rows]
    node.replica.machine.state.cross.decided(TxId(ALICE, 0), Unfinished(1, False, (2,)))
    node.answering = True
    node.sent.clear()
    node.wait(60)
    assert node.refusals() == {0: Refusal.MIGRATING}
    assert DecisionRow(ALICE, 0, at, False) in decisions([send.message for send in node.sent])


def test_the_payers_new_cluster_waits_for_the_end_of_an_attempt_it_took_part_in() -> None:
    """What is prepared here for another coordinator is not this one's to decide."""
    node = Leading()
    node.apply(PartPrepare(2, 0, [PrepareRow(ALICE, 0, 9, 5, (2, 5))]))
    node.submit(Item(0, LEGS))
    assert node.refusals() == {0: Refusal.MIGRATING}
    assert node.balance(1) == 100
    node.apply(PartDecide(2, 0, [DecisionRow(ALICE, 0, 9, False)]))
    node.submit(Item(0, LEGS))
    assert node.replica.machine.state.cross.prepared[TxId(ALICE, 0)].coordinates


def test_a_settled_number_is_over() -> None:
    node = Leading()
    node.submit(Item(5, pay(1, 2, 1)), below=5)
    assert decisions(ask(node)) == [DecisionRow(ALICE, 0, 9, False)]


def test_one_that_an_earlier_leader_prepared_is_not_proposed_again() -> None:
    """The client asks the new leader; the answer is the decision on what is prepared."""
    node = Leading()
    node.apply(CrossPrepare(ALICE, 0, [CrossItem(0, 5, LEGS, (1, 2))]))
    node.replica.coordinator.adopt()
    before = len(proposed(node, CrossPrepare))
    node.sent.clear()
    node.submit(Item(0, LEGS))
    assert not node.replica.waiting.waiting
    ((_, prepared),) = node.replica.machine.state.cross.prepared.items()
    node.hear(4, TxVote(2, [VoteRow(ALICE, 0, prepared.at, 0, 3, 0, BALLOT_NONE, (1, 105))]))
    assert node.outcomes()[0].status == 0
    node.wait(200)
    assert len(proposed(node, CrossPrepare)) == before
    asked = [row.at for s in node.sent if isinstance(s.message, TxPrepare) for row in s.message.rows]
    assert set(asked) <= {prepared.at}
