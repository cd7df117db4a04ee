"""``make bench-rest``: how fast REST takes transfers, one a request and in batches, beside its targets.

A private bank with its site runs as people run one; recording is on. All of it is on one machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple

import msgspec
from rich.table import Table

from consensus.cli.bench_tables import yes
from consensus.cli.command import EXIT_FAILED, add_sizes, print_json, run, table_console
from consensus.cli.served import served_bank
from consensus.client.fleet import Fleet
from consensus.cluster.private import to_stderr, topology_of
from consensus.topology import Topology
from consensus.workload.audit import audit
from consensus.workload.http import Connection, Site
from consensus.workload.pace import CONSTANT, arrivals
from consensus.workload.tally import Latencies

SINGLES: Final = "/api/transactions/"
BATCHES: Final = "/api/transactions/batch/"
RATE: Final = 300.0
"""Single transfers a second that must be answered, the 95th percentile of them within P95_MS."""
P95_MS: Final = 60.0
BATCH_TPS: Final = 5_000.0
CONNECTIONS: Final = 64
"""Of the open loop, at most as many requests are under way."""
WARMUP_S: Final = 2.0
"""Before each load is measured; for short ones as long as they."""
LOADS: Final = ((16, 1), (64, 1), (1, 1_000), (2, 1_000), (1, 10_000))
"""Requests under way all the time, and transfers in each; after the open loop."""
CROSS: Final = 0.2
OK: Final = 200


class Measured(NamedTuple):
    """Of one load: committed transfers per second, latencies of requests, answers that were no success."""

    name: str
    tps: float
    latency: dict[str, float | None]
    failed: int


class Transfers:
    """Draws transfers, a fifth of them to another cluster."""

    def __init__(self, topology: Topology, seed: int) -> None:
        self._draw = random.Random(seed)
        self._ranges = [(c.first_account, c.last_account) for c in topology.clusters]

    def next(self) -> dict[str, int]:
        draw = self._draw
        home = draw.randrange(len(self._ranges))
        away = home
        if len(self._ranges) > 1 and draw.random() < CROSS:
            away = (home + draw.randrange(1, len(self._ranges))) % len(self._ranges)
        sender, receiver = draw.randint(*self._ranges[home]), draw.randint(*self._ranges[away])
        if sender == receiver:
            return self.next()
        return {"sender": sender, "receiver": receiver, "amount": draw.randint(1, 10)}


async def open_loop(site: Site, transfers: Transfers, rate: float, duration_s: float) -> Measured:
    """Single transfers begun at ``rate`` a second, evenly; latency counts from when one was due."""
    due = arrivals(rate, CONSTANT, "rest")
    warmup_s = min(WARMUP_S, duration_s)
    latencies, failed, committed = Latencies(), 0, 0
    start_s = time.monotonic() + 0.1

    async def one(connection: Connection) -> None:
        nonlocal failed, committed
        while (at_s := next(due).at_s) < warmup_s + duration_s:
            await asyncio.sleep(max(0.0, start_s + at_s - time.monotonic()))
            status, answer = await connection.post(SINGLES, msgspec.json.encode(transfers.next()))
            if at_s >= warmup_s:
                latencies.add((time.monotonic() - start_s - at_s) * 1e3)
                failed += status != OK
                committed += b'"outcome":"committed"' in answer

    began_s = start_s + warmup_s
    await _together(site, CONNECTIONS, one)
    seconds = max(duration_s, time.monotonic() - began_s)
    return Measured(f"{rate:g} single transfers a second", committed / seconds, latencies.report(), failed)


async def closed_loop(
    site: Site, transfers: Transfers, clients: int, batch: int, duration_s: float
) -> Measured:
    """``clients`` requests under way all the time, of ``batch`` transfers each; 1: single ones."""
    latencies, failed, committed = Latencies(), 0, 0
    begin_s = time.monotonic() + min(WARMUP_S, duration_s)
    end_s = begin_s + duration_s

    async def one(connection: Connection) -> None:
        nonlocal failed, committed
        path = SINGLES if batch == 1 else BATCHES
        while time.monotonic() < end_s:
            body: Any = transfers.next() if batch == 1 else [transfers.next() for _ in range(batch)]
            begun_s = time.monotonic()
            status, answer = await connection.post(path, msgspec.json.encode(body))
            now_s = time.monotonic()
            if begin_s <= now_s < end_s:
                latencies.add((now_s - begun_s) * 1e3)
                failed += status != OK
                committed += answer.count(b'"outcome":"committed"')

    await _together(site, clients, one)
    what = "single transfers" if batch == 1 else f"batches of {batch:,}"
    return Measured(f"{what}, {clients} at once", committed / duration_s, latencies.report(), failed)


async def _together(site: Site, count: int, work: Callable[[Connection], Coroutine[Any, Any, None]]) -> None:
    connections = [await Connection.open(site) for _ in range(count)]
    try:
        async with asyncio.TaskGroup() as group:
            for connection in connections:
                group.create_task(work(connection))
    finally:
        for connection in connections:
            await connection.close()


async def measure(topology: Topology, duration_s: float, seed: int) -> dict[str, Any]:
    """Every load in turn, then the audit."""
    transfers = Transfers(topology, seed)
    found: list[Measured] = []
    async with served_bank(topology) as bank:
        site = Site.at(bank.url)
        found.append(await open_loop(site, transfers, RATE, duration_s))
        for clients, batch in LOADS:
            to_stderr(f"{clients} at once, {batch} in each")
            found.append(await closed_loop(site, transfers, clients, batch, duration_s))
        async with Fleet(topology, bank.secret) as fleet:
            audited = await audit(fleet)
    paced = found[0]
    p95_ms = paced.latency["p95"]
    assert p95_ms is not None
    return {
        "loads": [each._asdict() for each in found],
        "targets": [
            _target("single transfers, per second", RATE, paced.tps),
            _target(f"p95 at {RATE:g} a second, ms", P95_MS, p95_ms, below=True),
            _target("transfers in batches, per second", BATCH_TPS, _best_batch(found)),
        ],
        "load_average": os.getloadavg()[0],
        "cores": len(os.sched_getaffinity(0)),
        **audited,
    }


def _best_batch(found: list[Measured]) -> float:
    return max(each.tps for each, (_, batch) in zip(found[1:], LOADS, strict=True) if batch > 1)


def _target(name: str, target: float, value: float, *, below: bool = False) -> dict[str, Any]:
    # A rate that was paced may end a hair below it: what was due at the end is answered after it.
    ok = value <= target if below else value >= 0.99 * target
    return {
        "name": name,
        "target": target,
        "value": round(value, 1),
        "ratio": round(value / target, 3),
        "ok": ok,
    }


def show(result: dict[str, Any]) -> None:
    """The tables for people."""
    console = table_console()
    loads = Table("load", "per second", "p50 ms", "p95", "p99", "failed", box=None, header_style="bold")
    for load in result["loads"]:
        latency = [f"{load['latency'][name]:.1f}" for name in ("p50", "p95", "p99")]
        loads.add_row(load["name"], f"{load['tps']:,.0f}", *latency, str(load["failed"]))
    console.print(loads)
    targets = Table("figure", "target", "measured", "ratio", "met", box=None, header_style="bold")
    for row in result["targets"]:
        value = f"{row['value']:,.1f}"
        targets.add_row(row["name"], f"{row['target']:,.0f}", value, f"{row['ratio']:.2f}", yes(row["ok"]))
    console.print(targets)
    console.print(f"load average at the end {result['load_average']:.1f} on {result['cores']} cores")
    console.print(f"conserved: {yes(result['conserved'])}, replicas agree: {yes(result['replicas_agree'])}")


async def _main(options: argparse.Namespace) -> int:
    topology = topology_of(options.clusters, options.nodes, options.accounts, options.balance)
    result = await measure(topology, options.duration, options.seed)
    if options.json:
        print_json(json.loads(json.dumps(result)))
    else:
        show(result)
    return 0 if result["conserved"] and result["replicas_agree"] else EXIT_FAILED


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m consensus.cli.rest_bench", description=__doc__)
    add_sizes(parser, balance=100_000)
    parser.add_argument("--duration", type=float, default=8.0, help="seconds of each load (8)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return run("bench-rest", _main(parser.parse_args(argv)))


if __name__ == "__main__":
    raise SystemExit(main())
