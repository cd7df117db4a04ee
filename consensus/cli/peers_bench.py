"""``make bench-peers``: the bank and other systems under the same load, in turn, in one run."""

from __future__ import annotations

import argparse
import sys
from typing import Any, Final

from rich.table import Table

from consensus.cli import bench_engines
from consensus.cli.command import UsageError, print_json, run, table_console
from consensus.cluster.private import private_bank, to_stderr, topology_of
from consensus.workload.engines import ETCD, PAXOS, POSTGRES, TITLES, etcd, postgres
from consensus.workload.engines.missing import MissingError
from consensus.workload.options import BenchOptions
from consensus.workload.runner import run_bench

TARGETS: Final = {POSTGRES: 4.0}
"""Times the throughput of as many servers."""
FIND: Final = {POSTGRES: postgres.binaries, ETCD: etcd.binary}
CROSS_PCTS: Final = (0.0, 20.0, 80.0)
ACCOUNTS: Final = 9_000
BALANCE: Final = 100_000


def main() -> int:
    """Exit status 0 when everything was measured and no money was lost; a missed target is shown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=50, help="operations in flight (50)")
    parser.add_argument("--duration", type=float, default=5.0, help="seconds of each (5)")
    parser.add_argument("--rounds", type=int, default=1, help="turns (1)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return run("bench-peers", _main(vars(parser.parse_args())))


async def _main(options: dict[str, Any]) -> int:
    if not 1 <= options["rounds"] <= 20:
        raise UsageError(f"--rounds: must be 1 to 20, not {options['rounds']}")
    engines = [PAXOS, *_installed()]
    rows = []
    for cross_pct in CROSS_PCTS:
        bench = BenchOptions(clients=options["clients"], duration_s=options["duration"], cross_pct=cross_pct)
        bench.check()
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in engines}
        for _ in range(options["rounds"]):
            for engine, results in found.items():
                to_stderr(f"{engine}, {cross_pct:g} % across clusters")
                results.append(await _measured(engine, bench))
        rows += [_row(cross_pct, found, peer) for peer in engines[1:]]
    if options["json"]:
        print_json({"clients": options["clients"], "rows": rows})
    else:
        _show(rows, options["clients"])
    return 0 if all(row["conserved"] for row in rows) else 1


def _installed() -> list[str]:
    """The peers that this machine has.

    Raises:
        UsageError: there is none.
    """
    found = []
    missing = []
    for name, find in FIND.items():
        try:
            find()
        except MissingError as error:
            missing.append(str(error))
        else:
            found.append(name)
    for text in missing:
        to_stderr(text)
    if not found:
        raise UsageError("there is nothing to compare with")
    return found


async def _measured(engine: str, bench: BenchOptions) -> dict[str, Any]:
    topology = topology_of(3, 3, ACCOUNTS, BALANCE)
    if engine == PAXOS:
        async with private_bank(topology, lambda _: None) as bank:
            return await run_bench(topology, bank.secret, bench)
    async with bench_engines.running(engine, topology, bench) as other:
        return await run_bench(topology, "", bench, engine=other)


def _row(cross_pct: float, found: dict[str, list[dict[str, Any]]], peer: str) -> dict[str, Any]:
    """The bank beside one peer: means over the rounds."""
    both = {name: found[name] for name in (PAXOS, peer)}
    tps = {name: sum(r["throughput_tps"] for r in results) / len(results) for name, results in both.items()}
    p99 = {
        name: sum(r["latency_ms"]["p99"] for r in results) / len(results) for name, results in both.items()
    }
    every = [result for results in both.values() for result in results]
    return {
        "cross_pct": cross_pct,
        "peer": peer,
        "throughput_tps": {name: round(value, 1) for name, value in tps.items()},
        "p99_ms": {name: round(value, 1) for name, value in p99.items()},
        "ratio": round(tps[PAXOS] / tps[peer], 2),
        "target": TARGETS.get(peer),
        "conserved": all(result["conserved"] and result["replicas_agree"] for result in every),
    }


def _show(rows: list[dict[str, Any]], clients: int) -> None:
    table = Table(box=None, title=f"{clients} clients; every commit synced on a majority, or on a standby")
    for head in ("across", "bank/s", "p99 ms", "beside", "per second", "p99 ms", "ratio", "target", ""):
        table.add_column(head, justify="left" if head == "beside" else "right")
    for row in rows:
        peer, target = row["peer"], row["target"]
        table.add_row(
            f"{row['cross_pct']:g} %",
            f"{row['throughput_tps'][PAXOS]:,.0f}",
            f"{row['p99_ms'][PAXOS]:.1f}",
            TITLES[peer],
            f"{row['throughput_tps'][peer]:,.0f}",
            f"{row['p99_ms'][peer]:.1f}",
            f"{row['ratio']:.2f}",
            "" if target is None else f"{target:g}",
            "missed" if target is not None and row["ratio"] < target else "",
        )
    table_console().print(table)


if __name__ == "__main__":
    sys.exit(main())
