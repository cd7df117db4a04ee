"""Gap repair: which values travel, how many at once, and whom a node asks for them."""

from __future__ import annotations

from consensus import codec
from consensus.codec import CHUNK_BYTES
from consensus.effects import Outputs, Send
from consensus.messages.paxos import Chosen, Fetch, SlotValue
from consensus.paxos.acceptor import Acceptor
from consensus.paxos.catchup import FETCH_SLOTS_MAX, Catchup
from consensus.paxos.context import Context
from consensus.paxos.log import Log
from consensus.topology_file import generate
from consensus.types import Ballot

B1, B2 = Ballot(1, 1), Ballot(2, 3)


def node_2(chosen: int = 0, floor: int = 0, value: bytes = b"v") -> Catchup:
    """Node 2 of four; slots ``floor + 1..chosen`` are held as chosen."""
    log = Log(0)
    for slot in range(1, chosen + 1):
        log.learn(slot, B1, value)
    log.advance()
    log.truncate(floor)
    ctx = Context(2, generate(1, 4), seed=1)
    ctx.now_us = 1_000_000
    return Catchup(ctx, Acceptor(ctx, log, B1, learner=False))


def sent(catchup: Catchup) -> list[Send]:
    """Everything sent since the last call."""
    out, catchup.ctx.out = catchup.ctx.out, Outputs()
    return out.sends


def values(*slots: int, value: bytes = b"v") -> list[SlotValue]:
    return [SlotValue(slot, B1, True, value) for slot in slots]


# --- asking -----------------------------------------------------------------------


def test_a_node_that_is_behind_asks_whoever_said_so() -> None:
    catchup = node_2(chosen=2)
    catchup.need(9, 3)
    assert sent(catchup) == [Send((3,), Fetch(3, 9), 0)]
    assert catchup.retry_us == catchup.ctx.now_us + catchup.ctx.resend_us


def test_one_question_is_out_at_a_time() -> None:
    catchup = node_2()
    catchup.need(5, 3)
    catchup.need(8, 4)
    catchup.need(7, 4)
    assert sent(catchup) == [Send((3,), Fetch(1, 5), 0)]
    assert (catchup.target, catchup.source) == (8, 3), "the furthest target is kept for the next question"


def test_nobody_is_asked_for_what_is_held() -> None:
    catchup = node_2(chosen=5)
    catchup.need(5, 3)
    assert sent(catchup) == [] and not catchup.retry_us


def test_a_question_ends_before_what_is_known_as_chosen_and_has_a_bound() -> None:
    catchup = node_2()
    catchup.acceptor.log.learn(4, B1, b"known")
    catchup.need(9, 3)
    assert sent(catchup)[0].message == Fetch(1, 3)
    catchup = node_2()
    catchup.need(10 * FETCH_SLOTS_MAX, 3)
    assert sent(catchup)[0].message == Fetch(1, FETCH_SLOTS_MAX)


def test_an_unanswered_question_goes_to_the_next_member_all_around() -> None:
    catchup = node_2()
    catchup.need(5, 3)
    asked = []
    for _ in range(4):
        catchup.ctx.now_us = catchup.retry_us
        catchup.on_time()
        asked.append(catchup.source)
    assert asked == [4, 1, 3, 4]
    assert [send.to for send in sent(catchup)] == [(3,), (4,), (1,), (3,), (4,)]
    assert catchup.retry_us == catchup.ctx.now_us + catchup.ctx.resend_us


def test_an_answer_is_followed_by_the_next_question_until_the_target_is_reached() -> None:
    catchup = node_2()
    catchup.need(4, 3)
    sent(catchup)
    assert catchup.on_chosen(3, Chosen(4, 0, values(1, 2)))
    assert sent(catchup) == [Send((3,), Fetch(3, 4), 0)]
    assert catchup.on_chosen(3, Chosen(4, 0, values(3, 4)))
    assert sent(catchup) == [] and not catchup.retry_us
    assert catchup.acceptor.log.watermark == 4


def test_a_late_answer_of_another_member_is_taken_and_asks_nothing() -> None:
    catchup = node_2()
    catchup.need(4, 3)
    sent(catchup)
    assert catchup.on_chosen(1, Chosen(4, 0, values(1, 2)))
    assert catchup.acceptor.log.watermark == 2 and sent(catchup) == [] and catchup.retry_us


def test_an_answer_that_closes_no_gap_moves_nothing() -> None:
    catchup = node_2(chosen=3)
    assert not catchup.on_chosen(3, Chosen(9, 0, values(2, 3)))
    assert not catchup.on_chosen(3, Chosen(9, 0, values(7)))
    assert catchup.acceptor.log.watermark == 3


def test_values_that_came_another_way_settle_the_question() -> None:
    catchup = node_2()
    catchup.need(2, 3)
    catchup.acceptor.learn(1, B1, b"v")
    catchup.acceptor.log.advance()
    catchup.settled()
    assert catchup.retry_us, "slot 2 is still missing"
    catchup.acceptor.learn(2, B1, b"v")
    catchup.acceptor.log.advance()
    catchup.settled()
    assert not catchup.retry_us


# --- answering ----------------------------------------------------------------------


def test_only_chosen_values_travel() -> None:
    """Defect 7: a value that was merely accepted proves nothing."""
    catchup = node_2(chosen=3)
    catchup.acceptor.log.accept(4, B2, b"accepted")
    catchup.acceptor.log.accept(5, B2, b"accepted")
    catchup.on_fetch(4, Fetch(2, 5))
    assert sent(catchup) == [Send((4,), Chosen(3, 0, values(2, 3)), 0)]


def test_an_answer_holds_no_more_than_was_asked_for() -> None:
    catchup = node_2(chosen=9)
    catchup.on_fetch(4, Fetch(3, 5))
    assert sent(catchup)[0].message.entries == values(3, 4, 5)


def test_an_answer_fits_a_frame_and_holds_one_value_at_least() -> None:
    catchup = node_2(chosen=20, value=b"x" * 10_000)
    catchup.on_fetch(4, Fetch(1, 20))
    answer = sent(catchup)[0].message
    assert 1 < len(answer.entries) < 20
    assert CHUNK_BYTES // 2 < len(codec.encode(answer)) <= CHUNK_BYTES
    catchup = node_2(chosen=3, value=b"x" * 2 * CHUNK_BYTES)
    catchup.on_fetch(4, Fetch(1, 3))
    assert [value.slot for value in sent(catchup)[0].message.entries] == [1]


def test_an_answer_holds_a_bounded_number_of_slots() -> None:
    catchup = node_2(chosen=FETCH_SLOTS_MAX + 50, value=b"")
    catchup.on_fetch(4, Fetch(1, FETCH_SLOTS_MAX + 50))
    assert len(sent(catchup)[0].message.entries) == FETCH_SLOTS_MAX


def test_who_asks_for_slots_below_the_floor_is_told_the_floor_and_gets_no_values() -> None:
    catchup = node_2(chosen=9, floor=5)
    catchup.on_fetch(4, Fetch(5, 9))
    catchup.on_fetch(4, Fetch(6, 9))
    assert [send.message for send in sent(catchup)] == [Chosen(9, 5, []), Chosen(9, 5, values(6, 7, 8, 9))]


def test_a_source_whose_log_starts_above_us_means_that_its_state_is_needed() -> None:
    catchup = node_2(chosen=2)
    catchup.need(90, 3)
    sent(catchup)
    assert not catchup.on_chosen(4, Chosen(90, 40, []))
    assert catchup.too_old and catchup.source == 4 and not catchup.retry_us
    catchup.need(95, 3)
    assert sent(catchup) == [], "values are no help any more"
    catchup.stop()
    assert (catchup.target, catchup.retry_us, catchup.too_old) == (0, 0, False)


def test_an_empty_answer_of_a_member_that_is_no_further_means_nothing() -> None:
    catchup = node_2(chosen=8)
    catchup.need(9, 3)
    catchup.on_chosen(3, Chosen(6, 5, []))
    assert not catchup.too_old and catchup.retry_us
