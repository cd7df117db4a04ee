"""Entries 13 to 20: batches of accounts that move. Cluster 1 is the source, cluster 2 the destination."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from consensus.bank import machine as machine_module
from consensus.bank import movement as movement_module
from consensus.bank.audit import AuditReport, report, total
from consensus.bank.machine import Applied, Machine
from consensus.bank.movement import Arrived, Left, Taken, accounts_of, sessions_of
from consensus.bank.moves import PARTS_KEPT, PartAnswer, Phase
from consensus.bank.state import BankState
from consensus.bank.twophase import CrossPrepared, Decided, PartDecided, PartPrepared, part_rows
from consensus.messages.client import Outcome, Refusal, Status
from consensus.messages.entries import (
    Abort,
    CrossItem,
    Decide,
    DecideRow,
    Entry,
    EvictSessions,
    Finish,
    MoveActivate,
    MoveDrop,
    MoveFinish,
    MoveFlip,
    MoveInstall,
    MoveInstallOpen,
    MovePrepare,
    MoveReserve,
    MoveRollback,
    OpenSession,
    PartDecide,
    PartPrepare,
    Resolve,
)
from consensus.messages.migration import Step
from consensus.messages.txn import MOVED, DecisionRow, PrepareRow, TxRow
from consensus.types import TxId
from tests.bank.batches import (
    ALICE,
    BALANCE,
    BOB,
    NOBODY,
    applied,
    apply,
    copy_of,
    cross,
    machine_of,
    pay,
    rows_of,
    run,
    transact,
)

PLAN = b"p" * 16


def prepare(accounts: Iterable[int], part: int = 0, destination: int = 2) -> MovePrepare:
    return MovePrepare(PLAN, part, destination, tuple(accounts))


def install(source: Machine, number: int = 1) -> MoveInstall:
    chunks = sessions_of(source.state, number, 1 << 14)
    return MoveInstall(source.own, number, accounts_of(source.state, number), [s for c in chunks for s in c])


def effectless(machine: Machine, entry: Entry) -> None:
    """Applied once more, the entry changes nothing but the slot."""
    before = machine.state.digest()
    copy = copy_of(machine)
    apply(copy, entry)
    copy.state.slot = machine.state.slot
    assert copy.state.digest() == before, entry


def move(source: Machine, destination: Machine, accounts: Iterable[int], part: int = 0) -> int:
    """A whole migration; returns the batch's number."""
    (taken,) = apply(source, prepare(accounts, part, destination.own))
    assert isinstance(taken, Taken)
    number = taken.answer.number
    apply(destination, MoveReserve(source.own, number, source.state.moves.below))
    apply(destination, install(source, number))
    apply(source, MoveFlip(number))
    apply(destination, MoveActivate(source.own, number, source.state.moves.below))
    apply(source, MoveFinish([number]))
    return number


def pair() -> tuple[Machine, Machine]:
    return machine_of(1), machine_of(2)


# --- the way of a batch ------------------------------------------------------------------


def test_a_batch_takes_what_is_owned_and_free() -> None:
    source = machine_of(1)
    apply(source, cross(0, pay(3, 13, 5)))
    (taken,) = apply(source, prepare([5, 3, 4, 99, 5]))
    assert taken == Taken(PLAN, 0, PartAnswer(1, (4, 5), Phase.TAKEN)), "3 is locked, 99 lives elsewhere"
    (again,) = apply(source, prepare([4, 6], part=1))
    assert again == Taken(PLAN, 1, PartAnswer(2, (6,), Phase.TAKEN)), "4 is in the first batch"
    (nothing,) = apply(source, prepare([4], part=2))
    assert nothing == Taken(PLAN, 2, PartAnswer(3, ()))
    assert source.state.moves.batches.keys() == {1, 2}
    (home,) = apply(source, prepare([7], part=3, destination=1))
    assert isinstance(home, Taken) and home.answer.taken == (), "from a cluster to itself"


def test_a_repeated_part_of_a_plan_is_answered() -> None:
    source, destination = pair()
    (first,) = apply(source, prepare([1, 2]))
    (again,) = apply(source, prepare([7, 8]))
    assert again == first and source.state.moves.taken == {1: 1, 2: 1}
    apply(destination, MoveReserve(1, 1, 1), install(source))
    apply(source, MoveFlip(1), MoveFinish([1]))
    (late,) = apply(source, prepare([1, 2]))
    assert late == Taken(PLAN, 0, PartAnswer(1, (1, 2), Phase.FLIPPED)) and not source.state.moves.taken


def test_parts_are_remembered_up_to_a_bound_in_the_order_of_their_numbers() -> None:
    source = machine_of(1)
    apply(source, *[prepare([], part=part) for part in reversed(range(PARTS_KEPT))])
    copy = copy_of(source)
    for machine in (source, copy):
        apply(machine, prepare([], part=PARTS_KEPT))
        assert (PLAN, PARTS_KEPT - 1) not in machine.state.moves.parts, "the first of them is forgotten"
        assert (PLAN, 0) in machine.state.moves.parts
    assert source.state.digest() == copy.state.digest()


def test_taken_accounts_refuse_transactions() -> None:
    source = machine_of(1)
    apply(source, prepare([1, 2]))
    for legs in (pay(1, 3, 5), pay(3, 1, 5), (3, -5, 4, 3, 2, 2)):
        assert applied(source, transact(0, legs)).refused == [(0, Refusal.MIGRATING)]
    refused = applied(source, cross(0, pay(1, 11, 5)))
    assert refused.refused == [(0, Refusal.MIGRATING)]
    assert not source.state.sessions[ALICE].outcomes
    run(source, 0, pay(3, 4, 5))


def test_the_accounts_change_owner_with_balance_version_and_epoch() -> None:
    source, destination = pair()
    run(source, 0, pay(1, 2, 30))
    run(source, 1, pay(1, 2, 5))
    apply(source, prepare([1, 2]))
    assert apply(destination, MoveReserve(1, 1, 1)) == [Arrived(1, 1, Step.RESERVED, ())]
    assert apply(destination, install(source)) == [Arrived(1, 1, Step.INSTALLED, ())]
    assert 1 in source.state.accounts and 1 not in destination.state.accounts
    assert apply(source, MoveFlip(1)) == [Left(1, Phase.FLIPPED, (1, 2))]
    assert 1 not in source.state.accounts and 1 not in destination.state.accounts
    assert apply(destination, MoveActivate(1, 1, 1)) == [Arrived(1, 1, Step.ACTIVE, (1, 2))]
    held = [destination.state.accounts[account] for account in (1, 2)]
    assert [(a.balance, a.version, a.epoch) for a in held] == [(65, 2, 1), (135, 2, 1)]
    assert (source.state.epoch, destination.state.epoch) == (1, 1)
    assert applied(source, transact(2, pay(1, 3, 1))).refused == [(2, Refusal.WRONG_OWNER)]
    assert run(destination, 2, pay(1, 2, 1)).legs == (3, 64, 3, 136)


def test_an_account_goes_and_comes_back() -> None:
    source, destination = pair()
    move(source, destination, [1])
    assert source.state.moves.forwards[1].cluster == 2
    move(destination, source, [1])
    assert 1 not in source.state.moves.forwards, "it is here"
    assert destination.state.moves.forwards[1].cluster == 1
    assert (source.state.accounts[1].epoch, source.state.epoch) == (2, 2)


def test_a_rolled_back_batch_stays() -> None:
    source, destination = pair()
    apply(source, prepare([1]))
    apply(destination, MoveReserve(1, 1, 1), install(source))
    assert apply(source, MoveRollback(1)) == [Left(1, Phase.ROLLED_BACK, (1,))]
    assert apply(destination, MoveDrop(1, 1, 1)) == [Arrived(1, 1, Step.DROPPED, ())]
    run(source, 0, pay(1, 2, 5))
    assert 1 not in destination.state.accounts
    for machine in (source, destination):
        machine.state.digest()
    effectless(source, MoveFlip(1))
    for late in (MoveReserve(1, 1, 1), MoveActivate(1, 1, 1)):
        assert apply(destination, late) == [Arrived(1, 1, Step.DROPPED, ())]
    apply(source, MoveFinish([1]))
    assert not source.state.moves.batches and source.state.moves.below == 2


def test_the_first_of_flip_and_rollback_counts() -> None:
    source = machine_of(1)
    apply(source, prepare([1]))
    apply(source, MoveFlip(1))
    assert apply(source, MoveRollback(1)) == []
    assert 1 not in source.state.accounts


def test_a_drop_before_the_reserve_keeps_the_batch_from_coming_to_life() -> None:
    source, destination = pair()
    apply(source, prepare([1]))
    late = install(source)
    apply(destination, MoveDrop(1, 1, 1))
    assert apply(destination, MoveReserve(1, 1, 1), late) == [Arrived(1, 1, Step.DROPPED, ())] * 2


def test_nothing_is_installed_without_a_reserve() -> None:
    source, destination = pair()
    apply(source, prepare([1]))
    assert apply(destination, install(source)) == [Arrived(1, 1, Step.UNKNOWN, ())]
    assert apply(destination, MoveActivate(1, 1, 1)) == [Arrived(1, 1, Step.UNKNOWN, ())]
    assert 1 not in destination.state.accounts


def test_late_copies_after_the_end_do_nothing() -> None:
    source, destination = pair()
    apply(source, prepare([1]))
    late = install(source)
    apply(destination, MoveReserve(1, 1, 1), late)
    apply(source, MoveFlip(1))
    apply(destination, MoveActivate(1, 1, 1))
    apply(source, MoveFinish([1]))
    move(source, destination, [2], part=1)
    assert destination.state.moves.incoming.keys() == {(1, 2)}, "the first batch is forgotten"
    for entry in (MoveReserve(1, 1, 1), late, MoveActivate(1, 1, 1), MoveDrop(1, 1, 1)):
        effectless(destination, entry)


def test_repeated_entries_have_no_effect() -> None:
    source, destination = pair()
    run(source, 0, pay(1, 2, 30))
    steps: list[tuple[Machine, Entry]] = [(source, prepare([1, 2])), (destination, MoveReserve(1, 1, 1))]
    for machine, entry in steps:
        apply(machine, entry)
        effectless(machine, entry)
    steps = [
        (destination, install(source)),
        (source, MoveFlip(1)),
        (destination, MoveActivate(1, 1, 1)),
        (source, MoveFinish([1])),
    ]
    for machine, entry in steps:
        apply(machine, entry)
        effectless(machine, entry)
        assert copy_of(machine).state.digest() == machine.state.digest()


# --- outcomes move with the payer ------------------------------------------------------------


def test_a_retry_finds_its_outcome_at_the_new_owner() -> None:
    source = machine_of(1)
    destination = machine_of(2, sessions=(BOB,))
    paid = run(source, 0, pay(1, 2, 30))
    poor = run(source, 1, pay(1, 2, 3_000))
    kept = run(source, 2, pay(3, 1, 7))
    move(source, destination, [1])
    apply(destination, OpenSession(ALICE))
    for number, outcome in ((0, paid), (1, poor)):
        answer = applied(destination, transact(number, pay(1, 11, 30)))
        assert (answer.numbers, answer.outcomes) == ([number], [outcome])
    assert destination.state.accounts[1].balance == BALANCE - 30 + 7
    assert 2 not in destination.state.sessions[ALICE].outcomes, "3 paid, and stayed"
    assert source.state.sessions[ALICE].outcomes[2] == kept


@pytest.mark.parametrize("order", [1, -1])
def test_the_longest_idle_session_makes_room_whatever_a_replica_has_been_through(
    monkeypatch: pytest.MonkeyPatch, order: int
) -> None:
    """Rows of a checkpoint come by id, those of a transfer by use; who starts from them evicts the same."""
    for module in (machine_module, movement_module):
        monkeypatch.setattr(module, "SESSIONS_MAX", 3)
    names = [bytes([byte]) * 16 for byte in (9, 5, 7)]
    source = machine_of(1)
    paid = run(source, 0, pay(1, 2, 30))
    destination = machine_of(2, sessions=())
    apply(destination, OpenSession(names[0]))
    apply(destination, OpenSession(names[1]), OpenSession(names[2]))
    apply(destination, transact(0, pay(11, 12, 1), session=names[0]))
    rows = sorted(rows_of(destination.state), key=lambda row: str(row.key))[::order]
    again = Machine(BankState.restore(rows), 2)
    apply(source, prepare([1]))
    for machine in (destination, again):
        apply(machine, MoveReserve(1, 1, 0))
        apply(machine, install(source))
    assert destination.state.digest() == again.state.digest()
    assert set(destination.state.sessions) == {names[0], names[2], ALICE}, "of two idle as long the lower id"
    assert destination.state.sessions[ALICE].outcomes == {0: paid}


def evicted_and_moved_in(kind: type[MoveInstall]) -> tuple[Machine, Outcome]:
    """Number 5 ran at the destination, which evicted the session; then account 1 moved in, with number 0."""
    source, destination = pair()
    paid = run(source, 0, pay(1, 2, 30))
    run(destination, 5, pay(11, 12, 1))
    apply(destination, EvictSessions([ALICE]))
    apply(source, prepare([1]))
    apply(destination, MoveReserve(1, 1, 0))
    entry = install(source)
    apply(destination, kind(entry.source, entry.number, entry.accounts, entry.sessions))
    apply(source, MoveFlip(1))
    apply(destination, MoveActivate(1, 1, 0))
    return destination, paid


def test_a_session_that_comes_back_with_an_account_runs_nothing_until_it_is_opened() -> None:
    """Seeds 1357 and 1412 of the simulator: a late copy of number 5 would run again."""
    there, paid = evicted_and_moved_in(MoveInstall)
    restored = Machine(BankState.restore(rows_of(there.state)), 2)
    for machine in (there, restored):
        late = applied(machine, transact(5, pay(11, 12, 1)))
        assert (late.outcomes, late.refused) == ([], [(5, Refusal.SESSION_EXPIRED)])
        assert applied(machine, transact(0, pay(1, 2, 30))).outcomes == [paid], "what came along is told"
        for given_up in (Resolve(ALICE, [5, 0], (11, 1)), Abort(ALICE, 5, Status.LOCK_TIMEOUT, 11)):
            assert (5, Refusal.SESSION_EXPIRED) in applied(machine, given_up).refused
        assert applied(machine, cross(5, pay(11, 21, 1))).refused == [(5, Refusal.SESSION_EXPIRED)]
        assert machine.state.accounts[11].balance == BALANCE - 1
    assert there.state.digest() == restored.state.digest()


def test_a_session_that_moved_in_is_opened_by_its_client() -> None:
    there, paid = evicted_and_moved_in(MoveInstall)
    (opened,) = apply(there, OpenSession(ALICE))
    assert isinstance(opened, Applied) and opened.opened
    assert there.state.sessions[ALICE].outcomes == {0: paid}
    assert run(there, 6, pay(11, 12, 1)).status == Status.COMMITTED
    again = Machine(BankState.restore(rows_of(there.state)), 2)
    assert again.state.sessions[ALICE].opened


def test_logs_of_earlier_nodes_keep_their_meaning() -> None:
    there, _ = evicted_and_moved_in(MoveInstallOpen)
    assert there.state.sessions[ALICE].opened


def test_what_the_client_has_settled_stays_settled() -> None:
    source = machine_of(1)
    destination = machine_of(2, sessions=())
    for number in range(4):
        run(source, number, pay(1, 2, 1))
    source.state.sessions[ALICE].settle(3)
    source.state.touch_session(ALICE)
    move(source, destination, [1])
    session = destination.state.sessions[ALICE]
    assert (session.settled_below, session.outcomes.keys()) == (3, {3})
    assert applied(destination, transact(2, pay(1, 11, 1))).refused == [(2, Refusal.SESSION_EXPIRED)]


def test_what_was_settled_at_the_last_owner_does_not_run_at_the_next() -> None:
    """Seed 1000 of the simulator: a copy that was sent to the next owner first comes late."""
    source, destination = pair()
    run(source, 0, pay(1, 2, 30))
    apply(source, transact(1, pay(3, 2, 1), below=1))
    move(source, destination, [1])
    assert destination.state.sessions[ALICE].opened
    late = applied(destination, transact(0, pay(1, 11, 30)))
    assert (late.outcomes, late.refused) == ([], [(0, Refusal.SESSION_EXPIRED)])


def test_marks_go_on_to_a_third_cluster_but_displace_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = machine_of(1), machine_of(2, sessions=(BOB,)), machine_of(3)
    run(first, 0, pay(1, 2, 30))
    apply(first, transact(1, pay(3, 2, 1), below=1))
    full = copy_of(second)
    move(copy_of(first), second, [1])
    passed = second.state.sessions[ALICE]
    assert (passed.settled_below, passed.outcomes, passed.opened) == (1, {}, False)
    move(second, third, [1])
    assert third.state.sessions[ALICE].settled_below == 1
    monkeypatch.setattr(movement_module, "SESSIONS_MAX", 1)
    move(first, full, [1])
    assert list(full.state.sessions) == [BOB]


def test_the_destination_hears_of_sessions_used_since_it_last_heard() -> None:
    source = machine_of(1, sessions=(ALICE, BOB))
    for session in (ALICE, BOB):
        apply(source, transact(0, pay(3, 2, 1), session=session))
        apply(source, transact(1, pay(3, 2, 1), session=session, below=1))
    apply(source, prepare([1]))
    both = sessions_of(source.state, 1, 1 << 14)
    assert [moved.id for chunk in both for moved in chunk] == [ALICE, BOB]
    since = source.state.sessions[BOB].used_slot
    (news,) = sessions_of(source.state, 1, 1 << 14, since)
    assert [moved.id for moved in news] == [BOB]
    assert len(sessions_of(source.state, 1, 1)) == 2, "in chunks"


def test_an_outcome_known_at_the_destination_is_never_replaced() -> None:
    source, destination = pair()
    run(source, 0, pay(1, 2, 1))
    there = run(destination, 0, pay(11, 12, 1))
    move(source, destination, [1])
    assert destination.state.sessions[ALICE].outcomes[0] == there


def test_outcomes_go_ahead_in_chunks_and_the_accounts_last() -> None:
    source = machine_of(1)
    destination = machine_of(2, sessions=())
    for number in range(20):
        run(source, number, pay(1, 2, 1))
    apply(source, prepare([1]))
    chunks = sessions_of(source.state, 1, 300)
    assert len(chunks) > 3
    apply(destination, MoveReserve(1, 1, 1))
    for chunk in chunks:
        assert apply(destination, MoveInstall(1, 1, [], chunk)) == [Arrived(1, 1, Step.RESERVED, ())]
    assert apply(destination, MoveInstall(1, 1, accounts_of(source.state, 1), []))[0].step == Step.INSTALLED  # type: ignore[union-attr]
    assert destination.state.sessions[ALICE].outcomes == source.state.sessions[ALICE].outcomes


def test_giving_up_stores_nothing_for_a_payer_that_moves() -> None:
    source, destination = pair()
    apply(source, prepare([1]))
    abort = Abort(ALICE, 0, Status.LOCK_TIMEOUT, 1)
    assert applied(source, abort).refused == [(0, Refusal.MIGRATING)]
    apply(destination, MoveReserve(1, 1, 1), install(source))
    apply(source, MoveFlip(1))
    assert applied(source, abort).refused == [(0, Refusal.WRONG_OWNER)]
    assert applied(source, Abort(ALICE, 0, Status.LOCK_TIMEOUT, 2)).outcomes[0].payer == 2


def test_the_coordinators_outcome_moves_too() -> None:
    source, destination = pair()
    apply(source, cross(0, pay(1, 21, 30)))
    apply(source, Decide([DecideRow(ALICE, 0, Status.COMMITTED, (1, 70, 1, 130))]))
    move(source, destination, [1])
    assert destination.state.sessions[ALICE].outcomes[0].status == Status.COMMITTED


# --- transactions that meet a moving account elsewhere -------------------------------------------


def vote_of(machine: Machine, row: PrepareRow) -> int:
    (result,) = apply(machine, PartPrepare(3, 0, [row]))
    assert isinstance(result, PartPrepared)
    return result.votes[0].status


@pytest.mark.parametrize("legs", [(1, -5, 10**9, 5), (10**9, 5, 1, -5)], ids=["payer first", "payer last"])
def test_what_is_taken_refuses_although_the_outcome_is_clear(legs: tuple[int, ...]) -> None:
    """An outcome stored now would not go with its payer, and the new owner would give a second one."""
    source, _ = pair()
    apply(source, prepare([1]))
    assert applied(source, transact(0, legs)).refused == [(0, Refusal.MIGRATING)]
    homes = (1, 2, 1) if legs[0] == 1 else (1, 1, 2)
    across = cross(1, (*legs[:2], 12, 0, *legs[2:]) if legs[0] == 1 else (*legs, 12, 0), homes=homes)
    assert applied(source, across).refused == [(1, Refusal.MIGRATING)]
    assert not source.state.sessions[ALICE].outcomes


def test_a_participant_says_moved_while_the_account_is_on_its_way_and_where_it_went() -> None:
    source, destination = pair()
    row = PrepareRow(NOBODY, 0, 9, 5, (1, 10))
    apply(source, prepare([1]))
    assert vote_of(source, row) == MOVED
    apply(destination, MoveReserve(1, 1, 1), install(source))
    apply(source, MoveFlip(1))
    (result,) = apply(source, PartPrepare(3, 0, [row]))
    assert isinstance(result, PartPrepared)
    assert (result.votes[0].status, result.votes[0].legs) == (MOVED, (1, 2, 1))
    assert not source.state.cross.prepared


def test_an_attempt_is_taken_back_and_the_next_one_commits() -> None:
    """Cluster 1 pays 11 and 21; 11 has gone from 2 to 3 and cluster 1 does not know it yet."""
    coordinator, old, new = machine_of(1), machine_of(2), machine_of(3)
    move(old, new, [11])
    tx = TxId(ALICE, 0)
    legs = (1, -30, 11, 10, 21, 20)
    first = cross(0, legs)
    apply(coordinator, first)
    rows = part_rows(ALICE, first.items[0], 2, 1)
    (told,) = apply(old, PartPrepare(1, 0, [rows[2]]))
    assert isinstance(told, PartPrepared) and told.votes[0].status == MOVED
    apply(new, PartPrepare(1, 0, [rows[3]]))
    assert tx in new.state.cross.prepared
    answer, decided = apply(coordinator, Decide([DecideRow(ALICE, 0, MOVED)]))
    assert isinstance(answer, Applied) and answer.refused == [(0, Refusal.MIGRATING)]
    assert isinstance(decided, Decided) and not decided.decided[0][1].commit
    assert coordinator.state.accounts[1].balance == BALANCE
    assert not coordinator.state.sessions[ALICE].outcomes, "nothing is stored"

    again = cross(0, legs, homes=(1, 3, 3))
    assert applied(coordinator, again).refused == [(0, Refusal.MIGRATING)], "its participants do not know yet"
    taken_back = DecisionRow(ALICE, 0, 2, False)
    apply(new, PartDecide(1, 0, [taken_back]))
    apply(old, PartDecide(1, 0, [taken_back]))
    assert new.state.accounts[21].balance == BALANCE
    apply(coordinator, Finish([TxRow(ALICE, 0, 2)]))

    apply(coordinator, again)
    at = coordinator.state.slot
    row = part_rows(ALICE, again.items[0], at, 1)[3]
    assert apply(new, PartPrepare(1, 0, [rows[3]]))[0] == PartPrepared(1, [], []), "a late copy of the first"
    (yes,) = apply(new, PartPrepare(1, 0, [row]))
    assert isinstance(yes, PartPrepared) and yes.votes[0].status == Status.COMMITTED
    assert apply(new, PartDecide(1, 0, [taken_back])) == [PartDecided(1, [], [], [tx])], "and of its decision"
    assert tx in new.state.cross.prepared
    apply(coordinator, Decide([DecideRow(ALICE, 0, Status.COMMITTED)]))
    apply(new, PartDecide(1, 0, [DecisionRow(ALICE, 0, at, True)]))
    assert [new.state.accounts[account].balance for account in (11, 21)] == [110, 120]
    assert coordinator.state.accounts[1].balance == 70


def test_a_finished_attempt_is_forgotten_by_its_own_number() -> None:
    machine = machine_of(2)
    legs = (11, 10)
    for at in (5, 9):
        apply(machine, PartPrepare(1, 0, [PrepareRow(ALICE, 0, at, 5, legs)]))
        apply(machine, PartDecide(1, 0, [DecisionRow(ALICE, 0, at, False)]))
    apply(machine, PartDecide(1, 7, []))
    assert machine.state.cross.is_over(TxId(ALICE, 0), 1, 9), "the later attempt is not passed yet"
    apply(machine, PartDecide(1, 10, []))
    assert not machine.state.cross.finished


def test_numbers_of_two_coordinators_are_not_compared() -> None:
    """Cluster 1 gave up attempt 120; the payer moved to cluster 2, whose log is shorter."""
    machine = machine_of(3)
    row = PrepareRow(ALICE, 0, 120, 5, (21, 10))
    apply(machine, PartPrepare(1, 0, [row]))
    apply(machine, PartDecide(1, 0, [DecisionRow(ALICE, 0, 120, False)]))
    later = PrepareRow(ALICE, 0, 15, 5, (21, 10))
    (yes,) = apply(machine, PartPrepare(2, 0, [later]))
    assert isinstance(yes, PartPrepared) and yes.votes[0].status == Status.COMMITTED
    apply(machine, PartDecide(2, 0, [DecisionRow(ALICE, 0, 15, True)]))
    apply(machine, PartDecide(1, 500, []))
    assert apply(machine, PartPrepare(1, 0, [row])) == [PartPrepared(1, [], [])]
    assert machine.state.cross.is_over(TxId(ALICE, 0), 2, 15), "what cluster 1 is done with is not this"
    assert machine.state.accounts[21].balance == BALANCE + 10


# --- money ---------------------------------------------------------------------------------------


def reports(machines: Iterable[Machine], number: int) -> list[AuditReport]:
    return [report(machine.state, machine.own, number) for machine in machines]


def test_the_total_is_constant_at_every_step() -> None:
    machines = [machine_of(cluster) for cluster in (1, 2, 3)]
    source, destination, _ = machines
    whole = 30 * BALANCE
    run(source, 0, pay(1, 2, 30))
    apply(source, prepare([1, 2]))
    steps: list[tuple[Machine, Entry]] = [
        (destination, MoveReserve(1, 1, 1)),
        (destination, install(source)),
        (source, MoveFlip(1)),
        (destination, MoveActivate(1, 1, 1)),
        (source, MoveFinish([1])),
    ]
    for machine, entry in steps:
        assert total(reports(machines, 1))[0] == whole
        apply(machine, entry)
        money, in_flight = total(reports(machines, 1))
        assert (money, in_flight) == (whole, 200 if isinstance(entry, MoveFlip) else 0), entry


@pytest.mark.parametrize("cut_after", range(4))
def test_a_cut_across_the_flip_counts_the_batch_once(cut_after: int) -> None:
    """The source cuts after its flip, the destination anywhere up to the message that says it is over."""
    source, destination = pair()
    apply(source, prepare([1]))
    steps: list[Entry] = [MoveReserve(1, 1, 1), install(source), MoveActivate(1, 1, 1)]
    apply(source, MoveFlip(1))
    early = report(source.state, 1, 1)
    for entry in steps[:cut_after]:
        apply(destination, entry)
    assert total([early, report(destination.state, 2, 1)])[0] == 20 * BALANCE


def test_cross_prepared_is_not_taken() -> None:
    source = machine_of(1)
    (_, prepared) = apply(source, cross(0, pay(1, 11, 5)))
    assert isinstance(prepared, CrossPrepared)
    (taken,) = apply(source, prepare([1]))
    assert isinstance(taken, Taken) and taken.answer.taken == ()


def test_item_kinds_stay_what_they_were() -> None:
    """A transaction with homes that are wrong for another reason is invalid, not moved."""
    machine = machine_of(1)
    item = CrossItem(0, 5, pay(1, 11, 5), (1,), ())
    entry = cross(0, pay(1, 11, 5))
    (answer, _, _) = apply(machine, type(entry)(ALICE, 0, [item]))
    assert isinstance(answer, Applied) and answer.outcomes[0].status == Status.INVALID
