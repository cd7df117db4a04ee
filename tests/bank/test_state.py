"""State to rows and back: whole, in pieces, while it goes on changing, and damaged."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.bank.machine import Machine
from consensus.bank.state import BankState, StateError, all_rows
from consensus.messages.client import Status
from consensus.messages.entries import (
    Audit,
    Decide,
    DecideRow,
    EvictSessions,
    Finish,
    MoveFlip,
    MoveInstall,
    MovePrepare,
    MoveReserve,
    NewView,
    OpenSession,
    PartDecide,
    PartPrepare,
    ViewSlot,
)
from consensus.messages.migration import MovedAccount
from consensus.messages.rows import TABLES, Row, decode_rows, encode_rows
from consensus.messages.txn import DecisionRow, PrepareRow, TxRow
from consensus.types import Ballot
from tests.bank.batches import ALICE, BALLOT, BOB, apply, cross, machine_of, pay, rows_of, transact

ONE_OF_EACH = {*TABLES}


def busy_machine() -> Machine:
    """A state with a row in every table."""
    machine = machine_of()
    apply(machine, NewView(BALLOT, 0, [ViewSlot(1, BALLOT, 9)], 0), Audit(3))
    apply(machine, transact(0, pay(1, 2, 5)), transact(0, pay(3, 4, 500), session=BOB))
    apply(machine, cross(1, pay(5, 15, 5)), cross(2, pay(6, 16, 5)))
    apply(machine, Decide([DecideRow(ALICE, 2, Status.COMMITTED)]))
    apply(machine, PartPrepare(2, 4, [PrepareRow(BOB, 7, 9, 1, (7, 5, 8, 0))]))
    apply(machine, PartDecide(3, 2, [DecisionRow(BOB, 8, 6, False)]))
    apply(machine, MovePrepare(b"p" * 16, 0, 3, (9,)), MoveFlip(1))
    apply(machine, MovePrepare(b"p" * 16, 1, 3, (10,)))
    apply(machine, MoveReserve(2, 4, 3))
    apply(machine, MoveInstall(2, 4, [MovedAccount(19, 100, 0, 0)], []))
    return machine


def merged(checkpoints: list[list[Row]]) -> list[Row]:
    """What a database holds after these checkpoints, one upon the other."""
    table: dict[tuple[str, object], Row] = {}
    for rows in checkpoints:
        for row in rows:
            if row.values is None:
                table.pop((row.table, row.key), None)
            else:
                table[row.table, row.key] = row
    return list(table.values())


def as_set(rows: list[Row]) -> set[bytes]:
    return {encode_rows([row]) for row in rows}


# --- rows ------------------------------------------------------------------------------


def test_rows_make_the_same_state_again() -> None:
    machine = busy_machine()
    rows = rows_of(machine.state)
    assert {row.table for row in rows} == ONE_OF_EACH, "the state of this test has a row in every table"
    again = BankState.restore(decode_rows(encode_rows(rows)))
    assert again.digest() == machine.state.digest()
    assert as_set(rows_of(again)) == as_set(rows)
    assert list(again.sessions) == list(machine.state.sessions), "the eviction order"
    assert again.cross.locks == machine.state.cross.locks


def test_a_restored_state_owes_no_checkpoint() -> None:
    again = BankState.restore(rows_of(busy_machine().state))
    assert {row.table for row in all_rows(again.capture(everything=False))} == {"meta"}


def test_every_row_counts_for_the_hash() -> None:
    """Change or take away any one row: the state is refused."""
    rows = rows_of(busy_machine().state)
    for i, row in enumerate(rows):
        with pytest.raises(StateError):
            BankState.restore(rows[:i] + rows[i + 1 :])
        assert row.values is not None
        for j, value in enumerate(row.values):
            other = value + {int: 1, bytes: b"2", str: "2"}[type(value)]
            damaged = Row(row.table, row.key, (*row.values[:j], other, *row.values[j + 1 :]))
            with pytest.raises(StateError):
                BankState.restore([*rows[:i], damaged, *rows[i + 1 :]])


def test_foreign_rows_are_refused() -> None:
    rows = rows_of(busy_machine().state)
    foreign = [
        Row("accounts", 99, (100, 0, 0)),
        Row("sessions", b"x" * 16, (0, 0, b"\x80")),
        Row("undo", 10, (bytes(24), 5)),
        Row("finished", bytes(24), (2, 99, 1)),
        Row("accounts", 1, None),
        Row("nowhere", 1, (1,)),
    ]
    for row in foreign:
        with pytest.raises(StateError):
            BankState.restore([*rows, row])


@pytest.mark.parametrize("value", [None, -1, 2**63, 2**64 - 1, "x", b"x", 1.5, True, [1], {}])
@pytest.mark.parametrize("table", sorted(TABLES))
def test_values_of_a_wrong_kind_are_refused(table: str, value: object) -> None:
    rows = rows_of(busy_machine().state)
    i, row = next((i, row) for i, row in enumerate(rows) if row.table == table)
    assert row.values is not None
    others = [(*row.values[:j], value, *row.values[j + 1 :]) for j in range(len(row.values))]
    damaged = [Row(table, value, row.values), *[Row(table, row.key, values) for values in others]]
    for bad in damaged:
        with pytest.raises(StateError):
            BankState.restore([*rows[:i], bad, *rows[i + 1 :]])


def test_a_number_out_of_range_inside_a_prepared_transaction_is_refused() -> None:
    machine = busy_machine()
    rows = rows_of(machine.state)
    i, row = next((i, row) for i, row in enumerate(rows) if row.table == "prepared")
    assert row.values is not None
    body = msgspec.msgpack.decode(row.values[3])
    body[1] = -1
    damaged = Row("prepared", row.key, (*row.values[:3], msgspec.msgpack.encode(body)))
    with pytest.raises(StateError):
        BankState.restore([*rows[:i], damaged, *rows[i + 1 :]])


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_rows_with_a_flipped_bit_are_never_believed(data: st.DataObject) -> None:
    damaged = bytearray(PACKED)
    damaged[data.draw(st.integers(0, len(PACKED) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        again = BankState.restore(decode_rows(bytes(damaged)))
    except ValueError:
        return
    assert as_set(rows_of(again)) == as_set(decode_rows(PACKED)), "another spelling of the same rows"


PACKED = encode_rows(rows_of(busy_machine().state))


# --- captures ------------------------------------------------------------------------------


def churn(machine: Machine, round_: int) -> None:
    """A few slots that touch every table, with rows that go away again."""
    base = 10 * round_
    apply(machine, transact(base, pay(1 + round_ % 10, 1 + (round_ + 1) % 10, 1)))
    apply(machine, cross(base + 1, pay(9, 15, 1)))
    apply(machine, PartPrepare(2, base, [PrepareRow(BOB, base, base + 1, 1, (10, 1))]))
    if round_ % 2:
        apply(machine, Decide([DecideRow(ALICE, base + 1, Status.COMMITTED)]))
        apply(machine, PartDecide(2, base, [DecisionRow(BOB, base, base + 1, True)]))
        apply(machine, OpenSession(bytes([round_]) * 16))
    else:
        apply(machine, Decide([DecideRow(ALICE, base + 1, Status.LOCK_CONFLICT)]))
        apply(machine, PartDecide(2, base, [DecisionRow(BOB, base, base + 1, False)]))
        apply(machine, Finish([TxRow(ALICE, base + 1, 0), TxRow(ALICE, base - 9, 0)]))
        apply(machine, EvictSessions([bytes([round_ - 1]) * 16]))
    if round_ % 3 == 0:
        apply(machine, NewView(Ballot(round_ + 2, 1), machine.state.slot, [], 0), Audit(round_))


@pytest.mark.parametrize("piece", [1, 3, 7, 1_000])
def test_a_capture_is_the_state_at_its_slot_whatever_happens_meanwhile(piece: int) -> None:
    machine = busy_machine()
    expected = as_set(rows_of(machine.state))
    capture = machine.state.capture(everything=True)
    assert capture.slot == machine.state.slot and capture.replace
    taken: list[Row] = []
    round_ = 1
    while rows := capture.take(piece):
        assert len(rows) <= piece
        taken += rows
        churn(machine, round_)
        round_ += 1
    assert as_set(taken) == expected and len(taken) == len(expected)
    assert BankState.restore(taken).digest() == capture.state_hash
    assert not machine.state.captures, "one that is taken holds nothing up"


def test_captures_do_not_disturb_each_other() -> None:
    machine = busy_machine()
    first = machine.state.capture(everything=True)
    expected_first = BankState.restore(rows_of(machine.state)).digest()
    churn(machine, 1)
    second = machine.state.capture(everything=True)
    second_hash = machine.state.digest()
    churn(machine, 2)
    assert BankState.restore(list(all_rows(second))).digest() == second_hash
    churn(machine, 3)
    assert BankState.restore(list(all_rows(first))).digest() == expected_first


def test_a_closed_capture_hands_out_nothing() -> None:
    machine = busy_machine()
    capture = machine.state.capture(everything=True)
    capture.close()
    assert capture.take(10) == [] and not machine.state.captures
    capture.close()


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(rounds=st.lists(st.booleans(), min_size=1, max_size=8), piece=st.integers(1, 12), late=st.booleans())
def test_incremental_captures_add_up_to_the_whole_state(rounds: list[bool], piece: int, late: bool) -> None:
    """A checkpoint whenever ``rounds`` says so; ``late``: rows are taken while the next slots are applied."""
    machine = busy_machine()
    held = [rows_of(machine.state)]
    first = machine.state.capture(everything=False)
    held.append(list(all_rows(first)))
    for number, checkpoint in enumerate([*rounds, True], start=1):
        churn(machine, number)
        if not checkpoint:
            continue
        expected = as_set(rows_of(machine.state))
        capture = machine.state.capture(everything=False)
        assert not capture.replace
        rows = list(capture.take(piece)) if late else []
        if late:
            churn(machine, number + 50)
        while more := capture.take(piece):
            rows += more
        held.append(rows)
        stored = merged(held)
        assert as_set(stored) == expected
        assert BankState.restore(stored).digest() == capture.state_hash


def test_an_incremental_capture_holds_only_what_changed() -> None:
    machine = busy_machine()
    list(all_rows(machine.state.capture(everything=False)))
    apply(machine, transact(3, pay(1, 2, 1)))
    rows = list(all_rows(machine.state.capture(everything=False)))
    assert {(row.table, row.key) for row in rows if row.table != "meta"} == {
        ("accounts", 1),
        ("accounts", 2),
        ("sessions", ALICE),
    }


def test_views_that_fell_off_the_end_are_deleted_from_the_checkpoint() -> None:
    machine = machine_of()
    held = [rows_of(machine.state)]
    for count in (998, 5, 4, 2_500, 3):
        for _ in range(count):
            apply(machine, NewView(Ballot(machine.state.slot, 1), machine.state.slot, [], 0))
        held.append(list(all_rows(machine.state.capture(everything=False))))
        stored = merged(held)
        assert as_set(stored) == as_set(rows_of(machine.state))
        held = [stored]
