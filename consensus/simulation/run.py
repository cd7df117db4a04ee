"""One run from a seed to a verdict, and many of them on several processes."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Any, Final

import msgspec

from consensus.simulation.config import Config
from consensus.simulation.invariants import Violation
from consensus.simulation.scenarios import scenario_config
from consensus.simulation.schedule import Fault, to_plain
from consensus.simulation.several import draw_run
from consensus.simulation.shrink import shrink
from consensus.simulation.tight import tightened
from consensus.simulation.tracing import Tracer, tracing
from consensus.simulation.world import World

STEPS: Final = 5_000
"""Steps of replicas with faults; what follows until everything is at rest takes some more."""
COMMITS: Final = 100
"""So many transactions commit before a run comes to its end. Where the faults let too few through, the rest
commit once they are over: a bank that has seen them has to work on."""


class Failure(msgspec.Struct, frozen=True):
    """What was broken, in which step, and what was happening.

    Seed, ``steps`` (what was asked for) and ``schedule`` repeat it.
    """

    seed: int
    invariant: str
    step: int
    detail: str
    schedule: list[dict[str, Any]]
    steps: int = STEPS
    scenario: str = ""


class Run(msgspec.Struct, frozen=True):
    """A seed's run: what happened in it, and a hash over all of it that is always the same."""

    seed: int
    steps: int
    seconds: float
    trace_hash: str
    coverage: dict[str, Any]
    """What a run is for; most runs have some of each."""
    seen: dict[str, Any]
    """What else happened."""
    failure: Failure | None = None


def play(
    config: Config, steps: int, tracer: Tracer | None = None, commits: int = 0
) -> tuple[World, Violation | None]:
    """Run a configuration for so many steps and commits, then to its end.

    An assertion of the core is a violation like any other.
    """
    with tightened(config.tight):
        world = World(config)
        world.tracer = tracer
        try:
            world.run(steps)
            world.recover(commits)
            world.settle()
        except Violation as violation:
            return world, violation
        except AssertionError as error:
            return world, Violation("assertion of the core", str(error) or _place(error))
    return world, None


def config_of(seed: int, schedule: list[Fault] | None = None, scenario: str = "") -> Config:
    """What a seed runs: everything drawn from it, or a scenario's run."""
    return scenario_config(scenario, seed, schedule) if scenario else draw_run(seed, schedule)


def run_seed(
    seed: int,
    steps: int = STEPS,
    schedule: list[Fault] | None = None,
    small: bool = True,
    scenario: str = "",
) -> Run:
    """Run a seed, with the faults it draws or those of ``schedule``.

    ``small``: when it fails, find a smaller schedule that fails in the same way.
    """
    config = config_of(seed, schedule, scenario)
    begun = time.perf_counter()
    world, violation = play(config, steps, commits=COMMITS)
    seconds = time.perf_counter() - begun
    failure = None
    if violation is not None:
        faults = [fault for fault in config.schedule if fault.at_us <= world.now_us]
        if small:
            faults = shrink(
                faults,
                lambda tried: _fails_alike(config_of(seed, tried, scenario), steps, violation.invariant),
            )
        failure = Failure(
            seed, violation.invariant, world.steps, violation.detail, to_plain(faults), steps, scenario
        )
    return Run(seed, world.steps, seconds, world.trace_hash, coverage(world), seen(world), failure)


def record(
    seed: int, path: Path, steps: int = STEPS, schedule: list[Fault] | None = None, scenario: str = ""
) -> Violation | None:
    """Run a seed again and write its trace to ``path`` (schema v1, gzip); returns how it failed, if it did.

    Raises:
        OSError: the file cannot be written.
    """
    config = config_of(seed, schedule, scenario)
    with tracing(path, config.topology, seed) as tracer:
        world, violation = play(config, steps, tracer, COMMITS)
        if violation is not None:
            tracer.violated(world, violation.invariant, violation.detail)
    return violation


def _fails_alike(config: Config, steps: int, invariant: str) -> bool:
    _, violation = play(config, steps, commits=COMMITS)
    return violation is not None and violation.invariant == invariant


def run_seeds(
    seeds: range,
    steps: int = STEPS,
    schedule: list[Fault] | None = None,
    jobs: int = 1,
    scenario: str = "",
) -> Iterator[Run]:
    """Run every seed, in order, on ``jobs`` processes."""
    if jobs <= 1 or len(seeds) <= 1:
        for seed in seeds:
            yield run_seed(seed, steps, schedule, scenario=scenario)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(seeds)), mp_context=context) as pool:
        yield from pool.map(run_seed, seeds, repeat(steps), repeat(schedule), repeat(True), repeat(scenario))


def coverage(world: World) -> dict[str, Any]:
    """What a run saw, by the names of the contract."""
    return {
        "committed": world.committed,
        "cross": sum(client.crossed for client in world.clients.values()),
        "migrated": world.whole.moved,
        "elections": sum(checker.elections for checker in world.checkers.values()),
        "crashes": world.injector.crashes,
        "faults": dict(sorted(world.injector.done.items())),
    }


def seen(world: World) -> dict[str, Any]:
    """What else a run saw: much of it needs luck, or a configuration that not every seed draws."""
    clients = world.clients.values()
    checkers = world.checkers.values()
    return {
        "aborted": sum(client.aborted for client in clients),
        "resolved": sum(client.resolved for client in clients),
        "reads": sum(client.reads_done for client in clients),
        "slots": sum(checker.chosen_to for checker in checkers),
        "state_transfers": sum(checker.state_transfers for checker in checkers),
        "rebuilt": sum(checker.rebuilt for checker in checkers),
        "sessions_displaced": sum(checker.bank.displaced for checker in checkers),
        "sessions_evicted": sum(len(checker.bank.evicted) for checker in checkers),
        "writes_cut_off": sum(node.disk.crashes_writing for node in world.nodes.values()),
        "torn_writes": sum(node.disk.crashes_torn for node in world.nodes.values()),
        "segments_dropped": sum(node.disk.segments_dropped for node in world.nodes.values()),
        "messages_lost": world.network.lost,
        "messages_doubled": world.network.doubled,
        "faults_left_out": dict(sorted(world.injector.left_out.items())),
    }


def report(runs: list[Run]) -> dict[str, Any]:
    """The document of ``simulate --json``. ``steps_per_second`` is that of one process."""
    failures = [run.failure for run in runs if run.failure is not None]
    seconds = sum(run.seconds for run in runs)
    document = {
        "seeds": len(runs),
        "passed": len(runs) - len(failures),
        "failures": failures,
        "steps_per_second": round(sum(run.steps for run in runs) / seconds) if seconds else 0,
        "runs": [
            {
                "seed": run.seed,
                "steps": run.steps,
                "trace_hash": run.trace_hash,
                "coverage": run.coverage,
                "seen": run.seen,
            }
            for run in runs
        ],
    }
    plain: dict[str, Any] = msgspec.to_builtins(document)
    return plain


def _place(error: AssertionError) -> str:
    """Where an assertion without a text stands."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    if frame is None:
        return "somewhere"
    return f"{frame.tb_frame.f_code.co_qualname} in {frame.tb_frame.f_globals.get('__name__', '?')}"
