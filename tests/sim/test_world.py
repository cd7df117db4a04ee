"""The simulator itself: a run is a function of its seed, faults are data, and what fails gets small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from consensus.simulation import schedule
from consensus.simulation.clock import Clock
from consensus.simulation.config import Config, draw_config, topology_of
from consensus.simulation.draws import Draws
from consensus.simulation.network import Network, Profile
from consensus.simulation.run import COMMITS, play, run_seed, run_seeds
from consensus.simulation.scenarios import SCENARIOS
from consensus.simulation.schedule import Fault, ScheduleError
from consensus.simulation.shrink import shrink
from consensus.simulation.tight import CHOICES, tightened
from consensus.simulation.world import World
from tests.sim import mutations

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("seed", range(201, 206))
def test_few_seeds(seed: int) -> None:
    run = run_seed(seed, steps=1_500)
    assert run.failure is None, run.failure
    assert run.coverage["committed"] + run.seen["aborted"] > 0


def test_same_seed_same_run_whatever_the_hash_seed() -> None:
    """Iteration over an unordered set would show here."""
    found = [_simulate("--seeds", "1..3", "--steps", "600", "--jobs", "1", hash_seed=h) for h in ("1", "77")]
    assert found[0]["runs"] == found[1]["runs"]
    assert len({run["trace_hash"] for run in found[0]["runs"]}) == 3


def _simulate(*options: str, hash_seed: str = "0", status: int = 0) -> dict[str, list[dict[str, object]]]:
    environment = {
        **os.environ,
        "PYTHONHASHSEED": hash_seed,
        "DJANGO_SETTINGS_MODULE": "bankweb.settings.local",
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "simulate", "--json", *options],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout) if done.stdout else {}


def test_command_prints_the_document_of_the_contract(tmp_path: Path) -> None:
    faults = tmp_path / "faults.json"
    faults.write_text(json.dumps([{"at_us": 100_000, "kind": "crash_leader", "node": 1, "for_us": 300_000}]))
    document = _simulate("--seed", "7", "--steps", "3000", "--schedule", str(faults))
    assert (document["seeds"], document["passed"], document["failures"]) == (1, 1, [])
    assert document["steps_per_second"] > 0
    (run,) = document["runs"]
    assert run["seed"] == 7 and len(str(run["trace_hash"])) == 32
    coverage = run["coverage"]
    assert isinstance(coverage, dict)
    assert set(coverage) == {"committed", "cross", "migrated", "elections", "crashes", "faults"}
    assert coverage["faults"] == {"crash_leader": 1} and coverage["crashes"] >= 1


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_is_the_trouble_it_names_and_nothing_else(name: str) -> None:
    run = run_seed(1, 3_000, scenario=name)
    assert run.failure is None, run.failure
    assert run.coverage["committed"] >= COMMITS and run.coverage["cross"]
    assert set(run.coverage["faults"]) <= set(SCENARIOS[name].kinds)
    assert bool(run.coverage["migrated"]) is bool(SCENARIOS[name].move_every_us)


def test_a_kept_run_says_its_own_seed_steps_and_scenario(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps({"seed": 3, "steps": 700, "scenario": "calm", "schedule": []}))
    (run,) = _simulate("--schedule", str(kept))["runs"]  # type: ignore[misc]
    assert run["seed"] == 3 and run["trace_hash"] == run_seed(3, 700, [], scenario="calm").trace_hash


@pytest.mark.parametrize(
    "options",
    [
        ("--scenario", "flood"),
        ("--seeds", "3..1"),
        ("--seed", "x"),
        ("--schedule", "no-such-file"),
        ("--steps", "0"),
    ],
)
def test_command_says_what_is_wrong_with_its_options(options: tuple[str, ...]) -> None:
    _simulate(*options, status=2)


def test_wire_and_objects_give_the_same_run() -> None:
    """Nothing but bytes passes between nodes: encoding every message changes nothing."""
    config = draw_config(11)
    plain, coded = (play(msgspec.structs.replace(config, wire=wire), 1_000)[0] for wire in (False, True))
    assert plain.trace_hash == coded.trace_hash


def test_jobs_do_not_change_results() -> None:
    alone = [run.trace_hash for run in run_seeds(range(1, 4), 300, jobs=1)]
    assert [run.trace_hash for run in run_seeds(range(1, 4), 300, jobs=2)] == alone


def test_failing_schedule_gets_smaller_and_still_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    mutations.promise_forgotten_at_restart(monkeypatch)
    run = next(run for run in map(run_seed, range(1, 40)) if run.failure is not None)
    failure = run.failure
    assert failure is not None
    assert failure.invariant == "promise never goes back"
    drawn = [fault for fault in draw_config(run.seed).schedule if fault.at_us < 10_000_000]
    assert 0 < len(failure.schedule) < len(drawn)
    again = run_seed(run.seed, schedule=msgspec.convert(failure.schedule, list[Fault]), small=False)
    assert again.failure is not None and again.failure.invariant == failure.invariant


def test_shrink_keeps_what_is_needed() -> None:
    faults = [Fault(at, "crash") for at in range(40)]
    needed = {7, 23}
    small = shrink(faults, lambda tried: needed <= {fault.at_us for fault in tried})
    assert {fault.at_us for fault in small} == needed
    assert shrink(faults, lambda tried: False) == faults
    assert shrink(faults, lambda tried: True) == []


# --- parts ---------------------------------------------------------------------------------


def test_draws_of_a_link_depend_on_that_link_alone() -> None:
    profile = Profile(loss=0.2, duplicate=0.2, tail=0.2)
    alone, busy = Network(5, profile), Network(5, profile)
    got = []
    for i in range(200):
        if i % 3:
            busy.delays(2, 1)
        got.append(busy.delays(1, 2))
    assert got == [alone.delays(1, 2) for _ in range(200)]
    assert {len(delays) for delays in got} == {0, 1, 2}


def test_cut_link_loses_one_direction() -> None:
    network = Network(1, Profile())
    network.cut(1, 2)
    assert network.delays(1, 2) == () and network.delays(2, 1)
    network.heal_all()
    assert network.delays(1, 2)


def test_profile_probabilities_are_about_right() -> None:
    network = Network(3, Profile(loss=0.1, duplicate=0.3))
    counts = [len(network.delays(1, 2)) for _ in range(5_000)]
    assert 400 < counts.count(0) < 600
    assert 1_200 < counts.count(2) < 1_500


@pytest.mark.parametrize("drift_ppm", [-5_000, 0, 37, 5_000])
def test_clock_finds_the_first_moment_that_shows_a_time(drift_ppm: int) -> None:
    clock = Clock(offset_us=12_345, drift_ppm=drift_ppm)
    for local in (20_000, 1_000_000, 123_456_789):
        world = clock.world(local)
        assert clock.local(world) >= local > clock.local(world - 1)


def test_draws_repeat_and_differ_by_name() -> None:
    first, second, other = Draws(1, "a"), Draws(1, "a"), Draws(1, "b")
    row = [first.bits() for _ in range(5)]
    assert row == [second.bits() for _ in range(5)] != [other.bits() for _ in range(5)]
    assert {first.between(3, 5) for _ in range(100)} == {3, 4, 5}
    assert len(first.raw(11)) == 11


def test_tight_constants_are_put_back() -> None:
    from consensus.paxos import catchup

    before = catchup.FETCH_SLOTS_MAX
    with tightened({"consensus.paxos.catchup:FETCH_SLOTS_MAX": 3}):
        assert catchup.FETCH_SLOTS_MAX == 3
    assert before == catchup.FETCH_SLOTS_MAX
    with tightened({name: choices[-1] for name, choices in CHOICES.items()}):
        assert before == catchup.FETCH_SLOTS_MAX, "the last choice is the real value"


def test_schedule_files(tmp_path: Path) -> None:
    faults = schedule.draw(4, (1, 2, 3), schedule.KINDS, 50_000, 3_000_000)
    assert faults == schedule.draw(4, (1, 2, 3), schedule.KINDS, 50_000, 3_000_000)
    assert [fault.at_us for fault in faults] == sorted(fault.at_us for fault in faults)
    path = tmp_path / "schedule.json"
    plain = schedule.to_plain(faults)
    path.write_text(json.dumps(plain))
    assert schedule.load(path) == schedule.Replay(faults)
    path.write_text(json.dumps({"failures": [{"seed": 7, "step": 99, "steps": 800, "schedule": plain}]}))
    assert schedule.load(path) == schedule.Replay(faults, 7, 800)
    path.write_text(json.dumps({"seed": 7, "schedule": plain, "invariant": "agreement"}))
    assert schedule.load(path) == schedule.Replay(faults, 7, invariant="agreement")
    for text in ("", "[{}]", '[{"at_us":1,"kind":"flood"}]', '{"failures":[]}', "7", "{}"):
        path.write_text(text)
        with pytest.raises(ScheduleError):
            schedule.load(path)


def test_several_clusters_run_side_by_side() -> None:
    config = Config(seed=3, topology=topology_of(3, accounts=10, balance=50, clusters=2), clients=1)
    world = World(config)
    world.run(3_000)
    world.settle()
    assert len(world.clients) == 2
    assert all(client.committed for client in world.clients.values())
    assert {checker.bank.total for checker in world.checkers.values()} == {500}
