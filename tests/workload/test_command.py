"""``manage.py bench`` and the floor as people run them."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from rich.console import Console

from consensus.cli import against_floor, bench_engines
from consensus.cli.bench_command import add_arguments, bench_options, floor_loads
from consensus.cli.bench_tables import show_ratios
from consensus.cli.command import UsageError
from consensus.cli.served import ServedBank, served_bank
from consensus.cluster.launcher import StartError
from consensus.cluster.private import topology_of
from consensus.topology import Topology
from consensus.topology_file import generate
from consensus.types import NodeId
from consensus.workload.engines import postgres
from consensus.workload.engines.missing import MissingError
from consensus.workload.options import BenchOptions

PROJECT = Path(__file__).resolve().parents[2]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=PROJECT, capture_output=True, text=True, timeout=90, check=False
    )


def parsed(*arguments: str) -> dict[str, Any]:
    import argparse

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return vars(parser.parse_args(arguments))


@pytest.mark.process
def test_bench_measures_conservation_and_agreement() -> None:
    done = run("manage.py", "bench", "--clients", "10", "--transactions", "300", "--warmup", "0.1", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["committed"] + sum(result["aborted"].values()) == 300
    assert (result["conserved"], result["replicas_agree"], result["unknown"]) == (True, True, 0)
    assert result["latency_ms"]["p999"] >= result["latency_ms"]["p50"] > 0
    assert (result["parameters"]["clients"], result["parameters"]["connections"]) == (10, 3)


@pytest.mark.process
def test_floor_prints_one_json_line() -> None:
    done = run("-m", "consensus.workload.floor", "--clients", "8", "--seconds", "0.3", "--clusters", "2")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["tps"] > 0
    assert (result["shape"], result["connections"]) == ("2x3", 2)


@pytest.mark.process
def test_floor_across_groups_and_reads() -> None:
    done = run(
        "-m", "consensus.workload.floor",
        "--clients", "12", "--seconds", "0.3", "--cross", "50", "--read", "30", "--connections", "6",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tps"] > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--engine", "postgres", "--bank", "var"), "--bank: goes with --engine paxos only"),
        (("--engine", "postgres", "--site", "http://x"), "--site: goes with --engine paxos only"),
        (("--engine", "postgres", "--generators", "2"), "--generators: more than one goes with"),
    ],
)
def test_what_another_engine_cannot_do_is_said(arguments: tuple[str, ...], words: str) -> None:
    options = parsed(*arguments)
    with pytest.raises(UsageError, match=words):
        bench_engines.check(options, bench_options(options))


async def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Path:
        raise MissingError("PostgreSQL is not installed here; on Debian: apt-get install postgresql")

    monkeypatch.setattr(postgres, "binaries", missing)
    with pytest.raises(UsageError, match=r"--engine postgres: .*apt-get install postgresql"):
        async with bench_engines.running("postgres", generate(3, 3), BenchOptions()):
            pass


def test_presets_are_overridden_by_what_is_given() -> None:
    preset = bench_options(parsed("--preset", "high-throughput"))
    assert (preset.transactions, preset.clients, preset.read_pct) == (50_000, 50, 0.0)
    assert bench_options(parsed("--preset", "read-only", "--clients", "7")).clients == 7
    timed = bench_options(parsed("--preset", "read-only", "--duration", "2"))
    assert (timed.transactions, timed.duration_s, timed.read_pct) == (0, 2.0, 100.0)


@pytest.mark.parametrize(
    ("preset", "transactions", "rate", "clients", "cross", "read"),
    [
        ("default", 10_000, 1_000, 10, 20, 10),
        ("high-throughput", 50_000, 0, 50, 0, 0),
        ("cross-shard", 20_000, 500, 20, 80, 10),
        ("stress", 100_000, 5_000, 100, 30, 20),
    ],
)
def test_presets_of_the_course(
    preset: str, transactions: int, rate: float, clients: int, cross: float, read: float
) -> None:
    options = bench_options(parsed("--preset", preset))
    assert (options.transactions, options.rate, options.clients) == (transactions, rate, clients)
    assert (options.cross_pct, options.read_pct, options.distribution) == (cross, read, "uniform")
    assert options.amount_max == 10


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("--skewness", "1.2"), "--skewness: goes with --distribution zipf only"),
        (("--rate", "0"), "--rate: must be above 0"),
        (("--replay", "x.csv", "--preset", "default"), "--replay: the file says"),
    ],
)
def test_options_that_exclude_each_other(arguments: tuple[str, ...], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        bench_options(parsed(*arguments))


@pytest.mark.process
def test_bench_across_clusters_counts_each_kind() -> None:
    done = run(
        "manage.py", "bench", "--clients", "20", "--accounts", "60", "--transactions", "400",
        "--warmup", "0.1",
        "--cross-shard", "50", "--read-only", "20", "--distribution", "hotspot", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert all(result["by_kind"][kind]["throughput_tps"] > 0 for kind in ("intra", "cross", "read"))
    ended = result["committed"] + sum(result["aborted"].values()) + result["unknown"]
    assert result["transfers"] == ended
    assert result["refused"] == {}
    assert result["attempts"] >= result["transfers"]
    assert (result["conserved"], result["replicas_agree"]) == (True, True)
    assert result["audit"]["total"] == 60 * 100_000


def test_the_whole_table_unless_a_shape_is_asked_for() -> None:
    assert floor_loads(parsed("--quick")) == against_floor.LOADS
    (mixed,) = floor_loads(parsed("--cross-shard", "20", "--clients", "100"))
    assert (mixed.name, mixed.share, mixed.cross_pct) == ("20 % cross", 0.6, 20.0)
    (wide,) = floor_loads(parsed("--clusters", "5", "--nodes", "5", "--clients", "100"))
    assert (wide.share, wide.clusters, wide.nodes) == (0.5, 5, 5)
    (sockets,) = floor_loads(parsed("--clients", "100", "--connections", "100"))
    assert (sockets.share, sockets.connections) == (None, 100)
    with pytest.raises(UsageError, match="the floor knows no --rate"):
        floor_loads(parsed("--rate", "5"))


@pytest.mark.process
async def test_against_floor_takes_turns() -> None:
    loads = (
        against_floor.Load("small", 4, clusters=1, nodes=1, share=0.0001, p99_times=0.0),
        against_floor.Load("across", 4, cross_pct=100.0, clusters=2, nodes=1),
    )
    table = await against_floor.against_floor(
        accounts=9_000, balance=1_000, duration_s=0.3, told=lambda _: None, loads=loads, rounds=1, site=False
    )
    row, across = table["rows"]
    assert row["share"] == pytest.approx(row["bank_tps"] / row["floor_tps"], abs=0.001)
    assert (row["share_ok"], row["p99_ok"], row["p50_ok"]) == (True, False, None)
    assert (table["conserved"], table["replicas_agree"]) == (True, True)
    assert (row["clients"], row["connections"], len(table["runs"])) == (4, 1, 2)
    assert across["bank_tps"] > 0
    console = Console(width=300, file=io.StringIO())
    show_ratios(console, table)
    text = console.file.getvalue()
    assert "missed" in text
    assert "targets missed: 1" in text
    assert "without a site" in text


@pytest.mark.process
async def test_the_bank_beside_the_floor_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    ready: list[dict[str, Any]] = []

    @asynccontextmanager
    async def asked(topology: Topology) -> AsyncIterator[ServedBank]:
        async with served_bank(topology) as served:
            address = urlsplit(served.url)
            url = f"{address.scheme}://{address.netloc}/api/health/ready/"
            ready.append(json.loads(await asyncio.to_thread(lambda: urlopen(url).read())))
            yield served

    monkeypatch.setattr(against_floor, "served_bank", asked)
    load = against_floor.Load("small", 4, clusters=1, nodes=1)
    table = await against_floor.against_floor(
        accounts=90, balance=1_000, duration_s=0.3, told=lambda _: None, loads=(load,), rounds=1
    )
    assert table["conserved"]
    assert [answer["status"] for answer in ready] == ["ready"]


async def test_what_a_served_bank_said_when_it_did_not_start() -> None:
    topology = topology_of(1, 1, 90, 10)
    taken = socket.create_server(("127.0.0.1", topology.nodes[NodeId(1)].port))
    with taken, pytest.raises(StartError, match=f"port {topology.nodes[NodeId(1)].port}"):
        async with served_bank(topology):
            raise AssertionError("it runs")
