"""Several load generator processes, begun at one moment, and their counts added up.

Each runs :mod:`consensus.workload.generator_process` with a share of the clients, the connections, the rate
and the transactions. They are told what to do on their standard input and end when it closes, so none
outlives the process that started it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import deque
from types import TracebackType
from typing import Final, Self

import msgspec

from consensus.topology import Topology
from consensus.workload.load import Share, Window
from consensus.workload.options import BenchOptions
from consensus.workload.tally import Counts, Tally

LINE_BYTES_MAX: Final = 64 << 20
SAID_LINES_MAX: Final = 20
BEGIN_S: Final = 0.1
"""Time from the word to the beginning: every process has heard it by then."""
END_S: Final = 5.0


class GeneratorError(Exception):
    """A load generator process failed; the text is what it said at last."""


class Job(msgspec.Struct, frozen=True):
    """What a process is told first."""

    topology: Topology
    secret: str
    options: BenchOptions
    share: Share


class Begin(msgspec.Struct, frozen=True):
    """What it is told when all are ready: a time of the monotonic clock, which they share."""

    at_s: float


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of a process: it is connected; what it counted since the last, up to ``until_s``; its window."""

    ready: bool = False
    counts: Counts | None = None
    until_s: float = 0.0
    window: Window | None = None


class Crew:
    """The processes of one load; use it as a context.

    Attributes:
        tally: everything they have told so far.
    """

    def __init__(self, topology: Topology, secret: str, options: BenchOptions) -> None:
        self.tally = Tally()
        self._jobs = [
            Job(topology, secret, options, Share(number, options.generators))
            for number in range(options.generators)
        ]
        self._until_s = [0.0] * options.generators
        self._processes: list[Process] = []
        self._complaints: list[asyncio.Task[str]] = []

    async def __aenter__(self) -> Self:
        try:
            for job in self._jobs:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "consensus.workload.generator_process"),
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=PIPE,
                    limit=LINE_BYTES_MAX,
                    start_new_session=True,
                )
                self._processes.append(process)
                self._complaints.append(asyncio.create_task(_complaint(process)))
                await _write(process, job)
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def ready(self) -> None:
        """All are connected.

        Raises:
            GeneratorError: one failed.
        """
        said = await asyncio.gather(*map(self._hear, range(len(self._processes))))
        assert all(each.ready for each in said)

    async def measure(self) -> list[Window]:
        """Let all begin at one moment; the windows they measured.

        Raises:
            GeneratorError: one failed.
        """
        begin = Begin(time.monotonic() + BEGIN_S)
        for process in self._processes:
            await _write(process, begin)
        async with asyncio.TaskGroup() as group:
            windows = [group.create_task(self._window(number)) for number in range(len(self._processes))]
        return [window.result() for window in windows]

    @property
    def until_s(self) -> float:
        """The time up to which all have told; 0 before the first word of each."""
        return min(self._until_s)

    async def _window(self, number: int) -> Window:
        """Add up what a process counts until it says that it is over."""
        while True:
            said = await self._hear(number)
            if said.counts is not None:
                self.tally.add(said.counts)
                self._until_s[number] = said.until_s
            if said.window is not None:
                return said.window

    async def _hear(self, number: int) -> Said:
        process = self._processes[number]
        assert process.stdout is not None
        line = await process.stdout.readline()
        if not line:
            said = await self._complaints[number]
            raise GeneratorError(f"load generator {number + 1} failed: {said or 'it said nothing'}")
        return msgspec.json.decode(line, type=Said)

    async def _end(self) -> None:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in self._processes:
            try:
                await asyncio.wait_for(process.wait(), END_S)
            except TimeoutError:
                process.kill()
                await process.wait()
        for complaint in self._complaints:
            complaint.cancel()


async def _write(process: Process, message: Job | Begin) -> None:
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(message) + b"\n")
    try:
        await process.stdin.drain()
    except ConnectionError:
        return  # it is gone: what it said is raised when it is heard next


async def _complaint(process: Process) -> str:
    """The last line that a process said on stderr."""
    assert process.stderr is not None
    lines: deque[str] = deque(maxlen=SAID_LINES_MAX)
    async for line in process.stderr:
        if text := line.decode("utf-8", "replace").strip():
            lines.append(text)
    return lines[-1] if lines else ""
