"""Redistributions of the bank on show: planned, carried out, paused, taken back; one at a time.

Whatever a person or the trigger decides is in the database before anybody is told so, and an apply before
it is begun. A site that starts again goes on where the one before it stopped: running ones run on, paused
ones stay paused, aborted ones end what is under way, a plan that was being made is void.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from functools import cache
from typing import Any, Final

import numpy as np
from django.urls import reverse

from bankweb.identity import audit
from bankweb.orchestration.bank import topology
from bankweb.orchestration.beginnings import at_first_worker
from bankweb.orchestration.experiments import REDISTRIBUTION, Experiment, experiments
from bankweb.orchestration.hub import hub
from bankweb.redistribution import records
from bankweb.redistribution.benefit import with_throughput
from bankweb.redistribution.latency import watch
from bankweb.redistribution.models import Redistribution
from bankweb.redistribution.observing import Observing
from bankweb.redistribution.records import (
    ABORTED,
    DONE,
    FAILED,
    PAUSED,
    PLANNED,
    PLANNING,
    REFUSED,
    RUNNING,
)
from bankweb.redistribution.traffic import ask, gatherer
from bankweb.rest.problems import Problem
from consensus.cluster.mover import Mover, Part, Step
from consensus.cluster.plans import PlanError, is_warm, make_plan, warm

_log = logging.getLogger(__name__)

SAMPLE_S: Final = 1.0
SERIES_MAX: Final = 600
VERIFY_S: Final = 5.0
"""After the last move: how long the new placement is watched before its figures are taken."""
BEFORE_S: Final = 5.0
"""Before a plan: how long the throughput is averaged over."""
LOOKBACK_S: Final = 10
TOLD_MAX: Final = 600
MOVES_TOLD: Final = 40
"""What of the partitioner's events goes into the trace; all of them are kept with the plan."""
OPTIONS: Final = ("max_moves", "price", "epsilon", "load_epsilon", "seed")
STOPPED: Final = "stopped while the traffic was observed; there is no plan, and nothing moved"
STEERED: Final = {
    "pause": (RUNNING, PAUSED),
    "resume": (RUNNING, PAUSED),
    "abort": (RUNNING, PAUSED, ABORTED),
}
"""Commands, and the mover's states they make sense in."""


def experiment(row: Redistribution) -> Experiment:
    """What it is on the bank on show."""
    title = "Taking back" if row.origin == "rollback" else "Redistribution"
    return Experiment(REDISTRIBUTION, f"{title} {row.key[:8]}", reverse("redistribution", args=[row.key]))


def _tell(kind: str, row: Redistribution, **fields: Any) -> None:
    """An event of the trace about ``row``."""
    hub().happened({"k": kind, "n": 0, "plan": row.key, **fields})


class Carrying:
    """One that runs now."""

    def __init__(self, row: Redistribution, mover: Mover) -> None:
        self.row = row
        self.mover = mover
        self.phase = "migrate"
        self.moving: dict[int, Part] = {}


class Redistributions:
    """Of this process."""

    def __init__(self) -> None:
        self.carrying: Carrying | None = None
        self.planning: Redistribution | None = None
        self.observing: Observing | None = None
        """While the plan that is being made waits for traffic."""
        self.compiling = False
        """The plan that is being made waits for its partitioner, which is compiled once per installation."""
        self.planned_events: list[dict[str, Any]] = []
        """Of the plan that is being made, as they come."""
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- planning ----------------------------------------------------------------------

    async def plan(
        self, options: dict[str, Any], actor: str, origin: str = "hand", locked: set[int] | None = None
    ) -> Redistribution:
        """Make a plan and wait for it. ``locked``: accounts that stay.

        Raises:
            Problem: one is being made or carried out (409), or making it failed (503).
        """
        row = await self.begin_plan(options, actor, origin)
        # A client that hangs up, or a request that takes too long, does not leave a plan half made.
        await asyncio.shield(self._start(self._make(row, locked or set())))
        return row

    async def begin_plan(self, options: dict[str, Any], actor: str, origin: str = "hand") -> Redistribution:
        """A row with status ``planning``, to be shown while :meth:`plan_on` makes the plan."""
        self._free()
        row = Redistribution(
            key=secrets.token_hex(16),
            status=PLANNING,
            origin=origin,
            actor=actor,
            created=records.now(),
            options=options,
        )
        self.planning = row
        self.planned_events = []
        try:
            await records.add(row)
        except BaseException:
            self.planning = None
            raise
        return row

    def plan_on(self, row: Redistribution, apply_as: str | None = None) -> None:
        """Make the plan of ``row`` in the background, and carry it out in the name of ``apply_as``."""
        self._start(self._quietly(row, apply_as))

    async def _quietly(self, row: Redistribution, apply_as: str | None) -> None:
        try:
            await self._make(row, set())
            if apply_as is not None and row.status == PLANNED:
                await self.apply(row, apply_as)
        except Problem as problem:
            _log.warning("plan %s: %s", row.key, problem.detail)

    async def _make(self, row: Redistribution, locked: set[int]) -> None:
        here = gatherer()
        try:
            if await self._stopped_observing(row):
                await records.change(row, status=ABORTED, reason=STOPPED, ended=records.now())
                return
            await here.gather(fresh_s=0.0)
            sample = await here.window(int(row.options.get("seed", 0)))
            options = {name: row.options[name] for name in OPTIONS if name in row.options}
            options["locked"] = sorted(account - 1 for account in locked)
            busy = int(await asyncio.to_thread(lambda: len(np.unique(sample.accounts))))
            _tell("hg.snapshot", row, vertices=busy, nets=sample.count)
            now_tps = watch().tps(BEFORE_S)
            self.compiling = not await is_warm()
            made, events = await make_plan(sample, here.placement, options, self._heard)
        except PlanError as error:
            await records.change(row, status=FAILED, reason=str(error), ended=records.now())
            raise Problem("unavailable", str(error)) from error
        except Problem as problem:
            await records.change(row, status=FAILED, reason=problem.detail, ended=records.now())
            raise
        except Exception:
            await records.change(row, status=FAILED, reason="the site's log says how", ended=records.now())
            raise
        finally:
            self.planning = None
            if self.compiling:
                # What this plan had no need of.
                self.compiling = False
                self._start(self._compile_the_rest())
        refused = made["status"] == "refused"
        with_throughput(made["before"], made["predicted"], now_tps)
        await records.change(
            row,
            status=REFUSED if refused else PLANNED,
            reason=made["reason"],
            digest=made["id"],
            total=len(made["moves"]),
            before=made["before"],
            predicted=made["predicted"],
            plan=records.packed(made),
            events=records.packed(events),
            ended=records.now() if refused else None,
        )
        if not refused:
            _tell("mig.plan", row, moves=row.total)

    async def _compile_the_rest(self) -> None:
        try:
            await warm()
        except PlanError as error:
            _log.warning("%s", error)

    async def _stopped_observing(self, row: Redistribution) -> bool:
        """Wait for traffic as long as ``row`` may; whether somebody stopped it meanwhile."""
        wait_s = float(row.options.get("wait_s", 0.0))
        if not wait_s:
            return False
        self.observing = observing = Observing(wait_s)
        try:
            await observing.wait()
        finally:
            self.observing = None
        return observing.stopped

    def _heard(self, event: dict[str, Any]) -> None:
        """The partitioner tells what it does; pages hear of it, in short."""
        self.planned_events.append(event)
        if self.planning is None or len(self.planned_events) > TOLD_MAX:
            return
        fields = {name: value for name, value in event.items() if name != "k"}
        if event["k"] == "hg.moves":
            fields |= {"moves": event["moves"][:MOVES_TOLD], "count": len(event["moves"])}
        _tell(event["k"], self.planning, **fields)

    # --- carrying out ------------------------------------------------------------------

    async def apply(self, row: Redistribution, actor: str) -> None:
        """Carry a plan out, as it was shown.

        Raises:
            Problem: it is not one that can be (409), or another is under way (409).
        """
        self._free()
        if row.status != PLANNED:
            raise Problem(
                "conflict", f"this redistribution is {row.status}; only a planned one can be applied"
            )
        experiments().take(experiment(row))
        try:
            await audit.record(actor, "redistribution-apply", {"id": row.key, "moves": row.total}, "begun")
            await records.change(row, status=RUNNING, started=records.now())
        except BaseException:
            experiments().give(experiment(row))
            raise
        self._carry(row, [])

    async def rollback(self, row: Redistribution, actor: str) -> Redistribution:
        """Bring back what ``row`` has moved, latest first, as a redistribution of its own.

        Raises:
            Problem: it runs, or has moved nothing (409), or another is under way (409).
        """
        self._free()
        if row.status not in (DONE, ABORTED, FAILED) or row.ended is None or not row.moved:
            raise Problem("conflict", "only what has moved accounts and is over can be taken back")
        parts = await records.parts_of(row)
        back = [
            [account, part.target, part.source, 0, 0, 0, 0]
            for part in reversed(parts)
            for account in reversed(part.moved)
        ]
        undoing = Redistribution(
            key=secrets.token_hex(16),
            status=RUNNING,
            origin="rollback",
            undoes=row.key,
            actor=actor,
            created=records.now(),
            started=records.now(),
            total=len(back),
            plan=records.packed({"moves": back, "table": [], "method": "rollback"}),
        )
        experiments().take(experiment(undoing))
        try:
            await records.add(undoing)
            await audit.record(actor, "redistribution-rollback", {"id": row.key, "moves": len(back)}, "begun")
        except BaseException:
            experiments().give(experiment(undoing))
            raise
        self._carry(undoing, [])
        return undoing

    async def steer(self, row: Redistribution, command: str, actor: str) -> None:
        """``apply``, ``pause``, ``resume`` or ``abort``.

        An abort begins no further part. What has moved stays; :meth:`rollback` brings it back. A plan that
        waits for traffic is given up.

        Raises:
            Problem: its status does not allow that (409).
        """
        if command == "apply":
            await self.apply(row, actor)
            return
        if command == "abort" and self.observing is not None and self._is_planning(row):
            self.observing.stop()
            await audit.record(actor, "redistribution-abort", {"id": row.key}, "ok")
            return
        carrying = self._running(row)
        mover = carrying.mover
        if mover.state not in STEERED[command]:
            raise Problem("conflict", f"cannot {command}: moving is {mover.state}")
        if command == "resume" and mover.state == PAUSED:
            experiments().take(experiment(row))
        elif command == "pause":
            experiments().give(experiment(row))
        {"pause": mover.pause, "resume": mover.resume, "abort": mover.abort}[command]()
        # Queued in the step that acts, so before what the run writes when it ends.
        await records.change(carrying.row, status=mover.state)
        row.status = carrying.row.status
        await audit.record(actor, f"redistribution-{command}", {"id": row.key}, "ok")

    async def resume_unfinished(self) -> None:
        """Go on with what the process before this one left."""
        for row in await records.unfinished():
            if row.status == PLANNING:
                await records.change(
                    row, status=FAILED, reason="the site stopped while it was made", ended=records.now()
                )
            elif self.carrying is None:
                _log.info("redistribution %s goes on", row.key)
                self._carry(row, await records.parts_of(row))

    def _is_planning(self, row: Redistribution) -> bool:
        return self.planning is not None and self.planning.key == row.key

    def _running(self, row: Redistribution) -> Carrying:
        if self.carrying is None or self.carrying.row.key != row.key:
            raise Problem("conflict", f"this redistribution is {row.status}, not running")
        return self.carrying

    def _free(self) -> None:
        busy = self.planning or (self.carrying and self.carrying.row)
        if busy:
            raise Problem("conflict", f"redistribution {busy.key} is {busy.status}; one at a time")

    def _carry(self, row: Redistribution, parts: list[Part]) -> None:
        moves = records.unpacked(row.plan)["moves"]
        steps = [Step(move[0], move[1], move[2]) for move in moves]
        mover = self._mover(row, steps, parts)
        if row.status == PAUSED:
            mover.pause()
        elif row.status == ABORTED:
            mover.abort()
        self.carrying = Carrying(row, mover)
        self._start(self._run(self.carrying))

    def _mover(self, row: Redistribution, steps: list[Step], parts: list[Part]) -> Mover:
        async def save(part: Part) -> None:
            await records.save_part(row, part)
            if self.carrying is not None:
                if part.phase:
                    self.carrying.moving.pop(part.number, None)
                else:
                    self.carrying.moving[part.number] = part

        return Mover(topology(), row.key, steps, ask, save, parts, watch().p99_ms)

    async def _run(self, carrying: Carrying) -> None:
        row, mover = carrying.row, carrying.mover
        try:
            if mover.state != PAUSED:
                await experiments().have(experiment(row))
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(self._watch(carrying))
                state = await mover.run()
                carrying.phase = "verify"
                if state != ABORTED and mover.moved:
                    await asyncio.sleep(VERIFY_S)
                watching.cancel()
            await gatherer().gather(fresh_s=0.0)
            reason = ""
            if mover.given_up:
                first = ", ".join(f"{a} ({why})" for a, why in list(mover.given_up.items())[:5])
                reason = f"left where they are: {len(mover.given_up)}, among them {first}"
            await records.change(
                row,
                status=ABORTED if state == ABORTED else DONE,
                reason=reason,
                moved=len(mover.moved),
                ended=records.now(),
                observed=_observed(),
                series=row.series,
            )
            if state == ABORTED:
                _tell("mig.abort", row, why=f"stopped after {len(mover.moved)} of {row.total} accounts")
            else:
                _tell("mig.done", row, moved=len(mover.moved))
        except asyncio.CancelledError:
            # The site stops: the row stays as it is, and the next process goes on.
            raise
        except Exception:
            _log.exception("redistribution %s failed", row.key)
            _tell("mig.abort", row, why="the site failed; its log says how")
            await records.change(
                row,
                status=FAILED,
                reason="the site's log says how",
                moved=len(mover.moved),
                ended=records.now(),
            )
        finally:
            self.carrying = None
            experiments().give(experiment(row))

    async def _watch(self, carrying: Carrying) -> None:
        """One row of the series a second: how the share across clusters falls while accounts move."""
        row, here = carrying.row, gatherer()
        if not row.series:
            await here.gather(fresh_s=0.0)
            row.series = lookback()
        while True:
            await here.gather(fresh_s=0.0)
            share, _count = here.share(2.0)
            at_s = round((records.now() - (row.started or row.created)).total_seconds(), 1)
            row.series = [
                *row.series[-SERIES_MAX:],
                [at_s, share, len(carrying.mover.moved), watch().tps(), watch().p99_ms()],
            ]
            await records.change(row, moved=len(carrying.mover.moved), series=row.series)
            await asyncio.sleep(SAMPLE_S)

    # --- looking -----------------------------------------------------------------------

    def moving(self) -> list[tuple[int, int, int]]:
        """Accounts on their way now: account, from, to."""
        if self.carrying is None:
            return []
        parts = self.carrying.moving.values()
        return [(account, part.source, part.target) for part in parts for account in part.accounts]

    def start(self) -> None:
        """Go on with unfinished ones once the bank is there."""
        at_first_worker(self.resume_unfinished)
        at_first_worker(warm)
        watch()

    def _start(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Stop without ending anything: the next process goes on."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def lookback() -> list[list[Any]]:
    """Rows of a series for the seconds just before now, from what is remembered of them."""
    here = gatherer()
    return [
        [-float(ago), here.share(1.0, ago)[0], 0, watch().tps(1.0, ago), None]
        for ago in range(LOOKBACK_S, 0, -1)
    ]


def _observed() -> dict[str, Any] | None:
    figures = gatherer().figures(VERIFY_S)
    return None if figures is None else {**figures, "throughput_tps": watch().tps(VERIFY_S)}


@cache
def redistributions() -> Redistributions:
    """Of this process."""
    return Redistributions()
