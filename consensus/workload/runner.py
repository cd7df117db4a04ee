"""A load through the client library: closed (so many in flight) or open (so many begun per second)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, NamedTuple

from consensus.client.fleet import Fleet
from consensus.topology import Topology
from consensus.workload.audit import audit
from consensus.workload.crew import Crew
from consensus.workload.load import Dial, Load, Share, Window
from consensus.workload.options import BenchOptions
from consensus.workload.tally import Tally

PROGRESS_S: Final = 0.5
BUSY: Final = 0.9
"""A generator that used more of a core than this may have been what limited the figures."""

Progress = Callable[[float, Tally, int], None]
"""``progress(seconds, tally so far, ended_of)``; ``ended_of`` 0: the run ends by time."""


class Engine(NamedTuple):
    """Another system under the load: how a stream reaches it, how its money and replicas are judged."""

    dial: Dial
    audit: Callable[[], Coroutine[Any, Any, dict[str, Any]]]
    about: dict[str, Any]


async def run_bench(
    topology: Topology,
    secret: str,
    options: BenchOptions,
    progress: Progress | None = None,
    engine: Engine | None = None,
) -> dict[str, Any]:
    """Load a running bank, measure, then check that no money came or went and that replicas agree.

    ``engine``: another system that runs, loaded in its place.

    Returns:
        The figures of CONTRACT ``bench`` without ``parameters``.

    Raises:
        LoadError: an option makes no sense.
        TimeoutError: a cluster did not open a session in time.
        GeneratorError: a load generator process failed; the text says how.
    """
    options.check()
    if engine is not None:
        tally, windows = await _in_here(topology, secret, options, progress, engine.dial)
    else:
        measure = _in_here if options.generators == 1 else _in_processes
        tally, windows = await measure(topology, secret, options, progress)
    duration_s = max(window.ended_s for window in windows) - min(window.began_s for window in windows)
    if progress is not None:
        # The end of the window, of which a short one has nothing else.
        progress(duration_s, tally, options.transactions)
    if engine is not None:
        audited = await engine.audit()
    else:
        async with Fleet(topology, secret) as fleet:
            audited = await audit(fleet)
    return {
        **tally.report(duration_s),
        "longest_without_success_ms": round(max(window.stalled_s for window in windows) * 1e3, 1),
        "generators": generators(windows),
        **audited,
    }


def generators(windows: Sequence[Window]) -> dict[str, Any]:
    """How many processes made the load, how busy each was, and whether that was the limit."""
    shares = [round(window.processor_share, 3) for window in windows]
    return {"processes": len(shares), "processor_share": shares, "bottleneck": max(shares) >= BUSY}


async def _in_here(
    topology: Topology,
    secret: str,
    options: BenchOptions,
    progress: Progress | None,
    dial: Dial | None = None,
) -> tuple[Tally, list[Window]]:
    load = Load(topology, secret, options, Share(), dial)
    telling = None
    try:
        await load.connect()
        if progress is not None:
            telling = asyncio.create_task(
                _tell(progress, lambda: (load.tally, load.until_s), load.operations)
            )
        window = await load.measure(time.monotonic())
    finally:
        if telling is not None:
            telling.cancel()
        await load.close()
    return load.tally, [window]


async def _in_processes(
    topology: Topology, secret: str, options: BenchOptions, progress: Progress | None
) -> tuple[Tally, list[Window]]:
    telling = None
    async with Crew(topology, secret, options) as crew:
        await crew.ready()
        if progress is not None:
            telling = asyncio.create_task(
                _tell(progress, lambda: (crew.tally, crew.until_s), options.transactions)
            )
        try:
            windows = await crew.measure()
        finally:
            if telling is not None:
                telling.cancel()
    return crew.tally, windows


async def _tell(progress: Progress, so_far: Callable[[], tuple[Tally, float]], operations: int) -> None:
    """``so_far``: what was counted, and up to which time of the monotonic clock."""
    while True:
        await asyncio.sleep(PROGRESS_S)
        tally, until_s = so_far()
        # Not of the first moment after the warm-up: it is no time for a rate.
        if tally.started_s and until_s - tally.started_s >= PROGRESS_S / 2:
            progress(until_s - tally.started_s, tally, operations)
