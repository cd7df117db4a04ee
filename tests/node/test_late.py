"""Late answers are found by their frames, once it is known what late is."""

from __future__ import annotations

import pytest

from consensus.messages.client import Item, Outcome, Replies, Submit
from consensus.node.late import ANSWERS_MIN, FRAMES_MAX, SESSIONS_MAX, Late
from consensus.trace.events import hist_bound_us, hist_index
from consensus.types import Ballot

ALICE, BOB = b"a" * 16, b"b" * 16


def submit(*numbers: int, session: bytes = ALICE, settled_below: int = 0) -> Submit:
    return Submit(session, settled_below, [Item(number, (1, -5, 2, 5)) for number in numbers])


def replies(*numbers: int, session: bytes = ALICE) -> Replies:
    return Replies(session, list(numbers), [Outcome(0, 9, 0, Ballot(1, 1), ())] * len(numbers), 0)


@pytest.fixture
def late() -> Late:
    """Nearly all answers took about a millisecond."""
    found = Late()
    for number in range(ANSWERS_MIN):
        found.timed(hist_index(40_000 if number == 7 else 1_000))
    return found


def test_one_in_a_hundred_is_late(late: Late) -> None:
    assert 1_000 <= late.above_us < 2_000
    assert late.above_us == int(hist_bound_us(hist_index(1_000)))


def test_nothing_is_late_before_that_is_known() -> None:
    late = Late()
    late.submitted(submit(1, 2), 0)
    assert late.replied(replies(1, 2), 10_000_000) == []


def test_each_answer_is_timed_by_the_frame_it_came_in(late: Late) -> None:
    late.submitted(submit(1, 2, 3), 10_000)
    late.submitted(submit(4, 5), 14_000)
    assert late.replied(replies(1), 10_900) == []
    assert late.replied(replies(2, 5), 15_000) == [(0, 5_000)]
    assert late.replied(replies(3, 4), 18_000) == [(0, 8_000), (1, 4_000)]
    assert late.replied(replies(3, session=BOB), 90_000) == [], "somebody of whom nothing is known"
    assert late.replied(replies(6), 90_000) == []


def test_what_is_tried_again_is_timed_from_its_first_time(late: Late) -> None:
    late.submitted(submit(1, 2), 10_000)
    late.submitted(submit(1), 40_000)
    assert late.replied(replies(1), 41_000) == [(0, 31_000)]


def test_settled_frames_are_forgotten(late: Late) -> None:
    late.submitted(submit(1, 2), 10_000)
    late.submitted(submit(3, 4, settled_below=3), 20_000)
    assert late.replied(replies(1, 3), 50_000) == [(0, 30_000), (1, 30_000)], "1 counts as of the next frame"
    late.submitted(submit(5, settled_below=5), 50_000)
    assert late.replied(replies(5), 50_500) == []


def test_all_of_it_is_bounded(late: Late) -> None:
    for number in range(3 * FRAMES_MAX):
        late.submitted(submit(number), number)
    assert len(late._frames[ALICE]) == FRAMES_MAX
    for number in range(2 * SESSIONS_MAX):
        late.submitted(submit(1, session=number.to_bytes(16, "big")), 0)
    assert len(late._frames) == SESSIONS_MAX
    late.forget()
    assert not late._frames and not late.above_us
