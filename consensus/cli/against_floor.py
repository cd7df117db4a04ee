"""The bank's figures as a share of the floor's, both measured in turn in one run."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any, Final, NamedTuple

from consensus.cli.served import served_bank
from consensus.cluster.private import private_bank, topology_of
from consensus.workload.floor import FloorOptions, FloorResult, run_floor
from consensus.workload.options import BenchOptions
from consensus.workload.runner import run_bench

ROUNDS: Final = 3
DURATION_S: Final = 4.0
QUICK_ROUNDS: Final = 1
QUICK_DURATION_S: Final = 1.5
WARMUP_S: Final = 0.5


class Load(NamedTuple):
    """One row: the shape of a load, and what is aimed at (None: nothing).

    ``connections`` 0 is one per leader. ``share``: least part of the floor's throughput. ``p50_times`` and
    ``p99_times``: greatest multiple of the floor's latency.
    """

    name: str
    clients: int
    cross_pct: float = 0.0
    read_pct: float = 0.0
    clusters: int = 3
    nodes: int = 3
    connections: int = 0
    share: float | None = None
    p50_times: float | None = None
    p99_times: float | None = None


LOADS: Final = (
    Load("one at a time", 1, p50_times=2.0),
    Load("intra", 50, share=0.6, p99_times=2.0),
    Load("intra", 100, share=0.6, p99_times=2.0),
    Load("intra", 300, share=0.45),
    Load("intra", 1_000, share=0.25),
    Load("20 % cross", 100, cross_pct=20.0, share=0.6),
    Load("20 % cross", 300, cross_pct=20.0, share=0.45),
    Load("80 % cross", 100, cross_pct=80.0, share=0.6),
    Load("80 % cross", 300, cross_pct=80.0, share=0.45),
    Load("reads", 100, read_pct=100.0, share=0.35),
    Load("5x5 nodes", 100, clusters=5, nodes=5, share=0.5),
)
"""The loads and targets of ``make bench``."""


def load_like(load: Load) -> Load:
    """``load`` with the targets of the row of ``LOADS`` that has its shape, if there is one."""
    shape = load[1:7]
    return next((row for row in LOADS if row[1:7] == shape and not load.connections), load)


async def against_floor(
    *,
    accounts: int,
    balance: int,
    duration_s: float,
    told: Callable[[str], None],
    loads: tuple[Load, ...] = LOADS,
    rounds: int = ROUNDS,
    site: bool = True,
) -> dict[str, Any]:
    """Measure floor, bank, floor, bank, … at each load. The bank is started anew each time.

    Args:
        site: have a site beside the bank, which watches and records all the time, as everybody's bank has.

    Returns:
        ``rows`` (medians over the rounds, ratios, targets), ``runs`` (every single figure), ``conserved``,
        ``replicas_agree``, ``rounds``, ``duration_s``, ``site``.
    """
    rows: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    for load in loads:
        floors: list[FloorResult] = []
        banks: list[dict[str, Any]] = []
        for turn in range(1, rounds + 1):
            told(f"{load.name}, {load.clients} clients, round {turn} of {rounds}")
            floors.append(await _floor(load, duration_s))
            banks.append(await _bank(load, accounts, balance, duration_s, turn, site))
            runs.append(_run(load, floors[-1], banks[-1]))
            told(f"  floor {floors[-1].tps:,} per second, bank {banks[-1]['throughput_tps']:,.0f}")
        rows.append(_row(load, floors, banks))
    return {
        "rows": rows,
        "runs": runs,
        "rounds": rounds,
        "duration_s": duration_s,
        "site": site,
        "conserved": all(run["conserved"] for run in runs),
        "replicas_agree": all(run["replicas_agree"] for run in runs),
    }


async def _floor(load: Load, duration_s: float) -> FloorResult:
    return await run_floor(
        FloorOptions(
            clients=load.clients,
            connections=load.connections,
            duration_s=duration_s,
            warmup_s=WARMUP_S,
            cross_pct=load.cross_pct,
            read_pct=load.read_pct,
            clusters=load.clusters,
            nodes=load.nodes,
        )
    )


async def _bank(
    load: Load, accounts: int, balance: int, duration_s: float, seed: int, site: bool
) -> dict[str, Any]:
    topology = topology_of(load.clusters, load.nodes, accounts, balance)
    options = BenchOptions(
        clients=load.clients,
        connections=load.connections,
        duration_s=duration_s,
        warmup_s=WARMUP_S,
        cross_pct=load.cross_pct,
        read_pct=load.read_pct,
        seed=seed,
    )
    if site:
        async with served_bank(topology) as served:
            return await run_bench(topology, served.secret, options)
    async with private_bank(topology, told=lambda _: None) as bank:
        return await run_bench(topology, bank.secret, options)


def _shape(load: Load) -> dict[str, Any]:
    return {
        "name": load.name,
        "clients": load.clients,
        "connections": load.connections or min(load.clusters, load.clients),
        "cross_pct": load.cross_pct,
        "read_pct": load.read_pct,
        "clusters": load.clusters,
        "nodes": load.nodes,
    }


def _run(load: Load, floor: FloorResult, bank: dict[str, Any]) -> dict[str, Any]:
    return {
        **_shape(load),
        "floor_tps": floor.tps,
        "floor_p50_ms": floor.p50_ms,
        "floor_p99_ms": floor.p99_ms,
        "bank_tps": bank["throughput_tps"],
        "bank_latency_ms": bank["latency_ms"],
        **{name: bank[name] for name in ("unknown", "aborted", "refused", "retried", "conserved")},
        "replicas_agree": bank["replicas_agree"],
    }


def _row(load: Load, floors: list[FloorResult], banks: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians, then for each target what was measured, what is aimed at, and whether it is met."""
    floor_tps = median(floor.tps for floor in floors)
    bank_tps = median(bank["throughput_tps"] for bank in banks)
    row = {**_shape(load), "floor_tps": floor_tps, "bank_tps": bank_tps}
    share = bank_tps / floor_tps if floor_tps else 0.0
    row.update(share=round(share, 3), share_target=load.share)
    row["share_ok"] = None if load.share is None else share >= load.share
    for name, target, floor_ms in (
        ("p50", load.p50_times, median(floor.p50_ms for floor in floors)),
        ("p99", load.p99_times, median(floor.p99_ms for floor in floors)),
    ):
        bank_ms = median(bank["latency_ms"][name] or 0.0 for bank in banks)
        times = bank_ms / floor_ms if floor_ms else 0.0
        row.update({f"floor_{name}_ms": floor_ms, f"bank_{name}_ms": bank_ms})
        row.update({f"{name}_times": round(times, 2), f"{name}_target": target})
        row[f"{name}_ok"] = None if target is None else times <= target
    return row
