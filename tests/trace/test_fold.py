"""The Python fold: the shared fixtures, purity, keyframes, bounds."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from consensus.trace import fold_moves
from consensus.trace.events import header
from consensus.trace.fold import (
    FEED_MAX,
    SERIES_MAX,
    begin,
    empty,
    fold,
    fold_all,
)
from consensus.trace.fold_tx import AMBIENT_MAX, TRANSACTIONS_MAX
from consensus.types import AMBIENT_PREFIX

FOLDER = Path(__file__).parent.parent / "data" / "traces"
LOOK_EVERY = 7
"""Copying a state takes far longer than folding on; every seventh event meets each kind."""
NAMES = sorted(path.stem for path in FOLDER.glob("*.ndjson"))


def load(name: str) -> tuple[dict[str, Any], list[dict[str, Any]], list[tuple[int, dict[str, Any]]]]:
    lines = [json.loads(line) for line in (FOLDER / f"{name}.ndjson").read_text().splitlines()]
    states = json.loads((FOLDER / f"{name}.states.json").read_text())
    return lines[0], lines[1:], states


def test_there_are_fixtures() -> None:
    assert NAMES == ["consensus", "experiments", "failover", "faults", "heat", "moves", "traffic"]


@pytest.mark.parametrize("name", NAMES)
def test_fold_gives_the_shared_states(name: str) -> None:
    head, events, states = load(name)
    for q, expected in states:
        assert fold_all(begin(head), [event for event in events if event["q"] <= q]) == expected


@pytest.mark.parametrize("name", NAMES)
def test_fold_from_any_keyframe_gives_the_same_end(name: str) -> None:
    _, events, states = load(name)
    _, end = states[-1]
    for q, state in states:
        assert fold_all(state, [event for event in events if event["q"] > q]) == end


@pytest.mark.parametrize("name", NAMES)
def test_fold_leaves_its_input_alone_and_batches_do_not_matter(name: str) -> None:
    head, events, states = load(name)
    state = begin(head)
    for number, event in enumerate(events):
        if number % LOOK_EVERY:
            state = fold(state, event)
            continue
        before, given = copy.deepcopy(state), copy.deepcopy(event)
        after = fold(state, event)
        assert state == before
        assert event == given
        state = after
    assert state == states[-1][1]
    assert json.loads(json.dumps(state)) == state


def test_lists_are_bounded() -> None:
    _, _, states = load("traffic")
    end = states[-1][1]
    assert len(end["series"]) == SERIES_MAX
    assert len(end["tx"]) == TRANSACTIONS_MAX
    _, _, states = load("experiments")
    ambient = [entry for entry in states[-1][1]["tx"] if entry["id"].startswith(AMBIENT_PREFIX.hex())]
    assert len(ambient) == AMBIENT_MAX
    assert len(states[-1][1]["tx"]) == AMBIENT_MAX + 1  # ambient ones did not crowd the other one out
    marks = [{"k": "mark", "ts": 1, "q": q, "text": "m"} for q in range(3 * FEED_MAX)]
    assert [event["q"] for event in fold_all(empty(), marks)["feed"]] == list(
        range(2 * FEED_MAX, 3 * FEED_MAX)
    )


def test_owners_follow_the_claim_with_the_higher_epoch_and_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def moved(*rows: int) -> dict[str, Any]:
        return {"k": "map.moved", "ts": 1, "rows": list(rows)}

    batch = {"plan": "p", "batch": 1, "accounts": [7, 8]}
    flip = {"k": "mig.flip", "ts": 1, "n": 1, "cl": 1, "to": 2, "epochs": [3, 3], **batch}
    state = fold_all(empty(), [moved(7, 3, 4, 8, 3, 2), flip])
    assert state["owners"] == {"7": [3, 4], "8": [2, 3]}
    late = {"k": "map.epoch", "ts": 1, "n": 7, "cl": 3, "epoch": 9, "accounts": [8], "epochs": [2]}
    assert fold(state, late)["owners"] == state["owners"]
    # Nothing moved: it went back, or is not there yet.
    for kind in ("mig.start", "mig.abort", "mig.done"):
        assert fold(state, {**flip, "k": kind, "epochs": [9, 9]})["owners"] == state["owners"]
    # Without epochs, as the version before told it, words count in the order that they come.
    old = {name: value for name, value in flip.items() if name != "epochs"}
    assert fold(state, old)["owners"] == {"7": [2, 5], "8": [2, 3]}
    monkeypatch.setattr(fold_moves, "OWNERS_MAX", 3)
    assert fold(state, moved(1, 2, 1, 2, 2, 1, 8, 1, 9))["owners"] == {"7": [3, 4], "8": [1, 9], "1": [2, 1]}


def _head() -> dict[str, Any]:
    cluster = {"id": 1, "nodes": [1, 2, 3], "first": 1, "last": 9}
    return header(run="r", source="live", t0=0, topology={"clusters": [cluster]})


def _event(kind: str, node: int, **fields: Any) -> dict[str, Any]:
    return {"k": kind, "ts": 1, "n": node, "inc": 1, **fields}


def test_an_election_shows_from_the_ballot_to_the_leader() -> None:
    state = fold_all(begin(_head()), [_event("paxos.leader", 1, b=[1, 1], leader=1, w=0)])
    state = fold(state, _event("paxos.ballot", 2, b=[2, 2]))
    assert state["clusters"]["1"]["election"] == {"n": 2, "b": [2, 2], "ts": 1}
    assert state["clusters"]["1"]["leader"] == 1
    state = fold(state, _event("paxos.leader", 2, b=[2, 2], leader=2, w=4))
    assert state["clusters"]["1"]["election"] is None
    assert (state["clusters"]["1"]["leader"], state["clusters"]["1"]["elections"]) == (2, 1)


def test_an_old_leader_does_not_come_back_by_a_late_word() -> None:
    state = fold_all(
        begin(_head()),
        [
            _event("paxos.leader", 2, b=[2, 2], leader=2, w=4),
            _event("paxos.leader", 1, b=[1, 1], leader=1, w=0),
        ],
    )
    assert state["clusters"]["1"]["leader"] == 2


def test_a_failed_node_that_thinks_it_leads_is_not_the_leader() -> None:
    status = {"role": "leader", "state": "failed", "ballot": [3, 1]}
    state = fold(begin(_head()), {"k": "agg", "ts": 5, "window": 100, "nodes": {"1": status}})
    assert state["nodes"]["1"]["up"] == "failed"
    assert state["clusters"]["1"]["leader"] == 0


def test_a_reset_forgets_the_incarnation_before_and_refuses_its_stragglers() -> None:
    state = fold(begin(_head()), _event("paxos.leader", 2, b=[7, 2], leader=2, w=4))
    state = fold(state, {**_event("paxos.leader", 1, b=[1, 1], leader=1, w=0), "inc": 2})
    assert state["clusters"]["1"]["ballot"] == [1, 1]
    state = fold(state, _event("paxos.leader", 3, b=[8, 3], leader=3, w=4))
    assert state["clusters"]["1"]["leader"] == 1


def test_kinds_without_a_case_move_only_q_and_time() -> None:
    before = begin(_head())
    after = fold(before, {"k": "bench.phase", "ts": 9, "q": 4, "phase": "warmup"})
    assert after == {**before, "q": 4, "ts": 9}
