"""A simulated run's trace: of schema v1, the same every time, and watching changes nothing."""

from __future__ import annotations

from pathlib import Path

from consensus.simulation.run import play, record
from consensus.simulation.several import draw_run
from consensus.trace.checking import checked

SEED = 7
STEPS = 3_000


def test_a_trace_is_valid_repeats_and_changes_nothing(tmp_path: Path) -> None:
    first, second = tmp_path / "first.gz", tmp_path / "second.gz"
    assert record(SEED, first, STEPS) is None and record(SEED, second, STEPS) is None
    assert first.read_bytes() == second.read_bytes()
    head, events = checked(first.read_bytes())
    assert (head["src"], head["run"], head["seed"]) == ("sim", f"sim-{SEED}", SEED)
    kinds = {event["k"] for event in events}
    assert kinds >= {"node.up", "paxos.leader", "paxos.applied", "agg"}
    world, _ = play(draw_run(SEED), STEPS)
    ups = sum(event["k"] == "node.up" for event in events)
    downs = sum(event["k"] == "node.down" for event in events)
    assert downs == world.injector.crashes and ups == len(world.nodes) + downs


def test_a_failing_run_ends_with_what_was_broken(tmp_path: Path, monkeypatch: object) -> None:
    from tests.sim import mutations

    mutations.retries_run_again(monkeypatch)  # type: ignore[arg-type]
    for seed in range(1, 60):
        path = tmp_path / f"{seed}.gz"
        violation = record(seed, path, STEPS)
        if violation is not None:
            last = checked(path.read_bytes())[1][-1]
            assert (last["k"], last["name"], last["ok"]) == ("check", violation.invariant, False)
            return
    raise AssertionError("no seed failed")
