"""Runs benchmarks, each in a process of its own, one after the other.

The load comes from ``manage.py bench``, so that what is measured here is what a shell would measure. By
default the process starts a private bank; a run on the bank on show uses that one and changes its balances.
"""

from __future__ import annotations

import asyncio
import shlex
from functools import cache
from typing import Any, Final

from django.conf import settings
from django.urls import reverse

from bankweb.benchmarks import replays
from bankweb.benchmarks.models import Benchmark
from bankweb.benchmarks.records import records
from bankweb.orchestration.experiments import BENCHMARK, Experiment
from bankweb.orchestration.hub import hub
from bankweb.runs.processes import Processes
from consensus.workload import machine

COURSE_MAX: Final = 2_000
STEP_S_MIN: Final = 0.3
SHOWN: Final = "shown"
PRIVATE: Final = "private"
FLAGS: Final = {
    "preset": "--preset",
    "engine": "--engine",
    "transactions": "--transactions",
    "duration": "--duration",
    "clusters": "--clusters",
    "nodes": "--nodes",
    "accounts": "--accounts",
    "balance": "--balance",
    "clients": "--clients",
    "connections": "--connections",
    "generators": "--generators",
    "rate": "--rate",
    "cross_shard": "--cross-shard",
    "read_only": "--read-only",
    "mix": "--mix",
    "distribution": "--distribution",
    "skewness": "--skewness",
    "consistency": "--consistency",
    "amount": "--amount",
    "warmup": "--warmup",
    "seed": "--seed",
}
"""Parameters of a benchmark and the options of ``manage.py bench`` they become."""
PRIVATE_ONLY: Final = ("clusters", "nodes", "accounts", "balance")


class Benchmarks(Processes[Benchmark]):
    """Of this process."""

    noun = "benchmark"

    def __init__(self) -> None:
        super().__init__(records)
        self._before: dict[str, Any] = {}
        self._began_s = 0.0

    async def begin(self, parameters: dict[str, Any], name: str, bank: str, actor: str) -> Benchmark:
        """Queue a run.

        Raises:
            Problem: too many wait (503).
        """
        row = Benchmark(actor=actor, name=name, bank=bank, parameters=parameters, machine=machine.facts())
        row.commit = await asyncio.to_thread(machine.commit)
        return await self.queue(row)

    def options(self, row: Benchmark) -> list[str]:
        return options_of(row)

    def experiment(self, row: Benchmark) -> Experiment | None:
        if row.bank != SHOWN:
            return None
        return Experiment(BENCHMARK, f"Benchmark {row.name}", reverse("benchmark", args=[row.pk]))

    def begins(self, row: Benchmark) -> None:
        self._before = {"seconds": 0.0, "ended": 0}
        self._began_s = 0.0
        hub().happened({"k": "bench.phase", "n": 0, "phase": "begin", "name": row.name})

    def ends(self, row: Benchmark) -> None:
        hub().happened({"k": "bench.phase", "n": 0, "phase": "end", "name": row.name})

    def kept(self, row: Benchmark) -> dict[str, Any]:
        return {"course": row.course}

    async def judged(self, row: Benchmark, result: dict[str, Any], status: int) -> str:
        return "" if status == 0 else "money was not conserved, or replicas differ"

    def heard(self, row: Benchmark, line: dict[str, Any]) -> None:
        progress = line["progress"]
        before = self._before
        if progress["seconds"] < before["seconds"]:
            # The next step of a sweep: it counts from its own beginning.
            self._began_s += before["seconds"]
            before = {"seconds": 0.0, "ended": 0}
        seconds = progress["seconds"] - before["seconds"]
        row.progress = progress
        if seconds < STEP_S_MIN and before["seconds"]:
            return  # the end of the window, just after a line: too short a time for a rate
        rate = (progress["ended"] - before["ended"]) / seconds if seconds > 0 else 0.0
        self._before = progress
        at_s = round(self._began_s + progress["seconds"], 2)
        point = [at_s, round(rate, 1), progress["recent_p50_ms"], progress["recent_p99_ms"]]
        row.course = [*row.course[-COURSE_MAX:], point]


def options_of(row: Benchmark) -> list[str]:
    """Command and options of a run."""
    return ["bench", *asked(row.parameters, row.bank), "--json", "--progress"]


def asked(parameters: dict[str, Any], bank: str) -> list[str]:
    """What was asked for, as options of ``manage.py bench``."""
    options: list[str] = []
    for name, flag in FLAGS.items():
        value = parameters.get(name)
        if value is not None and not (bank == SHOWN and name in PRIVATE_ONLY):
            options += [flag, f"{value:g}" if isinstance(value, float) else str(value)]
    if parameters.get("replay"):
        options += ["--replay", str(replays.path(parameters["replay"]))]
    if parameters.get("sweep"):
        options.append("--sweep")
    if bank == SHOWN:
        options += ["--bank", str(settings.BANK_DATA)]
    return options


def shell(parameters: dict[str, Any], bank: str) -> str:
    """The same as a command line, to be given in the project's folder."""
    return shlex.join(["python", "manage.py", "bench", *asked(parameters, bank)])


@cache
def benchmarks() -> Benchmarks:
    """Of this process."""
    return Benchmarks()
