"""What the generator draws, and how results are counted."""

from __future__ import annotations

import random
import time
from collections import Counter
from itertools import islice, pairwise
from pathlib import Path
from statistics import mean, pstdev

import pytest

from consensus.client.results import ReadValues, TxResult
from consensus.topology_file import generate
from consensus.types import TxId
from consensus.workload.distribution import picker
from consensus.workload.generator import Accounts, Generator, LoadError, Mix
from consensus.workload.pace import Due, arrivals, read_replay
from consensus.workload.tally import Latencies, Tally

TOPOLOGY = generate(accounts=90)


def generator(mix: Mix, seed: int = 1, cluster: int = 2) -> Generator:
    return Generator(Accounts(TOPOLOGY, mix, seed), cluster, mix, str(seed))


def test_transfers_stay_in_the_cluster_and_sum_to_zero() -> None:
    draws = generator(Mix())
    drawn = [draws.legs() for _ in range(2_000)]
    assert all(debit == -credit and sender != receiver for sender, debit, receiver, credit in drawn)
    assert {amount for *_, amount in drawn} == set(range(1, 11))
    assert {sender for sender, *_ in drawn} == {receiver for _, _, receiver, _ in drawn} == set(range(31, 61))


def test_the_seed_decides() -> None:
    def draw(seed: int) -> list[tuple[int, ...]]:
        draws = generator(Mix(cross_pct=50, distribution="zipf"), seed)
        return [draws.legs() for _ in range(20)]

    assert draw(1) == draw(1) != draw(2)


def test_share_of_reads() -> None:
    draws = generator(Mix(read_pct=25))
    share = sum(draws.is_read() for _ in range(10_000)) / 10_000
    assert 0.22 < share < 0.28
    never = generator(Mix())
    assert not any(never.is_read() for _ in range(100))
    assert 31 <= draws.account() <= 60


def test_share_of_transfers_across_clusters() -> None:
    draws = generator(Mix(cross_pct=30))
    drawn = [draws.legs() for _ in range(10_000)]
    assert all(31 <= sender <= 60 for sender, *_ in drawn)
    away = [receiver for _, _, receiver, _ in drawn if not 31 <= receiver <= 60]
    assert 0.27 < len(away) / len(drawn) < 0.33
    assert set(away) == {*range(1, 31), *range(61, 91)}


def test_one_account_is_not_enough() -> None:
    with pytest.raises(LoadError, match="a transfer needs two"):
        Accounts(generate(accounts=3), Mix(cross_pct=50), 1)
    Accounts(generate(accounts=3), Mix(cross_pct=100), 1)


def test_one_cluster_has_no_other() -> None:
    with pytest.raises(LoadError, match="cross-shard: needs two clusters"):
        Accounts(generate(clusters=1), Mix(cross_pct=1), 1)


def counts(distribution: str, count: int, skewness: float = 1.0) -> list[int]:
    """Accesses per index in 20,000 draws, the most popular first."""
    pick = picker(distribution, count, skewness=skewness, seed="s")
    draw = random.Random(1).random
    drawn = Counter(pick(draw) for _ in range(20_000))
    assert drawn.keys() <= set(range(count))
    return [n for _, n in drawn.most_common()]


def test_zipf_follows_its_law() -> None:
    found = counts("zipf", 100)
    harmonic = sum(1 / k for k in range(1, 101))
    for rank in (1, 2, 5):
        assert found[rank - 1] / 20_000 == pytest.approx(1 / rank / harmonic, rel=0.1)
    assert max(counts("zipf", 100, skewness=0.0)) < 300, "an exponent of 0 is uniform"
    assert counts("zipf", 100, skewness=2.0)[0] > 11_000


def test_hotspot_takes_four_of_five_accesses() -> None:
    found = counts("hotspot", 100)
    assert sum(found[:10]) / 20_000 == pytest.approx(0.8, abs=0.02)
    assert len(found) == 100


def test_every_stream_has_the_same_hot_accounts() -> None:
    picks = [picker("hotspot", 1_000, seed="1/2") for _ in range(2)]
    hot = [{pick(lambda: 0.3) for _ in range(5)} for pick in picks]
    assert hot[0] == hot[1]
    assert hot[0] != {picker("hotspot", 1_000, seed="1/3")(lambda: 0.3)}


@pytest.mark.parametrize("kind", ["poisson", "constant"])
def test_arrivals_keep_their_rate(kind: str) -> None:
    due = list(islice(arrivals(500.0, kind, "1"), 5_000))
    assert due == list(islice(arrivals(500.0, kind, "1"), 5_000))
    assert all(a.at_s <= b.at_s for a, b in pairwise(due))
    assert due[-1].at_s == pytest.approx(10.0, rel=0.05)
    gaps = [b.at_s - a.at_s for a, b in pairwise(due)]
    spread = pstdev(gaps) / mean(gaps)
    assert spread == pytest.approx(1.0 if kind == "poisson" else 0.0, abs=0.1)


def test_replay_is_in_order_of_time(tmp_path: Path) -> None:
    file = tmp_path / "transfers.csv"
    file.write_text("\ufeffTime,from,to,amount,note\n7.5,1,2,3,b\n7.0,4,5,6,a\n")
    assert read_replay(str(file)) == [Due(0.0, (4, -6, 5, 6)), Due(0.5, (1, -3, 2, 3))]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("time,from,to\n", "no column amount"),
        ("time,from,to,amount\n", "has 0 transfers"),
        ("time,from,to,amount\n1,2,3,4\n1,2,x,4\n", "line 3"),
        ("time,from,to,amount\n1,2,2,4\n", "line 2: needs"),
        ("time,from,to,amount\nnan,1,2,4\n", "line 2: needs"),
        ("time,from,to,amount\n1,2\n", "line 2"),
    ],
)
def test_replay_says_what_is_wrong(tmp_path: Path, text: str, match: str) -> None:
    file = tmp_path / "transfers.csv"
    file.write_text(text)
    with pytest.raises(LoadError, match=match):
        read_replay(str(file))


def test_replay_needs_a_file(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="cannot be read"):
        read_replay(str(tmp_path / "none.csv"))


def test_latencies() -> None:
    latencies = Latencies()
    assert latencies.report()["p99"] is None
    for ms in range(1, 1001):
        latencies.add(ms)
    report = latencies.report()
    assert report["mean"] == 500.5
    for name, wanted in (("p50", 500), ("p95", 950), ("p99", 990), ("p999", 999)):
        assert report[name] == pytest.approx(wanted, rel=0.002)


def result(outcome: str, reason: str | None = None, clusters: tuple[int, ...] = (1,)) -> TxResult:
    return TxResult(TxId(bytes(16), 1), outcome, reason, clusters, (), None, 0, 4.0)


def test_only_commits_and_answered_reads_count_as_throughput() -> None:
    tally = Tally()
    tally.start(time.monotonic())
    for each in (
        result("committed"),
        result("committed", clusters=(1, 2)),
        result("aborted", "insufficient_funds"),
        result("unknown"),
        result("refused", "overloaded"),
    ):
        tally.transfer(each, each.latency_ms)
    tally.read(ReadValues("ok", None, 1, 1, {}, 0, 2.0), 2.0)
    tally.read(ReadValues("refused", "unavailable", 1, 0, {}, 0, 2.0), 2.0)
    report = tally.report(0.5)
    assert tally.ended == 7
    assert report["throughput_tps"] == 6.0
    assert (report["committed"], report["reads"], report["unknown"]) == (2, 1, 1)
    assert report["aborted"] == {"insufficient_funds": 1}
    assert report["refused"] == {"overloaded": 1, "unavailable": 1}
    assert (report["transfers"], report["attempts"]) == (5, 5)
    for kind in ("intra", "cross", "read"):
        assert report["by_kind"][kind]["throughput_tps"] == 2.0
    assert report["by_kind"]["read"]["latency_ms"]["mean"] == 2.0
    assert report["by_kind"]["cross"]["latency_ms"]["max"] == 4.0
    assert report["by_outcome"]["aborted"]["mean"] == 4.0
    assert sum(report["timeline"]["succeeded"]) == 3
    assert len(report["timeline"]["succeeded"]) == 5
