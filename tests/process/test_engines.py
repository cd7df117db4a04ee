"""The same load on other systems, within a shard and across; money and replicas looked at afterwards."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consensus.cli import bench_engines
from consensus.cluster.private import topology_of
from consensus.workload.engines import etcd, postgres
from consensus.workload.engines.missing import MissingError
from consensus.workload.options import BenchOptions
from consensus.workload.runner import run_bench


def installed(find: Callable[[], object]) -> bool:
    try:
        find()
    except MissingError:
        return False
    return True


@pytest.mark.parametrize(
    ("engine", "reasons"),
    [
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
    ],
)
async def test_an_engine_takes_the_load_and_keeps_the_money(engine: str, reasons: set[str]) -> None:
    topology = topology_of(2, 3, 200, 50)
    bench = BenchOptions(
        clients=8, transactions=400, warmup_s=0.0, cross_pct=40.0, read_pct=20.0, amount_max=40
    )
    async with bench_engines.running(engine, topology, bench) as running:
        result = await run_bench(topology, "", bench, engine=running)
    assert result["conserved"] and result["replicas_agree"], result["audit"]
    assert result["unknown"] == 0 and result["by_kind"]["cross"]["throughput_tps"] > 0
    assert result["committed"] + result["reads"] + sum(result["aborted"].values()) == 400
    assert set(result["aborted"]) <= reasons
