"""What a session remembers, and what it lets run."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.bank.sessions import Session
from consensus.messages.client import Outcome
from consensus.types import OPEN_NUMBERS_MAX, Ballot


def outcome(number: int) -> Outcome:
    return Outcome(0, number, 0, Ballot(1, 1), (1, 99, 1, 101))


def session_with(*numbers: int) -> Session:
    session = Session(b"s" * 16)
    session.outcomes = {number: outcome(number) for number in numbers}
    return session


def test_settling_drops_what_the_client_holds() -> None:
    session = session_with(0, 1, 2, 5)
    session.settle(2)
    assert sorted(session.outcomes) == [2, 5] and session.settled_below == 2
    session.settle(1)
    assert session.settled_below == 2, "the mark never goes back"
    session.settle(10**12)
    assert not session.outcomes and session.settled_below == 10**12


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(numbers=st.sets(st.integers(0, 30)), marks=st.lists(st.integers(-2, 40), max_size=5))
def test_settling_in_steps_or_at_once_leaves_the_same(numbers: set[int], marks: list[int]) -> None:
    """Few and many dropped numbers go different ways."""
    in_steps, at_once = session_with(*numbers), session_with(*numbers)
    for mark in marks:
        in_steps.settle(mark)
    at_once.settle(max(marks, default=0))
    kept = {number for number in numbers if number >= max([0, *marks])}
    assert set(in_steps.outcomes) == set(at_once.outcomes) == kept
    assert in_steps.settled_below == at_once.settled_below


def test_only_numbers_within_the_open_span_run() -> None:
    session = session_with()
    session.settle(7)
    assert [n for n in (-1, 6, 7, 6 + OPEN_NUMBERS_MAX, 7 + OPEN_NUMBERS_MAX) if session.takes(n)] == [
        7,
        6 + OPEN_NUMBERS_MAX,
    ]


def test_packing_is_canonical_and_comes_back() -> None:
    session, other = session_with(3, 1, 2), session_with(1, 2, 3)
    assert list(session.outcomes) != list(other.outcomes)
    assert session.pack() == other.pack(), "the order in which outcomes came does not matter"
    again = Session.of_columns(session.id, *session.columns())
    assert (again.id, again.settled_below, again.used_slot, again.opened) == (session.id, 0, 0, True)
    assert again.outcomes == session.outcomes


@pytest.mark.parametrize("opened", [True, False])
def test_a_row_tells_whether_the_session_was_opened(opened: bool) -> None:
    session = Session(b"s" * 16, 3, 9, opened)
    again = Session.of_columns(session.id, *session.columns())
    assert (again.settled_below, again.used_slot, again.opened) == (3, 9, opened)
    assert again.takes(3) is opened and again.spans(3)


@pytest.mark.parametrize("packed", [b"", b"\xc0", b"\x81\x01\x01", b"\x81\xa1a\xc0"])
def test_damaged_outcomes_are_refused(packed: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        Session.of_columns(b"s" * 16, 0, 0, packed)
