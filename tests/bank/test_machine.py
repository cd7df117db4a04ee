"""Entries of the log and what they do: the table in docs/protocol.md, row by row."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.bank import machine as machine_module
from consensus.bank.machine import NO_NUMBER, Machine
from consensus.messages.client import Refusal, Status
from consensus.messages.entries import (
    Abort,
    Audit,
    Condition,
    EvictSessions,
    Item,
    NewView,
    OpenSession,
    Resolve,
    Transact,
    ViewSlot,
)
from consensus.types import AMOUNT_MAX, BALANCE_MAX, LEGS_MAX, OPEN_NUMBERS_MAX, Ballot
from tests.bank.batches import (
    ALICE,
    BALANCE,
    BALLOT,
    BOB,
    NOBODY,
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


def untouched(machine: Machine) -> bool:
    return balances(machine) == [BALANCE] * 10 and versions(machine) == [0] * 10


def set_balance(machine: Machine, account: int, balance: int) -> None:
    machine.state.accounts[account].balance = balance
    machine.state.touched_accounts.add(account)


# --- OpenSession, EvictSessions --------------------------------------------------------


def test_open_session_makes_it_once() -> None:
    machine = machine_of(sessions=())
    first = applied(machine, OpenSession(ALICE))
    assert first.opened and not first.refused
    run(machine, 3, pay(1, 2, 5))
    before = machine.state.sessions[ALICE]
    assert applied(machine, OpenSession(ALICE)).opened
    assert machine.state.sessions[ALICE] is before and 3 in before.outcomes


def test_open_session_is_refused_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_module, "SESSIONS_MAX", 2)
    machine = machine_of(sessions=(ALICE, BOB))
    refused = applied(machine, OpenSession(NOBODY))
    assert refused.refused == [(NO_NUMBER, Refusal.OVERLOADED)] and not refused.opened
    assert NOBODY not in machine.state.sessions
    assert applied(machine, OpenSession(ALICE)).opened, "one that exists counts as opened"


def test_evicted_session_is_forgotten_and_its_transactions_refused() -> None:
    machine = machine_of()
    run(machine, 0, pay(1, 2, 5))
    assert apply(machine, EvictSessions([ALICE, NOBODY])) == []
    assert list(machine.state.sessions) == [BOB]
    late = applied(machine, transact(0, pay(1, 2, 5)))
    assert late.refused == [(0, Refusal.SESSION_EXPIRED)] and not late.numbers
    assert balances(machine)[:2] == [95, 105], "the late copy did not run"
    digest = machine.state.digest()
    apply(machine, EvictSessions([ALICE]))
    machine.state.slot -= 1
    assert machine.state.digest() == digest


def test_a_used_session_goes_to_the_end_of_the_eviction_order() -> None:
    machine = machine_of()
    assert list(machine.state.sessions) == [ALICE, BOB]
    run(machine, 0, pay(1, 2, 5))
    assert list(machine.state.sessions) == [BOB, ALICE]
    applied(machine, Resolve(BOB, [0]))
    assert list(machine.state.sessions) == [ALICE, BOB]
    assert machine.state.sessions[BOB].used_slot == machine.state.slot


# --- Transact --------------------------------------------------------------------------


def test_a_payment_commits() -> None:
    machine = machine_of()
    outcome = applied(machine, transact(7, pay(1, 2, 30))).outcomes[0]
    assert (outcome.status, outcome.slot, outcome.index, outcome.ballot) == (Status.COMMITTED, 2, 0, BALLOT)
    assert outcome.legs == (1, 70, 1, 130)
    assert balances(machine)[:3] == [70, 130, 100] and versions(machine)[:3] == [1, 1, 0]


def test_a_repeated_number_answers_the_stored_outcome_and_runs_nothing() -> None:
    machine = machine_of()
    first = run(machine, 0, pay(1, 2, 30))
    again = applied(machine, transact(0, pay(3, 4, 99)))
    assert again.outcomes == [first] and again.numbers == [0]
    twice = apply(machine, transact(1, pay(1, 2, 1)), transact(1, pay(1, 2, 1)))
    assert twice[0].outcomes == twice[1].outcomes  # type: ignore[union-attr]
    assert balances(machine)[:4] == [69, 131, 100, 100]


def test_slot_index_and_ballot_name_the_transaction() -> None:
    machine = machine_of()
    items = [Item(n, pay(1, 2, 1)) for n in (4, 9)]
    results = apply(
        machine, Transact(ALICE, 0, items), transact(0, pay(1, 2, 1), session=BOB), ballot=Ballot(3, 2)
    )
    outcomes = [outcome for result in results for outcome in result.outcomes]  # type: ignore[union-attr]
    assert [outcome.index for outcome in outcomes] == [0, 1, 2]
    assert {(outcome.slot, outcome.ballot) for outcome in outcomes} == {(2, Ballot(3, 2))}


def test_the_index_counts_refused_transactions_too() -> None:
    machine = machine_of()
    results = apply(machine, transact(0, pay(1, 11, 1)), transact(1, pay(1, 2, 1)))
    assert results[0].refused == [(0, Refusal.WRONG_OWNER)]  # type: ignore[union-attr]
    assert results[1].outcomes[0].index == 1  # type: ignore[union-attr]


def test_settled_numbers_are_dropped_and_late_copies_refused() -> None:
    machine = machine_of()
    run(machine, 0, pay(1, 2, 1))
    run(machine, 1, pay(1, 2, 1))
    applied(machine, Transact(ALICE, 1, [Item(2, pay(1, 2, 1))]))
    assert sorted(machine.state.sessions[ALICE].outcomes) == [1, 2]
    late = applied(machine, transact(0, pay(1, 2, 1)))
    assert late.refused == [(0, Refusal.SESSION_EXPIRED)]
    assert balances(machine)[0] == BALANCE - 3


def test_numbers_beyond_the_open_span_are_refused() -> None:
    machine = machine_of()
    far = applied(machine, transact(OPEN_NUMBERS_MAX, pay(1, 2, 1)))
    assert far.refused == [(OPEN_NUMBERS_MAX, Refusal.SESSION_EXPIRED)] and untouched(machine)
    moved = Transact(ALICE, 1, [Item(OPEN_NUMBERS_MAX, pay(1, 2, 1))])
    assert applied(machine, moved).numbers == [OPEN_NUMBERS_MAX]
    assert applied(machine, transact(-1, pay(1, 2, 1))).refused == [(-1, Refusal.SESSION_EXPIRED)]


def test_accounts_of_other_clusters_are_refused_and_nothing_is_stored() -> None:
    machine = machine_of()
    refused = applied(machine, transact(0, pay(1, 11, 1)))
    assert refused.refused == [(0, Refusal.WRONG_OWNER)]
    assert untouched(machine) and not machine.state.sessions[ALICE].outcomes


def test_a_locked_account_is_refused_and_nothing_is_stored() -> None:
    machine = machine_of()
    apply(machine, cross(0, pay(1, 11, 10)))
    for legs in (pay(1, 2, 1), pay(2, 1, 1), (1, 0, 2, -1, 3, 1)):
        assert applied(machine, transact(1, legs)).refused == [(1, Refusal.LOCKED)]
    assert not machine.state.sessions[ALICE].outcomes
    assert run(machine, 1, pay(2, 3, 1)).status == Status.COMMITTED


def test_a_number_that_is_prepared_runs_nothing_else() -> None:
    """A client that used one TxId for two wishes must not get two outcomes."""
    machine = machine_of()
    apply(machine, cross(0, pay(1, 11, 10)))
    other = applied(machine, transact(0, pay(2, 3, 1)))
    assert other.refused == [(0, Refusal.IN_DOUBT)]
    assert not machine.state.sessions[ALICE].outcomes and balances(machine)[1:3] == [100, 100]


# --- outcomes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "legs", "conditions"),
    [
        (Status.COMMITTED, pay(1, 2, BALANCE), ()),
        (Status.INSUFFICIENT_FUNDS, pay(1, 2, BALANCE + 1), ()),
        (Status.INSUFFICIENT_FUNDS, (1, 101, 2, -50, 3, -51), (1, Condition.BALANCE_AT_LEAST, 101)),
        (Status.COMMITTED, (1, 101, 2, -50, 3, -51), (1, Condition.BALANCE_AT_LEAST, 100)),
        (Status.CONDITION_FAILED, pay(1, 2, 1), (2, Condition.VERSION_EQUALS, 1)),
        (Status.COMMITTED, pay(1, 2, 1), (2, Condition.VERSION_EQUALS, 0)),
        (Status.UNKNOWN_ACCOUNT, pay(1, 31, 1), ()),
        (Status.UNKNOWN_ACCOUNT, pay(1, 0, 1), ()),
        (Status.UNKNOWN_ACCOUNT, pay(-4, 1, 1), ()),
        (Status.INVALID, (), ()),
        (Status.INVALID, (1, 0), ()),
        (Status.INVALID, (1, -1, 2), ()),
        (Status.INVALID, (1, -1, 2, 2), ()),
        (Status.INVALID, (1, -1, 1, 1), ()),
        (Status.INVALID, pay(1, 2, AMOUNT_MAX + 1), ()),
        (Status.INVALID, pay(1, 2, -AMOUNT_MAX - 1), ()),
        (Status.INSUFFICIENT_FUNDS, pay(1, 2, AMOUNT_MAX), ()),
        (Status.INVALID, pay(1, 2, 1), (3, Condition.VERSION_EQUALS, 0)),
        (Status.INVALID, pay(1, 2, 1), (1, 9, 0)),
        (Status.INVALID, pay(1, 2, 1), (1, Condition.VERSION_EQUALS)),
        (Status.INVALID, pay(1, 2, 1), (1, Condition.VERSION_EQUALS, 0) * (LEGS_MAX + 1)),
    ],
)
def test_outcomes(status: Status, legs: tuple[int, ...], conditions: tuple[int, ...]) -> None:
    machine = machine_of()
    outcome = run(machine, 0, legs, conditions)
    assert outcome.status == status
    if status:
        assert untouched(machine), "an abort changes no account"
        seen = outcome.legs
        assert seen == (0, BALANCE) * (len(legs) // 2) or status in (Status.INVALID, Status.UNKNOWN_ACCOUNT)
    assert machine.state.sessions[ALICE].outcomes == {0: outcome}
    assert run(machine, 0, pay(4, 5, 1)) == outcome, "an abort is final, too"


def test_a_balance_over_its_maximum_aborts() -> None:
    machine = machine_of()
    set_balance(machine, 2, BALANCE_MAX - 1)
    assert run(machine, 0, pay(1, 2, 2)).status == Status.INVALID
    assert run(machine, 1, pay(1, 2, 1)).legs == (1, 99, 1, BALANCE_MAX)
    assert run(machine, 2, (1, -1, 2, 1, 3, 0)).status == Status.INVALID
    assert balances(machine)[:2] == [99, BALANCE_MAX]


def test_a_payment_of_nothing_or_backwards_follows_the_general_rules() -> None:
    machine = machine_of()
    assert run(machine, 0, pay(1, 2, 0)).legs == (0, 100, 0, 100)
    assert run(machine, 1, pay(1, 2, -30)).legs == (1, 130, 1, 70)


@pytest.mark.parametrize("legs", range(2, LEGS_MAX + 2))
def test_two_to_sixteen_legs(legs: int) -> None:
    machine = Machine(copy_of(machine_of()).state, 1)
    state = machine.state
    for account in range(11, 31):  # one cluster that owns everything
        state.accounts[account] = msgspec.structs.replace(state.accounts[1], id=account)
    flat = [1, 1 - legs]
    for account in range(2, legs + 1):
        flat += [account, 1]
    outcome = run(machine, 0, tuple(flat))
    if legs > LEGS_MAX:
        assert outcome.status == Status.INVALID and untouched_all(machine)
    else:
        assert outcome.legs == (1, 101 - legs, *(1, 101) * (legs - 1))
        assert sum(balances(machine)) == 30 * BALANCE


def untouched_all(machine: Machine) -> bool:
    return all(
        account.version == 0 and account.balance == BALANCE for account in machine.state.accounts.values()
    )


def test_all_legs_or_none() -> None:
    machine = machine_of()
    assert run(machine, 0, (1, 150, 2, -50, 3, -100, 4, 0)).status == Status.COMMITTED
    before = balances(machine)
    assert run(machine, 1, (5, 10, 2, -10, 3, -10, 4, 10)).status == Status.INSUFFICIENT_FUNDS
    assert balances(machine) == before


def test_a_leg_of_zero_leaves_the_version() -> None:
    machine = machine_of()
    outcome = run(machine, 0, (1, -10, 2, 10, 3, 0), (3, Condition.BALANCE_AT_LEAST, 100))
    assert outcome.legs == (1, 90, 1, 110, 0, 100)
    assert versions(machine)[:4] == [1, 1, 0, 0]


def test_conditions_see_the_balance_before_the_transaction() -> None:
    machine = machine_of()
    assert run(machine, 0, pay(1, 2, 60), (1, Condition.BALANCE_AT_LEAST, 100)).status == Status.COMMITTED
    both = (1, Condition.VERSION_EQUALS, 1, 1, Condition.BALANCE_AT_LEAST, 41)
    outcome = run(machine, 1, pay(1, 2, 1), both)
    assert outcome.status == Status.INSUFFICIENT_FUNDS and outcome.legs == (1, 40, 1, 160)


# --- Abort, Resolve --------------------------------------------------------------------


def test_abort_and_resolve_store_an_outcome_only_where_none_stands() -> None:
    machine = machine_of()
    paid = run(machine, 0, pay(1, 2, 5))
    assert applied(machine, Abort(ALICE, 0, Status.LOCK_TIMEOUT)).outcomes == [paid]
    given_up = applied(machine, Abort(ALICE, 1, Status.LOCK_TIMEOUT))
    assert [o.status for o in given_up.outcomes] == [Status.LOCK_TIMEOUT]
    resolved = applied(machine, Resolve(ALICE, [0, 1, 2]))
    assert resolved.numbers == [0, 1, 2]
    assert resolved.outcomes[:2] == [paid, given_up.outcomes[0]]
    assert resolved.outcomes[2].status == Status.COORDINATOR_TIMEOUT
    assert applied(machine, Resolve(ALICE, [2])).outcomes == [resolved.outcomes[2]], "repeated: the same"
    assert applied(machine, transact(2, pay(1, 2, 5))).outcomes == [resolved.outcomes[2]], "it never runs"
    assert balances(machine)[:2] == [95, 105]


def test_abort_and_resolve_refuse_what_can_never_run() -> None:
    machine = machine_of()
    applied(machine, Transact(ALICE, 5, []))
    for entry in (Abort(ALICE, 4, Status.LOCK_TIMEOUT), Resolve(ALICE, [4])):
        assert applied(machine, entry).refused == [(4, Refusal.SESSION_EXPIRED)]
    for entry in (Abort(NOBODY, 0, Status.LOCK_TIMEOUT), Resolve(NOBODY, [0])):
        assert applied(machine, entry).refused == [(0, Refusal.SESSION_EXPIRED)]
    assert not machine.state.sessions[ALICE].outcomes


def test_abort_and_resolve_leave_a_prepared_transaction_to_its_decision() -> None:
    machine = machine_of()
    apply(machine, cross(0, pay(1, 11, 10)))
    for entry in (Abort(ALICE, 0, Status.LOCK_TIMEOUT), Resolve(ALICE, [0])):
        assert applied(machine, entry).refused == [(0, Refusal.IN_DOUBT)]


# --- NewView, Audit, the slot ------------------------------------------------------------


def test_views_are_numbered_and_the_oldest_are_dropped() -> None:
    machine = machine_of()
    for number in range(1_003):
        view = NewView(Ballot(number + 2, 1), machine.state.slot, [ViewSlot(1, BALLOT, 5)], 0)
        assert apply(machine, view) == []
    views = machine.state.views
    assert (len(views), views[0].number, views[-1].number) == (1_000, 3, 1_002)
    assert views[-1].slot == machine.state.slot and views[-1].body.ballot == Ballot(1_004, 1)
    assert copy_of(machine).state.digest() == machine.state.digest()


def test_an_audit_is_made_once_and_reports_the_state_at_its_place_in_the_slot() -> None:
    machine = machine_of()
    apply(machine, transact(0, pay(1, 2, 5)), Audit(4), transact(1, pay(1, 2, 5)))
    report = machine.audits[4]
    assert (report.number, report.cluster, report.slot, report.accounts) == (4, 1, 2, 10)
    assert report.balances == 10 * BALANCE
    apply(machine, Audit(4), Audit(3))
    assert machine.audits == {4: report} and machine.state.audit == 4
    for number in range(5, 20):
        apply(machine, Audit(number))
    assert list(machine.audits) == list(range(12, 20))


def test_slots_are_applied_one_after_the_other() -> None:
    machine = machine_of()
    for slot in (1, 3):
        with pytest.raises(AssertionError):
            machine.apply(slot, machine_module.Batch(BALLOT, 0, []))


def test_a_noop_changes_nothing_but_the_slot() -> None:
    machine = machine_of()
    before = machine.state.digest()
    assert apply(machine) == [] and machine.state.slot == 2
    assert machine.state.digest() != before, "the slot is part of the state"
    assert untouched(machine)


def test_the_hash_is_kept_for_the_last_thousandth_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_module, "HASH_EVERY_SLOTS", 3)
    machine = machine_of()
    while machine.state.slot < 120:
        apply(machine)
    assert list(machine.hashes) == list(range(27, 121, 3))
    assert machine.hashes[120] == machine.state.digest()


@pytest.mark.parametrize(("accounts", "every"), [(19_999, 3), (20_000, 6), (65_000, 12), (10_000_000, 30)])
def test_a_large_bank_keeps_it_less_often(monkeypatch: pytest.MonkeyPatch, accounts: int, every: int) -> None:
    monkeypatch.setattr(machine_module, "HASH_EVERY_SLOTS", 3)
    machine = machine_of()
    machine.state.accounts_total = accounts
    while machine.state.slot < 121:
        apply(machine)
    assert list(machine.hashes)[-4:] == list(range(120 - 3 * every, 121, every))


# --- the short way and the general way ---------------------------------------------------

AMOUNTS = st.sampled_from(
    (0, 1, 50, 99, 100, 101, AMOUNT_MAX, AMOUNT_MAX + 1, BALANCE_MAX, 2**63)
) | st.integers(0, 250)
ACCOUNT = st.sampled_from((-1, 0, 1, 2, 3, 11, 31))


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    pair=st.tuples(ACCOUNT, ACCOUNT),
    amounts=st.tuples(AMOUNTS, AMOUNTS | st.none()),
    sign=st.sampled_from((1, -1)),
    rich=st.sampled_from((0, 100, BALANCE_MAX - 50)),
    locked=st.booleans(),
)
def test_the_short_way_agrees_with_the_general_one(
    pair: tuple[int, int], amounts: tuple[int, int | None], sign: int, rich: int, locked: bool
) -> None:
    """``_pay`` is skipped while a capture is open: two machines, one with a capture, must not differ."""
    first, second = amounts[0], amounts[0] if amounts[1] is None else amounts[1]
    entry = transact(1, (pair[0], -first * sign, pair[1], second * sign))
    machines = [machine_of(), machine_of()]
    for machine in machines:
        set_balance(machine, 2, rich)
        if locked:
            apply(machine, cross(0, pay(3, 11, 1)))
    capture = machines[1].state.capture(everything=True)
    assert machines[1].state.captures == [capture]
    short, general = [applied(machine, entry) for machine in machines]
    assert short == general
    assert balances(machines[0]) == balances(machines[1])
    assert machines[0].state.digest() == machines[1].state.digest()
