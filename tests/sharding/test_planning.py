"""Plans made in a process of their own: the same as in this one, events first, what is shown of it
bounded.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from consensus.sharding import planning
from consensus.sharding.planner import Options, plan
from consensus.sharding.request import request_of
from consensus.sharding.traffic import Sample
from consensus.sharding.window import window

ACCOUNTS = 120


def scattered() -> tuple[Sample, Any]:
    """Groups of four that trade among themselves, each scattered over three blocks."""
    rng = np.random.default_rng(5)
    groups = rng.permutation(ACCOUNTS).reshape(-1, 4)
    pairs = np.array([rng.choice(groups[rng.integers(len(groups))], 2, replace=False) for _ in range(6_000)])
    start = np.arange(len(pairs) + 1) * 2
    sample = Sample(ACCOUNTS, start, pairs.reshape(-1).astype(np.int32), np.zeros(ACCOUNTS, dtype=np.int64))
    return sample, np.repeat(np.arange(3, dtype=np.int32), ACCOUNTS // 3)


def test_the_process_makes_the_plan_that_the_planner_makes() -> None:
    sample, current = scattered()
    request = request_of(sample, current, 3, seed=7)
    done = subprocess.run(
        [sys.executable, "-m", "consensus.sharding.planning"],
        input=msgspec.msgpack.encode(request),
        capture_output=True,
        check=True,
    )
    lines = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    assert all(line.keys() == {"event"} for line in lines[:-1])
    assert {line["event"]["k"] for line in lines[:-1]} >= {"hg.moves", "hg.quality"}
    made = lines[-1]["plan"]
    expected = plan(window(ACCOUNTS, sample.start, sample.accounts), current, Options(k=3, seed=7))
    assert (made["id"], made["status"]) == (expected.id, "planned")
    assert made["moves"] == [list(move) for move in expected.moves]
    assert made["predicted"]["cross_shard_pct"] < 10 < made["before"]["cross_shard_pct"]


def test_what_is_shown_is_bounded_and_holds_the_movers(monkeypatch: Any) -> None:
    monkeypatch.setattr(planning, "VERTICES_SHOWN", 20)
    monkeypatch.setattr(planning, "NETS_SHOWN", 15)
    sample, current = scattered()
    events: list[dict[str, Any]] = []
    made = planning.answer(request_of(sample, current, 3), events.append)
    shown = made["snapshot"]
    assert len(shown["vertices"]) == 20 and 0 < len(shown["nets"]) <= 15
    assert {move[0] for move in made["moves"][:10]} <= {row[0] for row in shown["vertices"]}
    for _weight, *ends in shown["nets"]:
        assert len(ends) > 1 and all(0 <= end < 20 for end in ends)
    assert shown["vertices_total"] == ACCOUNTS


def test_the_course_begins_with_what_is_and_ends_with_what_is_promised() -> None:
    sample, current = scattered()
    reads = np.arange(ACCOUNTS, dtype=np.int64)
    made = planning.answer(request_of(replace(sample, reads=reads), current, 3), lambda event: None)
    course = made["course"]
    moves = [row[0] for row in course]
    assert moves == sorted(set(moves)) and 2 < len(moves) <= planning.COURSE_POINTS + 1
    for row, told, figures in ((course[0], 0, "before"), (course[-1], len(made["moves"]), "predicted")):
        assert row[0] == told
        assert row[2:] == [made[figures]["load_imbalance_pct"], made[figures]["account_imbalance_pct"]]
    by_moves = {row[0]: row[1] for row in course}
    compared = [line for line in made["table"] if line["moves"] in by_moves]
    assert len(compared) > 2 and all(by_moves[line["moves"]] == line["km1"] for line in compared)


def test_a_request_that_makes_no_sense_is_told() -> None:
    sample, current = scattered()
    request = request_of(sample, current, 3, max_moves=-1)
    done = subprocess.run(
        [sys.executable, "-m", "consensus.sharding.planning"],
        input=msgspec.msgpack.encode(request),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert "max_moves" in msgspec.json.decode(done.stdout.splitlines()[-1])["error"]


def test_movers_have_their_partners_where_they_are_at_their_turn() -> None:
    sample, current = scattered()
    made = planning.answer(request_of(sample, current, 3), lambda event: None)
    assert len(made["partners"]) == len(made["moves"])
    part = current.copy()
    for (account, source, target, *_), partners in zip(made["moves"], made["partners"], strict=True):
        assert part[account] == source
        assert 0 < len(partners) <= planning.PARTNERS_SHOWN
        weights = [weight for _, weight, _ in partners]
        assert weights == sorted(weights, reverse=True)
        assert all(part[other] == block for other, _, block in partners)
        part[account] = target


def test_events_tell_the_trial_from_the_plan() -> None:
    sample, current = scattered()
    events: list[dict[str, Any]] = []
    planning.answer(request_of(sample, current, 3), events.append)
    trials = [event.get("trial", False) for event in events]
    assert trials == sorted(trials, reverse=True), "the trial comes first"
    assert True in trials and False in trials
