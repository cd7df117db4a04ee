"""``bench --engine``: another system under the same load, started for it and gone after it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from consensus.cli.command import UsageError
from consensus.topology import Topology
from consensus.workload.engines import ETCD, PAXOS, POSTGRES, TITLES, etcd, postgres
from consensus.workload.engines.etcd_client import EtcdClient
from consensus.workload.engines.missing import MissingError
from consensus.workload.engines.postgres_client import PostgresClient
from consensus.workload.options import BenchOptions
from consensus.workload.runner import Engine


def check(options: dict[str, Any], bench: BenchOptions) -> None:
    """Refuse what another engine cannot do, before anything starts.

    Raises:
        UsageError: an option that goes with the bank only.
    """
    for name in ("site", "bank"):
        if options[name]:
            raise UsageError(f"--{name}: goes with --engine {PAXOS} only")
    if bench.generators > 1:
        raise UsageError(f"--generators: more than one goes with --engine {PAXOS} only")


@asynccontextmanager
async def running(engine: str, topology: Topology, bench: BenchOptions) -> AsyncIterator[Engine]:
    """The engine, running and loaded with the accounts of ``topology``.

    Raises:
        UsageError: what it needs is not installed.
    """
    start = _postgres(topology, bench) if engine == POSTGRES else _etcd(topology)
    try:
        async with start as found:
            yield found
    except MissingError as error:
        raise UsageError(f"--engine {engine}: {error}") from error


@asynccontextmanager
async def _postgres(topology: Topology, bench: BenchOptions) -> AsyncIterator[Engine]:
    async with postgres.postgres_bank(topology, bench.clients) as bank:
        about = {
            "name": TITLES[POSTGRES],
            "version": bank.version,
            "servers": len(topology.clusters) * (1 + postgres.STANDBYS),
            "durability": "synced on the primary and on one of two standbys before a commit is told",
        }
        yield Engine(lambda _, clients: PostgresClient(bank, clients), lambda: postgres.audit(bank), about)


@asynccontextmanager
async def _etcd(topology: Topology) -> AsyncIterator[Engine]:
    async with etcd.etcd_bank(topology) as bank:
        about = {
            "name": TITLES[ETCD],
            "version": bank.version,
            "servers": etcd.MEMBERS,
            "durability": "synced on a majority of the three members before a commit is told",
        }
        yield Engine(lambda _, __: EtcdClient(bank), lambda: etcd.audit(bank), about)
