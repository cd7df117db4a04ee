"""The hash of a state depends on what is in it, not on the way there."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.bank.hashing import StateHash
from consensus.bank.state import BankState
from tests.bank.batches import apply, copy_of, cross, machine_of, pay, rows_of, transact

PART = st.integers(0, 5)
CONTENT = st.none() | st.binary(max_size=3)
QUICK = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def hash_of(parts: dict[int, bytes]) -> bytes:
    made = StateHash()
    for part, content in parts.items():
        made.put(part, content)
    return made.digest()


@QUICK
@given(changes=st.lists(st.tuples(PART, CONTENT), max_size=20))
def test_incremental_is_the_same_as_from_scratch(changes: list[tuple[int, bytes | None]]) -> None:
    kept = StateHash()
    parts: dict[int, bytes] = {}
    for part, content in changes:
        kept.put(part, content)
        parts.pop(part, None)
        if content is not None:
            parts[part] = content
        assert kept.digest() == hash_of(parts)
    assert hash_of(dict(reversed(parts.items()))) == hash_of(parts), "the order does not matter"


def test_contents_count() -> None:
    assert hash_of({}) != hash_of({1: b"a"}) != hash_of({1: b"b"})
    assert hash_of({1: b"a"}) != hash_of({1: b"a", 2: b"a"}), "equal parts do not cancel out"


def test_a_states_hash_is_the_same_however_often_it_was_asked_for() -> None:
    asked, not_asked = machine_of(), machine_of()
    for machine in (asked, not_asked):
        for number in range(30):
            apply(machine, transact(number, pay(1 + number % 10, 1 + (number + 3) % 10, 1 + number)))
            if number == 11:
                apply(machine, cross(100, pay(5, 15, 1)))
            if machine is asked:
                machine.state.digest()
    assert asked.state.digest() == not_asked.state.digest()
    assert asked.state.digest() == copy_of(not_asked).state.digest()


def test_a_state_from_rows_in_any_order_has_the_same_hash() -> None:
    machine = machine_of()
    apply(machine, transact(0, pay(1, 2, 5)), cross(1, pay(3, 11, 5)))
    again = BankState.restore(reversed(rows_of(machine.state)))
    assert again.digest() == machine.state.digest()
