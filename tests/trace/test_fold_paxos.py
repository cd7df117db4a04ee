"""What the fold keeps of consensus: slots by replica, ballots, messages, pace."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.trace.events import header
from consensus.trace.fold import begin, empty, fold, fold_all
from consensus.trace.fold_paxos import MESSAGES_MAX, PACE_MAX, PACE_US, SLOT_TX_MAX, SLOTS_MAX, VIEWS_MAX

CLUSTER = {"id": 1, "nodes": [1, 2, 3], "first": 1, "last": 9}
START = begin(header(run="r", source="live", t0=0, topology={"clusters": [CLUSTER]}))


def event(kind: str, node: int, ts: int = 1, **fields: Any) -> dict[str, Any]:
    return {"k": kind, "ts": ts, "n": node, "inc": 1, **fields}


def group(*events: dict[str, Any]) -> dict[str, Any]:
    return fold_all(START, events)["paxos"]["1"]  # type: ignore[no-any-return]


def accepted(node: int, slot: int, ts: int = 1, ballot: tuple[int, int] = (1, 1)) -> dict[str, Any]:
    return event("paxos.accepted", node, ts, s=slot, b=list(ballot))


def test_a_slot_goes_from_accepted_to_chosen_to_applied_on_each_node() -> None:
    (slot,) = group(
        accepted(1, 4, 10),
        accepted(2, 4, 11),
        event("paxos.chosen", 1, 12, s=4, b=[1, 1]),
        event("paxos.applied", 1, 13, s=4, has=["transfer"], count=3),
    )["slots"]
    assert slot["at"] == {
        "1": {"b": [1, 1], "accepted": 10, "chosen": 12, "applied": 13},
        "2": {"b": [1, 1], "accepted": 11, "chosen": 0, "applied": 0},
    }
    assert (slot["s"], slot["b"], slot["has"], slot["count"]) == (4, [1, 1], ["transfer"], 3)


def test_a_watermark_speaks_for_every_lower_slot_and_for_no_time_before() -> None:
    slots = group(
        *(accepted(2, slot, slot) for slot in (1, 2, 3)),
        event("paxos.chosen", 2, 20, s=1, b=[1, 1]),
        event("paxos.chosen", 2, 30, s=3, b=[1, 1]),
        event("paxos.applied", 2, 40, s=3),
    )["slots"]
    assert [slot["at"]["2"]["chosen"] for slot in slots] == [20, 30, 30]
    assert [slot["at"]["2"]["applied"] for slot in slots] == [40, 40, 40]


def test_a_slot_proposed_again_has_the_higher_ballot_where_it_was_accepted_again() -> None:
    (slot,) = group(
        accepted(1, 4, 10), accepted(2, 4, 11), accepted(2, 4, 20, (2, 2)), accepted(2, 4, 30, (1, 1))
    )["slots"]
    assert slot["b"] == [2, 2]
    assert slot["at"]["2"] == {"b": [2, 2], "accepted": 20, "chosen": 0, "applied": 0}
    assert slot["at"]["1"]["b"] == [1, 1]


def test_slots_are_in_order_and_bounded_and_what_is_long_gone_stays_so() -> None:
    late = [accepted(1, slot) for slot in range(100, 100 + SLOTS_MAX, 2)] + [accepted(1, 101)]
    assert [slot["s"] for slot in group(*late)["slots"]][:3] == [100, 101, 102]
    many = [accepted(1, slot) for slot in range(1, 3 * SLOTS_MAX)]
    slots = group(*many, accepted(2, 5), accepted(2, 3 * SLOTS_MAX - 1))["slots"]
    assert [slot["s"] for slot in slots] == list(range(2 * SLOTS_MAX, 3 * SLOTS_MAX))
    assert "2" in slots[-1]["at"]


def test_a_status_tells_how_far_a_node_is_that_caught_up_without_slots() -> None:
    status = {"role": "follower", "state": "up", "watermark": 4, "applied": 4}
    found = group(
        accepted(1, 3),
        accepted(1, 4),
        accepted(1, 5),
        {"k": "agg", "ts": 9 * PACE_US + 5, "inc": 1, "window": 100, "nodes": {"3": status}},
    )
    assert [slot["at"].get("3") for slot in found["slots"]] == [
        {"b": [0, 0], "accepted": 0, "chosen": 9 * PACE_US + 5, "applied": 9 * PACE_US + 5}
    ] * 2 + [None]
    assert found["pace"] == [{"ts": 9 * PACE_US, "at": {"3": [4, 4]}}]


def test_a_slot_names_some_of_its_transactions() -> None:
    applies = [event("tx.apply", 2, tx=f"a-{n}", s=4, outcome="committed") for n in range(20)]
    (slot,) = group(event("tx.lock", 1, tx="b-1", s=4), *applies, applies[0])["slots"]
    assert slot["tx"] == ["b-1", *(f"a-{n}" for n in range(SLOT_TX_MAX - 1))]


def test_a_view_tells_who_stood_why_and_who_promised() -> None:
    (view,) = group(
        event("paxos.ballot", 3, 90, b=[2, 2]),
        event("paxos.ballot", 2, 100, q=7, b=[2, 2], why="heartbeat_timeout", since_ms=143.5, silent=1),
        event("paxos.leader", 3, 110, b=[2, 2], leader=2, w=40),
        event("paxos.leader", 2, 120, b=[2, 2], leader=2, w=40, quorum=[2, 3], again=[41]),
        event("paxos.leader", 1, 130, b=[2, 2], leader=0, w=40),
    )["views"]
    assert view == {
        "b": [2, 2],
        "n": 2,
        "ts": 100,
        "q": 7,
        "why": "heartbeat_timeout",
        "since_ms": 143.5,
        "silent": 1,
        "promised": [3, 2],
        "led": 120,
        "w": 40,
        "quorum": [2, 3],
        "again": [41],
    }


def test_views_are_bounded_and_in_order() -> None:
    views = group(*(event("paxos.ballot", 2, b=[number, 2]) for number in (5, 3, *range(6, 60))))["views"]
    assert len(views) == VIEWS_MAX
    assert [view["b"][0] for view in views] == list(range(60 - VIEWS_MAX, 60))


def message(kind: str, mid: str, ts: int, m: str = "accept", **fields: Any) -> dict[str, Any]:
    return event(f"msg.{kind}", 1, ts, to=2, m=m, mid=mid, bytes=9, **fields)


def test_both_ends_of_a_message_meet_whichever_tells_first() -> None:
    at_slot = {"s": 4, "b": [1, 1], "w": 3}
    found = group(
        message("recv", "x", 12, **at_slot),
        message("send", "y", 11, m="promise", b=[2, 2], again=[5]),
        message("send", "x", 10, **at_slot),
        message("recv", "y", 13, m="promise", b=[2, 2], again=[5]),
        message("drop", "", 14, **at_slot, why="cut"),
        message("send", "z", 15, m="tx.prepare"),
        message("send", "h", 16, m="heartbeat"),
    )
    first, lost = found["messages"]
    assert first == {"mid": "x", "m": "accept", "n": 1, "to": 2, "sent": 10, "got": 12, "lost": "", **at_slot}
    assert (lost["sent"], lost["got"], lost["lost"]) == (14, 0, "cut")
    (promise,) = found["elections"]
    assert (promise["sent"], promise["got"], promise["s"], promise["again"]) == (11, 13, 0, [5])


def test_messages_and_pace_are_bounded() -> None:
    many = [message("send", str(n), n, s=1, b=[1, 1]) for n in range(2 * MESSAGES_MAX)]
    agg = [
        {"k": "agg", "ts": n * PACE_US, "inc": 1, "window": 100, "nodes": {"1": {"watermark": n}}}
        for n in range(2 * PACE_MAX)
    ]
    found = group(*many, *agg)
    assert found["messages"][0]["mid"] == str(MESSAGES_MAX)
    assert len(found["pace"]) == PACE_MAX


def test_a_reset_forgets_slots_and_views() -> None:
    state = fold_all(START, [accepted(1, 4), event("paxos.ballot", 2, b=[2, 2])])
    state = fold(state, {**accepted(1, 1), "inc": 2})
    assert [slot["s"] for slot in state["paxos"]["1"]["slots"]] == [1]
    assert state["paxos"]["1"]["views"] == []


@pytest.mark.parametrize(
    "later", [("owners", "heat"), ("owners", "heat", "moves", "paxos", "plans", "hg", "epoch")]
)
def test_a_keyframe_from_before_this_was_kept_can_be_folded_on(later: tuple[str, ...]) -> None:
    old = {name: value for name, value in START.items() if name not in later}
    flip = event("mig.flip", 1, plan="p", batch=1, to=2, accounts=[7], epochs=[1])
    state = fold_all(old, [accepted(1, 4), flip])
    assert [slot["s"] for slot in state["paxos"]["1"]["slots"]] == [4]
    assert state["owners"] == {"7": [2, 1]}
    assert set(state) == set(empty())
    assert "owners" not in old


def test_an_election_is_in_the_feed_whoever_tells_of_it_first() -> None:
    stood = event("paxos.ballot", 2, 5, b=[2, 2], why="heartbeat_timeout")
    own = event("paxos.leader", 2, 7, b=[2, 2], leader=2, w=4, quorum=[2, 3])
    followers = event("paxos.leader", 3, 8, b=[2, 2], leader=2, w=4)
    leads = {"role": "leader", "ballot": [2, 2], "state": "up"}
    status = {"k": "agg", "ts": 9, "inc": 1, "nodes": {"2": leads}}

    def told(*events: dict[str, Any]) -> list[tuple[Any, ...]]:
        feed = fold_all(START, [event("node.up", 2), *events])["feed"]
        return sorted((one["k"], one["n"], one.get("quorum")) for one in feed if one["k"] != "node.up")

    want = [("paxos.ballot", 2, None), ("paxos.leader", 2, [2, 3])]
    assert told(stood, own, followers) == want
    assert told(followers, stood, own) == want
    assert told(stood, followers, own) == want
    assert told(status, stood, own, followers) == want
    late = [event("paxos.ballot", 3, 10, b=[1, 3]), event("paxos.leader", 3, b=[1, 3], leader=3, w=1)]
    assert told(stood, own, *late) == want
