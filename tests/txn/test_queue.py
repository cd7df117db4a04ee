"""What a leader proposes next: order, limits, and what is handed back when the leadership ends."""

from __future__ import annotations

from consensus.messages.entries import (
    Audit,
    CrossItem,
    CrossPrepare,
    Decide,
    DecideRow,
    Entry,
    Finish,
    Item,
    OpenSession,
    PartDecide,
    PartPrepare,
    Resolve,
    Transact,
)
from consensus.messages.txn import DecisionRow, PrepareRow, TxRow
from consensus.topology import Limits
from consensus.txn import queue as queue_module
from consensus.txn.queue import Group, ProposalQueue

ALICE, BOB = b"a" * 16, b"b" * 16
LEGS = (1, -5, 2, 5)
SIZE = 32 + 9 * (1 + len(LEGS))
"""Bytes a payment counts for."""


def items(*numbers: int) -> list[Item]:
    return [Item(number, LEGS) for number in numbers]


def group(session: bytes, *numbers: int, below: int = 0, at: int = 10) -> Group:
    return Group(session, below, items(*numbers), at)


def entries_of(queue: ProposalQueue, now: int = 100) -> list[Entry]:
    return queue.next_batch(now)[0]


def numbers_of(entries: list[Entry]) -> list[tuple[bytes, list[int]]]:
    return [(e.session, [item.number for item in e.items]) for e in entries if isinstance(e, Transact)]


def test_entries_stand_in_the_order_of_what_frees_first() -> None:
    queue = ProposalQueue(Limits())
    queue.add_control(OpenSession(BOB))
    queue.add_finish(TxRow(ALICE, 1, 1))
    queue.add_part(2, PrepareRow(BOB, 1, 4, 9, (3, 5)), 10)
    queue.add_cross(ALICE, 3, CrossItem(7, 1, LEGS, (1, 2)), 10)
    queue.add_transactions(group(ALICE, 0))
    queue.add_part_decide(2, DecisionRow(BOB, 0, 3, True), 10)
    queue.add_decide(DecideRow(ALICE, 2, 0), 10)
    queue.cut(4)
    assert [type(entry) for entry in entries_of(queue)] == [
        Audit,
        Decide,
        PartDecide,
        Transact,
        CrossPrepare,
        PartPrepare,
        OpenSession,
        Finish,
    ]
    assert not queue.pending and not queue.queued and queue.oldest_us == 0
    assert entries_of(queue) == []


def test_groups_of_a_session_that_follow_each_other_become_one() -> None:
    queue = ProposalQueue(Limits())
    queue.add_transactions(group(ALICE, 0, below=0))
    queue.add_transactions(group(ALICE, 1, below=1))
    queue.add_transactions(group(BOB, 0))
    queue.add_transactions(group(ALICE, 2))
    entries, groups = queue.next_batch(100)
    assert numbers_of(entries) == [(ALICE, [0, 1]), (BOB, [0]), (ALICE, [2])]
    assert [g.settled_below for g in groups] == [1, 0, 0]
    assert [g.arrived_us for g in groups] == [10, 10, 10]


def test_a_batch_holds_a_bounded_number_of_transactions_and_splits_groups() -> None:
    queue = ProposalQueue(Limits(batch_transactions=3))
    queue.add_transactions(group(ALICE, 0, 1, below=4))
    queue.add_transactions(group(BOB, *range(5)))
    assert queue.full and queue.queued == 7
    first, groups = queue.next_batch(50)
    assert numbers_of(first) == [(ALICE, [0, 1]), (BOB, [0])]
    assert [[item.number for item in g.items] for g in groups] == [[0, 1], [0]]
    assert queue.queued == 4 and queue.full and queue.oldest_us == 50
    assert numbers_of(entries_of(queue)) == [(BOB, [1, 2, 3])]
    assert not queue.full
    assert numbers_of(entries_of(queue)) == [(BOB, [4])]


def test_a_batch_holds_a_bounded_number_of_bytes() -> None:
    queue = ProposalQueue(Limits(batch_bytes=2 * SIZE + 1))
    queue.add_transactions(group(ALICE, 0, 1, 2))
    assert numbers_of(entries_of(queue)) == [(ALICE, [0, 1])]
    assert numbers_of(entries_of(queue)) == [(ALICE, [2])]


def test_decisions_count_for_the_limit_and_come_first() -> None:
    queue = ProposalQueue(Limits(batch_transactions=4))
    queue.add_transactions(group(ALICE, 0, 1))
    for number in range(3):
        queue.add_decide(DecideRow(BOB, number, 0), 10)
    queue.add_part(2, PrepareRow(BOB, 9, 4, 9, (3, 5)), 10)
    decide, transact = entries_of(queue)
    assert isinstance(decide, Decide) and [row.number for row in decide.rows] == [0, 1, 2]
    assert numbers_of([transact]) == [(ALICE, [0])]
    assert [type(entry) for entry in entries_of(queue)] == [Transact, PartPrepare]


def test_prepares_are_gathered_by_session_and_by_coordinator() -> None:
    queue = ProposalQueue(Limits())
    for session, number, below in ((ALICE, 1, 0), (BOB, 1, 2), (ALICE, 2, 1)):
        queue.add_cross(session, below, CrossItem(number, 1, LEGS, (1, 2)), 10)
    for coordinator, number in ((2, 1), (3, 1), (2, 2)):
        queue.add_part(coordinator, PrepareRow(BOB, number, 4, 9, (3, 5)), 10)
        queue.add_part_decide(coordinator, DecisionRow(BOB, number, 4, True), 10)
    queue.note_finished_below(2, 7)
    queue.note_finished_below(2, 5)
    entries = entries_of(queue)
    crosses = [(e.session, e.settled_below, len(e.items)) for e in entries if isinstance(e, CrossPrepare)]
    assert crosses == [(ALICE, 1, 2), (BOB, 2, 1)]
    for kind in (PartPrepare, PartDecide):
        parts = [(e.coordinator, e.finished_below, len(e.rows)) for e in entries if isinstance(e, kind)]
        assert parts == [(2, 7, 2), (3, 0, 1)], "the mark goes with it, and never back"


def test_finishes_wait_for_other_work() -> None:
    queue = ProposalQueue(Limits())
    queue.add_finish(TxRow(ALICE, 1, 1))
    assert not queue.pending and queue.finishes == 1
    queue.add_transactions(group(ALICE, 0))
    assert [type(entry) for entry in entries_of(queue)] == [Transact, Finish]
    assert queue.finishes == 0


def test_a_cut_deserves_a_slot_and_is_made_once() -> None:
    queue = ProposalQueue(Limits())
    queue.cut(3)
    queue.cut(2)
    assert queue.pending
    assert entries_of(queue) == [Audit(3)]
    assert not queue.pending


def test_control_entries_are_bounded_in_number_and_size() -> None:
    queue = ProposalQueue(Limits())
    for number in range(queue_module.CONTROL_MAX):
        assert queue.add_control(OpenSession(number.to_bytes(16)))
    assert not queue.add_control(OpenSession(ALICE))
    assert queue.control == queue_module.CONTROL_MAX
    queue.clear()
    room_for = (Limits().batch_bytes - 32) // 9 // 3 - 1
    assert queue.add_control(Resolve(ALICE, list(range(room_for))))
    assert queue.add_control(OpenSession(ALICE))
    assert [type(entry) for entry in entries_of(queue)] == [Resolve]
    assert [type(entry) for entry in entries_of(queue)] == [OpenSession]


def test_a_control_entry_that_is_asked_for_again_waits_once() -> None:
    """Clients ask again every 40 ms: were each to add an entry, a slow log would never catch up."""
    queue = ProposalQueue(Limits())
    for _ in range(100):
        assert queue.add_control(OpenSession(ALICE)) and queue.add_control(Resolve(ALICE, [3], (7,)))
    assert queue.has_control(OpenSession(ALICE)) and not queue.has_control(OpenSession(BOB))
    assert entries_of(queue) == [OpenSession(ALICE), Resolve(ALICE, [3], (7,))]
    assert not queue.pending and not queue.has_control(OpenSession(ALICE))
    assert queue.add_control(OpenSession(ALICE)) and queue.control == 1, "the first may have come to nothing"


def test_the_oldest_is_what_came_into_an_empty_queue() -> None:
    queue = ProposalQueue(Limits(batch_transactions=1))
    queue.add_transactions(group(ALICE, 0, at=20))
    queue.add_transactions(group(BOB, 0, at=30))
    assert queue.oldest_us == 20
    entries_of(queue, now=40)
    assert queue.oldest_us == 40


def test_clearing_gives_back_the_clients_transactions_only() -> None:
    queue = ProposalQueue(Limits(batch_transactions=2))
    queue.add_transactions(group(ALICE, 0, 1, 2))
    queue.add_cross(BOB, 0, CrossItem(7, 1, LEGS, (1, 2)), 10)
    queue.add_part(2, PrepareRow(BOB, 1, 4, 9, (3, 5)), 10)
    queue.add_decide(DecideRow(ALICE, 9, 0), 10)
    queue.add_part_decide(2, DecisionRow(BOB, 2, 4, True), 10)
    queue.add_control(OpenSession(BOB))
    queue.add_finish(TxRow(ALICE, 1, 1))
    queue.note_finished_below(2, 9)
    queue.cut(4)
    entries_of(queue)  # the decisions
    assert queue.clear() == [(ALICE, [0, 1, 2]), (BOB, [7])]
    assert not queue.pending and queue.queued == queue.finishes == queue.oldest_us == 0
    assert entries_of(queue) == []
    queue.add_part(2, PrepareRow(BOB, 1, 4, 9, (3, 5)), 10)
    (entry,) = entries_of(queue)
    assert isinstance(entry, PartPrepare) and entry.finished_below == 0, "said to another leadership"


def test_prepares_and_the_rest_get_into_a_batch_however_many_transactions_wait() -> None:
    queue = ProposalQueue(Limits())
    queue.add_transactions(group(ALICE, *range(5_000)))
    queue.add_cross(BOB, 0, CrossItem(7, 1, LEGS, (1, 2)), 10)
    queue.add_part(2, PrepareRow(BOB, 1, 4, 9, (3, 5)), 10)
    queue.add_control(OpenSession(BOB))
    kinds = [type(entry) for entry in entries_of(queue)]
    assert kinds == [Transact, CrossPrepare, PartPrepare, OpenSession]
    assert [len(numbers) for _, numbers in numbers_of(entries_of(queue))] == [512], "nothing is kept in vain"


def test_the_longest_prepare_fits_the_smallest_batch_beside_transactions() -> None:
    queue = ProposalQueue(Limits(batch_transactions=2, batch_bytes=2_048))
    queue.add_transactions(group(ALICE, *range(100)))
    legs = tuple(range(32))
    queue.add_cross(BOB, 0, CrossItem(7, 1, legs, tuple(range(16)), tuple(range(48))), 10)
    assert [type(entry) for entry in entries_of(queue)] == [Transact, CrossPrepare]
