"""What the coordinator's leader answers to participants in doubt, and to clients that ask again."""

from __future__ import annotations

from consensus.codec import decode_batch
from consensus.messages.base import Message
from consensus.messages.entries import CrossItem, CrossPrepare, Item, Resolve
from consensus.messages.txn import (
    DecisionRow,
    TxAck,
    TxDecision,
    TxPending,
    TxPrepare,
    TxResolve,
    TxRow,
    TxVote,
    VoteRow,
)
from consensus.types import BALLOT_NONE
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


def test_what_nobody_knows_is_ended_by_the_log_and_then_told() -> None:
    node = Leading()
    node.answering = False
    assert [type(message) for message in ask(node)] == [TxPending]
    assert ask(node) == [TxPending(1, [TxRow(ALICE, 0, 9)], 0)], "asked again, proposed once"
    node.answering = True
    node.wait(100)
    assert proposed(node, Resolve) == [Resolve(ALICE, [0])]
    assert decisions([send.message for send in node.sent]) == [DecisionRow(ALICE, 0, 9, False)]
    node.submit(Item(0, LEGS))
    assert node.outcomes()[0].status, "a late copy finds the outcome"


def test_an_unknown_session_is_the_logs_to_deny() -> None:
    """A leader that was deposed without knowing it may not have heard of a session that runs elsewhere."""
    node = Leading()
    node.answering = False
    assert [type(message) for message in ask(node, BOB)] == [TxPending]
    node.wait(100)
    assert decisions([send.message for send in node.sent]) == []
    node.answering = True
    node.wait(100)
    assert decisions([send.message for send in node.sent]) == [DecisionRow(BOB, 0, 9, False)]


def test_a_settled_number_is_over() -> None:
    node = Leading()
    node.submit(Item(5, pay(1, 2, 1)), below=5)
    assert decisions(ask(node)) == [DecisionRow(ALICE, 0, 9, False)]


def test_the_end_of_a_leadership_forgets_who_asked() -> None:
    node = Leading()
    node.answering = False
    ask(node)
    node.depose()
    assert not node.replica.doubts.asked


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
