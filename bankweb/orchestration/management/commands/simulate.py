"""``manage.py simulate``: a cluster under virtual time, with faults drawn from seeds."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandParser

from consensus.simulation import exhaustive
from consensus.simulation.run import STEPS, Run, record, report, run_seeds
from consensus.simulation.scenarios import SCENARIOS
from consensus.simulation.schedule import ScheduleError, load

EXIT_FAILED = 1
EXIT_USAGE = 2
EXHAUSTIVE_TOLD_EVERY = 100_000


def seed_range(text: str) -> range:
    """Read ``7`` or ``1..100``, both ends included."""
    first, dots, last = text.partition("..")
    try:
        found = range(int(first), int(last if dots else first) + 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a seed nor a range like 1..100") from None
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} holds no seed: the first is above the last")
    return found


class Command(BaseCommand):
    help = "Run replicas of a cluster under virtual time, with faults from a seed, and check invariants."
    requires_system_checks = []  # noqa: RUF012  (Django's own way)

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--seed", type=int, help="one seed")
        which.add_argument("--seeds", type=seed_range, help="seeds A..B (1)")
        parser.add_argument("--steps", type=int, help=f"steps of replicas in a run, at least ({STEPS})")
        parser.add_argument(
            "--schedule",
            type=Path,
            help="faults (and seed and steps) from this file instead of the seed's own",
        )
        parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (one per core)")
        parser.add_argument("--progress", action="store_true", help="each seed as a line of JSON on stderr")
        parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
        parser.add_argument(
            "--scenario", choices=SCENARIOS, help="runs of one sort of trouble instead of mixed ones"
        )
        which.add_argument(
            "--exhaustive",
            choices=(*exhaustive.SCOPES, "all"),
            help="no seeds: every interleaving of a small world",
        )
        parser.add_argument("--trace", type=Path, help="write the trace of the one seed to this file (gzip)")

    def handle(self, **options: Any) -> None:
        if options["exhaustive"] is not None:
            self._exhaust(options["exhaustive"], options["json"])
            return
        schedule, scenario = None, options["scenario"] or ""
        seed, steps = options["seed"], options["steps"]
        if options["schedule"] is not None:
            try:
                replay = load(options["schedule"])
            except ScheduleError as error:
                self._stop(str(error))
            schedule = replay.schedule
            if seed is None and options["seeds"] is None:
                seed = replay.seed
            steps = replay.steps if steps is None else steps
            scenario = scenario or replay.scenario
        steps = STEPS if steps is None else steps
        if steps < 1:
            self._stop("--steps has to be at least 1")
        seeds = (options["seeds"] or range(1, 2)) if seed is None else range(seed, seed + 1)
        if options["trace"] is not None:
            if len(seeds) != 1:
                self._stop("--trace: is about one seed; give --seed")
            try:
                record(seeds[0], options["trace"], steps, schedule, scenario)
            except OSError as error:
                self._stop(f"--trace: {error}")
        runs: list[Run] = []
        for run in run_seeds(seeds, steps, schedule, options["jobs"], scenario):
            runs.append(run)
            if options["progress"]:
                self._report(run, len(runs), len(seeds))
            else:
                self._tell(run, len(runs), len(seeds))
        document = report(runs)
        if options["json"]:
            self.stdout.write(json.dumps(document, indent=1))
        else:
            self._print(document)
        if document["failures"]:
            sys.exit(EXIT_FAILED)

    def _exhaust(self, name: str, as_json: bool) -> None:
        names = list(exhaustive.SCOPES) if name == "all" else [name]
        failed = False
        for scope in names:
            found = exhaustive.Search(exhaustive.SCOPES[scope], self._tell_found).run()
            failed = failed or bool(found.violation)
            if as_json:
                self.stdout.write(json.dumps(msgspec.to_builtins(found)))
                continue
            self.stdout.write(
                f"{scope}: {found.states:,} states, {found.transitions:,} transitions, {found.node_states:,} "
                f"states of a node, {found.messages:,} messages: "
                + (f"violated: {found.violation}" if found.violation else "all invariants hold in each")
            )
            for line in found.way:
                self.stdout.write(f"  {line}")
        if failed:
            sys.exit(EXIT_FAILED)

    def _tell_found(self, found: exhaustive.Found) -> None:
        if found.states % EXHAUSTIVE_TOLD_EVERY == 0:
            self.stderr.write(
                f"{found.scope}: {found.states:,} states, {found.transitions:,} transitions so far"
            )

    def _stop(self, sentence: str) -> None:
        self.stderr.write(f"simulate: {sentence}")
        sys.exit(EXIT_USAGE)

    def _tell(self, run: Run, done: int, count: int) -> None:
        if run.failure is not None:
            self.stderr.write(f"seed {run.seed}, step {run.failure.step}: {run.failure.invariant}")
        elif done % 100 == 0 or done == count:
            self.stderr.write(f"{done} of {count} seeds")

    def _report(self, run: Run, done: int, count: int) -> None:
        told = {"done": done, "of": count, "seed": run.seed, "failed": run.failure is not None}
        told["committed"] = run.coverage["committed"]
        self.stderr.write(json.dumps({"progress": told}))

    def _print(self, document: dict[str, Any]) -> None:
        for failure in document["failures"]:
            self.stdout.write(
                f"seed {failure['seed']} failed in step {failure['step']}: {failure['invariant']}"
            )
            self.stdout.write(f"  {failure['detail']}")
            for fault in failure["schedule"]:
                self.stdout.write(f"  {fault}")
        sums = {"committed": 0, "elections": 0, "crashes": 0}
        for name in sums:
            sums[name] = sum(run["coverage"][name] for run in document["runs"])
        faults = sum(sum(run["coverage"]["faults"].values()) for run in document["runs"])
        self.stdout.write(
            f"{document['passed']} of {document['seeds']} seeds passed: {sums['committed']} transactions "
            f"committed, {sums['elections']} elections, {sums['crashes']} crashes, {faults} faults, "
            f"{document['steps_per_second']} steps/s"
        )
