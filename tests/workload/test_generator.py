"""What the generator draws, and how results are counted."""

from __future__ import annotations

import pytest

from consensus.client.results import ReadValues, TxResult
from consensus.topology_file import generate
from consensus.types import TxId
from consensus.workload.generator import Generator, LoadError
from consensus.workload.tally import Latencies, Tally

TOPOLOGY = generate(accounts=90)
SECOND = TOPOLOGY.cluster_by_id[2]


def test_transfers_stay_in_the_cluster_and_sum_to_zero() -> None:
    generator = Generator(SECOND, 1)
    drawn = [generator.legs() for _ in range(2_000)]
    assert all(debit == -credit and sender != receiver for sender, debit, receiver, credit in drawn)
    assert {amount for *_, amount in drawn} == set(range(1, 11))
    assert {sender for sender, *_ in drawn} == {receiver for _, _, receiver, _ in drawn} == set(range(31, 61))


def test_the_seed_decides() -> None:
    def draw(seed: int) -> list[tuple[int, ...]]:
        generator = Generator(SECOND, seed)
        return [generator.legs() for _ in range(20)]

    assert draw(1) == draw(1) != draw(2)


def test_share_of_reads() -> None:
    generator = Generator(SECOND, 1, read_pct=25)
    share = sum(generator.is_read() for _ in range(10_000)) / 10_000
    assert 0.22 < share < 0.28
    assert not any(Generator(SECOND, 1).is_read() for _ in range(100))
    assert 31 <= generator.account() <= 60


def test_one_account_is_not_enough() -> None:
    with pytest.raises(LoadError, match="a transfer needs two"):
        Generator(generate(accounts=3).clusters[0], 1)


def test_latencies() -> None:
    latencies = Latencies()
    assert latencies.report()["p99"] is None
    for ms in range(1, 1001):
        latencies.add(ms)
    report = latencies.report()
    assert report["mean"] == 500.5
    for name, wanted in (("p50", 500), ("p95", 950), ("p99", 990), ("p999", 999)):
        assert report[name] == pytest.approx(wanted, rel=0.002)


def result(outcome: str, reason: str | None = None) -> TxResult:
    return TxResult(TxId(bytes(16), 1), outcome, reason, (1,), (), None, 0, 4.0)


def test_only_commits_and_answered_reads_count_as_throughput() -> None:
    tally = Tally()
    for each in (
        result("committed"),
        result("aborted", "insufficient_funds"),
        result("unknown"),
        result("refused", "overloaded"),
    ):
        tally.transfer(each)
    tally.read(ReadValues("ok", None, 1, 1, {}, 0, 2.0))
    tally.read(ReadValues("refused", "unavailable", 1, 0, {}, 0, 2.0))
    report = tally.report(0.5)
    assert tally.ended == 6
    assert report["throughput_tps"] == 4.0
    assert (report["committed"], report["reads"], report["unknown"]) == (1, 1, 1)
    assert report["aborted"] == {"insufficient_funds": 1}
    assert report["refused"] == {"overloaded": 1, "unavailable": 1}
    assert report["by_kind"]["intra"]["throughput_tps"] == 2.0
    assert report["by_kind"]["read"]["latency_ms"]["mean"] == 2.0
