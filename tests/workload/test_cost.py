"""The in-process measurement of processor time: it runs a real bank, and the work it counts is repeatable."""

from __future__ import annotations

from consensus.topology_file import generate
from consensus.workload.cost import Bench


def test_transfers_commit_and_the_work_is_the_same_every_time() -> None:
    def run() -> tuple[Bench, tuple[float, ...]]:
        bench = Bench(generate(accounts=90, balance=1_000), clients=20, cross_pct=50.0)
        bench.run(20)
        cost = bench.cost(100)
        return bench, (cost.messages, cost.message_bytes, cost.journal_bytes, cost.slots, cost.committed)

    bench, first = run()
    assert first == run()[1]
    assert first[-1] >= 100
    assert bench.drain() == 90 * 1_000
