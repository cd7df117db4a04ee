"""Validation, numbering and the latency histogram of the trace schema."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.trace.events import (
    HIST_BUCKETS_MAX,
    Numbering,
    TraceError,
    header,
    hist_bound_us,
    hist_index,
    problems,
    validate,
)


@pytest.mark.parametrize(
    ("event", "named"),
    [
        ([], "object"),
        ({"ts": 1}, "k"),
        ({"k": "paxos.guess", "ts": 1}, "k"),
        ({"k": "mark", "text": "a"}, "ts"),
        ({"k": "mark", "ts": 1.5, "text": "a"}, "ts"),
        ({"k": "paxos.chosen", "ts": 1, "n": 1, "b": [1, 1]}, "s"),
        ({"k": "paxos.chosen", "ts": 1, "n": 1, "s": 1, "b": [1]}, "b"),
        ({"k": "paxos.chosen", "ts": 1, "n": True, "s": 1, "b": [1, 1]}, "n"),
        ({"k": "tx.reply", "ts": 1, "tx": "a", "outcome": "committed", "ms": float("nan")}, "ms"),
        ({"k": "mark", "ts": 1, "text": "a", "lc": "x"}, "lc"),
    ],
)
def test_a_bad_event_is_refused_by_the_name_of_its_field(event: Any, named: str) -> None:
    with pytest.raises(TraceError, match=named):
        validate(event)


def test_further_fields_and_the_far_end_of_a_link_pass() -> None:
    assert problems({"k": "mark", "ts": 1, "text": "a", "later": {}}) == []
    assert problems({"k": "link.cut", "ts": 1, "a": 1, "b": 2}) == []


def test_numbering_counts_up_and_copies() -> None:
    numbering, event = Numbering(), {"k": "mark", "ts": 1, "text": "a"}
    assert [numbering.number(event)["q"] for _ in range(3)] == [1, 2, 3]
    assert "q" not in event
    assert Numbering(last=40).number(event)["q"] == 41


def test_a_header_names_its_source() -> None:
    with pytest.raises(TraceError, match="src"):
        header(run="r", source="tape", t0=0, topology={"clusters": []})


@pytest.mark.parametrize("latency_us", [1, 99, 100, 101, 3_333, 20_000, 3_000_000])
def test_a_bucket_holds_its_latency_within_19_percent(latency_us: float) -> None:
    index = hist_index(latency_us)
    assert latency_us <= hist_bound_us(index) * (1 + 1e-9)
    assert index == 0 or latency_us > hist_bound_us(index - 1)


def test_buckets_are_bounded() -> None:
    assert hist_index(1e18) == HIST_BUCKETS_MAX - 1
