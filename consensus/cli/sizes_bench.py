"""``make bench-sizes``: numbers of clusters, clients, accounts, transactions in a slot; and a fixed rate.

Each size is a private bank of its own. Within a section sizes are measured in turn, so that what else the
machine does falls on all of them; read along a section.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import Any, Final, NamedTuple

import msgspec
from rich.table import Table

from consensus.cli.bench_tables import yes
from consensus.cli.command import EXIT_FAILED, UsageError, print_json, run, table_console
from consensus.cluster.private import private_bank, to_stderr, topology_of
from consensus.workload.options import BenchOptions
from consensus.workload.runner import run_bench

NODES: Final = 3
BALANCE: Final = 100_000
MILLION: Final = 1_000_000
SHARE_OF_SMALL: Final = 0.9
"""Least throughput with a million accounts, over that with as many as usual."""
START_S: Final = 20.0
"""In which a bank of a million accounts is to serve."""
RATE_P99_MS: Final = 25.0
ROUNDS_MAX: Final = 20


class Size(NamedTuple):
    """One measurement. ``batch``: most transactions in a slot. ``rate``: per second; 0 is a closed loop."""

    words: str
    clusters: int = 3
    accounts: int = 9_000
    batch: int = 512
    clients: int = 100
    cross_pct: float = 0.0
    rate: float = 0.0


SECTIONS: Final[dict[str, tuple[Size, ...]]] = {
    "clusters": tuple(Size(f"{n} clusters", clusters=n) for n in range(1, 6)),
    "across": tuple(Size(f"{n} clusters, 20 % across", clusters=n, cross_pct=20.0) for n in range(2, 6)),
    "clients": tuple(Size(f"{n:,} clients", clients=n) for n in (1, 10, 50, 100, 300, 1_000)),
    "accounts": tuple(Size(f"{n:,} accounts", accounts=n) for n in (9_000, 100_000, MILLION)),
    "batch": tuple(Size(f"at most {n} in a slot", batch=n, clients=300) for n in (1, 8, 32, 128, 512)),
    "rate": (Size("5,000 a second", clients=300, rate=5_000.0),),
}


async def _measured(size: Size, duration_s: float) -> dict[str, Any]:
    """The result of one run, and how long its bank took to serve."""
    topology = topology_of(size.clusters, NODES, size.accounts, BALANCE)
    limits = msgspec.structs.replace(topology.limits, batch_transactions=size.batch)
    topology = msgspec.structs.replace(topology, limits=limits)
    bench = BenchOptions(
        clients=size.clients, duration_s=duration_s, cross_pct=size.cross_pct, rate=size.rate
    )
    bench.check()
    began = time.monotonic()
    async with private_bank(topology, lambda _: None) as bank:
        started_s = time.monotonic() - began
        return {**await run_bench(topology, bank.secret, bench), "started_s": started_s}


async def measure(sections: list[str], rounds: int, duration_s: float) -> list[dict[str, Any]]:
    """One row for each size of the sections, of medians over the rounds."""
    rows = []
    for name in sections:
        found: dict[Size, list[dict[str, Any]]] = {size: [] for size in SECTIONS[name]}
        for turn in range(rounds):
            for size, results in found.items():
                to_stderr(f"{name}, round {turn + 1} of {rounds}: {size.words}")
                results.append(await _measured(size, duration_s))
        made = [_row(name, size, results) for size, results in found.items()]
        for row in made:
            row["share"] = round(row["throughput_tps"] / made[0]["throughput_tps"], 3)
            row["targets"] = _targets(row)
        rows += made
    return rows


def _row(section: str, size: Size, results: list[dict[str, Any]]) -> dict[str, Any]:
    def median(*path: str) -> float:
        values = []
        for result in results:
            value: Any = result
            for name in path:
                value = value[name]
            values.append(value)
        return float(statistics.median(values))

    return {
        "section": section,
        **size._asdict(),
        "throughput_tps": round(median("throughput_tps"), 1),
        "p50_ms": round(median("latency_ms", "p50"), 2),
        "p99_ms": round(median("latency_ms", "p99"), 2),
        "started_s": round(median("started_s"), 2),
        "fine": all(result["conserved"] and result["replicas_agree"] for result in results),
    }


def _targets(row: dict[str, Any]) -> list[dict[str, Any]]:
    """What is asked of a row: figure, bound, value, whether it is met."""
    if row["rate"]:
        asked = [("p99 ms", f"≤ {RATE_P99_MS:g}", row["p99_ms"], row["p99_ms"] <= RATE_P99_MS)]
    elif row["section"] == "accounts" and row["accounts"] == MILLION:
        asked = [
            ("of 9,000's", f"≥ {SHARE_OF_SMALL:g}", row["share"], row["share"] >= SHARE_OF_SMALL),
            ("start s", f"≤ {START_S:g}", row["started_s"], row["started_s"] <= START_S),
        ]
    else:
        asked = []
    return [{"figure": f, "bound": b, "value": v, "met": met} for f, b, v, met in asked]


def show(rows: list[dict[str, Any]]) -> None:
    table = Table(box=None, header_style="bold")
    for head in ("", "per second", "of the first", "p50 ms", "p99 ms", "start s", "target", "met"):
        table.add_column(head, justify="left" if head in ("", "target", "met") else "right")
    section = None
    for row in rows:
        if section is not None and row["section"] != section:
            table.add_section()
        section = row["section"]
        table.add_row(
            row["words"],
            f"{row['throughput_tps']:,.0f}",
            f"{row['share']:.2f}",
            f"{row['p50_ms']:.2f}",
            f"{row['p99_ms']:.2f}",
            f"{row['started_s']:.1f}",
            "; ".join(f"{one['figure']} {one['bound']}" for one in row["targets"]),
            ", ".join(yes(one["met"]) for one in row["targets"]),
        )
    console = table_console()
    console.print(table)
    console.print(f"conserved, replicas agree: {yes(all(row['fine'] for row in rows))}")


async def _main(options: argparse.Namespace) -> int:
    if not 1 <= options.rounds <= ROUNDS_MAX:
        raise UsageError(f"--rounds: must be 1 to {ROUNDS_MAX}, not {options.rounds}")
    rows = await measure(options.only or list(SECTIONS), options.rounds, options.duration)
    if options.json:
        print_json({"rows": rows})
    else:
        show(rows)
    return 0 if all(row["fine"] for row in rows) else EXIT_FAILED


def main(argv: list[str] | None = None) -> int:
    """Exit status 0 when all was measured and no money was lost; a missed target is shown."""
    parser = argparse.ArgumentParser(prog="python -m consensus.cli.sizes_bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=SECTIONS, help="this section; may be repeated")
    parser.add_argument("--duration", type=float, default=3.0, help="seconds of each measurement (3)")
    parser.add_argument("--rounds", type=int, default=1, help="turns (1)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return run("bench-sizes", _main(parser.parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
