"""``make bench-partition``: target, value and ratio of what the partitioner and the planner promise.

Mt-KaHyPar is compared where ``MTKAHYPAR_PYTHON`` names an interpreter that has it (or this one has);
otherwise its rows say that it is missing. Every figure is measured in this run.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from consensus.sharding import hmetis
from consensus.sharding.compiled import Ids
from consensus.sharding.hypergraph import Hypergraph, costs, imbalances, limits
from consensus.sharding.planner import Options, Plan, plan
from consensus.sharding.portfolio import partition
from consensus.sharding.window import Window, cross_shard_pct, hypergraph, window
from consensus.workload.communities import Traffic

ROOT: Final = Path(__file__).parents[2]
IBM01: Final = ROOT / "tests" / "data" / "hypergraphs" / "ibm01.hgr"
IBM01_BEST: Final = 203
"""Best known 2-way cut at an imbalance of 4 %."""
ACCOUNTS: Final = 9_000
TRANSFERS: Final = 50_000
SEEDS: Final = 3
ENGINE_TIMEOUT_S: Final = 600


class Row(NamedTuple):
    """A figure; ``target`` is its upper bound, None where another value only explains."""

    name: str
    target: float | None
    value: float | str


def draw(traffic: Traffic, count: int) -> Window:
    drawn = traffic.transfers(count)
    return window(traffic.accounts, drawn.start, drawn.accounts)


def ranges(accounts: int, k: int) -> Ids:
    """The placement a bank begins with."""
    return (np.arange(accounts, dtype=np.int64) * k // accounts).astype(np.int32)


def moved(current: Ids, made: Plan) -> Ids:
    """The placement after a plan."""
    part = current.copy()
    for move in made.moves:
        part[move.account] = move.target
    return part


def rival(graph: Hypergraph, k: int, epsilon: float, *, by_load: bool) -> list[int] | None:
    """km1 of Mt-KaHyPar's default under each seed; None: it is missing."""
    python = os.environ.get("MTKAHYPAR_PYTHON", "")
    if not python:
        if importlib.util.find_spec("mtkahypar") is None:
            return None
        python = sys.executable
    weights = graph.vertex_weight.copy()
    if not by_load:
        weights[:, 1] = weights[:, 0]
    shown = Hypergraph(graph.net_start, graph.pins, graph.net_weight, weights, graph.vertex_start, graph.nets)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder) / "a.hgr", Path(folder) / "a.part"
        hmetis.write(source, shown)
        for seed in range(SEEDS):
            words = [str(source), str(k), str(epsilon), str(seed), str(output)]
            subprocess.run(
                [python, "-m", "consensus.sharding.mtkahypar_engine", *words],
                check=True, cwd=ROOT, stdout=subprocess.DEVNULL, timeout=ENGINE_TIMEOUT_S,
            )  # fmt: skip
            results.append(costs(graph, hmetis.read_partition(output, graph.vertices, k), k)[0])
    return results


def ours(graph: Hypergraph, k: int, epsilon: float, *, by_load: bool, start: Ids | None) -> list[int]:
    """km1 of the portfolio under each seed.

    Raises:
        RuntimeError: a result is above its limit.
    """
    limit = limits(graph, k, None if by_load else epsilon, epsilon if by_load else None)
    results = []
    for seed in range(SEEDS):
        found = partition(graph, k, limit, seed, current=start)
        if found.overload > 0:
            raise RuntimeError(f"k {k}, seed {seed}: imbalance {imbalances(graph, found.part, k)}")
        results.append(found.km1)
    return results


def quality() -> Iterator[Row]:
    """km1 over Mt-KaHyPar on bank workloads."""
    ratios = []
    for kind in ("planted", "planted-zipf", "lfr", "multi"):
        graph = hypergraph(draw(Traffic(kind, ACCOUNTS, 1), TRANSFERS))
        for k in (2, 3, 4, 8):
            theirs = rival(graph, k, 0.03, by_load=False)
            mine = float(np.mean(ours(graph, k, 0.03, by_load=False, start=ranges(ACCOUNTS, k))))
            if theirs is None:
                yield Row(f"km1 {kind} k={k} (mtkahypar is missing)", None, mine)
            else:
                ratios.append(mine / float(np.mean(theirs)))
                yield Row(f"km1 {kind} k={k} over mtkahypar", 1.06, ratios[-1])
    if ratios:
        yield Row("km1 over mtkahypar, geometric mean", 1.0, float(np.exp(np.mean(np.log(ratios)))))


def netlist() -> Iterator[Row]:
    """ISPD98 ibm01."""
    graph = hmetis.read(IBM01)
    limit = limits(graph, 2, 0.04)
    cuts = [partition(graph, 2, limit, seed).cut for seed in range(8)]
    yield Row("ibm01 2-way cut, best of 8, over best known", 1.04, min(cuts) / IBM01_BEST)
    theirs = rival(graph, 2, 0.04, by_load=False)
    name = "ibm01 single run (mean of 8) over mtkahypar"
    yield Row(
        name, 1.05, "mtkahypar is missing" if theirs is None else float(np.mean(cuts) / np.mean(theirs))
    )


def hubs() -> Iterator[Row]:
    """Zipf traffic, load balanced."""
    for k in (2, 3, 4, 8):
        graph = hypergraph(draw(Traffic("zipf", ACCOUNTS, 1), TRANSFERS))
        theirs = rival(graph, k, 0.03, by_load=True)
        mine = float(np.mean(ours(graph, k, 0.03, by_load=True, start=ranges(ACCOUNTS, k))))
        missing = f"{mine:.0f}; mtkahypar is missing"
        yield Row(
            f"hub graph k={k}, load balanced, over mtkahypar",
            1.02,
            missing if theirs is None else mine / float(np.mean(theirs)),
        )


def plans() -> Iterator[Row]:
    """What plans promise and keep, and what is refused."""
    current = ranges(ACCOUNTS, 3)
    for kind, target in (("planted", 7.1), ("lfr", 11.6)):
        traffic = Traffic(kind, ACCOUNTS, 1)
        made = plan(draw(traffic, TRANSFERS), current, Options(3))
        observed = cross_shard_pct(draw(traffic, TRANSFERS), moved(current, made))
        yield Row(f"{kind} 50k: % across before", None, made.before.cross_shard_pct)
        yield Row(f"{kind} 50k: % across on the next 50k", target, observed)
        yield Row(f"{kind} 50k: points from the promise", 1.0, abs(observed - made.predicted.cross_shard_pct))
        worst = max(made.predicted.load_imbalance_pct, made.predicted.account_imbalance_pct)
        yield Row(f"{kind} 50k: worse imbalance, %", 3.0, worst)
    for kind, count in (("uniform", TRANSFERS), ("planted", 5_000)):
        made = plan(draw(Traffic(kind, ACCOUNTS, 1), count), current, Options(3))
        yield Row(f"{kind} {count}: moves ({made.status})", 0, float(len(made.moves)))


def drift() -> Iterator[Row]:
    """Epoch by epoch: 5 % of the accounts change community, or nobody does."""
    traffic = Traffic("planted", ACCOUNTS, 1)
    first = plan(draw(traffic, TRANSFERS), ranges(ACCOUNTS, 3), Options(3))
    settled = moved(ranges(ACCOUNTS, 3), first)
    part, shares, worse = settled, [], []
    for epoch in range(6):
        traffic.drift(0.05)
        seen = draw(traffic, TRANSFERS)
        made = plan(seen, part, Options(3, flat_only=True, seed=epoch))
        anew = plan(seen, part, Options(3, price=0, seed=epoch))
        after = draw(traffic, TRANSFERS)
        whole = cross_shard_pct(after, moved(part, anew))
        part = moved(part, made)
        shares.append(100 * len(made.moves) / ACCOUNTS)
        worse.append(cross_shard_pct(after, part) - whole)
    yield Row("drift 5 %: % of accounts moved per epoch", 3.5, float(np.mean(shares)))
    yield Row("drift 5 %: points above full repartition", 0.8, float(np.mean(worse)))
    calm, total, part = Traffic("planted", ACCOUNTS, 1), 0, settled
    for epoch in range(10):
        made = plan(draw(calm, TRANSFERS), part, Options(3, flat_only=True, seed=epoch))
        part, total = moved(part, made), total + len(made.moves)
    yield Row("stationary, ten epochs: % of accounts moved", 0.5, 100 * total / ACCOUNTS)


def times() -> Iterator[Row]:
    """Warm plan times and memory."""
    for accounts, count, target in (
        (9_000, 50_000, 0.5),
        (100_000, 1_000_000, 4.0),
        (1_000_000, 5_000_000, 30.0),
    ):
        seen = draw(Traffic("planted", accounts, 1), count)
        if accounts == 9_000:
            plan(seen, ranges(accounts, 3), Options(3))
        began = time.perf_counter()
        plan(seen, ranges(accounts, 3), Options(3))
        yield Row(f"plan, {accounts} accounts, {count} transfers, s", target, time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    yield Row("peak memory, GB", 1.5, peak)


PARTS: Final[dict[str, Callable[[], Iterator[Row]]]] = {
    "quality": quality, "netlist": netlist, "hubs": hubs, "plans": plans, "drift": drift, "times": times,
}  # fmt: skip


def main() -> int:
    """Print the rows; exit status 0 when every one that was measured meets its target."""
    parser = argparse.ArgumentParser(prog="bench-partition")
    parser.add_argument(
        "--only", choices=tuple(PARTS), action="append", help="only this part; may be repeated"
    )
    chosen = parser.parse_args().only or list(PARTS)
    missed = 0
    sys.stdout.write(f"{'figure':<58}{'target':>8}{'value':>10}{'ratio':>8}\n")
    for part in chosen:
        for row in PARTS[part]():
            target = "" if row.target is None else f"{row.target:g}"
            if isinstance(row.value, str):
                sys.stdout.write(f"{row.name:<58}{target:>8}  {row.value}\n")
                continue
            ratio = f"{row.value / row.target:.3f}" if row.target else ""
            late = row.target is not None and row.value > row.target + 1e-9
            missed += late
            sys.stdout.write(
                f"{row.name:<58}{target:>8}{row.value:>10.3f}{ratio:>8}{'  missed' if late else ''}\n"
            )
            sys.stdout.flush()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
