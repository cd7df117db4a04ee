"""Requests before they are entries: what is new, known, refused, waiting, and told to whom."""

from __future__ import annotations

import pytest

from consensus.bank.sessions import Session
from consensus.codec import decode_batch
from consensus.messages.client import Open, Opened, Outcome, Refusal, Refused, Replies, ResolveRequest, Status
from consensus.messages.entries import CrossPrepare, EvictSessions, Item, MoveInstall, MoveReserve, Transact
from consensus.messages.migration import MovedSession
from consensus.messages.txn import DecisionRow, PrepareRow, TxDecision, TxPrepare, TxVote, VoteRow
from consensus.replica import admission as admission_module
from consensus.topology import Limits
from consensus.txn import queue as queue_module
from consensus.types import BALLOT_NONE, LEGS_MAX, OPEN_NUMBERS_MAX
from tests.replica.leading import ALICE, BOB, CONNECTION, Leading, pay

OTHER = 8


def transactions(node: Leading) -> list[int]:
    """Numbers of the transactions of this cluster that were proposed, in order."""
    by_slot = {accept.slot: accept.value for accept in node.proposed}
    batches = [decode_batch(value) for _, value in sorted(by_slot.items())]
    entries = [entry for batch in batches for entry in batch.entries if isinstance(entry, Transact)]
    return [item.number for entry in entries for item in entry.items]


def lock(node: Leading, account: int, number: int = 900) -> None:
    """A transaction of cluster 2 prepares ``account`` here."""
    row = PrepareRow(BOB, number, 5, 100, (account, 1))
    node.hear(4, TxPrepare(2, 0, [row]))
    assert account in node.replica.machine.state.cross.locks


def unlock(node: Leading, number: int = 900) -> None:
    node.hear(4, TxDecision(2, 0, [DecisionRow(BOB, number, 5, False)]))


# --- duplicates ------------------------------------------------------------------------


def test_a_transaction_is_proposed_and_answered_when_it_is_applied() -> None:
    node = Leading()
    node.answering = False
    node.submit(Item(0, pay(1, 2, 30)))
    assert transactions(node) == [0] and node.outcomes() == {}
    node.answering = True
    node.wait(100)
    assert node.outcomes()[0].legs == (1, 70, 1, 130)


def test_a_copy_of_one_in_flight_is_not_proposed_beside_it() -> None:
    node = Leading()
    node.answering = False
    node.submit(Item(0, pay(1, 2, 30)), Item(0, pay(1, 2, 30)))
    node.submit(Item(0, pay(1, 2, 30)), Item(1, pay(1, 2, 1)))
    node.wait(20)
    assert transactions(node) == [0, 1] and node.replies == []
    node.answering = True
    node.wait(100)
    assert set(node.outcomes()) == {0, 1} and node.balance(1) == 69


def test_a_known_outcome_is_answered_again_without_an_entry() -> None:
    node = Leading()
    node.submit(Item(0, pay(1, 2, 30)))
    first = node.outcomes()
    slot = node.replica.machine.state.slot
    node.submit(Item(0, pay(1, 2, 30)), connection=OTHER)
    assert node.outcomes(OTHER) == first and node.replica.machine.state.slot == slot


def test_aborts_are_known_outcomes_too() -> None:
    node = Leading()
    node.submit(Item(0, pay(1, 2, 101)))
    assert node.outcomes()[0].status == Status.INSUFFICIENT_FUNDS
    node.submit(Item(0, pay(1, 2, 1)))
    assert node.outcomes()[0].status == Status.INSUFFICIENT_FUNDS


# --- refusals --------------------------------------------------------------------------


def test_settled_and_too_high_numbers_are_refused() -> None:
    node = Leading()
    node.submit(Item(5, pay(1, 2, 1)), below=5)
    assert list(node.outcomes()) == [5]
    node.submit(
        Item(4, pay(1, 2, 1)), Item(5 + OPEN_NUMBERS_MAX, pay(1, 2, 1)), Item(6, pay(1, 2, 1)), below=5
    )
    assert node.refusals() == {4: Refusal.SESSION_EXPIRED, 5 + OPEN_NUMBERS_MAX: Refusal.OVERLOADED}
    assert list(node.outcomes()) == [6] and transactions(node) == [5, 6]


def test_only_the_log_says_that_a_session_is_gone() -> None:
    """A leader that was deposed and does not know it yet may not have heard of one that was opened since."""
    node = Leading()
    node.answering = False
    node.submit(Item(0, pay(1, 2, 1)), Item(1, pay(1, 2, 1)), session=BOB)
    node.ask(ResolveRequest(BOB, [2]))
    assert node.refusals() == {} and transactions(node) == [0, 1]
    node.answering = True
    node.wait(100)
    assert node.refusals() == dict.fromkeys((0, 1, 2), Refusal.SESSION_EXPIRED)
    assert node.balance(1) == 100


def test_settled_below_of_the_frame_counts_before_it_is_applied() -> None:
    """A client numbers its transactions over all clusters: the first one here may be high."""
    node = Leading()
    high = 5 * OPEN_NUMBERS_MAX
    node.submit(Item(high, pay(1, 2, 1)), below=high)
    assert node.outcomes()[high].status == Status.COMMITTED


def test_the_wrong_coordinator_is_refused() -> None:
    node = Leading()
    node.submit(Item(0, pay(11, 1, 5)), Item(1, pay(11, 12, 5)), Item(2, (1, 5, 21, -5)))
    assert node.refusals() == dict.fromkeys((0, 1, 2), Refusal.WRONG_OWNER)
    assert transactions(node) == [] and node.sent == []


def test_an_account_that_exists_nowhere_goes_through_the_log() -> None:
    node = Leading()
    node.submit(Item(0, pay(1, 31, 5)), Item(1, pay(0, 1, 5)))
    assert {n: o.status for n, o in node.outcomes().items()} == dict.fromkeys((0, 1), Status.UNKNOWN_ACCOUNT)


@pytest.mark.parametrize(
    "item",
    [
        Item(0, ()),
        Item(0, (1,)),
        Item(0, (1, -5, 2)),
        Item(0, pay(1, 1, 5)),
        Item(0, (1, -5, 2, 6)),
        Item(0, (1, 0) * (LEGS_MAX + 1)),
        Item(0, (1, 2**63, 2, -(2**63))),
        Item(0, (11, -5, 2, 6)),
        Item(0, pay(1, 2, 5), (1, 9, 9)),
        Item(0, (1, 0) * 6_000),
        Item(0, pay(1, 2, 5), (1, 1, 1) * 5_000),
        Item(0, (77, 0) * 6_000),
    ],
    ids=lambda item: f"{item.legs[:6]}+{item.conditions[:3]}",
)
def test_malformed_transactions_are_final_and_hold_nobody_up(item: Item) -> None:
    """However many legs it has: one that fits no batch must not stop the queue."""
    node = Leading()
    node.submit(item, Item(1, pay(1, 2, 5)))
    outcomes = node.outcomes()
    assert {n: o.status for n, o in outcomes.items()} == {0: Status.INVALID, 1: Status.COMMITTED}
    assert not node.replica.queue.pending
    node.submit(item)
    assert node.outcomes() == {0: outcomes[0]}


def test_numbers_that_no_table_could_hold_are_refused() -> None:
    node = Leading()
    node.submit(Item(0, pay(1, 2, 5)), below=2**64 - 1)
    assert node.refusals() == {0: Refusal.UNSUPPORTED}
    assert node.replica.machine.state.sessions[ALICE].settled_below == 0


def test_a_full_queue_is_refused_and_says_when_to_come_back() -> None:
    node = Leading(Limits(queue_transactions=3, batch_transactions=1))
    node.answering = False
    node.submit(Item(0, pay(1, 2, 1)))
    node.replica.queue.queued += 2
    node.submit(Item(1, pay(1, 2, 1)), Item(2, pay(1, 2, 1)))
    (refused,) = node.told(Refused)
    assert (refused.numbers, refused.reason) == ([1, 2], Refusal.OVERLOADED) and refused.retry_after_ms > 0
    node.replica.queue.queued -= 2
    node.answering = True
    node.wait(100)
    node.submit(Item(1, pay(1, 2, 1)))
    assert set(node.outcomes()) == {0, 1}


def test_a_session_evicted_under_way_is_refused_and_can_be_asked_again() -> None:
    node = Leading(sessions=(ALICE, BOB))
    node.apply(EvictSessions([ALICE]))
    node.submit(Item(0, pay(1, 2, 1)))
    assert node.refusals() == {0: Refusal.SESSION_EXPIRED}
    node.answering = False
    node.submit(Item(0, pay(1, 2, 1)), session=BOB)
    node.apply(EvictSessions([BOB]))
    node.submit(Item(1, pay(1, 2, 1)), session=BOB)
    node.wait(10)
    node.answering = True
    node.wait(100)
    assert node.outcomes()[0].status == Status.COMMITTED
    assert node.refusals() == {1: Refusal.SESSION_EXPIRED}


# --- sessions and connections ------------------------------------------------------------


def test_opening_answers_when_the_log_has_it() -> None:
    node = Leading(sessions=())
    node.answering = False
    node.ask(Open(ALICE))
    assert node.told(Opened) == []
    node.answering = True
    node.wait(100)
    assert node.told(Opened) == [Opened(ALICE, 1, 0)]
    slot = node.replica.machine.state.slot
    node.submit(Item(3, pay(1, 2, 1)), below=3)
    node.ask(Open(ALICE), connection=OTHER)
    assert node.told(Opened, OTHER) == [Opened(ALICE, 1, 3)]
    assert node.replica.machine.state.slot == slot + 1


@pytest.mark.parametrize("session", [b"", b"short", b"x" * 17, b"x" * 100_000])
def test_a_session_id_of_another_size_is_refused(session: bytes) -> None:
    node = Leading(sessions=())
    node.ask(Open(session))
    assert [refused.reason for refused in node.told(Refused)] == [Refusal.UNSUPPORTED]
    assert not node.replica.machine.state.sessions


def test_one_session_too_many_evicts_the_longest_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission_module, "SESSIONS_MAX", 2)
    node = Leading(sessions=(ALICE, BOB))
    node.submit(Item(0, pay(1, 2, 1)))
    node.ask(Open(b"c" * 16))
    assert list(node.replica.machine.state.sessions) == [ALICE, b"c" * 16]


def test_who_asks_again_for_a_session_has_nobody_else_evicted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission_module, "SESSIONS_MAX", 3)
    node = Leading(Limits(window_slots=1), sessions=(ALICE, BOB, b"d" * 16))
    node.answering = False
    node.submit(Item(0, pay(1, 2, 1)))
    for _ in range(5):
        node.ask(Open(b"c" * 16))
    assert node.replica.queue.control == 2, "one goes, one comes"
    node.answering = True
    node.wait(100)
    assert list(node.replica.machine.state.sessions) == [BOB, b"d" * 16, b"c" * 16]


def test_a_session_evicted_in_the_slot_that_opened_it_is_not_answered() -> None:
    node = Leading(Limits(window_slots=1))
    node.answering = False
    node.submit(Item(0, pay(1, 2, 1)))
    node.ask(Open(BOB))
    node.replica.queue.add_control(EvictSessions([BOB]))
    node.answering = True
    node.wait(100)
    assert node.told(Opened) == [] and BOB not in node.replica.machine.state.sessions
    node.ask(Open(BOB))
    assert [opened.session for opened in node.told(Opened)] == [BOB]


def test_a_session_that_moved_in_is_opened_through_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission_module, "SESSIONS_MAX", 2)
    node = Leading(sessions=(ALICE,))
    told = Outcome(Status.COMMITTED, 4, 0, BALLOT_NONE, (), (), 11)
    moved = Session(BOB, 2, 0)
    moved.outcomes[2] = told
    node.replica.queue.add_control(MoveReserve(2, 1, 0))
    node.replica.queue.add_control(MoveInstall(2, 1, [], [MovedSession(BOB, 2, moved.pack())]))
    node.wait(100)
    node.submit(Item(3, pay(1, 2, 1)), Item(2, pay(1, 2, 1)), session=BOB)
    assert [refused.reason for refused in node.told(Refused)] == [Refusal.SESSION_EXPIRED]
    assert node.outcomes() == {2: told}
    node.answering = False
    node.ask(Open(BOB))
    assert node.told(Opened) == []
    node.answering = True
    node.wait(100)
    assert node.told(Opened) == [Opened(BOB, 1, 2)]
    assert list(node.replica.machine.state.sessions) == [ALICE, BOB], "nobody had to make room"


def test_answers_go_to_the_connection_that_spoke_last() -> None:
    node = Leading()
    node.answering = False
    node.submit(Item(0, pay(1, 2, 1)))
    node.hang_up(CONNECTION)
    node.submit(Item(0, pay(1, 2, 1)), connection=OTHER)
    node.answering = True
    node.wait(100)
    assert list(node.outcomes(OTHER)) == [0] and node.told(Replies, None) == []


def test_nothing_is_said_to_a_connection_that_is_gone() -> None:
    node = Leading()
    node.answering = False
    node.submit(Item(0, pay(1, 2, 1)))
    node.hang_up(CONNECTION)
    node.answering = True
    node.wait(100)
    assert node.told(Replies, None) == []
    node.submit(Item(0, pay(1, 2, 1)), connection=OTHER)
    assert list(node.outcomes(OTHER)) == [0], "the outcome stands, whoever asks"
    node.hang_up(OTHER)
    node.hang_up(OTHER)


def test_a_session_that_moved_survives_the_end_of_its_old_connection() -> None:
    node = Leading()
    node.ask(Open(ALICE), connection=OTHER)
    node.hang_up(CONNECTION)
    node.submit(Item(0, pay(1, 2, 1)), connection=OTHER)
    assert list(node.outcomes(OTHER)) == [0]


# --- the end of a leadership -----------------------------------------------------------------


def test_what_was_not_proposed_is_refused_and_what_was_is_left_to_the_next() -> None:
    node = Leading(Limits(window_slots=1))
    node.answering = False
    node.submit(Item(0, pay(1, 2, 1)))
    node.submit(Item(1, pay(1, 2, 1)))
    node.depose()
    assert node.refusals() == {1: Refusal.NOT_LEADER}
    node.submit(Item(2, pay(1, 2, 1)))
    node.ask(Open(BOB), ResolveRequest(ALICE, [0]))
    assert node.refusals() == {2: Refusal.NOT_LEADER, 0: Refusal.NOT_LEADER}
    assert node.outcomes() == {} and transactions(node) == [0]


def test_a_waiter_is_refused_at_the_end_of_the_leadership() -> None:
    node = Leading()
    lock(node, 1)
    node.submit(Item(0, pay(1, 2, 1)))
    node.depose()
    assert node.refusals() == {0: Refusal.NOT_LEADER}


# --- locks -----------------------------------------------------------------------------


def test_a_transaction_waits_for_a_lock_and_goes_on() -> None:
    node = Leading()
    lock(node, 1)
    node.submit(Item(0, pay(1, 2, 1)), Item(1, pay(3, 4, 1)), Item(2, pay(2, 3, 1)))
    assert set(node.outcomes()) == {1}, "account 2 is waited for, in order"
    node.submit(Item(0, pay(1, 2, 1)))
    unlock(node)
    assert list(node.outcomes()) == [0, 2]


def test_the_lock_wait_ends_with_an_abort_through_the_log() -> None:
    node = Leading()
    lock(node, 1)
    node.submit(Item(0, pay(1, 2, 1)))
    node.wait(99)
    assert node.outcomes() == {}
    node.wait(1)
    assert node.outcomes()[0].status == Status.LOCK_TIMEOUT
    unlock(node)
    assert node.balance(1) == 100


def test_a_lock_wait_that_cannot_be_logged_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise it would stay open for the rest of the leadership, and its copies be ignored."""
    node = Leading()
    lock(node, 1)
    for number in range(4):
        node.submit(Item(number, pay(1, 2, 1)))
    monkeypatch.setattr(queue_module, "CONTROL_MAX", 3)
    node.wait(100)
    assert {n: o.status for n, o in node.outcomes().items()} == dict.fromkeys(range(3), Status.LOCK_TIMEOUT)
    assert node.refusals() == {3: Refusal.OVERLOADED}
    unlock(node)
    node.submit(Item(3, pay(1, 2, 1)))
    assert node.outcomes()[3].status == Status.COMMITTED


def test_a_transaction_that_meets_a_lock_in_the_log_waits_for_it() -> None:
    """Proposed while the account was free; a prepare that stood before it in the log took the lock."""
    node = Leading(Limits(window_slots=4))
    node.answering = False
    node.hear(4, TxPrepare(2, 0, [PrepareRow(BOB, 900, 5, 100, (1, 1))]))
    node.replica.waiting.claims.clear()
    node.submit(Item(0, pay(1, 2, 1)))
    node.wait(5)
    assert transactions(node) == [0]
    node.answering = True
    node.wait(80)  # the accepts are sent again
    assert node.outcomes() == {} and node.refusals() == {}
    unlock(node)
    assert node.outcomes()[0].status == Status.COMMITTED and transactions(node) == [0, 0]


# --- across clusters -----------------------------------------------------------------------


def votes(node: Leading, number: int = 0, status: int = 0) -> None:
    state = node.replica.machine.state
    at = next(p.at for tx, p in state.cross.prepared.items() if tx.number == number)
    node.hear(4, TxVote(2, [VoteRow(ALICE, number, at, status, 3, 0, BALLOT_NONE, (1, 105))]))


def test_a_transaction_across_clusters_is_answered_when_it_is_decided() -> None:
    node = Leading()
    node.submit(Item(0, pay(1, 11, 5)))
    assert [type(send.message) for send in node.sent] == [TxPrepare]
    node.submit(Item(0, pay(1, 11, 5)))
    assert node.outcomes() == {} and node.balance(1) == 95
    votes(node)
    outcome = node.outcomes()[0]
    assert outcome.status == Status.COMMITTED and outcome.legs == (1, 95, 1, 105)
    assert outcome.parts == (2, 3, 0, 0, 0)


def test_the_age_of_the_first_attempt_is_kept() -> None:
    node = Leading()
    node.submit(Item(0, pay(1, 11, 5), (), 77), Item(1, pay(2, 11, 5)))
    ages = {
        item.number: item.age_us
        for accept in node.proposed
        for entry in decode_batch(accept.value).entries
        if isinstance(entry, CrossPrepare)
        for item in entry.items
    }
    assert ages == {0: 77, 1: node.now_us}


def test_the_younger_gives_way_and_those_behind_it_go_on() -> None:
    node = Leading()
    node.submit(Item(0, pay(1, 11, 5), (), 10**17))
    row = PrepareRow(BOB, 0, 9, 100, (1, 4, 2, -4))
    node.hear(4, TxPrepare(2, 0, [row]))
    node.submit(Item(1, pay(2, 3, 1)), Item(2, pay(1, 12, 5), (), 50))
    assert len(node.replica.waiting.waiting) == 3
    node.sent.clear()
    votes(node)
    told = [v for s in node.sent if isinstance(s.message, TxVote) for v in s.message.rows]
    assert [(vote.session, vote.status) for vote in told] == [(BOB, Status.LOCK_CONFLICT)]
    assert node.outcomes()[1].status == Status.COMMITTED and not node.replica.waiting.waiting


def test_a_prepare_that_is_refused_in_the_log_is_not_asked_for_any_more() -> None:
    """Its session was evicted between its admission and its slot."""
    node = Leading()
    node.answering = False
    node.submit(Item(5, pay(3, 4, 1)), session=ALICE)
    node.apply(EvictSessions([ALICE]))
    node.submit(Item(0, pay(1, 11, 5)))
    node.wait(10)
    node.answering = True
    node.wait(100)
    assert node.refusals() == {0: Refusal.SESSION_EXPIRED}
    node.sent.clear()
    node.wait(200)
    assert [send.message for send in node.sent if isinstance(send.message, TxPrepare)] == []
    assert not node.replica.coordinator.busy and node.replica.waiting.idle()


# --- resolve ---------------------------------------------------------------------------


def test_resolve_answers_settles_or_says_in_doubt() -> None:
    node = Leading()
    node.submit(Item(0, pay(1, 2, 5)), Item(1, pay(3, 11, 5)))
    first = node.outcomes()[0]
    node.ask(ResolveRequest(ALICE, [0, 1, 2]))
    outcomes = node.outcomes()
    assert outcomes[0] == first and outcomes[2].status == Status.COORDINATOR_TIMEOUT
    assert node.refusals() == {1: Refusal.IN_DOUBT}
    node.submit(Item(2, pay(1, 2, 5)))
    assert node.outcomes() == {2: outcomes[2]} and node.balance(1) == 95


def test_resolve_of_an_unknown_session_is_refused() -> None:
    node = Leading()
    node.ask(ResolveRequest(BOB, [0, 4]))
    assert node.refusals() == dict.fromkeys((0, 4), Refusal.SESSION_EXPIRED)


def test_resolving_many_at_once_holds_nobody_up() -> None:
    """One entry for all of them would fit no batch."""
    node = Leading()
    numbers = list(range(OPEN_NUMBERS_MAX))
    node.ask(ResolveRequest(ALICE, numbers))
    node.wait(100)
    outcomes = node.outcomes()
    assert sorted(outcomes) == numbers and {o.status for o in outcomes.values()} == {
        Status.COORDINATOR_TIMEOUT
    }
    assert not node.replica.queue.pending
    node.ask(Open(BOB))
    assert len(node.told(Opened)) == 1
