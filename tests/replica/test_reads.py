"""Reads: from which state each level is answered, and when it is not."""

from __future__ import annotations

import pytest

from consensus.messages.client import (
    Leads,
    Level,
    Read,
    ReadItem,
    ReadRefused,
    ReadReplies,
    ReadResult,
    Refusal,
    Status,
    WhoLeads,
)
from consensus.messages.entries import Item
from consensus.messages.paxos import Heartbeat, HeartbeatAck, IndexQuery, IndexReply
from consensus.messages.txn import DecisionRow, PrepareRow, TxDecision, TxPrepare
from consensus.paxos.context import Context
from consensus.paxos.readindex import ReadIndex
from consensus.replica import reads as reads_module
from tests.replica.leading import BOB, LATER, Leading, pay

STRONG = [Level.LINEARIZABLE, Level.LEASE, Level.BOUNDED]


def read(
    node: Leading, *accounts: int, level: int = 0, request: int = 1, versions: tuple[int, ...] = ()
) -> None:
    node.ask(Read([ReadItem(request, accounts, level, 0, versions)]))


def values(node: Leading) -> dict[int, tuple[int, ...]]:
    """Values by request, since the last look."""
    return {r.request: r.values for reply in node.told(ReadReplies) for r in reply.results}


def refusals(node: Leading) -> dict[int, int]:
    return {request: reply.reason for reply in node.told(ReadRefused) for request in reply.requests}


def prepare(node: Leading, account: int, delta: int) -> None:
    """A transaction of cluster 2 prepares a change of ``account`` here."""
    node.hear(4, TxPrepare(2, 0, [PrepareRow(BOB, 900, 5, 100, (account, delta))]))


def decide(node: Leading, commit: bool) -> None:
    node.hear(4, TxDecision(2, 0, [DecisionRow(BOB, 900, 5, commit)]))


# --- levels ----------------------------------------------------------------------------


@pytest.mark.parametrize("level", list(Level))
def test_every_level_reads_what_is_committed(level: Level) -> None:
    node = Leading()
    node.submit(Item(0, pay(1, 2, 30)))
    node.ask(Read([ReadItem(5, (2, 1, 3), level)]))
    (reply,) = node.told(ReadReplies)
    assert reply.results == [ReadResult(5, node.replica.machine.state.slot, (1, 130, 1, 70, 0, 100))]


@pytest.mark.parametrize("level", STRONG)
def test_the_strong_levels_wait_for_a_round_begun_after_their_arrival(level: Level) -> None:
    node = Leading()
    node.answering = False
    read(node, 1, level=level)
    assert values(node) == {}
    leader = node.replica.leader
    assert leader is not None
    node.hear(2, HeartbeatAck(leader.ballot, leader.round - 1, 0, 0))
    assert values(node) == {}, "a round of before"
    node.hear(2, HeartbeatAck(LATER, leader.round, 0, 0))
    node.hear(5, HeartbeatAck(leader.ballot, leader.round, 0, 0))
    assert values(node) == {}, "another ballot, another cluster"
    node.hear(2, HeartbeatAck(leader.ballot, leader.round, 0, 0))
    assert values(node) == {1: (0, 100)}


def test_reads_that_come_during_a_round_join_the_next() -> None:
    node = Leading()
    node.answering = False
    read(node, 1, request=1)
    leader = node.replica.leader
    assert leader is not None
    first = leader.round
    read(node, 2, request=2)
    read(node, 3, request=3)
    assert leader.round == first
    node.hear(3, HeartbeatAck(leader.ballot, first, 0, 0))
    assert set(values(node)) == {1} and leader.round == first + 1
    node.hear(2, HeartbeatAck(leader.ballot, leader.round, 0, 0))
    assert set(values(node)) == {2, 3}


def test_eventual_reads_need_nobody() -> None:
    node = Leading()
    node.answering = False
    read(node, 1, level=Level.EVENTUAL)
    assert values(node) == {1: (0, 100)}


def test_read_your_writes_are_answered_when_the_versions_are_there() -> None:
    node = Leading()
    node.submit(Item(0, pay(1, 2, 30)))
    node.answering = False
    read(node, 1, 2, level=Level.RYW, versions=(1, 1))
    assert values(node) == {1: (1, 70, 1, 130)}
    read(node, 1, 2, level=Level.RYW, versions=(1, 2))
    assert values(node) == {} and refusals(node) == {}, "the leader waits for a round then"
    node.answering = True
    node.wait(200)
    assert values(node) == {1: (1, 70, 1, 130)}


def test_a_node_that_does_not_lead_answers_the_weak_levels_only() -> None:
    node = Leading()
    node.submit(Item(0, pay(1, 2, 30)))
    node.depose()
    node.told(ReadReplies)
    for request, level in enumerate(Level):
        read(node, 1, level=level, request=request, versions=(1,))
    read(node, 1, level=Level.RYW, request=9, versions=(2,))
    assert values(node) == {int(Level.RYW): (1, 70), int(Level.EVENTUAL): (1, 70)}
    assert refusals(node) == dict.fromkeys([*map(int, STRONG), 9], Refusal.NOT_LEADER)


# --- at a follower -----------------------------------------------------------------------


def following() -> Leading:
    """Node 2 of ballot (2, 2) leads; this one follows, and knows nothing of its own age yet."""
    node = Leading()
    node.submit(Item(0, pay(1, 2, 30)))
    node.depose()
    node.hear(2, Heartbeat(LATER, 1, 0, 0, 0, ask=False))
    node.replies.clear()
    node.sent.clear()
    return node


def queries(node: Leading) -> list[int]:
    """Nonces of the questions sent to node 2 since the last look."""
    found = [send for send in node.sent if isinstance(send.message, IndexQuery)]
    node.sent.clear()
    assert all(send.to == (2,) and not send.after for send in found)
    return [send.message.nonce for send in found]  # type: ignore[attr-defined]


def test_a_follower_asks_one_question_at_a_time() -> None:
    node = following()
    read(node, 1, request=1)
    (first,) = queries(node)
    read(node, 2, request=2)
    read(node, 3, request=3, level=Level.LEASE)
    assert queries(node) == []
    node.hear(2, IndexReply(first + 7, 0))
    assert values(node) == {}, "an answer to something else"
    node.hear(2, IndexReply(first, 0))
    assert values(node) == {1: (1, 70)}
    (second,) = queries(node)
    node.hear(2, IndexReply(first, 0))
    assert values(node) == {}, "the first answer once more"
    node.hear(2, IndexReply(second, 0))
    assert set(values(node)) == {2, 3} and not node.replica.reads.pending


def test_a_follower_answers_when_it_has_applied_the_index() -> None:
    node = following()
    read(node, 1)
    slot = node.replica.machine.state.slot
    node.hear(2, IndexReply(*queries(node), slot + 1))
    assert values(node) == {}
    node.wait(500)
    assert refusals(node) == {1: Refusal.UNAVAILABLE} and not node.replica.reads.pending


def test_a_question_is_repeated_with_its_number_while_unanswered() -> None:
    node = following()
    read(node, 1)
    (nonce,) = queries(node)
    node.wait(49)
    assert queries(node) == []
    node.wait(1)
    assert queries(node) == [nonce]


def test_two_lives_of_a_node_have_no_question_in_common() -> None:
    starts = {Context(1, Leading().topology, seed).life for seed in range(200)}
    assert len(starts) == 200 and all(0 < start < 1 << 62 for start in starts)


@pytest.mark.parametrize(("asked", "waited"), [(0, 500), (80, 80), (10**9, 60_000)])
def test_a_read_waits_as_long_as_its_client(asked: int, waited: int) -> None:
    node = Leading()
    prepare(node, 1, 5)
    node.ask(Read([ReadItem(1, (1,), wait_ms=asked)]))
    node.wait(waited - 1)
    assert refusals(node) == {}
    node.wait(1)
    assert refusals(node) == {1: Refusal.IN_DOUBT} and not node.replica.reads.pending


def test_a_follower_waits_for_the_decision_too() -> None:
    node = Leading()
    prepare(node, 1, 5)
    node.depose()
    node.hear(2, Heartbeat(LATER, 1, 0, 0, 0, ask=False))
    read(node, 1, request=7)
    node.sent = [send for send in node.sent if isinstance(send.message, IndexQuery)]
    node.hear(2, IndexReply(*queries(node), 0))
    assert values(node) == {}
    node.wait(500)
    assert refusals(node) == {7: Refusal.IN_DOUBT}


def test_a_read_in_doubt_that_is_asked_again_waits_once() -> None:
    node = Leading()
    prepare(node, 1, 5)
    for _ in range(5):
        read(node, 1)
    decide(node, True)
    assert [len(reply.results) for reply in node.told(ReadReplies)] == [1]


def test_a_leader_gives_an_index_after_a_round_begun_later() -> None:
    node = Leading()
    node.answering = False
    node.hear(2, IndexQuery(5))
    node.hear(2, IndexQuery(5))
    leader = node.replica.leader
    assert leader is not None
    node.hear(3, HeartbeatAck(leader.ballot, leader.round - 1, 0, 0))
    assert not [send for send in node.sent if isinstance(send.message, IndexReply)]
    node.hear(3, HeartbeatAck(leader.ballot, leader.round, 0, 0))
    watermark = node.replica.acceptor.log.watermark
    (reply,) = [send for send in node.sent if isinstance(send.message, IndexReply)]
    assert (reply.to, reply.message) == ((2,), IndexReply(5, watermark))
    assert not node.replica.reads.pending


def test_waiting_questions_and_held_reads_count_against_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads_module, "READS_WAITING_MAX", 2)
    node = Leading()
    prepare(node, 1, 5)
    read(node, 1, request=1)
    node.answering = False
    node.hear(2, IndexQuery(5))
    node.hear(3, IndexQuery(6))
    read(node, 2, request=2)
    assert refusals(node) == {2: Refusal.OVERLOADED}


# --- refusals --------------------------------------------------------------------------


@pytest.mark.parametrize("level", list(Level))
def test_accounts_that_are_not_here_are_refused(level: Level) -> None:
    node = Leading()
    items = [ReadItem(n, accounts, level) for n, accounts in enumerate([(1, 11), (31,), (0,), (-1,), (1,)])]
    node.ask(Read(items))
    unknown = -Status.UNKNOWN_ACCOUNT
    assert refusals(node) == {0: Refusal.WRONG_OWNER, 1: unknown, 2: unknown, 3: unknown}
    assert set(values(node)) == {4}


def test_too_many_waiting_reads_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads_module, "READS_WAITING_MAX", 2)
    node = Leading()
    node.answering = False
    node.ask(Read([ReadItem(n, (1,)) for n in range(2)]))
    node.ask(Read([ReadItem(2, (1,)), ReadItem(3, (1,), Level.EVENTUAL)]))
    assert refusals(node) == {2: Refusal.OVERLOADED} and set(values(node)) == {3}
    node.answering = True
    node.wait(200)
    assert set(values(node)) == {0, 1}
    read(node, 1, request=4)
    assert set(values(node)) == {4}


# --- in doubt --------------------------------------------------------------------------


@pytest.mark.parametrize(("commit", "expected"), [(True, (1, 105)), (False, (0, 100))])
def test_a_strong_read_waits_for_the_decision(commit: bool, expected: tuple[int, int]) -> None:
    node = Leading()
    prepare(node, 1, 5)
    read(node, 2, 1)
    read(node, 3, request=2)
    assert values(node) == {2: (0, 100)}, "only what is in doubt waits"
    decide(node, commit)
    assert values(node) == {1: (0, 100, *expected)}


@pytest.mark.parametrize("level", [Level.RYW, Level.EVENTUAL])
def test_a_weak_read_sees_the_committed_balance(level: Level) -> None:
    node = Leading()
    prepare(node, 1, 5)
    read(node, 1, level=level)
    assert values(node) == {1: (0, 100)}


def test_what_this_cluster_coordinates_is_not_in_doubt_here() -> None:
    """Nobody was told of a commit before this cluster's own log has it."""
    node = Leading()
    node.submit(Item(0, pay(1, 11, 5)))
    assert 1 in node.replica.machine.state.cross.locks
    read(node, 1)
    assert values(node) == {1: (0, 100)}


def test_a_read_in_doubt_is_refused_after_its_time() -> None:
    node = Leading()
    prepare(node, 1, 5)
    read(node, 1)
    node.wait(499)
    assert values(node) == {} and refusals(node) == {}
    node.wait(150)  # the next confirmed round
    assert refusals(node) == {1: Refusal.IN_DOUBT} and not node.replica.reads.pending
    decide(node, True)
    assert values(node) == {}


# --- the end of a leadership ---------------------------------------------------------------


def test_what_waits_is_refused_when_the_leadership_ends() -> None:
    node = Leading()
    prepare(node, 1, 5)
    read(node, 1, request=1)  # in doubt
    node.answering = False
    read(node, 2, request=2)  # in a round
    read(node, 3, request=3)  # for the next round
    node.depose()
    assert refusals(node) == dict.fromkeys((1, 2, 3), Refusal.NOT_LEADER)
    assert not node.replica.reads.pending
    decide(node, True)
    assert values(node) == {}


def test_who_leads_is_answered_by_everybody_and_told_when_it_changes() -> None:
    node = Leading()
    node.told(Leads)
    node.ask(WhoLeads())
    assert [(leads.cluster, leads.leader) for leads in node.told(Leads)] == [(1, 1)]
    node.depose()
    assert [leads.leader for leads in node.told(Leads)] == [0]
    node.ask(WhoLeads())
    assert [(leads.ballot, leads.leader) for leads in node.told(Leads)] == [(LATER, 0)]


# --- the index of rounds ---------------------------------------------------------------------


def test_a_read_needs_its_round_and_its_slot() -> None:
    index = ReadIndex()
    index.add(5, "a")
    index.add(7, "b")
    index.start(3)
    index.add(7, "c")
    assert len(index) == 3 and index.round_open
    assert index.ready(2, 9) == [] and index.ready(3, 6) == []
    assert index.ready(4, 7) == ["a", "b"]
    assert index.ready(9, 9) == [], "the last one has no round yet"
    index.start(10)
    index.start(11)
    index.add(8, "d")
    assert index.drain() == ["c", "d"] and len(index) == 0 and not index.round_open
