"""Several load generator processes, against scripted nodes: shares, sums, ends."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from consensus.cli.bench_progress import Documents
from consensus.client.results import ReadValues, TxResult
from consensus.messages.client import Submit
from consensus.types import TxId
from consensus.workload.crew import Crew, GeneratorError
from consensus.workload.generator import LoadError
from consensus.workload.load import Share, Window
from consensus.workload.options import BenchOptions
from consensus.workload.runner import generators, run_bench
from consensus.workload.tally import Counts, Tally
from tests.client.fake_node import SECRET, FakeBank, start_fake_bank, until
from tests.workload.test_runner import Auditable


@pytest.fixture
async def bank() -> AsyncIterator[FakeBank]:
    bank = await start_fake_bank(2)
    told = Auditable()
    for node in bank.nodes.values():
        node.script = told.script
    yield bank
    await bank.stop()


async def test_two_processes_share_a_load(bank: FakeBank) -> None:
    options = BenchOptions(clients=7, transactions=501, warmup_s=0.0, generators=2, read_pct=20)
    result = await run_bench(bank.topology, SECRET, options)
    assert result["committed"] + result["reads"] == 501
    assert (result["generators"]["processes"], len(result["generators"]["processor_share"])) == (2, 2)
    assert sum(result["timeline"]["succeeded"]) == 501
    assert (result["conserved"], result["replicas_agree"]) == (True, True)
    for leader in (bank.nodes[1], bank.nodes[4]):
        assert len(leader.hellos) == 3, "a socket of each process, and one for the audit"
    amounts = [
        item.legs
        for node in (bank.nodes[1], bank.nodes[4])
        for message in node.heard
        if isinstance(message, Submit)
        for item in message.items
    ]
    assert len(set(amounts)) > 0.8 * len(amounts), "the processes do not draw the same"


async def test_what_a_process_complains_of_is_said(bank: FakeBank, tmp_path: Path) -> None:
    file = tmp_path / "one.csv"
    file.write_text("time,from,to,amount\n0,1,2,5\n")
    options = BenchOptions(clients=2, replay=str(file), generators=2)
    with pytest.raises(GeneratorError, match=r"load generator 2 failed: replay: .* too few transfers for 2"):
        await run_bench(bank.topology, SECRET, options)


async def test_cancelled_it_leaves_no_process(bank: FakeBank) -> None:
    crew = Crew(bank.topology, SECRET, BenchOptions(clients=4, duration_s=600.0, warmup_s=0.0, generators=2))

    async def run() -> None:
        async with crew:
            await crew.ready()
            await crew.measure()

    running = asyncio.ensure_future(run())
    await until(lambda: crew.tally.committed, "something was counted", timeout_s=30.0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(crew._processes) == 2
    assert all(process.returncode is not None for process in crew._processes)


def test_shares_add_up() -> None:
    for of in range(1, 6):
        for whole in range(of, 30):
            sizes = [Share(number, of).size(whole) for number in range(of)]
            assert sum(sizes) == whole
            assert max(sizes) - min(sizes) <= 1
    assert BenchOptions(clients=50).sockets(3) == 3
    assert BenchOptions(clients=50, generators=4).sockets(3) == 12
    assert BenchOptions(clients=5, generators=4).sockets(3) == 5
    assert BenchOptions(clients=50, generators=4, connections=9).sockets(3) == 9


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (BenchOptions(clients=3, generators=4), "generators: must be 1 to 3"),
        (BenchOptions(connections=2, generators=3), "connections: 2 cannot be shared by 3"),
        (BenchOptions(transactions=2, generators=3), "transactions: 2 cannot be shared by 3"),
    ],
)
def test_shares_that_cannot_be(options: BenchOptions, match: str) -> None:
    with pytest.raises(LoadError, match=match):
        options.check()


def test_parts_add_up_to_the_whole() -> None:
    whole, sum_of_parts = Tally(), Tally()
    parts = [Tally(), Tally()]
    for tally in (whole, *parts):
        tally.start(50.0)
    draw = random.Random(5)
    words = [("committed", None), ("aborted", "lock_timeout"), ("unknown", None), ("refused", "overloaded")]
    for number in range(4_000):
        latency_ms = draw.expovariate(0.2)
        outcome, reason = draw.choice(words)
        clusters = draw.choice([(1,), (1, 2)])
        result = TxResult(TxId(bytes(16), 1), outcome, reason, clusters, (), None, 0, latency_ms)
        values = ReadValues(draw.choice(["ok", "refused"]), "unavailable", 1, 1, {}, 0, latency_ms)
        for tally in (whole, parts[number % 2]):
            tally.transfer(result, latency_ms)
            tally.read(values, latency_ms)
            tally.operation(f"kind {number % 3}", outcome == "committed", latency_ms)
            if reason:
                tally.retry(result)
    for part in parts:
        sent = msgspec.json.encode(part.counts())
        sum_of_parts.add(msgspec.json.decode(sent, type=Counts))
    one, other = sum_of_parts.report(2.0), whole.report(2.0)
    # When something is counted is the clock's: only the sum of the timeline is the same.
    assert sum(sum_of_parts.bins.values()) == sum(whole.bins.values()) > 0
    assert {**one, "timeline": None} == {**other, "timeline": None}


def test_a_busy_generator_is_called_the_bottleneck() -> None:
    idle, busy = Window(10.0, 20.0, 4.0, 0.1), Window(10.0, 20.0, 9.1, 0.1)
    assert generators([idle, idle]) == {
        "processes": 2,
        "processor_share": [0.4, 0.4],
        "bottleneck": False,
    }
    assert generators([idle, busy])["bottleneck"] is True


def test_progress_tells_what_is_new(capfd: pytest.CaptureFixture[str]) -> None:
    tally, documents = Tally(), Documents()
    for ms in (1.0, 2.0, 3.0, 4.0):
        tally.read(ReadValues("ok", None, 1, 1, {}, 0, ms), ms)
    documents(0.5, tally, 10)
    for ms in (50.0, 60.0):
        tally.read(ReadValues("ok", None, 1, 1, {}, 0, ms), ms)
    documents(1.0, tally, 10)
    documents(1.5, tally, 10)
    documents(0.5, Tally(), 10)
    first, second, quiet, other = (
        json.loads(line)["progress"] for line in capfd.readouterr().err.splitlines()
    )
    assert (first["p50_ms"], first["recent_p50_ms"], first["recent_p99_ms"]) == (2.0, 2.0, 4.0)
    assert (second["p50_ms"], second["recent_p50_ms"], second["recent_p99_ms"]) == (3.0, 50.0, 60.0)
    assert (quiet["p99_ms"], quiet["recent_p99_ms"]) == (60.0, None)
    assert (other["ended"], other["p50_ms"], other["recent_p50_ms"]) == (0, None, None)


@pytest.mark.parametrize("processes", [1, 2])
async def test_progress_ends_with_the_window(bank: FakeBank, processes: int) -> None:
    """Times only rise, the first is long enough for a rate, the last is the end of the window."""
    told: list[tuple[float, int]] = []
    options = BenchOptions(clients=4, duration_s=1.2, warmup_s=0.4, generators=processes, rate=2_000.0)
    result = await run_bench(
        bank.topology, SECRET, options, lambda seconds, tally, _: told.append((seconds, tally.ended))
    )
    times = [seconds for seconds, _ in told]
    assert times == sorted(times)
    assert times[0] >= 0.25
    assert times[-1] == pytest.approx(result["duration_s"], abs=0.001)
    assert told[-1][1] == result["committed"]
