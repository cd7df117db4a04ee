"""The log of one node: its invariants under any order of what may happen to it."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from consensus.paxos.log import Log
from consensus.types import Ballot

B1, B2, B3 = Ballot(1, 1), Ballot(2, 3), Ballot(3, 1)


def chosen_log(last: int, value: bytes = b"four") -> Log:
    """Slots 1 to ``last`` chosen."""
    log = Log(0)
    for slot in range(1, last + 1):
        log.learn(slot, B1, value)
    log.advance()
    return log


def test_the_watermark_moves_over_chosen_slots_only_and_stops_at_a_gap() -> None:
    log = Log(0)
    log.learn(1, B1, b"a")
    log.accept(2, B1, b"b")
    log.learn(4, B1, b"d")
    assert log.advance() and log.watermark == 1
    assert not log.advance()
    log.learn(2, B1, b"b")
    assert log.advance() and log.watermark == 2
    log.learn(3, B1, b"c")
    assert log.advance() and log.watermark == 4


def test_an_accepted_value_is_replaced_by_that_of_a_higher_ballot() -> None:
    log = Log(0)
    log.accept(1, B1, b"old")
    log.accept(1, B2, b"newer")
    entry = log.get(1)
    assert entry is not None and (entry.ballot, entry.value, entry.chosen) == (B2, b"newer", False)
    assert log.size_bytes == 5


def test_a_second_chosen_value_stops_the_node() -> None:
    log = Log(0)
    assert log.learn(1, B1, b"one")
    assert not log.learn(1, B2, b"one"), "known already"
    with pytest.raises(AssertionError, match="slot 1: two values chosen"):
        log.learn(1, B2, b"other")


def test_another_value_accepted_over_the_chosen_one_stops_the_node() -> None:
    log = Log(0)
    log.learn(1, B1, b"one")
    log.accept(1, B2, b"one")
    entry = log.get(1)
    assert entry is not None and entry.chosen and entry.ballot == B2
    log.accept(1, B1, b"one")
    assert entry.ballot == B2, "the highest ballot is kept"
    with pytest.raises(AssertionError, match="second value"):
        log.accept(1, B3, b"other")


def test_learning_replaces_what_was_merely_accepted() -> None:
    log = Log(0)
    log.accept(1, B3, b"accepted")
    assert log.learn(1, B2, b"chosen")
    entry = log.get(1)
    assert entry is not None and (entry.ballot, entry.value, entry.chosen) == (B2, b"chosen", True)
    assert log.size_bytes == len(b"chosen")


def test_truncation_forgets_what_is_at_or_below_the_floor_and_never_lowers_it() -> None:
    log = chosen_log(5)
    log.truncate(3)
    assert [log.get(slot) is None for slot in range(1, 6)] == [True, True, True, False, False]
    assert (log.floor, log.watermark, log.last, log.size_bytes) == (3, 5, 5, 8)
    log.truncate(1)
    assert log.floor == 3
    assert not log.learn(3, B1, b"late"), "below the floor nothing is taken"
    with pytest.raises(AssertionError, match="floor"):
        log.accept(3, B1, b"late")


def test_a_jump_goes_on_from_the_state_and_over_what_is_chosen_after_it() -> None:
    log = chosen_log(2)
    log.accept(8, B1, b"kept")
    log.learn(11, B1, b"next")
    log.learn(13, B1, b"later")
    log.jump(10)
    assert (log.floor, log.watermark, log.last) == (10, 11, 13)
    assert log.get(8) is None and log.size_bytes == len(b"next") + len(b"later")
    with pytest.raises(AssertionError, match="older than the watermark"):
        log.jump(11)


def test_a_jump_beyond_everything_held_moves_the_last_slot_too() -> None:
    log = chosen_log(2)
    log.jump(10)
    assert (log.floor, log.watermark, log.last, log.size_bytes) == (10, 10, 10, 0)


def test_the_missing_run_ends_before_the_next_chosen_slot() -> None:
    log = chosen_log(2)
    log.accept(4, B1, b"accepted")
    log.learn(6, B1, b"chosen")
    assert log.missing_from(3, 9) == 5
    assert log.missing_from(3, 4) == 4
    assert log.missing_from(7, 9) == 9


@pytest.mark.parametrize(
    ("slots", "size", "floor"),
    [(100, 10_000, 2), (3, 10_000, 7), (100, 12, 7), (100, 11, 8), (0, 10_000, 10), (100, 3, 10)],
)
def test_what_is_retained_stays_below_slots_and_bytes(slots: int, size: int, floor: int) -> None:
    log = chosen_log(12)
    log.truncate(2)
    assert log.retained_from(10, slots, size) == floor


class AnyHistory(RuleBasedStateMachine):
    """One value per slot is ever chosen; the log hears of it in any order, with truncations and jumps."""

    def __init__(self) -> None:
        super().__init__()
        self.log = Log(0)
        self.held: dict[int, tuple[bytes, bool]] = {}
        self.before = (0, 0, 0)

    @staticmethod
    def fate(slot: int) -> bytes:
        """The value that is chosen for ``slot``."""
        return b"x" * (slot % 5) + b"%d" % slot

    @rule(slot=st.integers(1, 30), ballot=st.integers(1, 3), other=st.booleans())
    def accept(self, slot: int, ballot: int, other: bool) -> None:
        if slot <= self.log.floor:
            return
        chosen = self.held.get(slot, (b"", False))[1]
        value = b"another" if other and not chosen else self.fate(slot)
        self.log.accept(slot, Ballot(ballot, 1), value)
        self.held[slot] = (value, chosen)

    @rule(slot=st.integers(1, 30), ballot=st.integers(1, 3))
    def learn(self, slot: int, ballot: int) -> None:
        news = slot > self.log.floor and not self.held.get(slot, (b"", False))[1]
        assert self.log.learn(slot, Ballot(ballot, 1), self.fate(slot)) == news
        if news:
            self.held[slot] = (self.fate(slot), True)

    @rule()
    def advance(self) -> None:
        before = self.log.watermark
        assert self.log.advance() == (self.log.watermark > before)
        assert not self.held.get(self.log.watermark + 1, (b"", False))[1]

    @precondition(lambda self: self.log.watermark > self.log.floor)
    @rule(data=st.data())
    def truncate(self, data: st.DataObject) -> None:
        self.log.truncate(data.draw(st.integers(0, self.log.watermark)))
        self.held = {slot: held for slot, held in self.held.items() if slot > self.log.floor}

    @rule(beyond=st.integers(1, 8))
    def jump(self, beyond: int) -> None:
        self.log.jump(self.log.watermark + beyond)
        self.held = {slot: held for slot, held in self.held.items() if slot > self.log.floor}

    @invariant()
    def every_slot_up_to_the_watermark_is_held_and_chosen(self) -> None:
        for slot in range(self.log.floor + 1, self.log.watermark + 1):
            entry = self.log.get(slot)
            assert entry is not None and entry.chosen and entry.value == self.fate(slot)

    @invariant()
    def nothing_else_is_held(self) -> None:
        log = self.log
        held = {s: (e.value, e.chosen) for s in range(log.last + 3) if (e := log.get(s)) is not None}
        assert held == self.held
        assert log.size_bytes == sum(len(value) for value, _ in self.held.values())

    @invariant()
    def floor_watermark_and_last_never_go_back(self) -> None:
        now = (self.log.floor, self.log.watermark, self.log.last)
        assert now[0] <= now[1] <= now[2]
        assert all(new >= old for new, old in zip(now, self.before, strict=True))
        self.before = now


AnyHistory.TestCase.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, derandomize=True, database=None
)
TestAnyHistory = AnyHistory.TestCase
