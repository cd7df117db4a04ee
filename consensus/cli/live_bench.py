"""``make bench-live``: what somebody who watches costs: throughput with and without ``/ws/live/`` read.

A private bank with its site runs as people run one, recording. Rounds are taken in turn, so that what else
the machine does falls on both sides. The reader is a process of its own that takes every frame and
acknowledges it, as a page does, but draws nothing: a browser on the same cores costs what it draws.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from rich.table import Table

from consensus.cli.bench_tables import yes
from consensus.cli.command import EXIT_FAILED, print_json, run, table_console
from consensus.cli.served import served_bank
from consensus.cluster.launcher import PROJECT
from consensus.cluster.private import to_stderr, topology_of
from consensus.workload.options import BenchOptions
from consensus.workload.runner import run_bench

TARGET_PCT: Final = 5.0
CLIENTS: Final = 100
ACCOUNTS: Final = 9_000
BALANCE: Final = 100_000
LEVELS: Final = (1, 2)
START_S: Final = 20.0
STOP_S: Final = 10.0


@asynccontextmanager
async def reader(url: str, level: int) -> AsyncIterator[list[int]]:
    """Read the live data of the site at ``url``; the list holds frames and bytes once it has ended."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "consensus.cli.live_reader", "--level", str(level), url),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=PROJECT,
    )
    assert process.stdin is not None and process.stdout is not None
    counts: list[int] = []
    try:
        async with asyncio.timeout(START_S):
            if await process.stdout.readline() != b"reading\n":
                raise RuntimeError("the reader of /ws/live/ could not begin; what it said is above")
        yield counts
    finally:
        process.stdin.close()
        async with asyncio.timeout(STOP_S):
            told = await process.stdout.readline()
            await process.wait()
        counts += map(int, told.split())


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    topology = topology_of(3, 3, ACCOUNTS, BALANCE)
    bench = BenchOptions(clients=options.clients, duration_s=options.duration, cross_pct=options.cross)
    bench.check()
    alone: list[float] = []
    watched: dict[int, list[float]] = {level: [] for level in LEVELS}
    read: dict[int, list[int]] = {level: [] for level in LEVELS}
    fine = True
    async with served_bank(topology) as bank:

        async def one(into: list[float]) -> None:
            nonlocal fine
            result = await run_bench(topology, bank.secret, bench)
            fine = fine and result["conserved"] and result["replicas_agree"]
            into.append(result["throughput_tps"])

        await one([])  # warms the bank
        for turn in range(options.rounds):
            to_stderr(f"round {turn + 1} of {options.rounds}")
            for level in LEVELS:
                await one(alone)
                async with reader(bank.url, level) as counts:
                    await one(watched[level])
                read[level] = counts
            await one(alone)
    before = statistics.median(alone)
    return {
        "clients": options.clients,
        "cross_pct": options.cross,
        "alone_tps": round(before, 1),
        "levels": [
            {
                "level": level,
                "tps": round(statistics.median(watched[level]), 1),
                "cost_pct": round(100 * (1 - statistics.median(watched[level]) / before), 2),
                "target_pct": TARGET_PCT if level == 1 else None,
                "frames": read[level][0],
                "bytes": read[level][1],
            }
            for level in LEVELS
        ],
        "spread_pct": round(100 * (max(alone) - min(alone)) / before, 1),
        "load_average": os.getloadavg()[0],
        "conserved": fine,
    }


def show(result: dict[str, Any]) -> None:
    table = Table(
        "", "per second", "cost %", "target %", "met", "frames", "MB", box=None, header_style="bold"
    )
    table.add_row("nobody watches", f"{result['alone_tps']:,.0f}", "", "", "", "", "")
    for row in result["levels"]:
        target = row["target_pct"]
        table.add_row(
            "a page is open" if row["level"] == 1 else "… and asks for single messages",
            f"{row['tps']:,.0f}",
            f"{row['cost_pct']:.1f}",
            "" if target is None else f"{target:g}",
            "" if target is None else yes(row["cost_pct"] < target),
            f"{row['frames']:,}",
            f"{row['bytes'] / 1e6:.1f}",
        )
    console = table_console()
    console.print(table)
    console.print(f"rounds with nobody watching spread over {result['spread_pct']:.1f} %")
    console.print(f"conserved, replicas agree: {yes(result['conserved'])}")


async def _main(options: argparse.Namespace) -> int:
    result = await measure(options)
    if options.json:
        print_json(result)
    else:
        show(result)
    return 0 if result["conserved"] else EXIT_FAILED


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m consensus.cli.live_bench", description=__doc__)
    parser.add_argument("--clients", type=int, default=CLIENTS, help=f"operations in flight ({CLIENTS})")
    parser.add_argument("--cross", type=float, default=0.0, help="per cent across clusters (0)")
    parser.add_argument("--duration", type=float, default=4.0, help="seconds of each measurement (4)")
    parser.add_argument("--rounds", type=int, default=5, help="turns (5)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return run("bench-live", _main(parser.parse_args(argv)))


if __name__ == "__main__":
    raise SystemExit(main())
