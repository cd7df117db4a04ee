"""Runs commands of ``manage.py`` as rows ask for them, each in a process of its own, one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections import deque
from typing import Any, Final, Generic

import msgspec
from django.conf import settings

from bankweb.orchestration.experiments import Experiment, experiments
from bankweb.rest.problems import Problem
from bankweb.runs.records import CANCELLED, DONE, FAILED, QUEUED, RUNNING, Records, Row, now

_log = logging.getLogger(__name__)

QUEUE_MAX: Final = 20
OUTPUT_BYTES_MAX: Final = 32 << 20
SAID_MAX: Final = 40
"""Lines of stderr that are kept to explain a failure."""
STOP_S: Final = 15.0


class Processes(Generic[Row]):
    """A queue of runs. What a run is, its subclass says.

    A command prints one JSON document on stdout. On stderr, lines of JSON tell how far it is, anything
    else may explain a failure.
    """

    noun = "run"

    def __init__(self, records: Records[Row]) -> None:
        self.running: Row | None = None
        self.waiting: deque[Row] = deque()
        self._records = records
        self._process: asyncio.subprocess.Process | None = None
        self._worker: asyncio.Task[None] | None = None
        self._cancelled = False
        self._entering: asyncio.Future[None] | None = None

    # --- of a subclass ---------------------------------------------------------------

    def options(self, row: Row) -> list[str]:
        """Command of ``manage.py`` and its options."""
        raise NotImplementedError

    def experiment(self, row: Row) -> Experiment | None:
        """What it is on the bank on show; None for a run that leaves that bank alone."""
        return None

    def command(self, row: Row) -> list[str]:
        return [sys.executable, "manage.py", *self.options(row)]

    def heard(self, row: Row, line: dict[str, Any]) -> None:
        """The command told how far it is."""
        raise NotImplementedError

    def begins(self, row: Row) -> None:
        """The process is about to start."""

    def ends(self, row: Row) -> None:
        """The process is gone."""

    def kept(self, row: Row) -> dict[str, Any]:
        """Fields, besides the progress, to store when it is over."""
        return {}

    async def judged(self, row: Row, result: dict[str, Any], status: int) -> str:
        """Why the run counts as failed, although there is a result; empty when it does not.

        May set what :meth:`kept` stores.
        """
        return ""

    # --- asking ----------------------------------------------------------------------

    async def queue(self, row: Row) -> Row:
        """Store a new row and run it when its turn comes.

        Raises:
            Problem: too many wait (503).
        """
        if len(self.waiting) >= QUEUE_MAX:
            raise Problem("overloaded", f"{QUEUE_MAX} {self.noun}s wait; cancel one or come back later")
        row.created, row.status = now(), QUEUED
        await self._records.add(row)
        self.waiting.append(row)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.ensure_future(self._work())
        return row

    async def cancel(self, row: Row) -> Row:
        """Stop a run, or take it out of the queue. One that is over stays as it is."""
        for waiting in self.waiting:
            if waiting.pk == row.pk:
                if waiting is self.waiting[0] and self._entering is not None:
                    self._entering.cancel()
                self.waiting.remove(waiting)
                await self._records.change(waiting, status=CANCELLED, ended=now())
                return waiting
        if self.running is not None and self.running.pk == row.pk:
            self._cancelled = True
            if self._process is not None:
                self._process.send_signal(signal.SIGTERM)
            return self.running
        return row

    def current(self, row: Row) -> Row:
        """The row with its newest progress."""
        return self.running if self.running is not None and self.running.pk == row.pk else row

    async def close(self) -> None:
        """Stop what runs; it is shown as failed by the next process."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    # --- running ---------------------------------------------------------------------

    async def _work(self) -> None:
        while self.waiting:
            row = self.waiting[0]
            wanted = self.experiment(row)
            async with contextlib.AsyncExitStack() as held:
                if wanted is not None and not await self._turn(held, row, wanted):
                    continue  # it was cancelled
                self.running = self.waiting.popleft()
                self._cancelled = False
                try:
                    await self._run(row)
                except asyncio.CancelledError:
                    raise
                except Exception:
                    _log.exception("%s %s", self.noun, row.pk)
                    error = "the site's log says how"
                    await self._records.change(row, status=FAILED, error=error, ended=now())
                finally:
                    self.running = None
                    self._process = None

    async def _turn(self, held: contextlib.AsyncExitStack, row: Row, wanted: Experiment) -> bool:
        """Wait for the bank on show, held until ``held`` ends; False: ``row`` was cancelled."""
        entering = self._entering = asyncio.ensure_future(
            held.enter_async_context(experiments().turn(wanted))
        )
        try:
            await asyncio.wait({entering})
        except asyncio.CancelledError:
            entering.cancel()
            await asyncio.gather(entering, return_exceptions=True)
            raise
        finally:
            self._entering = None
        return not entering.cancelled() and bool(self.waiting) and self.waiting[0] is row

    async def _run(self, row: Row) -> None:
        await self._records.change(row, status=RUNNING, started=now())
        self.begins(row)
        process = self._process = await asyncio.create_subprocess_exec(
            *self.command(row),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=settings.BASE_DIR,
            limit=OUTPUT_BYTES_MAX,
        )
        if self._cancelled:  # while it was started
            process.send_signal(signal.SIGTERM)
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
            self.ends(row)
        if self._cancelled:
            await self._over(row, status=CANCELLED)
            return
        try:
            result = msgspec.json.decode(out.result())
        except msgspec.DecodeError:
            error = "\n".join(said.result()) or f"it ended with status {status}"
            await self._over(row, status=FAILED, error=error)
            return
        error = await self.judged(row, result, status)
        await self._over(row, status=FAILED if error else DONE, error=error, result=result)

    async def _over(self, row: Row, **values: Any) -> None:
        kept = {"ended": now(), "progress": row.progress, **self.kept(row)}
        await self._records.change(row, **kept, **values)

    async def _hear(self, row: Row, stderr: Any) -> list[str]:
        """Take up progress as it comes; what else is said may explain a failure."""
        said: deque[str] = deque(maxlen=SAID_MAX)
        while line := await stderr.readline():
            if line.startswith(b"{"):
                self.heard(row, msgspec.json.decode(line))
            else:
                said.append(line.decode("utf-8", "replace").rstrip())
        return list(said)
