"""``manage.py bench``: a closed loop on a private bank, alone or in turn with the floor."""

from __future__ import annotations

import argparse
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table

from consensus.cli.against_floor import FloorOptionsError, against_floor
from consensus.cli.command import EXIT_FAILED, UsageError, add_sizes, print_json, run, table_console
from consensus.cli.private import private_bank, to_stderr, topology_of
from consensus.workload.runner import BenchOptions, run_bench

BALANCE: Final = 100_000
CLIENTS: Final = 50
DURATION_S: Final = 5.0
PRESETS: Final[dict[str, dict[str, Any]]] = {
    "high-throughput": {"transactions": 50_000, "clients": 50, "read_only": 0.0},
    "read-only": {"transactions": 50_000, "clients": 50, "read_only": 100.0},
}
"""Presets that stay within a cluster and know no rate."""
LATER_PRESETS: Final = ("default", "cross-shard", "stress", "smallbank", "communities")
_LATER: Final[dict[str, tuple[Any, str]]] = {
    "rate": (None, "a rate limit"),
    "cross_shard": (0.0, "transfers across clusters"),
    "distribution": ("uniform", "another distribution than uniform"),
    "skewness": (None, "skewed accounts"),
    "consistency": ("linearizable", "reads of another level"),
    "engine": ("paxos", "another engine than paxos"),
    "site": (None, "a bank behind a site"),
    "replay": (None, "replaying a file"),
    "sweep": (False, "a sweep"),
    "csv": (None, "CSV output"),
}
"""Options that later parts bring: the value that means "not asked for", and what is missing."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", choices=[*PRESETS, *LATER_PRESETS], help="a named set of parameters")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--transactions", type=int, help="operations to measure")
    size.add_argument("--duration", type=float, help=f"seconds to measure ({DURATION_S:g})")
    add_sizes(parser, balance=BALANCE)
    parser.add_argument("--clients", type=int, help=f"operations in flight ({CLIENTS})")
    parser.add_argument("--connections", type=int, default=0, help="sockets they share (one per leader)")
    parser.add_argument("--read-only", type=float, metavar="PCT", help="percent of reads (0)")
    parser.add_argument("--warmup", type=float, default=1.0, help="seconds before measuring (1)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--against-floor",
        action="store_true",
        help="run the floor and the bank in turn, twice, at several loads, and print the shares",
    )
    later = parser.add_argument_group("not supported yet")
    later.add_argument("--rate", type=float, metavar="TPS")
    later.add_argument("--cross-shard", type=float, metavar="PCT", default=0.0)
    later.add_argument("--distribution", default="uniform")
    later.add_argument("--skewness", type=float)
    later.add_argument("--consistency", default="linearizable")
    later.add_argument("--engine", default="paxos")
    later.add_argument("--site")
    later.add_argument("--replay")
    later.add_argument("--sweep", action="store_true")
    later.add_argument("--csv")


def main(options: dict[str, Any]) -> int:
    """Exit status 0 when it was measured, money was conserved and replicas agree."""
    return run("bench", _main(options))


async def _main(options: dict[str, Any]) -> int:
    refuse_later(options)
    if options["against_floor"]:
        return await _against_floor(options)
    bench = bench_options(options)
    sizes = {name: options[name] for name in ("clusters", "nodes", "accounts", "balance")}
    topology = topology_of(**sizes)
    async with private_bank(topology) as bank:
        to_stderr(f"measuring {bench.clients} clients")
        result = await run_bench(topology, bank.secret, bench)
    parameters = {**sizes, **msgspec.to_builtins(bench), "engine": "paxos", "distribution": "uniform"}
    parameters["connections"] = bench.connections or min(sizes["clusters"], bench.clients)
    result["parameters"] = parameters
    if options["json"]:
        print_json(result)
    else:
        _show(table_console(), result)
    return 0 if result["conserved"] and result["replicas_agree"] else EXIT_FAILED


def refuse_later(options: dict[str, Any]) -> None:
    """Say plainly what this version cannot do, before anything starts.

    Raises:
        UsageError: an option, or the preset, needs a later part.
    """
    for name, (neutral, what) in _LATER.items():
        if options.get(name, neutral) != neutral:
            raise UsageError(f"--{name.replace('_', '-')}: {what} is not supported yet")
    if options.get("preset") in LATER_PRESETS:
        known = ", ".join(PRESETS)
        raise UsageError(
            f"--preset {options['preset']}: needs transfers across clusters or rates, which are not "
            f"supported yet; there are {known}"
        )


def bench_options(options: dict[str, Any]) -> BenchOptions:
    """The preset, overridden by what was given.

    Raises:
        LoadError: a value is out of range.
    """
    preset = PRESETS.get(options.get("preset") or "", {})
    transactions = options["transactions"]
    if transactions is None and options["duration"] is None:
        transactions = preset.get("transactions", 0)
    clients = options["clients"] if options["clients"] is not None else preset.get("clients", CLIENTS)
    read_pct = options["read_only"] if options["read_only"] is not None else preset.get("read_only", 0.0)
    bench = BenchOptions(
        clients=clients,
        connections=options["connections"],
        transactions=transactions or 0,
        duration_s=options["duration"] if options["duration"] is not None else DURATION_S,
        warmup_s=options["warmup"],
        read_pct=read_pct,
        seed=options["seed"],
    )
    bench.check()
    return bench


async def _against_floor(options: dict[str, Any]) -> int:
    try:
        table = await against_floor(
            clusters=options["clusters"],
            nodes=options["nodes"],
            accounts=options["accounts"],
            balance=options["balance"],
            duration_s=options["duration"] or 4.0,
            told=to_stderr,
        )
    except FloorOptionsError as error:
        raise UsageError(str(error)) from error
    if options["json"]:
        print_json(table)
    else:
        _show_ratios(table_console(), table)
    return 0 if table["conserved"] and table["replicas_agree"] else EXIT_FAILED


def _show(console: Console, result: dict[str, Any]) -> None:
    parameters = result["parameters"]
    console.print(
        f"{parameters['clients']} clients on {parameters['connections']} connections, "
        f"{parameters['clusters']} clusters of {parameters['nodes']} nodes, {result['duration_s']:g} s"
    )
    table = Table(
        "kind", "per second", "mean ms", "p50", "p95", "p99", "p99.9", box=None, header_style="bold"
    )
    kinds = {"all": {"throughput_tps": result["throughput_tps"], "latency_ms": result["latency_ms"]}}
    for name, kind in {**kinds, **result["by_kind"]}.items():
        latency = kind["latency_ms"]
        if latency["mean"] is not None:
            values = [f"{latency[key]:.2f}" for key in ("mean", "p50", "p95", "p99", "p999")]
            table.add_row(name, f"{kind['throughput_tps']:,.0f}", *values)
    console.print(table)
    aborted, refused = sum(result["aborted"].values()), sum(result["refused"].values())
    console.print(
        f"committed {result['committed']:,}, reads {result['reads']:,}, aborted {aborted:,}, "
        f"refused {refused:,}, unknown {result['unknown']:,}"
    )
    console.print(f"conserved: {_yes(result['conserved'])}, replicas agree: {_yes(result['replicas_agree'])}")


def _show_ratios(console: Console, table: dict[str, Any]) -> None:
    shown = Table(
        "clients", "sockets", "floor tps", "bank tps", "share", "target", "floor p99 ms", "bank p99 ms",
        "times", "target", box=None, header_style="bold",
    )  # fmt: skip
    for row in table["rows"]:
        shown.add_row(
            str(row["clients"]),
            str(row["connections"]),
            f"{row['floor_tps']:,.0f}",
            f"{row['bank_tps']:,.0f}",
            _judged(f"{row['share']:.2f}", row["share_ok"]),
            "–" if row["share_target"] is None else f"≥ {row['share_target']:.2f}",
            f"{row['floor_p99_ms']:.2f}",
            f"{row['bank_p99_ms']:.2f}",
            _judged(f"{row['p99_times']:.2f}", row["p99_ok"]),
            "–" if row["p99_target"] is None else f"< {row['p99_target']:.1f}",
        )
    console.print(shown)
    console.print(f"medians of {table['rounds']} rounds of {table['duration_s']:g} s, floor and bank in turn")
    console.print(f"conserved: {_yes(table['conserved'])}, replicas agree: {_yes(table['replicas_agree'])}")


def _judged(text: str, ok: bool | None) -> str:
    return text if ok is None else f"[{'green' if ok else 'red'}]{text}[/]"


def _yes(value: bool) -> str:
    return "[green]yes[/green]" if value else "[red]no[/red]"
