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
from consensus.simulation.schedule import Fault, to_plain
from consensus.simulation.several import draw_run
from consensus.simulation.shrink import shrink
from consensus.simulation.tight import tightened
from consensus.simulation.tracing import Tracer, tracing
from consensus.simulation.world import World

STEPS: Final = 5_000
"""Steps of replicas in a run with faults; coming to rest afterwards takes some more."""


class Failure(msgspec.Struct, frozen=True):
    """What was broken, in which step, and what was happening. ``schedule`` repeats it with the run's seed."""

    seed: int
    invariant: str
    step: int
    detail: str
    schedule: list[dict[str, Any]]


class Run(msgspec.Struct, frozen=True):
    """A seed's run: what happened in it, and a hash over all of it that is always the same."""

    seed: int
    steps: int
    seconds: float
    trace_hash: str
    coverage: dict[str, Any]
    failure: Failure | None = None


def play(config: Config, steps: int, tracer: Tracer | None = None) -> tuple[World, Violation | None]:
    """Run a configuration to its end. An assertion of the core is a violation like any other."""
    with tightened(config.tight):
        world = World(config)
        world.tracer = tracer
        try:
            world.run(steps)
            world.settle()
        except Violation as violation:
            return world, violation
        except AssertionError as error:
            return world, Violation("assertion of the core", str(error) or _place(error))
    return world, None


def run_seed(seed: int, steps: int = STEPS, schedule: list[Fault] | None = None, small: bool = True) -> Run:
    """Run a seed, with the faults it draws or those of ``schedule``.

    ``small``: when it fails, find a smaller schedule that fails in the same way.
    """
    config = draw_run(seed, schedule)
    begun = time.perf_counter()
    world, violation = play(config, steps)
    seconds = time.perf_counter() - begun
    failure = None
    if violation is not None:
        faults = [fault for fault in config.schedule if fault.at_us <= world.now_us]
        if small:
            faults = shrink(faults, lambda tried: _fails_alike(seed, steps, tried, violation.invariant))
        failure = Failure(seed, violation.invariant, world.steps, violation.detail, to_plain(faults))
    return Run(seed, world.steps, seconds, world.trace_hash, coverage(world), failure)


def record(
    seed: int, path: Path, steps: int = STEPS, schedule: list[Fault] | None = None
) -> Violation | None:
    """Run a seed again and write its trace to ``path`` (schema v1, gzip); returns how it failed, if it did.

    Raises:
        OSError: the file cannot be written.
    """
    config = draw_run(seed, schedule)
    with tracing(path, config.topology, seed) as tracer:
        world, violation = play(config, steps, tracer)
        if violation is not None:
            tracer.violated(world, violation.invariant, violation.detail)
    return violation


def _fails_alike(seed: int, steps: int, faults: list[Fault], invariant: str) -> bool:
    _, violation = play(draw_run(seed, faults), steps)
    return violation is not None and violation.invariant == invariant


def run_seeds(
    seeds: range, steps: int = STEPS, schedule: list[Fault] | None = None, jobs: int = 1
) -> Iterator[Run]:
    """Run every seed, in order, on ``jobs`` processes."""
    if jobs <= 1 or len(seeds) <= 1:
        for seed in seeds:
            yield run_seed(seed, steps, schedule)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(seeds)), mp_context=context) as pool:
        yield from pool.map(run_seed, seeds, repeat(steps), repeat(schedule))


def coverage(world: World) -> dict[str, Any]:
    """What a run saw, by the names of the contract and some more."""
    clients = world.clients.values()
    checkers = world.checkers.values()
    return {
        "committed": sum(client.committed for client in clients),
        "aborted": sum(client.aborted for client in clients),
        "resolved": sum(client.resolved for client in clients),
        "reads": sum(client.reads_done for client in clients),
        "cross": sum(client.crossed for client in clients),
        "migrated": world.whole.moved,
        "slots": sum(checker.chosen_to for checker in checkers),
        "elections": sum(checker.elections for checker in checkers),
        "state_transfers": sum(checker.state_transfers for checker in checkers),
        "rebuilt": sum(checker.rebuilt for checker in checkers),
        "sessions_evicted": sum(len(checker.bank.evicted) for checker in checkers),
        "crashes": world.injector.crashes,
        "writes_cut_off": sum(node.disk.crashes_writing for node in world.nodes.values()),
        "torn_writes": sum(node.disk.crashes_torn for node in world.nodes.values()),
        "segments_dropped": sum(node.disk.segments_dropped for node in world.nodes.values()),
        "messages_lost": world.network.lost,
        "messages_doubled": world.network.doubled,
        "faults": dict(sorted(world.injector.done.items())),
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
            {"seed": run.seed, "steps": run.steps, "trace_hash": run.trace_hash, "coverage": run.coverage}
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
