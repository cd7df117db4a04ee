"""A load through the client library: closed (so many in flight) or open (so many begun per second)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from consensus.client.bank import BankClient
from consensus.client.fleet import Fleet
from consensus.client.routing import Directory
from consensus.topology import Topology
from consensus.types import ClusterId
from consensus.workload.audit import audit
from consensus.workload.generator import Accounts, Generator, LoadError
from consensus.workload.options import BenchOptions
from consensus.workload.pace import Due, Pace, arrivals, read_replay
from consensus.workload.stream import Draws, Stream
from consensus.workload.tally import Tally

READY_TIMEOUT_S: Final = 15.0
CONNECT_AT_ONCE: Final = 30
"""Connections opened together."""
PROGRESS_S: Final = 0.5

Progress = Callable[[float, Tally, int], None]
"""``progress(seconds, tally so far, ended_of)``; ``ended_of`` 0: the run ends by time."""


class _Run:
    """State shared by the streams of one run."""

    def __init__(self, clients: int, operations: int) -> None:
        self.tally = Tally()
        self.measuring = False
        self.stopping = False
        self.enough = asyncio.Event()
        self.idle = asyncio.Event()
        self._left = operations
        self._busy = clients

    def count(self) -> None:
        """An operation ended in the measured window."""
        if self._left:
            self._left -= 1
            if not self._left:
                self.measuring = False
                self.enough.set()

    def one_idle(self) -> None:
        """A client ended its last operation."""
        self._busy -= 1
        if not self._busy:
            self.idle.set()


async def run_bench(
    topology: Topology, secret: str, options: BenchOptions, progress: Progress | None = None
) -> dict[str, Any]:
    """Load a running bank, measure, then check that no money came or went and that replicas agree.

    Returns:
        The figures of CONTRACT ``bench`` without ``parameters``.

    Raises:
        LoadError: an option makes no sense.
        TimeoutError: a cluster did not open a session in time.
    """
    options.check()
    replay = read_replay(options.replay) if options.replay else []
    operations = len(replay) or options.transactions
    run = _Run(options.clients, operations)
    streams = _streams(topology, secret, options, run)
    _set_paces(topology, streams, options, replay)
    try:
        await _connect(streams)
        duration_s = await _measure(streams, run, options, operations, progress)
    finally:
        await asyncio.gather(*(stream.client.close() for stream in streams))
    async with Fleet(topology, secret) as fleet:
        audited = await audit(fleet)
    stalled_s = max(client.stalled_s for stream in streams for client in stream.clients)
    return {
        **run.tally.report(duration_s),
        "longest_without_success_ms": round(stalled_s * 1e3, 1),
        **audited,
    }


async def _measure(
    streams: list[Stream], run: _Run, options: BenchOptions, operations: int, progress: Progress | None
) -> float:
    """Returns the length of the measured window in seconds."""
    warmup_s = 0.0 if options.replay else options.warmup_s
    started_s = time.monotonic()
    if not warmup_s:
        _start_window(streams, run)
    for stream in streams:
        stream.begin(started_s)
    if warmup_s:
        await asyncio.sleep(warmup_s)
        _start_window(streams, run)
    window_s = run.tally.started_s
    telling = asyncio.create_task(_tell(progress, run, operations)) if progress is not None else None
    try:
        if operations:
            await run.enough.wait()
        else:
            await asyncio.sleep(options.duration_s)
    finally:
        if telling is not None:
            telling.cancel()
    run.measuring = False
    run.stopping = True
    now_s = time.monotonic()
    for stream in streams:
        for client in stream.clients:
            client.progress(now_s)
        stream.stop()
    await run.idle.wait()
    return now_s - window_s


def _start_window(streams: list[Stream], run: _Run) -> None:
    now_s = time.monotonic()
    run.tally.start(now_s)
    for stream in streams:
        for client in stream.clients:
            client.progress_s = now_s
    run.measuring = True


async def _tell(progress: Progress, run: _Run, operations: int) -> None:
    while True:
        await asyncio.sleep(PROGRESS_S)
        progress(time.monotonic() - run.tally.started_s, run.tally, operations)


def _streams(topology: Topology, secret: str, options: BenchOptions, run: _Run) -> list[Stream]:
    mix = options.mix
    accounts = Accounts(topology, mix, options.seed)
    clusters = accounts.clusters
    if not clusters:
        raise LoadError("accounts: no cluster has any")
    count = options.connections or min(len(clusters), options.clients)
    streams = []
    for i in range(count):
        cluster = clusters[i % len(clusters)].id
        seed = options.seed * 1_000_003 + i
        generator: Draws = Generator(accounts, cluster, mix, str(seed))
        if options.population == "communities":
            # Not imported for loads that need no numpy.
            from consensus.workload.people import CommunityGenerator

            generator = CommunityGenerator(topology.accounts, mix, options.seed, seed)
        streams.append(
            Stream(
                BankClient(topology, secret, name=f"bench-{i + 1}"),
                cluster,
                generator,
                run,
                clients=len(range(i, options.clients, count)),
                retries=options.retries,
                level=options.level,
                bound_ms=options.bound_ms if options.consistency == "bounded" else 0,
                seed=seed,
            )
        )
    return streams


def _set_paces(topology: Topology, streams: list[Stream], options: BenchOptions, replay: list[Due]) -> None:
    """An open loop: split the rate by clients, or the file's transfers by their coordinating cluster."""
    if not replay:
        if options.rate:
            for i, stream in enumerate(streams):
                rate = options.rate * len(stream.clients) / options.clients
                stream.pace = Pace(arrivals(rate, options.arrivals, f"{options.seed}/{i}"))
        return
    directory = Directory(topology)
    by_cluster: dict[ClusterId, list[int]] = {}
    for i, stream in enumerate(streams):
        by_cluster.setdefault(stream.cluster, []).append(i)
    parts: list[list[Due]] = [[] for _ in streams]
    for number, due in enumerate(replay):
        assert due.legs is not None
        # A connection serves every cluster; those of its own are preferred only because they are dialled.
        own = by_cluster.get(directory.clusters_of(due.legs)[0]) or list(range(len(streams)))
        parts[own[number % len(own)]].append(due)
    for stream, part in zip(streams, parts, strict=True):
        stream.pace = Pace(part)


async def _connect(streams: list[Stream]) -> None:
    for first in range(0, len(streams), CONNECT_AT_ONCE):
        group = streams[first : first + CONNECT_AT_ONCE]
        for stream in group:
            await stream.client.start([stream.cluster])
        ready = await asyncio.gather(*(stream.client.ready(READY_TIMEOUT_S) for stream in group))
        missing = sorted({stream.cluster for stream, ok in zip(group, ready, strict=True) if not ok})
        if missing:
            raise TimeoutError(
                f"clusters {missing} opened no session within {READY_TIMEOUT_S:g} s; is the bank up?"
            )
