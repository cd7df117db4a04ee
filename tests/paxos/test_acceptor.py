"""The acceptor alone: what it promises, what it accepts, and what it takes as chosen."""

from __future__ import annotations

import pytest

from consensus import codec
from consensus.codec import CHUNK_BYTES
from consensus.effects import Append, Outputs, Send
from consensus.messages.paxos import Accept, Accepted, Nack, Prepare, Promise
from consensus.messages.records import AcceptedValue, ChosenValue, Promised, Watermark
from consensus.paxos.acceptor import AHEAD_SLOTS_MAX, WATERMARK_RECORD_SLOTS, Acceptor
from consensus.paxos.context import Context
from consensus.paxos.log import Log
from consensus.paxos.traced import TRACED_MAX, TracedSlots
from consensus.topology_file import generate
from consensus.types import KEPT_PREFIX, Ballot

B1, B2, B3 = Ballot(1, 1), Ballot(2, 3), Ballot(3, 1)


def node_2(promised: Ballot = B1, learner: bool = False, chosen: int = 0, floor: int = 0) -> Acceptor:
    """Node 2 of three; slots ``floor + 1..chosen`` are chosen in ballot (1, 1)."""
    log = Log(floor)
    for slot in range(floor + 1, chosen + 1):
        log.learn(slot, B1, b"%d" % slot)
    log.advance()
    return Acceptor(Context(2, generate(1, 3), seed=1), log, promised, learner)


def outputs(acceptor: Acceptor) -> Outputs:
    """Everything that came out since the last call."""
    out, acceptor.ctx.out = acceptor.ctx.out, Outputs()
    return out


# --- promises ----------------------------------------------------------------


def test_a_higher_ballot_is_promised_and_the_promise_waits_for_its_record() -> None:
    acceptor = node_2()
    acceptor.accept(B1, 1, b"v")
    outputs(acceptor)
    assert acceptor.on_prepare(3, Prepare(B2, 0))
    out = outputs(acceptor)
    assert acceptor.promised == B2
    assert out.persist == [Append(Promised(B2), 0)]
    (send,) = out.sends
    assert (send.to, send.after) == ((3,), acceptor.ctx.position) and send.after == 2
    assert isinstance(send.message, Promise) and send.message.ballot == B2


@pytest.mark.parametrize(("sender", "ballot"), [(1, B1), (1, Ballot(2, 1)), (1, B2)])
def test_a_lower_ballot_and_that_of_another_node_are_refused_with_the_promised_one(
    sender: int, ballot: Ballot
) -> None:
    acceptor = node_2(promised=B2)
    assert not acceptor.on_prepare(sender, Prepare(ballot, 0))
    out = outputs(acceptor)
    assert out.persist == [] and out.sends == [Send((sender,), Nack(B2), 0)]
    assert acceptor.promised == B2


def test_a_repeated_prepare_is_promised_again_without_a_second_record() -> None:
    acceptor = node_2()
    acceptor.on_prepare(3, Prepare(B2, 0))
    first = outputs(acceptor)
    assert acceptor.on_prepare(3, Prepare(B2, 0))
    again = outputs(acceptor)
    assert again.persist == []
    assert again.sends == first.sends, "it waits for the same record"


def test_the_promise_is_never_lowered() -> None:
    acceptor = node_2(promised=B2)
    with pytest.raises(AssertionError, match="after"):
        acceptor.promise(B1)


def test_whoever_promises_follows_nobody() -> None:
    acceptor = node_2()
    acceptor.leader = 1
    acceptor.promise(B2)
    assert acceptor.leader == 0


def test_a_promise_tells_everything_above_the_own_watermark_and_what_the_candidate_lacks() -> None:
    acceptor = node_2(chosen=4, floor=1)
    acceptor.accept(B1, 5, b"five")
    acceptor.accept(B1, 7, b"seven")
    outputs(acceptor)
    acceptor.on_prepare(3, Prepare(B2, 2))
    (send,) = outputs(acceptor).sends
    promise = send.message
    assert (promise.part, promise.parts, promise.watermark, promise.checkpoint) == (0, 1, 4, 1)
    told = [(value.slot, value.ballot, value.chosen, value.value) for value in promise.entries]
    assert told == [
        (3, B1, True, b"3"),
        (4, B1, True, b"4"),
        (5, B1, False, b"five"),
        (7, B1, False, b"seven"),
    ]


def test_a_promise_to_a_candidate_that_is_ahead_still_holds_every_later_entry() -> None:
    acceptor = node_2(chosen=2)
    acceptor.accept(B1, 9, b"nine")
    assert [value.slot for value in acceptor.promise_parts(6)[0].entries] == [9]


def test_parts_of_a_promise_fit_a_frame_and_leave_nothing_accepted_out() -> None:
    acceptor = node_2(chosen=0)
    for slot in range(1, 41):
        acceptor.accept(B1, slot, b"x" * (48_000 if slot % 10 == 0 else 4_000))
    parts = acceptor.promise_parts(0)
    assert len(parts) > 1
    assert [(part.part, part.parts) for part in parts] == [(n, len(parts)) for n in range(len(parts))]
    assert all(len(codec.encode(part)) <= CHUNK_BYTES for part in parts)
    assert [value.slot for part in parts for value in part.entries] == list(range(1, 41))


def test_of_the_chosen_values_a_promise_carries_one_frame_and_of_the_others_all() -> None:
    acceptor = node_2()
    for slot in range(1, 6):
        acceptor.log.learn(slot, B1, b"x" * (CHUNK_BYTES // 2))
    acceptor.log.advance()
    acceptor.accept(B1, 6, b"y" * (CHUNK_BYTES // 2))
    slots = [value.slot for part in acceptor.promise_parts(0) for value in part.entries]
    assert slots == [1, 2, 6]


# --- acceptances -----------------------------------------------------------------


def test_an_acceptance_is_told_when_its_record_is_on_disk() -> None:
    acceptor = node_2(chosen=3)
    assert acceptor.on_accept(1, Accept(B1, 4, 3, b"v"))
    out = outputs(acceptor)
    assert out.persist == [Append(AcceptedValue(B1, 4, b"v", 3), 4)]
    assert out.sends == [Send((1,), Accepted(B1, 4), acceptor.ctx.position)] and acceptor.ctx.position == 1


def test_an_acceptance_implies_the_promise_of_its_ballot() -> None:
    acceptor = node_2()
    acceptor.on_accept(3, Accept(B2, 1, 0, b"v"))
    assert acceptor.promised == B2
    outputs(acceptor)
    assert not acceptor.on_prepare(1, Prepare(Ballot(2, 1), 0))


def test_a_value_of_a_ballot_below_the_promise_is_refused() -> None:
    acceptor = node_2(promised=B2)
    assert not acceptor.on_accept(1, Accept(B1, 1, 0, b"v"))
    out = outputs(acceptor)
    assert out.persist == [] and out.sends == [Send((1,), Nack(B2), 0)]
    assert acceptor.log.get(1) is None


def test_a_value_sent_again_is_acknowledged_again_without_a_second_record() -> None:
    acceptor = node_2()
    message = Accept(B1, 1, 0, b"v")
    acceptor.on_accept(1, message)
    first = outputs(acceptor)
    acceptor.on_accept(1, message)
    again = outputs(acceptor)
    assert again.persist == [] and again.sends == first.sends


def test_a_value_accepted_before_is_recorded_again_under_a_higher_ballot() -> None:
    acceptor = node_2()
    acceptor.on_accept(1, Accept(B1, 1, 0, b"old"))
    outputs(acceptor)
    acceptor.on_accept(3, Accept(B2, 1, 0, b"new"))
    assert outputs(acceptor).persist == [Append(AcceptedValue(B2, 1, b"new", 0), 1)]
    entry = acceptor.log.get(1)
    assert entry is not None and (entry.ballot, entry.value) == (B2, b"new")


def test_two_values_for_one_slot_in_one_ballot_stop_the_node() -> None:
    acceptor = node_2()
    acceptor.on_accept(1, Accept(B1, 1, 0, b"one"))
    with pytest.raises(AssertionError, match="two values"):
        acceptor.on_accept(1, Accept(B1, 1, 0, b"other"))


def test_a_slot_below_the_floor_is_acknowledged_but_held_no_more() -> None:
    acceptor = node_2(floor=5)
    assert acceptor.on_accept(3, Accept(B2, 5, 0, b"5"))
    out = outputs(acceptor)
    assert out.persist == [Append(Promised(B2), 0)], "the ballot is promised all the same"
    assert out.sends == [Send((3,), Accepted(B2, 5), 1)]
    assert acceptor.log.get(5) is None


def test_a_slot_too_far_ahead_is_neither_accepted_nor_acknowledged() -> None:
    acceptor = node_2(chosen=2)
    assert acceptor.on_accept(1, Accept(B1, 3 + AHEAD_SLOTS_MAX, 2, b"v"))
    out = outputs(acceptor)
    assert out.persist == [] and out.sends == []
    acceptor.on_accept(1, Accept(B1, 2 + AHEAD_SLOTS_MAX, 2, b"v"))
    assert len(outputs(acceptor).sends) == 1


# --- what is chosen ----------------------------------------------------------------


def test_a_watermark_takes_only_values_accepted_in_its_own_ballot() -> None:
    """Defect 6: Accept(v2) is lost, and a Commit by slot alone would make the stale v1 chosen."""
    acceptor = node_2()
    acceptor.on_accept(1, Accept(B1, 1, 0, b"v1"))
    acceptor.on_accept(1, Accept(B1, 2, 0, b"stale"))
    acceptor.on_accept(3, Accept(B2, 1, 0, b"v1"))
    acceptor.on_accept(3, Accept(B2, 3, 0, b"v3"))
    assert not acceptor.on_watermark(B2, 3)
    entry = acceptor.log.get(2)
    assert acceptor.log.watermark == 1 and entry is not None and not entry.chosen
    acceptor.learn(2, B2, b"v2")
    assert acceptor.on_watermark(B2, 3)
    assert acceptor.log.watermark == 3 and acceptor.log.get(2).value == b"v2"


def test_a_watermark_covers_no_slot_above_it() -> None:
    acceptor = node_2()
    for slot in (1, 2, 3):
        acceptor.on_accept(1, Accept(B1, slot, 0, b"v"))
    assert acceptor.on_watermark(B1, 2)
    assert acceptor.log.watermark == 2 and not acceptor.log.get(3).chosen


def test_a_learnt_value_is_recorded_once_and_none_below_the_watermark() -> None:
    acceptor = node_2(chosen=2)
    acceptor.learn(2, B1, b"2")
    assert outputs(acceptor).persist == []
    acceptor.learn(4, B2, b"four")
    acceptor.learn(4, B2, b"four")
    assert outputs(acceptor).persist == [Append(ChosenValue(B2, 4, b"four"), 4)]


def test_the_watermark_gets_a_record_of_its_own_only_after_many_slots() -> None:
    acceptor = node_2()
    for slot in range(1, WATERMARK_RECORD_SLOTS + 1):
        acceptor.log.learn(slot, B1, b"v")
    outputs(acceptor)
    acceptor.log.watermark = WATERMARK_RECORD_SLOTS - 1
    acceptor.moved()
    assert outputs(acceptor).persist == []
    acceptor.log.advance()
    acceptor.moved()
    assert outputs(acceptor).persist == [Append(Watermark(WATERMARK_RECORD_SLOTS, 0), 0)]
    acceptor.record_watermark()
    assert outputs(acceptor).persist == [], "nothing new to note"


def test_the_durable_watermark_stands_still_while_a_state_is_installed() -> None:
    """Until the state taken over is on disk, the records before it must not be read as chosen."""
    acceptor = node_2(chosen=2)
    acceptor.installing = True
    acceptor.log.jump(1_000)
    acceptor.moved()
    assert acceptor.durable_watermark == 2
    acceptor.accept(B1, 1_001, b"v")
    assert outputs(acceptor).persist == [Append(AcceptedValue(B1, 1_001, b"v", 2), 1_001)]
    acceptor.installing = False
    acceptor.moved()
    assert acceptor.durable_watermark == 1_000


# --- learners ------------------------------------------------------------------------


def test_a_learner_vouches_for_nothing() -> None:
    acceptor = node_2(learner=True)
    assert not acceptor.on_prepare(3, Prepare(B2, 0))
    assert acceptor.on_accept(3, Accept(B2, 1, 0, b"v"))
    out = outputs(acceptor)
    assert out.sends == [] and out.persist == []
    assert acceptor.promised == B1 and acceptor.promise_parts(0)[0].entries == []
    with pytest.raises(AssertionError):
        acceptor.accept(B2, 1, b"v")


def test_a_learner_takes_values_it_saw_in_the_ballot_of_the_watermark_as_chosen() -> None:
    acceptor = node_2(learner=True)
    acceptor.on_accept(1, Accept(B1, 1, 0, b"one"))
    acceptor.on_accept(1, Accept(B1, 2, 0, b"stale"))
    acceptor.on_accept(3, Accept(B2, 3, 0, b"three"))
    acceptor.on_watermark(B1, 1)
    assert outputs(acceptor).persist == [Append(ChosenValue(B1, 1, b"one"), 1)]
    assert 1 not in acceptor.seen, "what is chosen need not be remembered"
    assert not acceptor.on_watermark(B2, 3)
    assert acceptor.log.watermark == 1


def test_what_a_learner_has_seen_is_bounded() -> None:
    acceptor = node_2(learner=True)
    for slot in range(1, AHEAD_SLOTS_MAX + 10):
        acceptor.on_accept(1, Accept(B1, slot, 0, b""))
    assert len(acceptor.seen) == AHEAD_SLOTS_MAX


# --- what is told --------------------------------------------------------------


def told(acceptor: Acceptor) -> list[tuple[str, int, object]]:
    """Kind, slot and ``keep`` of the events since the last call."""
    events = outputs(acceptor).events
    return [(event.kind[6:], event.fields["s"], event.fields.get("keep")) for event in events]


def test_of_many_slots_those_are_told_of_whose_accept_is_marked() -> None:
    acceptor = node_2()
    acceptor.ctx.trace_level, acceptor.ctx.tells_slots = 1, False
    acceptor.on_accept(1, Accept(B1, 1, 0, b"v"))
    acceptor.on_watermark(B1, 1)
    assert told(acceptor) == [] and not acceptor.traced.applied(1)
    acceptor.on_accept(1, Accept(B1, 2, 1, b"v", traced=True))
    acceptor.on_accept(1, Accept(B1, 3, 1, b"v" + KEPT_PREFIX, traced=True))
    acceptor.on_watermark(B1, 3)
    assert told(acceptor) == [("accepted", 2, None), ("accepted", 3, True), ("chosen", 3, None)]
    assert [acceptor.traced.applied(slot) for slot in (2, 3, 3, 4)] == [True, True, False, False]
    acceptor.on_accept(1, Accept(B1, 4, 3, b"v"))
    acceptor.on_watermark(B1, 4)
    assert told(acceptor) == []


def test_of_few_slots_every_one_is_told_of() -> None:
    acceptor = node_2()
    acceptor.ctx.trace_level = 1
    acceptor.on_accept(1, Accept(B1, 1, 0, b"v"))
    acceptor.on_watermark(B1, 1)
    assert told(acceptor) == [("accepted", 1, None), ("chosen", 1, None)]


def test_marks_that_nothing_is_applied_for_are_forgotten() -> None:
    traced = TracedSlots()
    for slot in range(1, TRACED_MAX + 2):
        traced.note(slot)
    assert not traced.applied(1) and traced.applied(TRACED_MAX + 1)
