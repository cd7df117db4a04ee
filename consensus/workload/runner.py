"""A closed loop through the client library: so many operations in flight, a new one for each that ends."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import msgspec

from consensus.client.bank import BankClient
from consensus.client.fleet import Fleet
from consensus.client.results import ReadValues, TxResult
from consensus.topology import Topology
from consensus.types import ClusterId
from consensus.workload.audit import audit
from consensus.workload.generator import Generator, LoadError
from consensus.workload.tally import Tally

CLIENTS_MAX: Final = 10_000
READY_TIMEOUT_S: Final = 15.0
CONNECT_AT_ONCE: Final = 30
"""Connections opened together."""


class BenchOptions(msgspec.Struct, frozen=True):
    """What to run.

    Attributes:
        clients: operations in flight, spread evenly over the clusters.
        connections: sockets that they share; 0 for one per cluster.
        transactions: operations to measure; 0 to measure for ``duration_s`` instead.
        duration_s: measured time.
        warmup_s: time before that, not measured.
        read_pct: percent of operations that read one account (linearizable).
        amount_max: transfers move 1 to this many units.
        seed: of accounts and amounts.
    """

    clients: int = 50
    connections: int = 0
    transactions: int = 0
    duration_s: float = 5.0
    warmup_s: float = 1.0
    read_pct: float = 0.0
    amount_max: int = 10
    seed: int = 1

    def check(self) -> None:
        """Raise LoadError naming the first option that makes no sense."""
        limits: tuple[tuple[str, float, float, float], ...] = (
            ("clients", self.clients, 1, CLIENTS_MAX),
            ("connections", self.connections, 0, self.clients),
            ("transactions", self.transactions, 0, 10**9),
            ("duration", self.duration_s, 0.1, 86_400),
            ("warmup", self.warmup_s, 0, 3_600),
            ("read-only", self.read_pct, 0, 100),
        )
        for name, value, least, most in limits:
            if not least <= value <= most:
                raise LoadError(f"{name}: must be {least:g} to {most:g}, not {value:g}")


class _Stream:
    """The operations in flight on one connection, all in one cluster."""

    def __init__(
        self, client: BankClient, cluster: ClusterId, clients: int, generator: Generator, run: _Run
    ) -> None:
        self.client = client
        self.cluster = cluster
        self.clients = clients
        self._generator = generator
        self._run = run

    def begin(self) -> None:
        for _ in range(self.clients):
            self._next()

    def _next(self) -> None:
        if self._generator.is_read():
            self.client.read_nowait((self._generator.account(),), self._read_done)
        else:
            self.client.submit_nowait(self._generator.legs(), self._transfer_done)

    def _transfer_done(self, result: TxResult) -> None:
        run = self._run
        if run.measuring:
            run.tally.transfer(result)
            run.count()
        if run.stopping:
            run.one_idle()
        else:
            self._next()

    def _read_done(self, values: ReadValues) -> None:
        run = self._run
        if run.measuring:
            run.tally.read(values)
            run.count()
        if run.stopping:
            run.one_idle()
        else:
            self._next()


class _Run:
    """State shared by the streams of one run."""

    def __init__(self, options: BenchOptions) -> None:
        self.tally = Tally()
        self.measuring = False
        self.stopping = False
        self.enough = asyncio.Event()
        self.idle = asyncio.Event()
        self._left = options.transactions
        self._busy = options.clients

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


async def run_bench(topology: Topology, secret: str, options: BenchOptions) -> dict[str, Any]:
    """Load a running bank, measure, then check that no money came or went and that replicas agree.

    Returns:
        The figures of CONTRACT ``bench`` without ``parameters``.

    Raises:
        LoadError: an option makes no sense.
        TimeoutError: a cluster did not open a session in time.
    """
    options.check()
    run = _Run(options)
    streams = _streams(topology, secret, options, run)
    try:
        await _connect(streams)
        for stream in streams:
            stream.begin()
        await asyncio.sleep(options.warmup_s)
        run.measuring = True
        started = time.perf_counter()
        if options.transactions:
            await run.enough.wait()
        else:
            await asyncio.sleep(options.duration_s)
        run.measuring = False
        duration_s = time.perf_counter() - started
        run.stopping = True
        await run.idle.wait()
    finally:
        await asyncio.gather(*(stream.client.close() for stream in streams))
    async with Fleet(topology, secret) as fleet:
        audited = await audit(fleet)
    return {**run.tally.report(duration_s), **audited}


def _streams(topology: Topology, secret: str, options: BenchOptions, run: _Run) -> list[_Stream]:
    clusters = [cluster for cluster in topology.clusters if cluster.last_account > cluster.first_account]
    count = options.connections or min(len(clusters), options.clients)
    streams = []
    for i in range(count):
        cluster = clusters[i % len(clusters)]
        share = len(range(i, options.clients, count))
        generator = Generator(
            cluster, options.seed * 1_000_003 + i, read_pct=options.read_pct, amount_max=options.amount_max
        )
        client = BankClient(topology, secret, name=f"bench-{i + 1}")
        streams.append(_Stream(client, cluster.id, share, generator, run))
    return streams


async def _connect(streams: list[_Stream]) -> None:
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
