"""``manage.py bench``: a load on a private bank, alone or in turn with the floor."""

from __future__ import annotations

import argparse
import datetime
import os
from typing import Any, Final

import msgspec

from consensus.cli import against_floor as floor
from consensus.cli import bench_engines
from consensus.cli.bench_progress import Documents, told
from consensus.cli.bench_tables import show_ratios, show_result
from consensus.cli.command import EXIT_FAILED, UsageError, add_sizes, print_json, run, table_console
from consensus.cli.shell.rest import TOKEN_VARIABLE, SiteTeller
from consensus.cli.shell.teller import TellerError
from consensus.cluster.folder import DataFolder
from consensus.cluster.private import private_bank, to_stderr, topology_of
from consensus.topology import Topology
from consensus.workload import machine
from consensus.workload.csvfile import write_csv
from consensus.workload.distribution import DISTRIBUTIONS, SKEWNESS, UNIFORM, ZIPF
from consensus.workload.engines import ENGINES, PAXOS
from consensus.workload.htmlfile import write_html
from consensus.workload.options import LEVELS, MIXES, PRESETS, RETRIES, TRANSFERS, BenchOptions
from consensus.workload.pace import ARRIVALS, POISSON
from consensus.workload.runner import Engine, Progress, run_bench

BALANCE: Final = 100_000
CLIENTS: Final = 50
DURATION_S: Final = 5.0
SWEEP_SHARES: Final = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9)
"""Rates of a sweep, as shares of what the closed loop reached."""
SWEEP_CLIENTS: Final = 4
"""Operations that may be in flight in a sweep, per client of the closed loop."""
AT_SITE: Final = (
    "preset", "transactions", "duration", "clients", "generators", "rate", "cross_shard", "read_only", "mix",
    "distribution", "skewness", "consistency", "amount", "warmup", "seed", "sweep",
)  # fmt: skip
"""Options that a site takes as they are; the sizes are those of its bank."""
MAX_AGE_MS: Final = 100
SIZES: Final = ("clusters", "nodes", "accounts", "balance")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", choices=PRESETS, help="a named set of parameters")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--transactions", type=int, help="operations to measure")
    size.add_argument("--duration", type=float, help=f"seconds to measure ({DURATION_S:g})")
    add_sizes(parser, balance=BALANCE)
    parser.add_argument("--clients", type=int, help=f"operations in flight ({CLIENTS})")
    parser.add_argument(
        "--connections", type=int, default=0, help="sockets they share (one per leader and generator)"
    )
    parser.add_argument("--generators", type=int, default=1, help="load generator processes (1)")
    parser.add_argument("--read-only", type=float, metavar="PCT", help="percent of reads (0)")
    parser.add_argument(
        "--cross-shard", type=float, metavar="PCT", help="percent of transfers to another cluster (0)"
    )
    parser.add_argument(
        "--mix", choices=MIXES, help="of operations (transfers, and reads as --read-only says)"
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
    parser.add_argument("--max-age-ms", type=int, default=MAX_AGE_MS, help="with --consistency bounded (100)")
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
    parser.add_argument(
        "--sweep", action="store_true", help="then at rising rates, up to what the closed loop reached"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--csv", metavar="FILE", default="", help="write the figures and the timeline as CSV")
    parser.add_argument(
        "--html", metavar="FILE", default="", help="write a report with charts that needs nothing else"
    )
    parser.add_argument(
        "--bank",
        metavar="DIR",
        default="",
        help="load the bank that runs in this data folder, not a private one",
    )
    parser.add_argument("--site", default="", help="have the site at this address load the bank it shows")
    parser.add_argument("--token", default="", help=f"token of the site (default: ${TOKEN_VARIABLE})")
    parser.add_argument("--progress", action="store_true", help="progress as lines of JSON on stderr")
    parser.add_argument(
        "--against-floor",
        action="store_true",
        help="run the floor and the bank in turn, in the shape asked for or at every load of the table",
    )
    parser.add_argument("--rounds", type=int, help="with --against-floor: turns of each load (3)")
    parser.add_argument("--quick", action="store_true", help="with --against-floor: one short round")
    parser.add_argument(
        "--no-site", action="store_true", help="with --against-floor: no site beside the bank, no recording"
    )
    parser.add_argument(
        "--engine", choices=ENGINES, default=PAXOS, help="put the same load on another system, started for it"
    )


def main(options: dict[str, Any]) -> int:
    """Exit status 0 when it was measured, money was conserved and replicas agree."""
    return run("bench", _main(options))


async def _main(options: dict[str, Any]) -> int:
    if options["rounds"] is not None and not 1 <= options["rounds"] <= 100:
        raise UsageError(f"--rounds: must be 1 to 100, not {options['rounds']}")
    if options["against_floor"]:
        return await _against_floor(options)
    bench = bench_options(options)
    if options["engine"] != PAXOS:
        bench_engines.check(options, bench)
    if options["site"]:
        return await _at_site(options)
    began = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    telling: Progress = Documents() if options["progress"] else told
    if options["bank"]:
        topology, secret = running_bank(options["bank"])
        result = await measured(topology, secret, bench, telling, options["sweep"])
    elif options["engine"] != PAXOS:
        topology = topology_of(**{name: options[name] for name in SIZES})
        to_stderr(f"starting {options['engine']}")
        async with bench_engines.running(options["engine"], topology, bench) as engine:
            to_stderr(f"measuring {bench.clients} clients")
            result = await measured(topology, "", bench, telling, options["sweep"], engine)
            result["engine"] = engine.about
    else:
        topology = topology_of(**{name: options[name] for name in SIZES})
        async with private_bank(topology) as bank:
            to_stderr(f"measuring {bench.clients} clients")
            result = await measured(topology, bank.secret, bench, telling, options["sweep"])
    sizes = {
        "clusters": len(topology.clusters),
        "nodes": len(topology.clusters[0].members),
        "accounts": topology.accounts,
        "balance": topology.initial_balance,
    }
    parameters = {
        **sizes,
        **msgspec.to_builtins(bench),
        "engine": options["engine"],
        "preset": options["preset"],
    }
    parameters["connections"] = bench.sockets(sizes["clusters"])
    result["parameters"] = parameters
    result["about"] = {"began": began, "commit": machine.commit(), "machine": machine.facts()}
    return delivered(options, result)


def delivered(options: dict[str, Any], result: dict[str, Any]) -> int:
    """Print the result and write the files asked for; the exit status."""
    if options["csv"]:
        write_csv(options["csv"], result)
    if options["html"]:
        write_html(options["html"], result, f"Benchmark: {options['preset'] or 'as asked'}")
    if options["json"]:
        print_json(result)
    else:
        show_result(table_console(), result)
    return 0 if result["conserved"] and result["replicas_agree"] else EXIT_FAILED


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
        generators=options["generators"],
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
        mix=chosen("mix", "mix", TRANSFERS),
        population=preset.get("population", "anybody"),
        skewness=chosen("skewness", "skewness", SKEWNESS),
        amount_max=options["amount"],
        retries=options["retries"],
        seed=options["seed"],
    )
    bench.check()
    return bench


async def _at_site(options: dict[str, Any]) -> int:
    """Let the site run it on the bank it shows: what is loaded there is seen on its pages."""
    if options["bank"] or options["replay"] or options["max_age_ms"] != MAX_AGE_MS:
        raise UsageError("--site: the site knows neither --bank nor --replay nor --max-age-ms")
    order = {name: options[name] for name in AT_SITE if options[name] not in (None, "", False)}
    try:
        site = SiteTeller(options["site"], options["token"] or os.environ.get(TOKEN_VARIABLE, ""))
        body = await site.benchmark({**order, "bank": "shown"}, _told_of_site)
    except TellerError as error:
        raise UsageError(str(error)) from error
    result = body["result"]
    if result is None:
        to_stderr(f"bench: benchmark {body['id']} {body['status']}: {body['error'] or 'no result'}")
        return EXIT_FAILED
    return delivered(options, result)


def _told_of_site(body: dict[str, Any]) -> None:
    progress = body["progress"]
    done = f"{progress['ended']:,} operations in {progress['seconds']:.1f} s" if progress else "starting"
    to_stderr(f"  {body['status']}: {done}")


async def measured(
    topology: Topology,
    secret: str,
    bench: BenchOptions,
    telling: Progress,
    sweep: bool,
    engine: Engine | None = None,
) -> dict[str, Any]:
    """The result of one run; with ``sweep`` also ``sweep``, rows of an open loop at rising rates.

    Raises:
        UsageError: a sweep of something that has its own times.
    """
    if sweep and (bench.rate or bench.replay):
        raise UsageError("--sweep: begins with a closed loop; leave --rate, --replay and paced presets out")
    result = await run_bench(topology, secret, bench, telling, engine)
    if not sweep:
        return result
    rows = []
    for share in SWEEP_SHARES:
        rate = max(1.0, round(share * result["throughput_tps"]))
        paced = msgspec.structs.replace(
            bench, rate=rate, transactions=0, clients=bench.clients * SWEEP_CLIENTS
        )
        step = await run_bench(topology, secret, paced, telling, engine)
        latency = step["latency_ms"]
        rows.append(
            {
                "rate": rate,
                "throughput_tps": step["throughput_tps"],
                **{name: latency[name] for name in ("p50", "p95", "p99")},
            }
        )
        for name in ("conserved", "replicas_agree"):
            result[name] = result[name] and step[name]
    return {**result, "sweep": rows}


def running_bank(folder: str) -> tuple[Topology, str]:
    """Topology and secret of the bank in a data folder.

    Raises:
        UsageError: the folder holds none.
        FolderError: it cannot be read.
    """
    data = DataFolder(folder)
    topology = data.stored_topology() if data.path.is_dir() else None
    if topology is None:
        raise UsageError(f"--bank: no bank lives in {folder}")
    return topology, data.secret()


async def _against_floor(options: dict[str, Any]) -> int:
    quick = options["quick"]
    duration_s = options["duration"] or (floor.QUICK_DURATION_S if quick else floor.DURATION_S)
    rounds = options["rounds"] or (floor.QUICK_ROUNDS if quick else floor.ROUNDS)
    table = await floor.against_floor(
        accounts=options["accounts"],
        balance=options["balance"],
        duration_s=duration_s,
        told=to_stderr,
        loads=floor_loads(options),
        rounds=rounds,
        site=not options["no_site"],
    )
    if options["json"]:
        print_json(table)
    else:
        show_ratios(table_console(), table)
    return 0 if table["conserved"] and table["replicas_agree"] else EXIT_FAILED


def floor_loads(options: dict[str, Any]) -> tuple[floor.Load, ...]:
    """The load that was asked for; every load of the table if none was.

    Raises:
        UsageError: an option that the floor knows nothing of.
    """
    for name in ("preset", "mix", "distribution", "skewness", "rate", "transactions"):
        if options[name] is not None:
            raise UsageError(f"--against-floor: the floor knows no --{name}")
    if options["replay"] or options["consistency"] != "linearizable":
        raise UsageError(
            "--against-floor: the floor knows neither --replay nor other reads than linearizable"
        )
    shape = ("clients", "cross_shard", "read_only")
    sizes = (options["clusters"], options["nodes"], options["connections"])
    if all(options[name] is None for name in shape) and sizes == (3, 3, 0):
        return floor.LOADS
    load = floor.Load(
        "as asked",
        options["clients"] or CLIENTS,
        options["cross_shard"] or 0.0,
        options["read_only"] or 0.0,
        *sizes,
    )
    return (floor.load_like(load),)
