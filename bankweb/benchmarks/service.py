"""Runs benchmarks, each in a process of its own, one after the other.

The load comes from ``manage.py bench``, so that what is measured here is what a shell would measure. By
default the process starts a private bank; a run on the bank on show uses that one and changes its balances.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections import deque
from functools import cache
from typing import Any, Final

import msgspec
from django.conf import settings

from bankweb.benchmarks import machine, records
from bankweb.benchmarks.models import Benchmark
from bankweb.benchmarks.records import CANCELLED, DONE, FAILED, QUEUED, RUNNING
from bankweb.orchestration.hub import hub
from bankweb.rest.problems import Problem

_log = logging.getLogger(__name__)

QUEUE_MAX: Final = 20
OUTPUT_BYTES_MAX: Final = 32 << 20
SAID_MAX: Final = 40
"""Lines of stderr that are kept to explain a failure."""
COURSE_MAX: Final = 2_000
STOP_S: Final = 15.0
SHOWN: Final = "shown"
PRIVATE: Final = "private"
FLAGS: Final = {
    "preset": "--preset",
    "transactions": "--transactions",
    "duration": "--duration",
    "clusters": "--clusters",
    "nodes": "--nodes",
    "accounts": "--accounts",
    "balance": "--balance",
    "clients": "--clients",
    "connections": "--connections",
    "rate": "--rate",
    "cross_shard": "--cross-shard",
    "read_only": "--read-only",
    "distribution": "--distribution",
    "skewness": "--skewness",
    "consistency": "--consistency",
    "amount": "--amount",
    "warmup": "--warmup",
    "seed": "--seed",
}
"""Parameters of a benchmark and the options of ``manage.py bench`` they become."""
PRIVATE_ONLY: Final = ("clusters", "nodes", "accounts", "balance")


class Benchmarks:
    """Of this process."""

    def __init__(self) -> None:
        self.running: Benchmark | None = None
        self.waiting: deque[Benchmark] = deque()
        self._process: asyncio.subprocess.Process | None = None
        self._worker: asyncio.Task[None] | None = None
        self._cancelled = False

    async def begin(self, parameters: dict[str, Any], name: str, bank: str, actor: str) -> Benchmark:
        """Queue a run.

        Raises:
            Problem: too many wait (503).
        """
        if len(self.waiting) >= QUEUE_MAX:
            raise Problem("overloaded", f"{QUEUE_MAX} benchmarks wait; cancel one or come back later")
        row = Benchmark(
            created=records.now(),
            actor=actor,
            name=name,
            bank=bank,
            status=QUEUED,
            parameters=parameters,
            commit=await asyncio.to_thread(machine.commit),
            machine=machine.facts(),
        )
        await records.add(row)
        self.waiting.append(row)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.ensure_future(self._work())
        return row

    async def cancel(self, row: Benchmark) -> Benchmark:
        """Stop a run, or take it out of the queue. One that is over stays as it is."""
        for waiting in self.waiting:
            if waiting.pk == row.pk:
                self.waiting.remove(waiting)
                await records.change(waiting, status=CANCELLED, ended=records.now())
                return waiting
        if self.running is not None and self.running.pk == row.pk and self._process is not None:
            self._cancelled = True
            self._process.send_signal(signal.SIGTERM)
            return self.running
        return row

    def current(self, row: Benchmark) -> Benchmark:
        """The row with its newest progress."""
        return self.running if self.running is not None and self.running.pk == row.pk else row

    async def _work(self) -> None:
        while self.waiting:
            row = self.running = self.waiting.popleft()
            self._cancelled = False
            try:
                await self._run(row)
            except asyncio.CancelledError:
                raise
            except Exception:
                _log.exception("benchmark %s", row.pk)
                await records.change(row, status=FAILED, error="the site's log says how", ended=records.now())
            finally:
                self.running = None
                self._process = None

    async def _run(self, row: Benchmark) -> None:
        await records.change(row, status=RUNNING, started=records.now())
        hub().happened({"k": "bench.phase", "n": 0, "phase": "begin", "name": row.name})
        process = self._process = await asyncio.create_subprocess_exec(
            *command(row),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=settings.BASE_DIR,
            limit=OUTPUT_BYTES_MAX,
        )
        assert process.stdout is not None
        try:
            async with asyncio.TaskGroup() as group:
                out = group.create_task(process.stdout.read())
                said = group.create_task(self._hear(row, process.stderr))
            status = await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                await asyncio.wait_for(process.wait(), STOP_S)
            hub().happened({"k": "bench.phase", "n": 0, "phase": "end", "name": row.name})
        ended: dict[str, Any] = {"ended": records.now(), "course": row.course, "progress": row.progress}
        if self._cancelled:
            await records.change(row, status=CANCELLED, **ended)
            return
        try:
            result = msgspec.json.decode(out.result())
        except msgspec.DecodeError:
            error = "\n".join(said.result()) or f"it ended with status {status}"
            await records.change(row, status=FAILED, error=error, **ended)
            return
        error = "" if status == 0 else "money was not conserved, or replicas differ"
        await records.change(row, status=DONE if status == 0 else FAILED, error=error, result=result, **ended)

    async def _hear(self, row: Benchmark, stderr: Any) -> list[str]:
        """Take up progress as it comes; what else is said may explain a failure."""
        said: deque[str] = deque(maxlen=SAID_MAX)
        before: dict[str, Any] = {"seconds": 0.0, "ended": 0}
        began_s = 0.0
        while line := await stderr.readline():
            if not line.startswith(b'{"progress"'):
                said.append(line.decode("utf-8", "replace").rstrip())
                continue
            progress = msgspec.json.decode(line)["progress"]
            if progress["seconds"] < before["seconds"]:
                # The next step of a sweep: it counts from its own beginning.
                began_s += before["seconds"]
                before = {"seconds": 0.0, "ended": 0}
            seconds = progress["seconds"] - before["seconds"]
            rate = (progress["ended"] - before["ended"]) / seconds if seconds > 0 else 0.0
            before = progress
            row.progress = progress
            at_s = round(began_s + progress["seconds"], 2)
            point = [at_s, round(rate, 1), progress["p50_ms"], progress["p99_ms"]]
            row.course = [*row.course[-COURSE_MAX:], point]
        return list(said)

    async def close(self) -> None:
        """Stop what runs; it is shown as failed by the next process."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)


def command(row: Benchmark) -> list[str]:
    """The command line of a run."""
    options: list[str] = []
    for name, flag in FLAGS.items():
        value = row.parameters.get(name)
        if value is not None and not (row.bank == SHOWN and name in PRIVATE_ONLY):
            options += [flag, f"{value:g}" if isinstance(value, float) else str(value)]
    if row.parameters.get("sweep"):
        options.append("--sweep")
    if row.bank == SHOWN:
        options += ["--bank", str(settings.BANK_DATA)]
    return [sys.executable, "manage.py", "bench", *options, "--json", "--progress"]


@cache
def benchmarks() -> Benchmarks:
    """Of this process."""
    return Benchmarks()
