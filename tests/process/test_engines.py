"""The same load on other systems, within a shard and across; money and replicas looked at afterwards."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consensus.cli import bench_engines
from consensus.cluster.private import topology_of
from consensus.workload.engines import etcd, postgres
from consensus.workload.engines.client import EngineClient
from consensus.workload.engines.missing import MissingError
from consensus.workload.options import BenchOptions
from consensus.workload.runner import run_bench
from consensus.workload.smallbank import SHARES
from consensus.workload.steps import CHANGED


def installed(find: Callable[[], object]) -> bool:
    try:
        find()
    except MissingError:
        return False
    return True


ENGINES = [
    pytest.param(
        "postgres",
        {"insufficient_funds", "lock_timeout"},
        marks=pytest.mark.skipif(
            not installed(postgres.binaries),
            reason="PostgreSQL is not installed: apt-get install postgresql",
        ),
    ),
    pytest.param(
        "etcd",
        {"insufficient_funds", "lock_conflict"},
        marks=pytest.mark.skipif(
            not installed(etcd.binary), reason="etcd is not installed: apt-get install etcd-server"
        ),
    ),
]


@pytest.mark.parametrize(("engine", "reasons"), ENGINES)
async def test_an_engine_takes_the_load_and_keeps_the_money(engine: str, reasons: set[str]) -> None:
    topology = topology_of(2, 3, 200, 50)
    transfers = BenchOptions(
        clients=8, transactions=400, warmup_s=0.0, cross_pct=40.0, read_pct=20.0, amount_max=40
    )
    # Few customers, so that many write what somebody else has changed since they read it.
    changes = BenchOptions(clients=8, transactions=200, warmup_s=0.0, cross_pct=40.0, mix="smallbank")
    async with bench_engines.running(engine, topology, transfers) as running:
        await _refuses_what_changed(running.dial("", 1))
        for bench in (transfers, changes):
            result = await run_bench(topology, "", bench, engine=running)
            assert result["conserved"] and result["replicas_agree"], result["audit"]
            assert result["unknown"] == 0 and result["by_kind"]["cross"]["throughput_tps"] > 0
            ended = result["committed"] + result["reads"] + sum(result["aborted"].values())
            assert ended == bench.transactions
            assert set(result["aborted"]) <= reasons
    assert set(result["by_operation"]) == set(SHARES)


async def _refuses_what_changed(client: EngineClient) -> None:
    """Of a bank of two shards with fifty on each account, to which nothing has happened."""
    await client.start()
    assert await client.look((1, 2)) == {1: (0, 50), 2: (0, 50)}
    assert await client.transfer((1, -5, 2, 5, 3, 0), {1: 0, 2: 0}) is None
    assert await client.look((1, 2, 3)) == {1: (1, 45), 2: (1, 55), 3: (0, 50)}
    assert await client.transfer((1, -5, 2, 5), {1: 1, 2: 0}) == CHANGED
    assert await client.transfer((1, -5, 101, 5), {1: 0}) == CHANGED, "across shards, too"
    assert await client.transfer((1, -5, 101, 5), {1: 1, 101: 0}) is None
    assert await client.transfer((1, -5, 2, 5), {102: 0}) is None, "of an account that is no party"
    await client.close()
