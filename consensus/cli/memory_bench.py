"""``make bench-memory``: whether a bank under load, with its site, stays within bounds for ten minutes.

Resident memory is that of all its processes, as the operating system counts it; what grows without bound
grows in the second half, too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from typing import Any, Final

import psutil
from rich.table import Table

from consensus.cli.bench_tables import yes
from consensus.cli.command import EXIT_FAILED, print_json, run, table_console
from consensus.cli.served import served_bank
from consensus.cluster.private import to_stderr, topology_of
from consensus.workload.options import BenchOptions
from consensus.workload.runner import run_bench

ACCOUNTS: Final = 9_000
BALANCE: Final = 100_000
GROWTH_PCT: Final = 5.0
"""Most that the second half may add to the first."""
EVERY_S: Final = 5.0
WORKER: Final = "consensus.node"
"""What the command line of a node worker holds."""
MB: Final = 1e6


def resident(pid: int) -> dict[str, float]:
    """MB held by the node workers, and by the other processes below ``pid`` and itself."""
    held = {"nodes": 0.0, "site": 0.0}
    parent = psutil.Process(pid)
    for process in (parent, *parent.children(recursive=True)):
        try:
            name = "nodes" if WORKER in " ".join(process.cmdline()) else "site"
            held[name] += process.memory_info().rss / MB
        except psutil.NoSuchProcess:
            to_stderr(f"process {process.pid} is gone")
    return held


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    topology = topology_of(3, 3, ACCOUNTS, BALANCE)
    bench = BenchOptions(clients=options.clients, duration_s=options.duration, cross_pct=options.cross)
    bench.check()
    seen: list[dict[str, float]] = []

    async with served_bank(topology) as bank:

        async def watch() -> None:
            began = time.monotonic()
            while True:
                held = await asyncio.to_thread(resident, bank.pid)
                held = {"s": round(time.monotonic() - began, 1), **held}
                seen.append(held)
                to_stderr("{s:6.1f} s: nodes {nodes:.0f} MB, site {site:.0f} MB".format(**held))
                await asyncio.sleep(EVERY_S)

        watching = asyncio.create_task(watch())
        try:
            result = await run_bench(topology, bank.secret, bench)
        finally:
            watching.cancel()
            # If it had ended by itself, what ended it is raised here.
            with contextlib.suppress(asyncio.CancelledError):
                await watching
    half = min(seen, key=lambda held: abs(held["s"] - options.duration / 2))
    rows = []
    for name in ("nodes", "site"):
        grown = 100 * (seen[-1][name] / half[name] - 1)
        rows.append(
            {
                "name": name,
                "begin_mb": round(seen[0][name], 1),
                "half_mb": round(half[name], 1),
                "end_mb": round(seen[-1][name], 1),
                "most_mb": round(max(held[name] for held in seen), 1),
                "grown_pct": round(grown, 2),
                "target_pct": GROWTH_PCT,
                "met": grown <= GROWTH_PCT,
            }
        )
    return {
        "duration_s": options.duration,
        "throughput_tps": result["throughput_tps"],
        "committed": result["committed"],
        "rows": rows,
        "seen": seen,
        "fine": result["conserved"] and result["replicas_agree"],
    }


def show(result: dict[str, Any]) -> None:
    table = Table(box=None, header_style="bold")
    for head in ("", "begin MB", "half", "end", "most", "second half %", "target %", "met"):
        table.add_column(head, justify="right" if head else "left")
    for row in result["rows"]:
        values = [f"{row[name]:,.0f}" for name in ("begin_mb", "half_mb", "end_mb", "most_mb")]
        grown, target = f"{row['grown_pct']:+.1f}", f"≤ {row['target_pct']:g}"
        table.add_row(row["name"], *values, grown, target, yes(row["met"]))
    console = table_console()
    console.print(table)
    console.print(
        f"{result['committed']:,} transfers in {result['duration_s']:g} s, {result['throughput_tps']:,.0f} "
        f"a second; conserved, replicas agree: {yes(result['fine'])}"
    )


async def _main(options: argparse.Namespace) -> int:
    result = await measure(options)
    if options.json:
        print_json(result)
    else:
        show(result)
    return 0 if result["fine"] else EXIT_FAILED


def main(argv: list[str] | None = None) -> int:
    """Exit status 0 when all was measured and no money was lost; a missed target is shown."""
    parser = argparse.ArgumentParser(prog="python -m consensus.cli.memory_bench", description=__doc__)
    parser.add_argument("--clients", type=int, default=100, help="operations in flight (100)")
    parser.add_argument("--cross", type=float, default=5.0, help="per cent across clusters (5)")
    parser.add_argument("--duration", type=float, default=600.0, help="seconds (600)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return run("bench-memory", _main(parser.parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
