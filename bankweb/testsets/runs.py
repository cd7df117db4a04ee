"""Runs of test sets: which file, how far, what came of it. One has a bank at a time, while it is used.

They live in this process: a restart of the site forgets them.
"""

from __future__ import annotations

import asyncio
import datetime
import io
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from django.urls import reverse
from rich.console import Console

from bankweb.orchestration.bank import topology as shown_topology
from bankweb.orchestration.experiments import TESTSET, Experiment, experiments
from bankweb.rest.problems import Problem
from bankweb.testsets.files import Sizes, read_sets, shown_sizes
from bankweb.testsets.private import Bench, open_bank
from bankweb.testsets.shown import open_shown
from consensus.cli.shell.commands import Shell
from consensus.client.errors import ClientError, OperatorError
from consensus.cluster.folder import FolderError
from consensus.cluster.launcher import StartError
from consensus.cluster.ports import PortBusyError
from consensus.testset.parser import TestSet
from consensus.testset.report import SetReport
from consensus.topology import Topology

_log = logging.getLogger(__name__)

KEPT_MAX: Final = 20
"""Runs; the oldest that is not under way goes first."""
IDLE_S: Final = 900.0
"""A bank that nobody used for so long is stopped; the next set starts another."""
SHOWN_IDLE_S: Final = 120.0
"""The bank on show is given back sooner: others wait for it."""
PRINT_WIDTH: Final = 100_000
"""Columns of printed text: lines are not wrapped here."""
FUNCTIONS: Final = ("printbalance", "printdb", "printview", "printlog", "performance")

_FAULTS: Final = (
    StartError, FolderError, PortBusyError, OperatorError, ClientError, TimeoutError, OSError,
)  # fmt: skip

bank_factory: Callable[[Topology], Awaitable[Bench]] = open_bank
shown_factory: Callable[[Topology], Awaitable[Bench]] = open_shown
"""Tests put a fake there."""


class Run:
    """One file.

    Attributes:
        state: ``ready``, ``starting`` (its bank), ``running`` (a set), ``resharding`` (PrintReshard) or
            ``failed`` (the last try; another may do).
        resharded: what PrintReshard printed after the last set; empty if it was not asked for.
        at: index of the next set.
        over: commands of the running set that are over.
        on_show: whether it uses the bank on show, not a private one.
        ended: per set that was run or skipped, in order: (set, report or None).
    """

    def __init__(
        self,
        number: int,
        name: str,
        sizes: Sizes,
        topology: Topology,
        sets: list[TestSet],
        *,
        on_show: bool = False,
    ) -> None:
        self.id = number
        self.on_show = on_show
        self.name = name
        self.sizes = sizes
        self.topology = topology
        self.sets = sets
        self.created = datetime.datetime.now(datetime.UTC)
        self.state = "ready"
        self.error = ""
        self.at = 0
        self.over = 0
        self.resharded = ""
        self.ended: list[tuple[TestSet, SetReport | None]] = []
        self.bench: Bench | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        return self.state in ("starting", "running", "resharding")

    @property
    def experiment(self) -> Experiment:
        """What it is on the bank on show."""
        return Experiment(TESTSET, f"Test set {self.name}", reverse("testset", args=[self.id]))

    @property
    def upcoming(self) -> TestSet | None:
        return self.sets[self.at] if self.at < len(self.sets) else None

    @property
    def last(self) -> SetReport | None:
        """The report of the set that was run last."""
        return next((report for _, report in reversed(self.ended) if report is not None), None)

    def summary(self) -> dict[str, Any]:
        """The run as lists show it (``serializers.RunSerializer``)."""
        upcoming = self.upcoming
        return {
            "id": self.id,
            "name": self.name,
            "created": self.created.isoformat(),
            **msgspec.structs.asdict(self.sizes),
            "state": self.state,
            "error": self.error or None,
            "sets_total": len(self.sets),
            "sets_over": self.at,
            "next": upcoming.number if upcoming else None,
            "commands_over": self.over,
            "commands_total": len(upcoming.commands) if upcoming else 0,
            "bank": self.bench is not None,
            "on_show": self.on_show,
            "resharded": self.resharded or None,
        }

    def document(self) -> dict[str, Any]:
        """The run with the report of each set (CONTRACT ``testset``)."""
        sets = [report.to_json() for _, report in self.ended if report is not None]
        skipped = [test_set.number for test_set, report in self.ended if report is None]
        return {**self.summary(), "sets": sets, "skipped": skipped}


class Runs:
    """All runs of this process."""

    def __init__(self) -> None:
        self._runs: dict[int, Run] = {}
        self._number = 0
        self._idle: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def newest_first(self) -> list[Run]:
        return list(reversed(self._runs.values()))

    def get(self, number: int) -> Run:
        """The run of that number.

        Raises:
            Problem: there is none (404).
        """
        if number not in self._runs:
            raise Problem("not_found", f"there is no run {number}; a restart of the site forgets them")
        return self._runs[number]

    def add(self, name: str, data: bytes, sizes: Sizes, *, on_show: bool = False) -> Run:
        """Take a file in; nothing is run yet. ``on_show``: for the bank on show, whatever ``sizes`` says.

        Raises:
            Problem: the file is malformed, with line and column, or the sizes are (400).
        """
        if on_show:
            sizes = shown_sizes()
        topology = shown_topology() if on_show else sizes.topology()
        sets = read_sets(data, topology)
        if len(self._runs) >= KEPT_MAX:
            oldest = next((run for run in self._runs.values() if run.bench is None and not run.busy), None)
            if oldest is None:
                raise Problem("conflict", "every run that is kept is under way")
            del self._runs[oldest.id]
        self._number += 1
        run = self._runs[self._number] = Run(self._number, name, sizes, topology, sets, on_show=on_show)
        return run

    def next(self, run: Run) -> None:
        """Begin the next set: its bank is started where it has none, the set run, the report kept.

        Raises:
            Problem: a set is under way, here or in another run, or there is none left (409).
        """
        self._require_free(run)
        busy = next((other for other in self._runs.values() if other.busy), None)
        if busy is not None:
            raise Problem("conflict", f"run {busy.id} is under way; one private bank runs at a time")
        if run.on_show and run.experiment not in experiments().holders:
            experiments().take(run.experiment)
        run.state, run.error, run.over = "running" if run.bench else "starting", "", 0
        run.resharded = ""
        run.task = asyncio.create_task(self._carry_out(run), name=f"testset-{run.id}")

    def skip(self, run: Run) -> int:
        """Leave the next set out; its number.

        Raises:
            Problem: a set is under way, or there is none left (409).
        """
        test_set = self._require_free(run)
        run.ended.append((test_set, None))
        run.at += 1
        run.over = 0
        return test_set.number

    async def release(self, run: Run) -> None:
        """Stop its bank, or give the one on show back.

        Raises:
            Problem: a set is under way (409).
        """
        if run.busy:
            raise Problem("conflict", "a set of this run is under way")
        await self._stop_bank(run)

    async def print(self, run: Run, function: str, argument: str = "") -> str:
        """What one of :data:`FUNCTIONS` prints about the run's bank as its last set left it.

        Raises:
            Problem: no set was run, its bank is gone, or the argument will not do (409, 400).
        """
        bench = self._require_bank(run)
        if function not in FUNCTIONS:
            raise Problem("invalid", f"function: must be one of {', '.join(FUNCTIONS)}", "function")
        done, text = await self._execute(run, bench, f"{function} {argument}".strip())
        if not done:
            raise Problem("invalid", f"argument: {text.removeprefix('error: ')}", "argument")
        return text

    def reshard(self, run: Run) -> None:
        """Begin PrintReshard: learn from the traffic of the last set, move accounts, print which.

        Raises:
            Problem: no set was run, its bank is gone, or something is under way (409).
        """
        bench = self._require_bank(run)
        run.state, run.error, run.resharded = "resharding", "", ""
        run.task = asyncio.create_task(self._reshard(run, bench), name=f"reshard-{run.id}")

    async def _reshard(self, run: Run, bench: Bench) -> None:
        try:
            done, text = await self._execute(run, bench, "printreshard")
        except asyncio.CancelledError:
            run.state, run.error = "failed", "the site was stopped"
            raise
        except Exception:
            _log.exception("PrintReshard of run %d", run.id)
            run.state, run.error = "failed", "the site failed; its log tells more"
        else:
            run.state, run.error = ("ready", "") if done else ("failed", text.rpartition("error: ")[2])
            run.resharded = text if done else ""

    def _require_bank(self, run: Run) -> Bench:
        if run.busy:
            raise Problem("conflict", "a set is under way")
        if run.bench is None:
            raise Problem("conflict", "this run has no bank at the moment; the next set starts one")
        self._touch(run)
        return run.bench

    async def _execute(self, run: Run, bench: Bench, line: str) -> tuple[bool, str]:
        """What the shell prints when it carries out ``line`` on the run's bank, and whether it could."""
        out = io.StringIO()
        shell = Shell(bench.teller, Console(file=out, width=PRINT_WIDTH, highlight=False))
        shell.last = run.last
        done = await shell.execute(line)
        return done, "\n".join(row.rstrip() for row in out.getvalue().splitlines())

    async def close(self) -> None:
        """Stop what is under way, and the bank."""
        if self._idle is not None:
            self._idle.cancel()
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._closing, return_exceptions=True)
        for run in self._runs.values():
            await self._stop_bank(run)

    def _require_free(self, run: Run) -> TestSet:
        if run.busy:
            raise Problem("conflict", "a set of this run is under way")
        if run.upcoming is None:
            raise Problem(
                "conflict", "that was the last set of the file; start the file again to run it anew"
            )
        return run.upcoming

    async def _carry_out(self, run: Run) -> None:
        test_set = run.upcoming
        assert test_set is not None
        try:
            if run.bench is None:
                for other in self._runs.values():
                    if other is not run:
                        await self._stop_bank(other)
                run.bench = await (shown_factory if run.on_show else bank_factory)(run.topology)
                run.state = "running"

            def told(over: int) -> None:
                run.over = over

            report = await run.bench.run(test_set, told)
        except asyncio.CancelledError:
            run.state, run.error = "failed", "the site was stopped"
            raise
        except _FAULTS as error:
            run.state, run.error = "failed", str(error) or type(error).__name__
            await self._stop_bank(run)
        except Exception:
            _log.exception("set %d of run %d", test_set.number, run.id)
            run.state, run.error = "failed", "the site failed; its log tells more"
            await self._stop_bank(run)
        else:
            run.ended.append((test_set, report))
            run.at += 1
            run.over = 0
            run.state = "ready"
            self._touch(run)

    def _touch(self, run: Run) -> None:
        """The bank of this run is in use: count the idle time anew."""
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(
            SHOWN_IDLE_S if run.on_show else IDLE_S, self._idle_over, run
        )

    def _idle_over(self, run: Run) -> None:
        if run.busy:
            self._touch(run)
            return
        task = asyncio.create_task(self._stop_bank(run))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _stop_bank(self, run: Run) -> None:
        bench, run.bench = run.bench, None
        try:
            if bench is not None:
                await bench.close()
        except Problem as problem:  # of the bank on show: a node could not be mended
            run.error = problem.detail
        finally:
            experiments().give(run.experiment)


_runs: Runs | None = None


def runs() -> Runs:
    """Those of this process."""
    global _runs  # noqa: PLW0603  (one per process, closed by shutdown)
    if _runs is None:
        _runs = Runs()
    return _runs


async def close() -> None:
    """Stop everything, forget the runs."""
    global _runs
    if _runs is not None:
        closed, _runs = _runs, None
        await closed.close()
