"""One experiment at a time on the bank on show: who has it, who waits for it.

A benchmark and a redistribution may share it, because a redistribution is about the load it runs under.
Whatever else wants the bank waits its turn (:meth:`Experiments.turn`) or is told who has it
(:meth:`Experiments.take`).
Pages show the holders in a banner, from the context and from events ``experiment``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import cache
from typing import Any, Final, NamedTuple

from bankweb.orchestration.hub import hub
from bankweb.rest.problems import Problem

BENCHMARK: Final = "benchmark"
REDISTRIBUTION: Final = "redistribution"
TESTSET: Final = "test set"
SCENARIO: Final = "scenario"
_TOGETHER: Final = frozenset((BENCHMARK, REDISTRIBUTION))


class Experiment(NamedTuple):
    """``what``: one of the words above. ``title``: for people. ``path``: of its page, and who it is."""

    what: str
    title: str
    path: str

    def goes_with(self, other: Experiment) -> bool:
        """Whether both may have the bank at once."""
        return {self.what, other.what} == _TOGETHER


class Experiments:
    """Of this process."""

    def __init__(self) -> None:
        self.holders: list[Experiment] = []
        self._waiting: list[tuple[Experiment, asyncio.Future[None]]] = []

    @property
    def waiting(self) -> list[Experiment]:
        return [experiment for experiment, _ in self._waiting]

    def hindrance(self, wanted: Experiment) -> Experiment | None:
        """Who has the bank and does not share it with ``wanted``."""
        return next((holder for holder in self.holders if not wanted.goes_with(holder)), None)

    def take(self, wanted: Experiment) -> None:
        """Have the bank from now on, until :meth:`give`.

        Raises:
            Problem: another has it (409).
        """
        held = self.hindrance(wanted)
        if held is not None:
            detail = f"{held.title} has the bank on show ({held.path}); one experiment at a time"
            raise Problem("conflict", detail)
        self._begin(wanted)

    async def have(self, wanted: Experiment) -> None:
        """Wait for the bank, first come, first served; have it from then on, until :meth:`give`."""
        if wanted in self.holders:
            return
        if not self._waiting and self.hindrance(wanted) is None:
            self._begin(wanted)
            return
        entry: tuple[Experiment, asyncio.Future[None]] = (wanted, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        self._next()
        try:
            await entry[1]
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
                self._next()
            else:
                self.give(wanted)
            raise

    @contextlib.asynccontextmanager
    async def turn(self, wanted: Experiment) -> AsyncIterator[None]:
        """Wait for the bank, and have it within the block."""
        await self.have(wanted)
        try:
            yield
        finally:
            self.give(wanted)

    def give(self, experiment: Experiment) -> None:
        """It is over. One that does not have the bank changes nothing."""
        if experiment in self.holders:
            self.holders.remove(experiment)
            _tell("end", experiment)
            self._next()

    def _begin(self, experiment: Experiment) -> None:
        self.holders.append(experiment)
        _tell("begin", experiment)

    def _next(self) -> None:
        """Let in whoever waits first, and those after it that share the bank with all inside."""
        while self._waiting:
            wanted, freed = self._waiting[0]
            if freed.done():
                self._waiting.pop(0)
                continue
            if self.hindrance(wanted) is not None:
                return
            self._waiting.pop(0)
            self._begin(wanted)
            freed.set_result(None)

    def row(self) -> dict[str, Any]:
        """For REST and pages."""
        return {
            "running": [experiment._asdict() for experiment in self.holders],
            "waiting": [experiment._asdict() for experiment in self.waiting],
        }


def _tell(phase: str, experiment: Experiment) -> None:
    hub().happened({"k": "experiment", "n": 0, "phase": phase, **experiment._asdict()})


@cache
def experiments() -> Experiments:
    """Of this process."""
    return Experiments()
