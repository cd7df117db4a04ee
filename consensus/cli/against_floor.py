"""The bank's figures as a share of the floor's, both measured in turn in one run."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any, Final, NamedTuple

from consensus.cli.private import private_bank, topology_of
from consensus.workload.floor import FloorOptions, FloorResult, run_floor
from consensus.workload.floor_node import ACCOUNTS as FLOOR_ACCOUNTS
from consensus.workload.options import BenchOptions
from consensus.workload.runner import run_bench

ROUNDS: Final = 2
P99_TARGET: Final = 3.0
"""The bank's p99 stays below this many times the floor's."""


class Load(NamedTuple):
    """One row: clients in flight, sockets (0 = one per leader), and the share aimed at."""

    clients: int
    connections: int
    share_target: float | None


LOADS: Final = (
    Load(50, 0, 0.4),
    Load(100, 0, 0.4),
    Load(300, 0, 0.25),
    Load(50, 50, None),
    Load(100, 100, None),
    Load(300, 300, None),
)
"""The loads of ``make bench``; with one socket per client there is a figure but no target."""


class FloorOptionsError(ValueError):
    """The sizes asked for cannot be compared with the floor."""


async def against_floor(
    *,
    clusters: int,
    nodes: int,
    accounts: int,
    balance: int,
    duration_s: float,
    told: Callable[[str], None],
    loads: tuple[Load, ...] = LOADS,
    rounds: int = ROUNDS,
) -> dict[str, Any]:
    """Measure floor, bank, floor, bank, … at each load. The bank is started anew each time.

    Returns:
        ``rows`` (medians over the rounds, shares, targets), ``runs`` (every single figure), ``conserved``,
        ``replicas_agree``, ``rounds``, ``duration_s``.

    Raises:
        FloorOptionsError: another number of accounts than the floor has.
    """
    if accounts != FLOOR_ACCOUNTS:
        raise FloorOptionsError(f"--accounts: the floor has {FLOOR_ACCOUNTS} accounts; leave the option out")
    rows: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    for load in loads:
        floors: list[FloorResult] = []
        banks: list[dict[str, Any]] = []
        for turn in range(1, rounds + 1):
            sockets = load.connections or min(clusters, load.clients)
            told(f"{load.clients} clients on {sockets} sockets, round {turn} of {rounds}")
            floors.append(
                await run_floor(
                    FloorOptions(
                        clients=load.clients,
                        connections=load.connections,
                        duration_s=duration_s,
                        clusters=clusters,
                        nodes=nodes,
                    )
                )
            )
            topology = topology_of(clusters, nodes, accounts, balance)
            async with private_bank(topology, told=lambda _: None) as bank:
                options = BenchOptions(
                    clients=load.clients,
                    connections=load.connections,
                    duration_s=duration_s,
                    warmup_s=0.5,
                    seed=turn,
                )
                banks.append(await run_bench(topology, bank.secret, options))
            runs.append(_run(load, sockets, floors[-1], banks[-1]))
            told(f"  floor {floors[-1].tps:,} per second, bank {banks[-1]['throughput_tps']:,.0f}")
        rows.append(_row(load, sockets, floors, banks))
    return {
        "rows": rows,
        "runs": runs,
        "rounds": rounds,
        "duration_s": duration_s,
        "conserved": all(run["conserved"] for run in runs),
        "replicas_agree": all(run["replicas_agree"] for run in runs),
    }


def _run(load: Load, sockets: int, floor: FloorResult, bank: dict[str, Any]) -> dict[str, Any]:
    return {
        "clients": load.clients,
        "connections": sockets,
        "floor_tps": floor.tps,
        "floor_p50_ms": floor.p50_ms,
        "floor_p99_ms": floor.p99_ms,
        "bank_tps": bank["throughput_tps"],
        "bank_latency_ms": bank["latency_ms"],
        "unknown": bank["unknown"],
        "aborted": bank["aborted"],
        "refused": bank["refused"],
        "conserved": bank["conserved"],
        "replicas_agree": bank["replicas_agree"],
    }


def _row(load: Load, sockets: int, floors: list[FloorResult], banks: list[dict[str, Any]]) -> dict[str, Any]:
    floor_tps = median(floor.tps for floor in floors)
    bank_tps = median(bank["throughput_tps"] for bank in banks)
    floor_p99 = median(floor.p99_ms for floor in floors)
    bank_p99 = median(bank["latency_ms"]["p99"] or 0.0 for bank in banks)
    share = bank_tps / floor_tps if floor_tps else 0.0
    times = bank_p99 / floor_p99 if floor_p99 else 0.0
    target = load.share_target
    return {
        "clients": load.clients,
        "connections": sockets,
        "floor_tps": floor_tps,
        "bank_tps": bank_tps,
        "share": round(share, 3),
        "share_target": target,
        "share_ok": None if target is None else share >= target,
        "floor_p99_ms": floor_p99,
        "bank_p99_ms": bank_p99,
        "p99_times": round(times, 2),
        "p99_target": None if target is None else P99_TARGET,
        "p99_ok": None if target is None else times < P99_TARGET,
    }
