"""What one load generator process does: its share of the clients, from connecting to the last answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from consensus.client.bank import BankClient
from consensus.client.routing import Directory
from consensus.topology import Topology
from consensus.types import ClusterId
from consensus.workload.generator import LoadError
from consensus.workload.options import BenchOptions
from consensus.workload.pace import Due, Pace, arrivals, read_replay
from consensus.workload.population import Population
from consensus.workload.stream import Stream
from consensus.workload.tally import Tally

READY_TIMEOUT_S: Final = 15.0
CONNECT_AT_ONCE: Final = 30
"""Connections opened together."""


class Share(msgspec.Struct, frozen=True):
    """Which part of a load: ``number`` of ``of``, from 0."""

    number: int = 0
    of: int = 1

    def size(self, whole: int) -> int:
        """How many of ``whole`` things fall to this part."""
        return len(range(self.number, whole, self.of))


class Window(msgspec.Struct, frozen=True):
    """The measured window of one process, on the monotonic clock that all processes of a machine share.

    Attributes:
        began_s, ended_s: its ends.
        processor_s: processor time of the thread that generated the load.
        stalled_s: the longest time that a client went without success.
    """

    began_s: float
    ended_s: float
    processor_s: float
    stalled_s: float

    @property
    def processor_share(self) -> float:
        """Of one core; near 1 the bank could have taken more than was sent."""
        return self.processor_s / max(self.ended_s - self.began_s, 1e-9)


Dial = Callable[[str, int], Any]
"""Name and number of clients to what a stream talks to: a ``BankClient``, or what looks like one."""


class Load:
    """The streams of one process.

    Args:
        topology, secret: of the bank.
        options: of the whole load, checked.
        share: the part that runs here.
        dial: makes a connection for so many clients; None: to the bank.

    Attributes:
        tally: what ended since the window began, or since :meth:`take_tally`.

    Raises:
        LoadError: the bank is too small for it, or the file to replay makes no sense.
    """

    def __init__(
        self,
        topology: Topology,
        secret: str,
        options: BenchOptions,
        share: Share,
        dial: Dial | None = None,
    ) -> None:
        self.options = options
        self._dial = dial or (lambda name, clients: BankClient(topology, secret, name=name))
        self.share = share
        self.tally = Tally()
        self.measuring = False
        self.stopping = False
        replay = read_replay(options.replay)[share.number :: share.of] if options.replay else []
        if options.replay and not replay:
            raise LoadError(f"replay: {options.replay} has too few transfers for {share.of} generators")
        self.operations = len(replay) or share.size(options.transactions)
        """To measure; 0: the window ends by time."""
        self._left = self.operations
        self._busy = share.size(options.clients)
        self._ended_s = 0.0
        self._enough = asyncio.Event()
        self._idle = asyncio.Event()
        self._streams = self._make(topology, secret)
        self._set_paces(topology, replay)

    # --- what streams see (stream.Run) -------------------------------------------------

    def count(self) -> None:
        """An operation ended in the measured window."""
        if self._left:
            self._left -= 1
            if not self._left:
                self.measuring = False
                self._enough.set()

    def one_idle(self) -> None:
        """A client ended its last operation."""
        self._busy -= 1
        if not self._busy:
            self._idle.set()

    # --- one run -----------------------------------------------------------------------

    async def connect(self) -> None:
        """Open every connection and its session.

        Raises:
            TimeoutError: a cluster did not answer in time.
        """
        for first in range(0, len(self._streams), CONNECT_AT_ONCE):
            group = self._streams[first : first + CONNECT_AT_ONCE]
            for stream in group:
                await stream.client.start([stream.cluster])
            ready = await asyncio.gather(*(stream.client.ready(READY_TIMEOUT_S) for stream in group))
            missing = sorted({stream.cluster for stream, ok in zip(group, ready, strict=True) if not ok})
            if missing:
                raise TimeoutError(
                    f"clusters {missing} opened no session within {READY_TIMEOUT_S:g} s; is the bank up?"
                )

    async def measure(self, begin_s: float) -> Window:
        """Begin at ``begin_s`` of the monotonic clock, warm up, measure, wait for the last answer."""
        warmup_s = 0.0 if self.options.replay else self.options.warmup_s
        await asyncio.sleep(max(0.0, begin_s - time.monotonic()))
        if not warmup_s:
            self._start_window()
        spent_s = time.thread_time()
        for stream in self._streams:
            stream.begin(begin_s)
        if warmup_s:
            await asyncio.sleep(max(0.0, begin_s + warmup_s - time.monotonic()))
            self._start_window()
            spent_s = time.thread_time()
        began_s = self.tally.started_s
        if self.operations:
            await self._enough.wait()
        else:
            await asyncio.sleep(self.options.duration_s)
        self.measuring = False
        self.stopping = True
        ended_s = self._ended_s = time.monotonic()
        spent_s = time.thread_time() - spent_s
        for stream in self._streams:
            stream.over(ended_s)
            stream.stop()
        await self._idle.wait()
        stalled_s = max(client.stalled_s for stream in self._streams for client in stream.clients)
        return Window(began_s, ended_s, spent_s, stalled_s)

    @property
    def until_s(self) -> float:
        """The time up to which it has counted: now, or the end of the window."""
        return self._ended_s or time.monotonic()

    def take_tally(self) -> Tally:
        """What ended since this was called last; counting goes on in a fresh tally."""
        taken, self.tally = self.tally, Tally()
        self.tally.start(taken.started_s)
        return taken

    async def close(self) -> None:
        await asyncio.gather(*(stream.client.close() for stream in self._streams))

    def _start_window(self) -> None:
        now_s = time.monotonic()
        self.tally.start(now_s)
        for stream in self._streams:
            for client in stream.clients:
                client.progress_s = now_s
        self.measuring = True

    # --- making it ---------------------------------------------------------------------

    def _make(self, topology: Topology, secret: str) -> list[Stream]:
        options, share = self.options, self.share
        population = Population(topology, options)
        clusters = population.clusters
        clients = share.size(options.clients)
        count = share.size(options.connections) or min(len(clusters), clients)
        streams = []
        for i in range(count):
            # Each process begins with another cluster, so that few connections still meet every leader.
            cluster = clusters[(i + share.number) % len(clusters)]
            number = i * share.of + share.number
            seed = options.seed * 1_000_003 + number
            streams.append(
                Stream(
                    self._dial(f"bench-{number + 1}", len(range(i, clients, count))),
                    cluster,
                    self,
                    population.new_client(cluster, seed),
                    clients=len(range(i, clients, count)),
                    retries=options.retries,
                    level=options.level,
                    bound_ms=options.bound_ms if options.consistency == "bounded" else 0,
                    seed=seed,
                )
            )
        return streams

    def _set_paces(self, topology: Topology, replay: list[Due]) -> None:
        """An open loop: split the rate by clients, or the file's transfers by their coordinating cluster."""
        options, streams = self.options, self._streams
        if not replay:
            if options.rate:
                for i, stream in enumerate(streams):
                    rate = options.rate * len(stream.clients) / options.clients
                    number = i * self.share.of + self.share.number
                    stream.pace = Pace(arrivals(rate, options.arrivals, f"{options.seed}/{number}"))
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
