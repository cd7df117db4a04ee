"""Several clusters under faults, and the proof that the simulation would find what breaks between them."""

from __future__ import annotations

from collections import Counter

import pytest

from consensus.simulation.run import COMMITS, play, run_seed
from consensus.simulation.several import cross_config
from tests.replica import test_doubts
from tests.sim import cross_mutations
from tests.sim.crashing import Crash
from tests.sim.cross_mutations import FOUND_BY_CRASHES, FOUND_BY_SEEDS
from tests.sim.move_mutations import FOUND_BY_MOVES
from tests.sim.mutations import Mutation
from tests.sim.test_crash_points import LEADERS, SCENARIOS
from tests.txn import test_participant

pytestmark = pytest.mark.long

STEPS = 3_000
PART = 15


@pytest.mark.parametrize("first", range(1, 61, PART))
def test_invariants_of_the_whole_bank_hold(first: int) -> None:
    seen: Counter[str] = Counter()
    for seed in range(first, first + PART):
        world, violation = play(cross_config(seed), STEPS)
        assert violation is None, f"seed {seed}: {violation}"
        seen["committed"] += world.whole.committed
        seen["aborted"] += world.whole.aborted
        seen["audit cuts"] += world.whole.cuts
        seen["crashes"] += world.injector.crashes
        seen["elections"] += sum(checker.elections for checker in world.checkers.values())
        seen["lost conflicts"] += sum(client.conflicts for client in world.clients.values())
    assert len(seen) == 6 and all(seen.values()), seen


@pytest.mark.parametrize("first", range(1, 41, PART))
def test_invariants_hold_while_accounts_move(first: int) -> None:
    seen: Counter[str] = Counter()
    for seed in range(first, first + PART):
        run = run_seed(seed, STEPS, small=False)
        assert run.failure is None, f"seed {seed}: {run.failure}"
        assert run.coverage["committed"] >= COMMITS
        seen.update(
            {name: int(bool(run.coverage[name])) for name in ("cross", "migrated", "crashes", "elections")}
        )
    assert min(seen.values()) >= 0.6 * PART, seen


def test_a_run_with_clusters_repeats() -> None:
    hashes = {play(cross_config(5), 1_000)[0].trace_hash for _ in range(2)}
    assert len(hashes) == 1


def crash_everywhere(name: str) -> None:
    """Runs of a scenario with a crash at each point, until one breaks something."""
    scenario = SCENARIOS[name]
    quiet = scenario.play()
    points = quiet.quiet()
    assert quiet.status == scenario.quiet
    for point in points:
        for nodes in LEADERS[scenario.clusters]:
            for back in ("led", "over"):
                scenario.play(Crash(point, nodes, back)).run()


@pytest.mark.parametrize("mutation", FOUND_BY_CRASHES, ids=lambda mutation: mutation.__name__)
def test_crashes_find_it(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation(monkeypatch)
    with pytest.raises(AssertionError):
        crash_everywhere(FOUND_BY_CRASHES[mutation])


@pytest.mark.parametrize("mutation", FOUND_BY_SEEDS, ids=lambda mutation: mutation.__name__)
def test_seeds_find_it(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation(monkeypatch)
    for seed in range(1, FOUND_BY_SEEDS[mutation] + 1):
        _, violation = play(cross_config(seed), STEPS)
        if violation is not None:
            return
    pytest.fail(f"{FOUND_BY_SEEDS[mutation]} seeds did not find: {mutation.__doc__}")


@pytest.mark.parametrize("mutation", FOUND_BY_MOVES, ids=lambda mutation: mutation.__name__)
def test_seeds_with_moving_accounts_find_it(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation(monkeypatch)
    for seed in range(1, FOUND_BY_MOVES[mutation] + 1):
        # As long as the command's runs: sessions make room late in a run.
        if run_seed(seed, small=False).failure is not None:
            return
    pytest.fail(f"{FOUND_BY_MOVES[mutation]} seeds did not find: {mutation.__doc__}")


def test_a_scenario_finds_that_the_ended_commits_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """35 takes a deposed leader, another transaction that stays open and a late message: rare in seeds."""
    scenario = test_doubts.test_what_everybody_acknowledged_does_not_commit_a_second_time
    scenario()
    cross_mutations.ended_means_committed_again(monkeypatch)
    with pytest.raises(AssertionError):
        scenario()


def test_a_scenario_finds_that_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """20 takes a client that gives up and a decision that is lost: an attempt is taken back unasked."""
    scenario = test_participant.test_in_doubt_it_asks_every_member_every_50_ms_after_500
    scenario()
    cross_mutations.nobody_asks(monkeypatch)
    with pytest.raises(AssertionError):
        scenario()
