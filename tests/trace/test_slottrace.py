"""Which slots are recorded with their messages, in which order, from which cause, and never too many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from consensus import codec
from consensus.messages import paxos
from consensus.messages.base import Message
from consensus.trace.electiontrace import ElectionTrace
from consensus.trace.heads import ELECTION_KINDS, SLOT_KINDS, head_of
from consensus.trace.slottrace import EVENTS_PER_S, OPEN_MAX, SLOTS_PER_S, SlotTrace
from consensus.types import Ballot

B1 = Ballot(1, 1)


class Told:
    """Keeps what is told, and is the clock."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.dropped = 0
        self.now_us = 1_000_000_000

    def wall_us(self) -> int:
        return self.now_us

    def steady_s(self) -> float:
        return self.now_us / 1e6

    def __call__(self, kind: str, least: int, fields: Mapping[str, Any], ts: int) -> int:
        self.events.append({"k": kind, "least": least, "ts": ts, **fields})
        return len(self.events)

    def drop(self, least: int) -> None:
        self.dropped += 1

    def wait(self, ms: float) -> None:
        self.now_us += int(ms * 1_000)

    def short(self, start: int = 0) -> list[tuple[str, int, int | None]]:
        """(what, slot, number of the cause)."""
        return [(e.get("m") or e["k"][6:], e.get("s"), e.get("by")) for e in self.events[start:]]


@pytest.fixture
def told() -> Told:
    return Told()


def follower(told: Told, level: int = 1) -> SlotTrace:
    trace = SlotTrace(2, (1, 3), told, told.drop, told)
    trace.watched(level)
    return trace


def accept(slot: int, watermark: int = 0, value: bytes = b"v") -> paxos.Accept:
    return paxos.Accept(B1, slot, watermark, value)


def takes_in(
    trace: SlotTrace,
    told: Told,
    slot: int,
    everything: bool = True,
    keep: bool | None = None,
    traced: bool | None = None,
) -> None:
    """The follower's part in ``slot``: Accept in, Accepted out, Commit in; a millisecond between."""
    trace.received(1, "c", [accept(slot)], 10 * slot)
    trace.happened("paxos.accepted", {"s": slot, "b": [1, 1], "traced": traced, "keep": keep}, everything)
    told.wait(1)
    trace.sent(1, "d", [codec.encode(paxos.Accepted(B1, slot))], 10 * slot)
    told.wait(1)
    trace.received(1, "c", [paxos.Commit(B1, slot)], 10 * slot + 1)
    if trace.level > 0 or keep:
        trace.happened("paxos.chosen", {"s": slot, "b": [1, 1]}, everything)
        trace.happened("paxos.applied", {"s": slot}, everything)


WHOLE = [("accept", 7), ("accepted", 7), ("accepted", 7), ("commit", 7), ("chosen", 7), ("applied", 7)]


def test_in_light_traffic_every_slot_is_recorded_from_its_accept_on(told: Told) -> None:
    takes_in(follower(told), told, 7)
    assert told.short() == [
        ("accept", 7, None),
        ("accepted", 7, 1),
        ("accepted", 7, 2),
        ("commit", 7, None),
        ("chosen", 7, 4),
        ("applied", 7, 5),
    ]
    assert [event["k"] for event in told.events[:4]] == [
        "msg.recv",
        "paxos.accepted",
        "msg.send",
        "msg.recv",
    ]
    assert {event["least"] for event in told.events} == {1}
    assert told.events[0] == {
        "k": "msg.recv",
        "least": 1,
        "ts": 1_000_000_000,
        "mid": "c.1.2.70",
        "n": 1,
        "to": 2,
        "m": "accept",
        "bytes": len(codec.encode(accept(7))),
        "b": [1, 1],
        "s": 7,
        "w": None,
    }


def hurry(trace: SlotTrace, told: Told) -> None:
    """A second with more slots than are told of one by one."""
    trace.passed(0)
    trace.passed(SLOTS_PER_S + 1)
    told.wait(1_000)
    trace.passed(0)
    assert not trace.few


def test_in_heavy_traffic_a_slot_is_recorded_when_its_accept_is_marked(told: Told) -> None:
    trace = follower(told)
    hurry(trace, told)
    for slot in (6, 7, 8):
        takes_in(trace, told, slot, everything=False, traced=slot == 7 or None)
    assert [(what, slot) for what, slot, _ in told.short()] == WHOLE
    begun = told.events[0]["ts"]
    assert [event["ts"] - begun for event in told.events] == [0, 0, 1_000, 2_000, 2_000, 2_000]
    assert {event.get("traced") for event in told.events} == {None}, "a mark is no part of the trace"


def test_some_traffic_shows_its_slots_without_messages_but_for_marked_ones(told: Told) -> None:
    trace = follower(told)
    takes_in(trace, told, 7, everything=False)
    assert [(what, slot) for what, slot, _ in told.short()] == [
        ("accepted", 7),
        ("chosen", 7),
        ("applied", 7),
    ]
    takes_in(trace, told, 8, everything=False, traced=True)
    assert [(what, slot) for what, slot, _ in told.short(3)] == [(what, 8) for what, _ in WHOLE]


def test_a_second_without_many_slots_brings_all_of_them_back(told: Told) -> None:
    trace = follower(told)
    hurry(trace, told)
    told.wait(1_000)
    trace.passed(3)
    assert trace.few


def test_kept_transactions_have_their_slots_recorded_at_level_0(told: Told) -> None:
    trace = follower(told, level=0)
    takes_in(trace, told, 6)
    told.events.clear()
    takes_in(trace, told, 7, keep=True)
    assert [(what, slot) for what, slot, _ in told.short()] == WHOLE
    assert {event["least"] for event in told.events} == {0}


def test_at_level_0_nothing_else_is_recorded(told: Told) -> None:
    trace = follower(told, level=0)
    for slot in range(1, 50):
        trace.received(1, "c", [accept(slot, slot - 1)], slot)
        trace.sent(1, "d", [codec.encode(paxos.Accepted(B1, slot))], slot)
    assert told.events == []
    assert not trace.open


def test_a_leader_tells_what_its_messages_came_from(told: Told) -> None:
    trace = SlotTrace(1, (2, 3), told, told.drop, told)
    trace.watched(1)
    trace.happened("paxos.accepted", {"s": 5, "b": [1, 1]}, True)
    for to in (2, 3):
        trace.sent(to, "a", [codec.encode(accept(5))], 1)
    trace.received(3, "b", [paxos.Accepted(B1, 5)], 1)
    trace.happened("paxos.chosen", {"s": 5, "b": [1, 1]}, True)
    trace.happened("paxos.applied", {"s": 5}, True)
    for to in (2, 3):
        trace.sent(to, "a", [codec.encode(paxos.Commit(B1, 5))], 2)
        trace.sent(to, "a", [codec.encode(paxos.Heartbeat(B1, 9, 8, 5, 5))], 3)
    assert told.short() == [
        ("accepted", 5, None),
        ("accept", 5, 1),
        ("accept", 5, 1),
        ("accepted", 5, None),
        ("chosen", 5, 4),
        ("applied", 5, 5),
        ("commit", 5, 5),
        ("commit", 5, 5),
    ], "the heartbeat says nothing new"
    assert trace.open, "one follower has not answered yet"
    trace.received(2, "b", [paxos.Accepted(B1, 5)], 1)
    assert told.short(8) == [("accepted", 5, None)]
    assert not trace.open


def test_whatever_says_first_that_a_slot_is_chosen_is_recorded(told: Told) -> None:
    trace = follower(told)
    trace.received(1, "c", [accept(7)], 1)
    trace.happened("paxos.accepted", {"s": 7, "b": [1, 1]}, True)
    trace.received(1, "c", [paxos.Heartbeat(B1, 9, 8, 6, 7)], 2)
    trace.received(1, "c", [accept(8, watermark=7)], 3)
    trace.happened("paxos.accepted", {"s": 8, "b": [1, 1]}, True)
    trace.happened("paxos.chosen", {"s": 7, "b": [1, 1]}, True)
    assert told.short(2) == [("accept", 8, None), ("accepted", 8, 3), ("chosen", 7, 3)]


def test_a_follower_closes_a_slot_once_it_is_applied(told: Told) -> None:
    trace = follower(told)
    takes_in(trace, told, 7)
    trace.sent(1, "d", [codec.encode(paxos.Accepted(B1, 7))], 99)
    assert not trace.open
    assert len(told.events) == len(WHOLE)


def test_what_is_lost_of_a_recorded_slot_is_told(told: Told) -> None:
    trace = follower(told)
    answer = codec.encode(paxos.Accepted(B1, 7))
    assert not trace.lost(1, answer, "cut")
    trace.received(1, "c", [accept(7)], 1)
    trace.happened("paxos.accepted", {"s": 7, "b": [1, 1]}, True)
    assert trace.lost(1, answer, "cut")
    assert not trace.lost(1, codec.encode(paxos.IndexQuery(1)), "cut")
    lost = told.events[-1]
    assert (lost["k"], lost["m"], lost["s"], lost["why"]) == ("msg.drop", "accepted", 7, "cut")


def test_a_second_holds_so_many_events_and_the_rest_is_counted(told: Told) -> None:
    trace = follower(told)
    for slot in range(1, EVENTS_PER_S):
        trace.happened("paxos.accepted", {"s": slot, "b": [1, 1]}, False)
        trace.happened("paxos.applied", {"s": slot}, False)
    assert len(told.events) == EVENTS_PER_S
    assert told.dropped == EVENTS_PER_S - 2
    told.wait(20_000)
    trace.happened("paxos.applied", {"s": 9_999}, False)
    assert len(told.events) == EVENTS_PER_S + 1


def test_a_leader_closes_a_slot_in_time_although_a_follower_is_down(told: Told) -> None:
    trace = SlotTrace(1, (2, 3), told, told.drop, told)
    trace.watched(1)
    trace.happened("paxos.accepted", {"s": 5, "b": [1, 1]}, True)
    trace.sent(2, "a", [codec.encode(accept(5))], 1)
    trace.happened("paxos.applied", {"s": 5}, True)
    told.wait(1_000)
    trace.sent(3, "a", [codec.encode(accept(6))], 1)
    assert not trace.open


def test_open_slots_are_bounded(told: Told) -> None:
    trace = follower(told)
    for slot in range(1, 3 * OPEN_MAX):
        trace.received(1, "c", [accept(slot)], slot)
        trace.happened("paxos.accepted", {"s": slot, "b": [1, 1]}, True)
    assert len(trace.open) == OPEN_MAX and min(trace.open) == 2 * OPEN_MAX


def test_another_life_of_the_bank_begins_anew(told: Told) -> None:
    trace = follower(told)
    takes_in(trace, told, 7)
    trace.forget()
    takes_in(trace, told, 3)
    assert [(what, slot) for what, slot, _ in told.short(len(WHOLE))] == [(what, 3) for what, _ in WHOLE]


SAMPLES: list[Message] = [
    accept(9, 8),
    paxos.Accepted(B1, 9),
    paxos.Commit(B1, 9),
    paxos.Heartbeat(B1, 4, 3, 9, 10),
    paxos.PreVote(B1, 9),
    paxos.PreVoteReply(B1, True, B1),
    paxos.Prepare(B1, 9),
    paxos.Promise(B1, 0, 1, 9, 0, [paxos.SlotValue(9, B1, True, b""), paxos.SlotValue(10, B1, False, b"")]),
    paxos.NewViewNotice(B1, 9, 10, 11),
    paxos.Nack(B1),
]


@pytest.mark.parametrize("message", SAMPLES, ids=lambda message: type(message).__name__)
def test_encoded_and_decoded_messages_tell_the_same(message: Message) -> None:
    assert head_of(codec.encode(message)) == head_of(message)


def test_there_is_a_sample_of_each_kind() -> None:
    kinds = {kind for kind in SLOT_KINDS | ELECTION_KINDS if kind.__module__ == paxos.__name__}
    assert {type(message) for message in SAMPLES} == kinds


def test_a_promise_names_what_it_carries_and_a_view_its_slots() -> None:
    assert head_of(SAMPLES[7]).fields() == {"b": [1, 1], "s": None, "w": 9, "again": [10]}
    assert head_of(SAMPLES[8]).fields() == {"b": [1, 1], "s": None, "w": 9, "first": 10, "last": 11}


def test_an_election_tells_what_led_to_what(told: Told) -> None:
    b2 = Ballot(2, 2)
    trace = ElectionTrace(2, told, told.drop, told)
    trace.happened("timer.fire", {"name": "election"})
    trace.sent(3, "a", codec.encode(paxos.PreVote(b2, 4)))
    trace.received(3, "b", paxos.PreVoteReply(b2, True, B1))
    trace.happened("paxos.ballot", {"b": [2, 2]})
    trace.sent(3, "c", codec.encode(paxos.Prepare(b2, 4)))
    trace.received(3, "d", paxos.Promise(b2, 0, 1, 4, 0, []))
    trace.happened("paxos.leader", {"b": [2, 2], "leader": 2, "w": 4})
    trace.sent(3, "e", codec.encode(paxos.NewViewNotice(b2, 4, 5, 5)))
    trace.lost(1, codec.encode(paxos.NewViewNotice(b2, 4, 5, 5)), "cut")
    assert [event.get("by") for event in told.events] == [None, 1, None, 3, 4, None, 6, 7, None]
    assert {event["least"] for event in told.events} == {0}
    assert [event["k"] for event in told.events[-2:]] == ["msg.send", "msg.drop"]


def test_elections_are_bounded_too(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consensus.trace.electiontrace.EVENTS_PER_S", 10)
    trace = ElectionTrace(2, told, told.drop, told)
    for number in range(1, 25):
        trace.happened("paxos.ballot", {"b": [number, 1]})
    assert (len(told.events), told.dropped) == (10, 14)
