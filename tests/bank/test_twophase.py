"""Entries 7 to 11: prepare, decide, finish. Cluster 1 coordinates, cluster 2 takes part."""

from __future__ import annotations

import pytest

from consensus.bank.cross import Unfinished, others_of
from consensus.bank.machine import Applied, Machine
from consensus.bank.twophase import CrossPrepared, Decided, PartDecided, PartPrepared, local_part, part_rows
from consensus.messages.client import Outcome, Refusal, Status
from consensus.messages.entries import (
    Condition,
    CrossItem,
    CrossPrepare,
    Decide,
    DecideRow,
    EvictSessions,
    Finish,
    PartDecide,
    PartPrepare,
    Transact,
)
from consensus.messages.txn import MOVED, DecisionRow, PrepareRow, TxRow, VoteRow
from consensus.types import Ballot, TxId
from tests.bank.batches import (
    ALICE,
    BALLOT,
    BOB,
    applied,
    apply,
    balances,
    copy_of,
    cross,
    machine_of,
    pay,
    run,
    transact,
    versions,
)

TX = TxId(ALICE, 0)


def part(
    legs: tuple[int, ...], at: int = 5, number: int = 0, below: int = 0, **more: tuple[int, ...]
) -> PartPrepare:
    """P at a participant, asked for by cluster 1."""
    return PartPrepare(1, below, [PrepareRow(ALICE, number, at, 9, legs, **more)])


def prepare_part(machine: Machine, entry: PartPrepare) -> PartPrepared:
    result = apply(machine, entry)[0]
    assert isinstance(result, PartPrepared) and result.coordinator == entry.coordinator
    return result


def vote(machine: Machine, entry: PartPrepare) -> VoteRow:
    result = prepare_part(machine, entry)
    assert len(result.votes) == 1 and not result.locked
    return result.votes[0]


def settle_part(machine: Machine, commit: bool, at: int = 5, number: int = 0, below: int = 0) -> PartDecided:
    result = apply(machine, PartDecide(1, below, [DecisionRow(ALICE, number, at, commit)]))[0]
    assert isinstance(result, PartDecided)
    return result


def decide(
    machine: Machine, status: int = 0, legs: tuple[int, ...] = (), number: int = 0
) -> tuple[list[Applied], Decided]:
    *answers, decided = apply(machine, Decide([DecideRow(ALICE, number, status, legs)]))
    assert isinstance(decided, Decided)
    return [answer for answer in answers if isinstance(answer, Applied)], decided


# --- P at the coordinator ----------------------------------------------------------------


def test_prepare_takes_the_deltas_and_locks() -> None:
    machine = machine_of()
    answer, prepared = apply(machine, cross(0, (1, -30, 2, 10, 11, 20)))
    assert answer == Applied(ALICE, [], [], [], False)
    assert prepared == CrossPrepared([TX], [])
    cross_state = machine.state.cross
    assert balances(machine)[:2] == [70, 110] and versions(machine)[:2] == [0, 0]
    assert cross_state.locks == {1: TX, 2: TX} and cross_state.undo == {1: -30, 2: 10}
    held = cross_state.prepared[TX]
    assert (held.at, held.slot, held.after, held.homes) == (2, 2, (1, 70, 1, 110), (1, 1, 2))
    assert held.coordinates and others_of(held.homes, 1) == (2,)
    assert [machine.state.committed_balance(a) for a in list(machine.state.accounts.values())[:2]] == [
        100,
        100,
    ]


def test_prepare_repeated_has_no_effect() -> None:
    machine = machine_of()
    apply(machine, cross(0, pay(1, 11, 30)))
    answer, prepared = apply(machine, cross(0, pay(1, 11, 30)))
    assert answer == Applied(ALICE, [], [], [], False) and prepared == CrossPrepared([TX], [])
    assert balances(machine)[0] == 70 and machine.state.cross.prepared[TX].at == 2


@pytest.mark.parametrize(
    ("status", "legs", "conditions"),
    [
        (Status.INSUFFICIENT_FUNDS, pay(1, 11, 101), ()),
        (Status.INSUFFICIENT_FUNDS, pay(1, 11, 1), (1, Condition.BALANCE_AT_LEAST, 101)),
        (Status.CONDITION_FAILED, pay(1, 11, 1), (1, Condition.VERSION_EQUALS, 2)),
        (Status.UNKNOWN_ACCOUNT, (31, -1, 11, 1), ()),
        (Status.INVALID, (1, -1, 11, 2), ()),
    ],
)
def test_what_cannot_commit_is_decided_at_once(
    status: Status, legs: tuple[int, ...], conditions: tuple[int, ...]
) -> None:
    machine = machine_of()
    answer, prepared, decided = apply(machine, cross(0, legs, conditions, homes=(1, 2)))
    assert isinstance(answer, Applied) and answer.numbers == [0]
    outcome = answer.outcomes[0]
    assert outcome.status == status and machine.state.sessions[ALICE].outcomes == {0: outcome}
    assert prepared == CrossPrepared([], [])
    assert decided == Decided([(TX, Unfinished(2, False, (2,)))], [])
    assert machine.state.cross.unfinished == {TX: Unfinished(2, False, (2,))}
    assert balances(machine) == [100] * 10 and not machine.state.cross.locks
    if status in (Status.INSUFFICIENT_FUNDS, Status.CONDITION_FAILED):
        assert outcome.legs == (0, 100, -1, -1), "the other cluster's leg is not known here"
    assert applied(machine, cross(0, pay(1, 11, 1))).outcomes == [outcome]


def test_conditions_go_to_the_cluster_of_their_account() -> None:
    legs = (1, -30, 11, 10, 2, 0, 21, 20)
    conditions = (11, 1, 5, 2, 2, 0, 1, 1, 30)
    item = CrossItem(4, 9, legs, (1, 2, 1, 3), conditions)
    assert local_part(item, 1) == ((1, -30, 2, 0), (2, 2, 0, 1, 1, 30))
    assert local_part(item, 2) == ((11, 10), (11, 1, 5))
    assert local_part(item, 3) == ((21, 20), ())
    rows = part_rows(ALICE, item, 7, own=1)
    assert list(rows) == [2, 3]
    assert rows[2] == PrepareRow(ALICE, 4, 7, 9, (11, 10), (11, 1, 5))
    assert run(machine_of(), 0, pay(1, 2, 1), (2, Condition.VERSION_EQUALS, 0)).status == Status.COMMITTED


def test_a_prepare_that_meets_a_lock_has_no_effect() -> None:
    machine = machine_of()
    apply(machine, cross(0, pay(1, 11, 30)))
    entry = cross(1, (2, -5, 1, 1, 11, 4))
    answer, prepared = apply(machine, entry)
    assert answer == Applied(ALICE, [], [], [], False)
    assert prepared == CrossPrepared([], [(ALICE, entry.items[0])])
    assert balances(machine)[:2] == [70, 100] and TxId(ALICE, 1) not in machine.state.cross.prepared


def test_a_prepare_whose_payer_is_gone_is_taken_back_from_those_who_were_asked() -> None:
    machine = machine_of()
    answer, prepared, decided = apply(machine, cross(0, pay(11, 1, 5), homes=(1, 2)))
    assert answer == Applied(ALICE, [], [], [(0, Refusal.WRONG_OWNER)], False)
    assert prepared == CrossPrepared([], []) and not machine.state.sessions[ALICE].outcomes
    unfinished = Unfinished(machine.state.slot, False, (2,))
    assert decided == Decided([(TxId(ALICE, 0), unfinished)], [])
    assert machine.state.cross.unfinished == {TxId(ALICE, 0): unfinished}
    again = applied(machine, cross(0, pay(11, 1, 5), homes=(1, 2)))
    assert again.refused == [(0, Refusal.MIGRATING)], "its participants do not know yet"


def test_a_prepare_of_a_settled_number_or_unknown_session_is_refused() -> None:
    machine = machine_of()
    apply(machine, Transact(ALICE, 4, []))
    late = applied(machine, cross(3, pay(1, 11, 5)))
    assert late.refused == [(3, Refusal.SESSION_EXPIRED)]
    apply(machine, EvictSessions([ALICE]))
    gone = applied(machine, cross(9, pay(1, 11, 5)))
    assert gone.refused == [(9, Refusal.SESSION_EXPIRED)]
    assert balances(machine)[0] == 100


# --- C and A at the coordinator ------------------------------------------------------------


def test_commit_raises_versions_and_keeps_the_decision() -> None:
    machine = machine_of()
    apply(machine, cross(0, (1, -30, 2, 0, 11, 30)))
    row = DecideRow(ALICE, 0, Status.COMMITTED, (1, 70, 0, 100, 1, 130), (2, 4, 0, 1, 4))
    answer, decided = apply(machine, Decide([row]), ballot=Ballot(2, 2))
    outcome = Outcome(Status.COMMITTED, 3, 0, Ballot(2, 2), row.legs, row.parts, 1)
    assert answer == Applied(ALICE, [0], [outcome], [], False)
    assert decided == Decided([(TX, Unfinished(2, True, (2,)))], [1, 2])
    assert balances(machine)[:2] == [70, 100] and versions(machine)[:2] == [1, 0]
    cross_state = machine.state.cross
    assert not cross_state.locks and not cross_state.undo and not cross_state.prepared
    assert cross_state.unfinished == {TX: Unfinished(2, True, (2,))}


def test_abort_takes_back_exactly_its_deltas() -> None:
    """Undo adds to whatever the balance is; it does not put an old balance back."""
    machine = machine_of()
    apply(machine, cross(0, (1, -30, 2, 10, 11, 20)))
    machine.state.accounts[1].balance += 7
    answers, decided = decide(machine, Status.LOCK_CONFLICT)
    assert [answer.outcomes[0].status for answer in answers] == [Status.LOCK_CONFLICT]
    assert decided.freed == [1, 2]
    assert balances(machine)[:2] == [107, 100] and versions(machine)[:2] == [0, 0]


def test_the_first_decision_counts() -> None:
    machine = machine_of()
    apply(machine, cross(0, pay(1, 11, 30)))
    first, _ = decide(machine)
    again, decided = decide(machine, Status.PARTICIPANT_UNAVAILABLE)
    assert again == [] and decided == Decided([], [])
    assert machine.state.sessions[ALICE].outcomes == {0: first[0].outcomes[0]}
    assert balances(machine)[0] == 70


def test_a_decision_on_what_was_never_prepared_has_no_effect() -> None:
    machine = machine_of()
    answers, decided = decide(machine)
    assert answers == [] and decided == Decided([], []) and not machine.state.cross.unfinished


def test_the_decision_stands_though_the_session_is_gone() -> None:
    machine = machine_of()
    apply(machine, cross(0, pay(1, 11, 30)))
    apply(machine, EvictSessions([ALICE]))
    (answer,), decided = decide(machine)
    assert decided.decided == [(TX, Unfinished(2, True, (2,)))]
    assert answer.outcomes == [] and answer.refused == [(0, Refusal.SESSION_EXPIRED)], (
        "whoever waits must hear"
    )
    assert balances(machine)[0] == 70 and versions(machine)[0] == 1


def test_decisions_of_several_sessions_are_answered_each_to_its_own() -> None:
    machine = machine_of()
    apply(machine, cross(0, pay(1, 11, 30)), cross(0, pay(2, 12, 30), session=BOB))
    *answers, decided = apply(machine, Decide([DecideRow(BOB, 0, 0), DecideRow(ALICE, 0, 0)]))
    assert {answer.session for answer in answers if isinstance(answer, Applied)} == {ALICE, BOB}
    assert isinstance(decided, Decided) and decided.freed == [2, 1]
    indexes = [answer.outcomes[0].index for answer in answers if isinstance(answer, Applied)]
    assert indexes == [0, 1]


def test_finish_forgets_the_decision_but_not_the_outcome() -> None:
    machine = machine_of()
    apply(machine, cross(0, pay(1, 11, 30)))
    decide(machine)
    assert machine.state.cross.own_finished_below(9) == 2
    assert apply(machine, Finish([TxRow(ALICE, 0, 2), TxRow(BOB, 5, 1)])) == []
    assert not machine.state.cross.unfinished and 0 in machine.state.sessions[ALICE].outcomes
    assert machine.state.cross.own_finished_below(9) == 9
    apply(machine, Finish([TxRow(ALICE, 0, 2)]))


def test_what_ended_is_forgotten_although_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A follower is never asked for the lowest open transaction."""
    monkeypatch.setattr("consensus.bank.cross.OPEN_TIDIED_MIN", 8)
    machine = machine_of()
    apply(machine, cross(0, pay(1, 11, 5)))  # prepared in slot 2, and open until the end
    apply(machine, cross(1, pay(3, 11, 5)))  # prepared in slot 3, decided, and not acknowledged until the end
    decide(machine, number=1)
    most = 0
    for number in range(2, 60):
        apply(machine, cross(number, pay(2, 11, 1)))
        at = machine.state.slot
        decide(machine, number=number)
        apply(machine, Finish([TxRow(ALICE, number, at)]))
        most = max(most, len(machine.state.cross._coordinating))
    assert most <= 8
    assert machine.state.cross.own_finished_below(1_000) == 2
    decide(machine)
    apply(machine, Finish([TxRow(ALICE, 0, 2)]))
    assert machine.state.cross.own_finished_below(1_000) == 3
    apply(machine, Finish([TxRow(ALICE, 1, 3)]))
    assert machine.state.cross.own_finished_below(1_000) == 1_000


def test_finished_below_stays_at_the_oldest_open_transaction() -> None:
    machine = machine_of()
    below = machine.state.cross.own_finished_below
    for number in range(3):
        apply(machine, cross(number, pay(number + 1, 11, 5)))  # prepared in slots 2, 3, 4
    apply(machine, cross(3, pay(4, 11, 500)))  # aborted at once in slot 5
    assert below(6) == 2
    decide(machine, number=1)
    decide(machine, number=0)
    assert below(8) == 2, "decided, not acknowledged"
    apply(machine, Finish([TxRow(ALICE, 1, 3)]))
    assert below(9) == 2
    apply(machine, Finish([TxRow(ALICE, 0, 2)]))
    assert below(10) == 4
    assert copy_of(machine).state.cross.own_finished_below(10) == 4, "a restored replica says the same"
    decide(machine, number=2)
    apply(machine, Finish([TxRow(ALICE, 2, 4)]))
    assert below(12) == 5
    apply(machine, Finish([TxRow(ALICE, 3, 5)]))
    assert below(13) == 13


# --- P at a participant --------------------------------------------------------------------


def test_a_yes_locks_and_tells_what_a_commit_will_leave() -> None:
    machine = machine_of(2)
    yes = vote(machine, part((11, 20, 12, 0)))
    assert yes == VoteRow(ALICE, 0, 5, Status.COMMITTED, 2, 0, BALLOT, (1, 120, 0, 100))
    assert machine.state.cross.locks == {11: TX, 12: TX} and machine.state.cross.undo == {11: 20, 12: 0}
    assert balances(machine)[0] == 120 and versions(machine)[0] == 0
    again = vote(machine, part((11, 20, 12, 0)))
    assert again == yes and balances(machine)[0] == 120, "the same vote, once applied"


def test_a_prepare_asked_again_under_a_higher_number_votes_for_that_number() -> None:
    machine = machine_of(2)
    first = vote(machine, part((11, 20), at=5))
    assert vote(machine, part((11, 20), at=8)).at == 8
    assert vote(machine, part((11, 20), at=6)).at == 8, "an old copy does not take it back"
    assert first.slot == vote(machine, part((11, 20), at=8)).slot
    settle_part(machine, True, at=8)
    assert machine.state.cross.finished[TX].at == 8


@pytest.mark.parametrize(
    ("status", "legs", "conditions"),
    [
        (Status.INSUFFICIENT_FUNDS, (11, -101), ()),
        (Status.CONDITION_FAILED, (11, 5), (11, Condition.VERSION_EQUALS, 3)),
        (Status.UNKNOWN_ACCOUNT, (31, 5), ()),
        (MOVED, (1, 5), ()),
    ],
)
def test_a_no_keeps_nothing(status: int, legs: tuple[int, ...], conditions: tuple[int, ...]) -> None:
    machine = machine_of(2)
    no = vote(machine, part(legs, conditions=conditions))
    assert no.status == status
    assert balances(machine) == [100] * 10
    assert (
        not machine.state.cross.locks
        and not machine.state.cross.prepared
        and not machine.state.cross.finished
    )


def test_a_part_prepare_that_meets_a_lock_has_no_effect() -> None:
    machine = machine_of(2)
    vote(machine, part((11, 20)))
    entry = part((12, 5, 11, -5), number=1, at=6)
    result = prepare_part(machine, entry)
    assert result.votes == [] and result.locked == entry.rows
    assert balances(machine)[:2] == [120, 100]


def test_rows_of_a_part_prepare_are_judged_one_by_one() -> None:
    machine = machine_of(2)
    rows = [PrepareRow(ALICE, n, 5, 9, legs) for n, legs in enumerate([(11, 5), (12, -500), (13, 5)])]
    votes = prepare_part(machine, PartPrepare(1, 0, rows)).votes
    assert [(v.number, v.status, v.index) for v in votes] == [
        (0, 0, 0),
        (1, Status.INSUFFICIENT_FUNDS, 1),
        (2, 0, 2),
    ]


def test_a_later_attempt_with_other_legs_here_is_taken_back_until_the_earlier_is_over() -> None:
    """An account has moved here in between: a yes to what is held would leave its leg out."""
    machine = machine_of(2)
    yes = vote(machine, part((11, 20)))
    more = part((11, 20, 12, -5), at=99)
    assert vote(machine, more).status == MOVED
    held = machine.state.cross.prepared[TX]
    assert (held.at, held.legs) == (yes.at, (11, 20)), "neither renumbered nor changed"
    assert balances(machine)[:2] == [120, 100]
    settle_part(machine, False)
    assert vote(machine, more).status == Status.COMMITTED
    assert balances(machine)[:2] == [120, 95]


def test_one_tx_id_of_two_coordinators_is_prepared_for_the_first_only() -> None:
    """One TxId with other legs elsewhere: a vote on one transaction must not count for the other."""
    coordinating = machine_of(2)
    apply(coordinating, cross(0, pay(11, 1, 30)))
    held = coordinating.state.cross.prepared[TX]
    no = vote(coordinating, part((12, 50), at=99))
    assert no.status == MOVED
    assert coordinating.state.cross.prepared == {TX: held} and held.at == 2
    taking_part = machine_of(2)
    yes = vote(taking_part, part((11, 20)))
    other = PartPrepare(3, 0, [PrepareRow(ALICE, 0, 99, 9, (12, 50))])
    assert vote(taking_part, other).status == MOVED
    assert balances(taking_part)[:2] == [120, 100]
    assert vote(taking_part, part((11, 20))) == yes
    apply(taking_part, PartDecide(3, 0, [DecisionRow(ALICE, 0, 99, True)]))
    assert taking_part.state.cross.locks == {11: TX} and versions(taking_part)[0] == 0, "not its decision"
    settle_part(taking_part, True)
    assert not taking_part.state.cross.locks and versions(taking_part)[0] == 1


# --- C and A at a participant ----------------------------------------------------------------


@pytest.mark.parametrize(("commit", "balance", "version"), [(True, 120, 1), (False, 100, 0)])
def test_the_decision_settles_it_once(commit: bool, balance: int, version: int) -> None:
    machine = machine_of(2)
    vote(machine, part((11, 20, 12, 0)))
    settled = settle_part(machine, commit)
    assert settled == PartDecided(1, [TxRow(ALICE, 0, 5)], [11, 12], [])
    assert (balances(machine)[0], versions(machine)[:2]) == (balance, [version, 0])
    again = settle_part(machine, commit)
    assert again == PartDecided(1, [TxRow(ALICE, 0, 5)], [], []), "acknowledged again, without effect"
    assert settle_part(machine, not commit).freed == []
    assert balances(machine)[0] == balance and machine.state.cross.finished[TX].commit is commit


def test_a_prepare_after_its_decision_is_ignored() -> None:
    machine = machine_of(2)
    settle_part(machine, False)
    result = prepare_part(machine, part((11, 20)))
    assert result.votes == [] and result.locked == [] and balances(machine)[0] == 100


@pytest.mark.parametrize("commit", [True, False])
def test_a_higher_number_is_another_attempt_only_after_an_abort(commit: bool) -> None:
    """A deposed leader gives its copy of a prepare a number of its own."""
    machine = machine_of(2)
    prepare_part(machine, part((11, 10)))
    settle_part(machine, commit)
    prepare_part(machine, part((11, 10), at=8))
    assert (TX in machine.state.cross.prepared) == (not commit)


def test_finished_transactions_are_forgotten_below_the_mark_and_refused_there() -> None:
    machine = machine_of(2)
    for number, at in enumerate((4, 6, 8)):
        vote(machine, part((11 + number, 20), number=number, at=at))
        settle_part(machine, True, number=number, at=at)
    cross_state = machine.state.cross
    assert len(cross_state.finished) == 3
    prepare_part(machine, part((15, 1), number=3, at=9, below=7))
    assert list(cross_state.finished) == [TxId(ALICE, 2)] and cross_state.finished_below == {1: 7}
    late = prepare_part(machine, part((11, 20), number=0, at=4))
    assert late.votes == [] and balances(machine)[0] == 120, "forgotten, and still not run again"
    settle_part(machine, True, number=7, at=3)
    assert TxId(ALICE, 7) not in cross_state.finished, "nothing below the mark is remembered"
    settle_part(machine, True, number=2, at=8, below=2)
    assert cross_state.finished_below == {1: 7}, "the mark never goes back"
    settle_part(machine, True, number=3, at=9, below=10)
    assert not cross_state.finished and cross_state.finished_below == {1: 10}
    assert copy_of(machine).state.digest() == machine.state.digest()


def test_marks_of_coordinators_are_their_own() -> None:
    machine = machine_of(2)
    apply(machine, PartDecide(3, 9, []))
    assert vote(machine, part((11, 20), at=5)).status == 0
    assert machine.state.cross.finished_below == {3: 9}


# --- the state ---------------------------------------------------------------------------


def test_a_prepared_transaction_survives_a_transfer_on_both_sides() -> None:
    coordinator, participant = machine_of(1), machine_of(2)
    apply(coordinator, cross(0, pay(1, 11, 30)))
    vote(participant, part((11, 30)))
    coordinator_copy, participant_copy = copy_of(coordinator), copy_of(participant)
    assert coordinator_copy.state.cross.prepared[TX] == coordinator.state.cross.prepared[TX]
    for machine in (coordinator, coordinator_copy):
        decide(machine, Status.COORDINATOR_TIMEOUT)
        assert applied(machine, transact(1, pay(1, 2, 100))).outcomes[0].status == Status.COMMITTED
    for machine in (participant, participant_copy):
        settle_part(machine, False)
    assert coordinator.state.digest() == coordinator_copy.state.digest()
    assert participant.state.digest() == participant_copy.state.digest()


def test_a_cross_item_whose_homes_do_not_match_its_legs_is_invalid() -> None:
    machine = machine_of()
    entry = CrossPrepare(ALICE, 0, [CrossItem(0, 1, pay(1, 11, 5), (1,))])
    assert applied(machine, entry).outcomes[0].status == Status.INVALID
    assert balances(machine)[0] == 100
