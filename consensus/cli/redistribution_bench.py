"""``make bench-redistribution``: target, value and ratio of a redistribution under load, on real processes.

One closed loop of transfers among planted communities runs all the time. Meanwhile the bank's own traffic
is gathered, a plan is made of it and carried out. Then a fresh bank of the same size is started beside it,
and the two are loaded in turn, so that what else the machine does falls on both: the one with its
communities, the other with uniform transfers and the share across clusters that was observed at the end. A
redistributed bank should be as fast as one that never moved anything.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import statistics
import sys
import time
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from consensus.cli.command import print_json, run, table_console
from consensus.client.fleet import Fleet
from consensus.cluster.launcher import LocalBank
from consensus.cluster.mover import Mover, Part, Step
from consensus.cluster.plans import Placement, gather, is_warm, make_plan, warm
from consensus.cluster.private import private_bank, to_stderr, topology_of
from consensus.sharding.traffic import Traffic
from consensus.topology import Topology
from consensus.workload.options import BenchOptions
from consensus.workload.runner import run_bench
from consensus.workload.tally import Tally

CLIENTS: Final = 100
BEFORE_S: Final = 15.0
AFTER_S: Final = 12.0
MOVES_S: Final = 60.0
"""Longest time the moves may take; the load goes on for so long in any case."""
SETTLE_S: Final = 2.0
TURNS: Final = 3
TURN_S: Final = 5.0
LEARN_S: Final = 5.0
"""Before each of those turns, not measured: clients of a redistributed bank learn where its accounts lie."""
HALF_LIFE_S: Final = 60.0


class Row(NamedTuple):
    """A figure with its bound; ``least`` says that it is a lower one."""

    name: str
    target: float
    value: float
    least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.target if self.least else self.value <= self.target


class Marks(NamedTuple):
    """Seconds of the load's own clock: when moving began, and when it was over."""

    begun_s: float
    over_s: float


class _Clock:
    """Tells the load's clock from what its progress reports say."""

    def __init__(self) -> None:
        self._began: float | None = None
        self.started = asyncio.Event()

    def told(self, seconds: float, tally: Tally, of: int) -> None:
        if self._began is None:
            self._began = time.monotonic() - seconds
            self.started.set()

    def now_s(self) -> float:
        assert self._began is not None
        return time.monotonic() - self._began


async def redistribution(bank: LocalBank, clock: _Clock) -> dict[str, Any]:
    """Learn from the load that runs, plan, move; returns plan, marks, parts and the share observed then."""
    topology = bank.topology
    async with Fleet(topology, bank.secret) as fleet:
        traffic, placement = Traffic(topology.accounts), Placement(topology)
        await clock.started.wait()
        await asyncio.sleep(BEFORE_S)
        for node in topology.nodes:
            await gather(traffic, node, fleet.ask_one)
        begun = time.monotonic()
        plan, _ = await make_plan(traffic.window(time.time() * 1e3, HALF_LIFE_S), placement, {})
        planned_s = time.monotonic() - begun
        to_stderr(f"planned in {planned_s:.1f} s: {plan['status']}, {len(plan['moves'])} moves")
        parts: list[Part] = []

        async def save(part: Part) -> None:
            if part.phase:
                parts.append(part)

        steps = [Step(move[0], move[1], move[2]) for move in plan["moves"]]
        mover = Mover(topology, secrets.token_hex(16), steps, fleet.ask_one, save)
        marks_begun = clock.now_s()
        async with asyncio.timeout(MOVES_S):
            await mover.run()
        marks = Marks(marks_begun, clock.now_s())
        to_stderr(f"moved {len(mover.moved)} of {len(steps)} in {marks.over_s - marks.begun_s:.1f} s")
        await asyncio.sleep(SETTLE_S + AFTER_S)
        for node in topology.nodes:
            await gather(traffic, node, fleet.ask_one)
            await placement.read(node, fleet.ask_one)
        seen = traffic.since(time.time() * 1e3, AFTER_S)
        return {
            "plan": plan,
            "planned_s": planned_s,
            "marks": marks,
            "parts": parts,
            "given_up": len(mover.given_up),
            "observed_pct": seen.cross_shard_pct(placement.blocks),
        }


def rows_of(result: dict[str, Any], moved: dict[str, Any], over_fresh: float) -> list[Row]:
    """The table of the issue: the load's result, what was moved meanwhile, throughput over a fresh bank's."""
    bins = np.array(result["timeline"]["succeeded"], dtype=float)
    per_s = 1_000 / result["timeline"]["bin_ms"]
    marks: Marks = moved["marks"]

    def rate(first_s: float, last_s: float) -> float:
        chosen = bins[int(first_s * per_s) : int(last_s * per_s)]
        return float(chosen.mean() * per_s) if len(chosen) else 0.0

    before = rate(1.0, BEFORE_S)
    after = rate(marks.over_s + SETTLE_S, marks.over_s + SETTLE_S + AFTER_S)
    seconds = range(int(marks.begun_s), max(int(marks.begun_s) + 1, int(marks.over_s)))
    during = [rate(second, second + 1) for second in seconds]
    waits = [part.took_ms for part in moved["parts"] for _ in part.moved]
    others = sum(
        count for reason, count in result["aborted"].items() if reason != "insufficient_funds"
    ) + sum(result["refused"].values())
    exact = result["conserved"] and result["replicas_agree"]
    predicted = moved["plan"]["predicted"]["cross_shard_pct"]
    return [
        Row("throughput after, over before", 1.5, after / before, least=True),
        Row("throughput after, over a fresh bank at that share", 0.9, over_fresh, least=True),
        Row("during, mean over before", 0.85, float(np.mean(during)) / before, least=True),
        Row("during, worst second over before", 0.65, min(during) / before, least=True),
        Row("share across, observed minus predicted, points", 1.0, abs(moved["observed_pct"] - predicted)),
        Row("unavailability per account, p99 ms", 60.0, float(np.percentile(waits, 99)) if waits else 0.0),
        Row("unavailability per account, max ms", 400.0, max(waits, default=0.0)),
        Row("outcomes besides committed and insufficient_funds", 0.0, float(others + result["unknown"])),
        Row("accounts that could not be moved", 0.0, float(moved["given_up"])),
        Row("money and replicas exact", 1.0, float(exact), least=True),
    ]


async def in_turn(moved: LocalBank, communities: BenchOptions, pct: float) -> float:
    """Throughput of the redistributed bank over that of a fresh one with ``pct`` across clusters."""
    topology = _topology(moved.topology.accounts)
    uniform = msgspec.structs.replace(communities, population="anybody", cross_pct=pct)
    after: list[float] = []
    fresh: list[float] = []
    async with private_bank(topology) as bank:
        for turn in range(TURNS):
            to_stderr(f"turn {turn + 1} of {TURNS}: the redistributed bank and a fresh one")
            for one, load, into in ((moved, communities, after), (bank, uniform, fresh)):
                result = await run_bench(one.topology, one.secret, load)
                into.append(float(result["throughput_tps"]))
    return statistics.median(after) / statistics.median(fresh)


def _topology(accounts: int) -> Topology:
    return topology_of(3, 3, accounts, 100_000)


async def _main(arguments: argparse.Namespace) -> int:
    topology = _topology(arguments.accounts)
    clock = _Clock()
    if not await is_warm():
        to_stderr("compiling the partitioner, once per installation")
        await warm()
    async with private_bank(topology) as bank:
        span_s = BEFORE_S + MOVES_S + SETTLE_S + AFTER_S + arguments.plan_s
        load = BenchOptions(clients=CLIENTS, duration_s=span_s, population="communities", seed=arguments.seed)
        running = asyncio.create_task(run_bench(topology, bank.secret, load, clock.told))
        moved = await redistribution(bank, clock)
        result = await running
        to_stderr(f"aborted {result['aborted']}, refused {result['refused']}, unknown {result['unknown']}")
        turn = msgspec.structs.replace(load, duration_s=TURN_S, warmup_s=LEARN_S)
        over_fresh = await in_turn(bank, turn, moved["observed_pct"])
    rows = rows_of(result, moved, over_fresh)
    if arguments.json:
        print_json({"rows": [{**row._asdict(), "met": row.met} for row in rows]})
        return 0
    console = table_console()
    console.print(
        f"{arguments.accounts:,} accounts, {CLIENTS} clients; across clusters "
        f"{moved['plan']['before']['cross_shard_pct']:.1f} % before, {moved['observed_pct']:.1f} % after; "
        f"planned in {moved['planned_s']:.1f} s"
    )
    for row in rows:
        bound = f"{'≥' if row.least else '≤'} {row.target:g}"
        ratio = f"{row.value / row.target:.2f}" if row.target else "–"
        colour = "green" if row.met else "red"
        console.print(f"{row.name:52} {bound:>8} [{colour}]{row.value:9.2f}[/] {ratio:>6}")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-redistribution", description=__doc__)
    parser.add_argument("--accounts", type=int, default=9_000)
    parser.add_argument("--plan-s", type=float, default=20.0, help="time left for making the plan (20)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    return run("bench-redistribution", _main(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
