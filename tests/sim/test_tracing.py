"""A simulated run's trace: of schema v1, the same every time, and watching changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from consensus.simulation.run import play, record
from consensus.simulation.several import draw_run
from consensus.trace.checking import checked
from consensus.trace.fold import begin, fold, fold_all
from consensus.trace.transactions import KINDS, Rows, clusters_of

SEED = 7
STEPS = 3_000


def read(path: Path) -> list[dict[str, Any]]:
    with path.open("rb") as file:
        return list(checked(file))


FOLDED = 5_000


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of one run."""
    path = tmp_path_factory.mktemp("trace") / "run.gz"
    assert record(SEED, path, STEPS) is None
    return path


def test_a_trace_is_valid_repeats_and_changes_nothing(trace: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.gz"
    assert record(SEED, again, STEPS) is None
    assert trace.read_bytes() == again.read_bytes()
    head, *events = read(trace)
    assert (head["src"], head["run"], head["seed"]) == ("sim", f"sim-{SEED}", SEED)
    kinds = {event["k"] for event in events}
    assert kinds >= {"node.up", "paxos.leader", "paxos.applied", "agg"}
    world, _ = play(draw_run(SEED), STEPS)
    ups = sum(event["k"] == "node.up" for event in events)
    downs = sum(event["k"] == "node.down" for event in events)
    assert downs == world.injector.crashes and ups == len(world.nodes) + downs


def test_messages_are_told_with_what_they_led_to(trace: Path) -> None:
    _, *events = read(trace)
    by_number = {event["q"]: event for event in events}
    sends = {event["mid"]: event for event in events if event["k"] == "msg.send"}
    seen: set[str] = set()
    linked = 0
    for event in events:
        if event["k"] not in ("msg.recv", "msg.drop"):
            continue
        seen.add(event["m"])
        sent = sends.get(event["mid"])
        if event["k"] == "msg.drop" or sent is None:
            continue
        assert (sent["n"], sent["to"], sent["m"]) == (event["n"], event["to"], event["m"])
        assert sent["ts"] <= event["ts"]
        if sent["q"] > event["q"]:
            # In heavy traffic a slot is told of once it is applied, by each node for itself (ADR 61).
            assert "cause" not in event
            continue
        assert by_number[event["cause"]]["mid"] == event["mid"]
        linked += 1
    assert seen >= {"accept", "accepted", "commit", "prevote", "prepare", "promise", "tx.prepare", "tx.vote"}
    assert linked > 500
    accepted = [event for event in events if event["k"] == "msg.send" and event["m"] == "accepted"]
    assert any(by_number[event["cause"]]["k"] == "paxos.accepted" for event in accepted if "cause" in event)
    assert any(event["k"] == "msg.drop" for event in events), "nothing was lost in this run"


def test_the_viewer_has_slots_and_messages_of_it(trace: Path) -> None:
    head, *events = read(trace)
    state = begin(head)
    for event in events[:FOLDED]:
        state = fold(state, event)
    group = state["paxos"]["1"]
    assert group["slots"] and group["messages"] and group["views"] and group["elections"]
    assert any(message["sent"] and message["got"] for message in group["messages"])


def test_a_failing_run_ends_with_what_was_broken(tmp_path: Path, monkeypatch: object) -> None:
    from tests.sim import mutations

    mutations.retries_run_again(monkeypatch)  # type: ignore[arg-type]
    for seed in range(1, 60):
        path = tmp_path / f"{seed}.gz"
        violation = record(seed, path, STEPS)
        if violation is not None:
            last = read(path)[-1]
            assert (last["k"], last["name"], last["ok"]) == ("check", violation.invariant, False)
            return
    raise AssertionError("no seed failed")


def test_transactions_of_a_run_are_told_from_the_question_to_the_answer(trace: Path) -> None:
    head, *events = read(trace)
    rows = Rows(clusters_of(head))
    rows.take(event for event in events if event["k"] in KINDS)
    found = rows.since(0)
    answered = [row for row in found if row.about["ms"] is not None]
    assert len(answered) > len(found) // 4
    assert all(row.about["outcome"] in ("committed", "aborted") and row.about["ms"] >= 0 for row in answered)
    assert any(len(row.clusters) > 1 for row in answered)
    # A leader answers what it was asked, once.
    asked = {(event["n"], event["tx"]) for event in events if event["k"] == "tx.submit"}
    replies = [(event["n"], event["tx"]) for event in events if event["k"] == "tx.reply"]
    assert set(replies) <= asked and len(replies) >= len(answered)
    assert not [event for event in events if event["k"] == "tx.reply" and event["outcome"] == "aborted"
                and "why" not in event]  # fmt: skip


def test_owners_at_the_end_of_a_run_are_those_that_the_machines_know(trace: Path) -> None:
    head, *events = read(trace)
    state = fold_all(begin(head), events)
    world, _ = play(draw_run(SEED), STEPS)
    furthest: dict[int, Any] = {}
    for node in world.nodes.values():
        if node.replica is None:
            continue
        machine, cluster = node.replica.machine.state, node.replica.ctx.cluster.id
        if cluster not in furthest or machine.slot > furthest[cluster].slot:
            furthest[cluster] = machine
    truth = {account: cluster for cluster, machine in furthest.items() for account in machine.accounts}
    home = {
        account: cluster["id"]
        for cluster in head["topology"]["clusters"]
        for account in range(cluster["first"], cluster["last"] + 1)
    }
    assert set(truth) <= set(home)
    told = {account: state["owners"].get(str(account), [home[account]])[0] for account in truth}
    assert told == truth
    moved = [account for account in truth if truth[account] != home[account]]
    assert moved, "a run that moves nothing proves nothing"
