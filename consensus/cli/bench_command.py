"""``manage.py bench``: a load on a private bank, alone or in turn with the floor."""

from __future__ import annotations

import argparse
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table

from consensus.cli.against_floor import FloorOptionsError, against_floor
from consensus.cli.command import EXIT_FAILED, UsageError, add_sizes, print_json, run, table_console
from consensus.cli.private import private_bank, to_stderr, topology_of
from consensus.messages.client import Level
from consensus.workload.distribution import DISTRIBUTIONS, SKEWNESS, UNIFORM, ZIPF
from consensus.workload.options import PRESETS, RETRIES, BenchOptions
from consensus.workload.pace import ARRIVALS, POISSON
from consensus.workload.runner import run_bench

BALANCE: Final = 100_000
CLIENTS: Final = 50
DURATION_S: Final = 5.0
LEVELS: Final = tuple(level.name.lower() for level in Level)
LATER_PRESETS: Final = ("smallbank", "communities")
_LATER: Final[dict[str, tuple[Any, str]]] = {
    "engine": ("paxos", "another engine than paxos"),
    "site": (None, "a bank behind a site"),
    "sweep": (False, "a sweep"),
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
    parser.add_argument(
        "--cross-shard", type=float, metavar="PCT", help="percent of transfers to another cluster (0)"
    )
    parser.add_argument("--distribution", choices=DISTRIBUTIONS, help="which accounts (uniform)")
    parser.add_argument("--skewness", type=float, metavar="S", help="exponent of zipf (1.0)")
    parser.add_argument("--rate", type=float, metavar="TPS", help="open loop: operations begun per second")
    parser.add_argument("--arrivals", choices=ARRIVALS, default=POISSON, help="with --rate (poisson)")
    parser.add_argument(
        "--replay", metavar="FILE", default="", help="transfers of a CSV file: time,from,to,amount"
    )
    parser.add_argument(
        "--consistency", choices=LEVELS, default="linearizable", help="of reads (linearizable)"
    )
    parser.add_argument("--max-age-ms", type=int, default=100, help="with --consistency bounded (100)")
    parser.add_argument(
        "--amount", type=int, metavar="N", default=10, help="transfers move 1 to N units (10)"
    )
    parser.add_argument(
        "--retries",
        type=int,
        default=RETRIES,
        help=f"further attempts at a transfer that lost a lock ({RETRIES})",
    )
    parser.add_argument("--warmup", type=float, default=1.0, help="seconds before measuring (1)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--against-floor",
        action="store_true",
        help="run the floor and the bank in turn, twice, at several loads, and print the shares",
    )
    later = parser.add_argument_group("not supported yet")
    later.add_argument("--engine", default="paxos")
    later.add_argument("--site")
    later.add_argument("--sweep", action="store_true")


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
        result = await run_bench(topology, bank.secret, bench, _told)
    parameters = {**sizes, **msgspec.to_builtins(bench), "engine": "paxos", "preset": options["preset"]}
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
        raise UsageError(f"--preset {options['preset']}: is not supported yet; there are {known}")


def bench_options(options: dict[str, Any]) -> BenchOptions:
    """The preset, overridden by what was given.

    Raises:
        LoadError: a value is out of range.
        UsageError: options that exclude each other.
    """
    preset = PRESETS.get(options.get("preset") or "", {})

    def chosen(name: str, field: str, default: Any) -> Any:
        return options[name] if options[name] is not None else preset.get(field, default)

    distribution = chosen("distribution", "distribution", UNIFORM)
    if options["skewness"] is not None and distribution != ZIPF:
        raise UsageError(f"--skewness: goes with --distribution {ZIPF} only")
    rate = chosen("rate", "rate", 0.0)
    if options["rate"] is not None and rate <= 0:
        raise UsageError(f"--rate: must be above 0, not {rate:g}; leave it out for a closed loop")
    if options["replay"] and (options["preset"] or options["rate"] is not None):
        raise UsageError("--replay: the file says what runs and when; leave --preset and --rate out")
    transactions = options["transactions"]
    if transactions is None and options["duration"] is None:
        transactions = preset.get("transactions", 0)
    bench = BenchOptions(
        clients=chosen("clients", "clients", CLIENTS),
        connections=options["connections"],
        transactions=transactions or 0,
        duration_s=options["duration"] if options["duration"] is not None else DURATION_S,
        warmup_s=options["warmup"],
        rate=rate,
        arrivals=options["arrivals"],
        replay=options["replay"],
        read_pct=chosen("read_only", "read_pct", 0.0),
        consistency=options["consistency"],
        bound_ms=options["max_age_ms"],
        cross_pct=chosen("cross_shard", "cross_pct", 0.0),
        distribution=distribution,
        skewness=options["skewness"] if options["skewness"] is not None else SKEWNESS,
        amount_max=options["amount"],
        retries=options["retries"],
        seed=options["seed"],
    )
    bench.check()
    return bench


def _told(seconds: float, ended: int, of: int) -> None:
    share = f" of {of:,}" if of else ""
    to_stderr(
        f"  {seconds:5.1f} s: {ended:,}{share} operations, {ended / max(seconds, 1e-9):,.0f} per second"
    )


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
        "kind", "per second", "mean ms", "p50", "p95", "p99", "p99.9", "max", box=None, header_style="bold"
    )
    kinds = {"all": {"throughput_tps": result["throughput_tps"], "latency_ms": result["latency_ms"]}}
    for name, kind in {**kinds, **result["by_kind"]}.items():
        latency = kind["latency_ms"]
        if latency["mean"] is not None:
            values = [f"{latency[key]:.2f}" for key in ("mean", "p50", "p95", "p99", "p999", "max")]
            table.add_row(name, f"{kind['throughput_tps']:,.0f}", *values)
    console.print(table)
    aborted, refused = sum(result["aborted"].values()), sum(result["refused"].values())
    console.print(
        f"committed {result['committed']:,}, reads {result['reads']:,}, aborted {aborted:,}, "
        f"refused {refused:,}, unknown {result['unknown']:,}"
    )
    for word, counts in (
        ("aborted", result["aborted"]),
        ("tried again", result["retried"]),
    ):
        if counts:
            console.print(f"{word}: " + ", ".join(f"{reason} {n:,}" for reason, n in sorted(counts.items())))
    console.print(
        f"transfers {result['transfers']:,} in {result['attempts']:,} attempts; longest time of a client "
        f"without success {result['longest_without_success_ms']:,.0f} ms"
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
