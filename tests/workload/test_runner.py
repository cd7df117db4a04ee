"""The closed loop and the audit, against scripted nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from consensus.bank.audit import AuditReport, to_document
from consensus.client.fleet import Fleet
from consensus.messages.client import Read, Status, Submit
from consensus.messages.control import Command, CommandReply
from consensus.workload.audit import audit
from consensus.workload.generator import LoadError
from consensus.workload.options import BenchOptions
from consensus.workload.runner import run_bench
from tests.client.fake_node import SECRET, FakeBank, FakeNode, start_fake_bank


class Auditable:
    """Answers of an operator: what each node claims about its state."""

    def __init__(self) -> None:
        self.applied = dict.fromkeys(range(1, 7), 5)
        self.hash = dict.fromkeys(range(1, 7), "aa")
        self.total = dict.fromkeys(range(1, 7), 1_000)
        self.cut_total = {1: 1_000, 2: 1_000}

    def script(self, node: FakeNode, message: Any) -> list[Any] | None:
        if not isinstance(message, Command):
            return None
        applied = self.applied[node.id]
        body = {
            "status": {"applied": applied, "watermark": applied},
            "hash": {"slot": applied, "hash": self.hash[node.id]},
            "summary": {"total": self.total[node.id]},
            "cut": {},
            "audit": {"incarnation": 1, "last": 0, "report": self.report(node, message)},
        }[message.name]
        return [CommandReply(message.id, True, body)]

    def report(self, node: FakeNode, message: Command) -> dict[str, Any]:
        number = message.args.get("number", 1)
        made = AuditReport(number, node.cluster, 5, 100, self.cut_total[node.cluster], [], [])
        return to_document(made)


@pytest.fixture
async def bank() -> AsyncIterator[FakeBank]:
    bank = await start_fake_bank(2)
    yield bank
    await bank.stop()


@pytest.fixture
def told(bank: FakeBank) -> Auditable:
    told = Auditable()
    for node in bank.nodes.values():
        node.script = told.script
    return told


async def test_as_many_operations_in_flight_as_clients(bank: FakeBank, told: Auditable) -> None:
    result = await run_bench(bank.topology, SECRET, BenchOptions(clients=10, transactions=500, warmup_s=0.0))
    assert (result["committed"], result["unknown"]) == (500, 0)
    assert (result["conserved"], result["replicas_agree"]) == (True, True)
    assert result["throughput_tps"] > 0
    for leader in (bank.nodes[1], bank.nodes[4]):
        assert len(leader.hellos) == 2, "one socket for the load, one for the audit"
        assert max(len(submit.items) for submit in leader.submits()) == 5


async def test_one_socket_per_client(bank: FakeBank, told: Auditable) -> None:
    await run_bench(
        bank.topology, SECRET, BenchOptions(clients=6, connections=6, transactions=60, warmup_s=0.0)
    )
    assert [len(node.hellos) for node in bank.nodes.values()] == [4, 1, 1, 4, 1, 1]
    assert max(len(submit.items) for submit in bank.nodes[1].submits()) == 1


async def test_reads_only(bank: FakeBank, told: Auditable) -> None:
    options = BenchOptions(clients=4, duration_s=0.1, warmup_s=0.05, read_pct=100)
    result = await run_bench(bank.topology, SECRET, options)
    assert result["reads"] > 0
    assert result["committed"] == 0
    assert not any(isinstance(message, Submit) for message in bank.nodes[1].heard)
    assert any(isinstance(message, Read) for message in bank.nodes[1].heard)


async def test_audit_counts_the_whole_bank(bank: FakeBank, told: Auditable) -> None:
    told.cut_total = {1: 900, 2: 1_100}
    async with Fleet(bank.topology, SECRET) as fleet:
        found = await audit(fleet)
        assert (found["conserved"], found["audit"]["total"]) == (True, 2_000)
        told.cut_total[2] = 1_099
        found = await audit(fleet)
    assert (found["conserved"], found["replicas_agree"]) == (False, True)
    assert (found["audit"]["total"], found["audit"]["expected_total"]) == (1_999, 2_000)


async def test_audit_finds_replicas_with_other_balances(bank: FakeBank, told: Auditable) -> None:
    told.total[5] = 999
    async with Fleet(bank.topology, SECRET) as fleet:
        found = await audit(fleet)
    assert (found["conserved"], found["replicas_agree"]) == (True, False)
    assert found["audit"]["clusters"][1]["totals"] == [1000, 999, 1000]


async def test_audit_without_a_cut(bank: FakeBank, told: Auditable) -> None:
    for member in (4, 5, 6):
        await bank.nodes[member].stop()
    async with Fleet(bank.topology, SECRET) as fleet:
        found = await audit(fleet, timeout_s=0.3)
    assert (found["conserved"], found["audit"]["total"]) == (False, None)
    assert "cluster 2" in found["audit"]["error"]


async def test_audit_finds_replicas_that_differ(bank: FakeBank, told: Auditable) -> None:
    told.hash[3] = "bb"
    async with Fleet(bank.topology, SECRET) as fleet:
        found = await audit(fleet)
    assert (found["conserved"], found["replicas_agree"]) == (True, False)


async def test_audit_of_replicas_that_never_meet(bank: FakeBank, told: Auditable) -> None:
    told.applied[2] = 4
    async with Fleet(bank.topology, SECRET) as fleet:
        found = await audit(fleet, timeout_s=0.2)
    assert found["replicas_agree"] is False


class Locked:
    """Leaders that abort the first attempts at every transfer; by its legs, the attempts' ages."""

    def __init__(self, told: Auditable, lost: int, reason: Status) -> None:
        self.told, self.lost, self.reason = told, lost, reason
        self.ages: dict[tuple[int, ...], list[int]] = {}

    def script(self, node: FakeNode, message: Any) -> list[Any] | None:
        if not isinstance(message, Submit) or node.leader != node.id:
            return self.told.script(node, message)
        answers: list[Any] = []
        for item in message.items:
            ages = self.ages.setdefault(item.legs, [])
            ages.append(item.age_us)
            status = 0 if len(ages) > self.lost else int(self.reason)
            answers.append(node.commit(message, [item.number], status))
        return answers


def locked(bank: FakeBank, told: Auditable, lost: int, reason: Status = Status.LOCK_CONFLICT) -> Locked:
    script = Locked(told, lost, reason)
    for node in bank.nodes.values():
        node.script = script.script
    return script


async def test_lost_locks_are_tried_again_with_their_first_age(bank: FakeBank, told: Auditable) -> None:
    script = locked(bank, told, lost=2)
    result = await run_bench(
        bank.topology, SECRET, BenchOptions(clients=1, transactions=6, warmup_s=0.0, amount_max=10**6)
    )
    assert (result["committed"], result["aborted"], result["transfers"]) == (6, {}, 6)
    assert (result["attempts"], result["retried"]) == (18, {"lock_conflict": 12})
    complete = [ages for ages in script.ages.values() if len(ages) == 3]
    assert len(complete) >= 6
    for first, second, third in complete:
        assert first == 0
        assert second == third > 1_000_000_000_000_000, "wall clock, µs"


async def test_attempts_are_bounded(bank: FakeBank, told: Auditable) -> None:
    script = locked(bank, told, lost=100, reason=Status.LOCK_TIMEOUT)
    options = BenchOptions(clients=1, transactions=2, warmup_s=0.0, retries=3, amount_max=10**6)
    result = await run_bench(bank.topology, SECRET, options)
    assert (result["committed"], result["aborted"]) == (0, {"lock_timeout": 2})
    assert (result["attempts"], result["retried"]) == (8, {"lock_timeout": 6})
    assert max(map(len, script.ages.values())) == 4


async def test_other_aborts_are_final(bank: FakeBank, told: Auditable) -> None:
    locked(bank, told, lost=100, reason=Status.INSUFFICIENT_FUNDS)
    result = await run_bench(bank.topology, SECRET, BenchOptions(clients=1, transactions=3, warmup_s=0.0))
    assert (result["aborted"], result["attempts"]) == ({"insufficient_funds": 3}, 3)
    assert result["longest_without_success_ms"] > 0


async def test_open_loop_counts_from_the_intended_time(bank: FakeBank, told: Auditable) -> None:
    options = BenchOptions(clients=1, transactions=200, warmup_s=0.0, rate=1_000_000.0, arrivals="constant")
    result = await run_bench(bank.topology, SECRET, options)
    assert result["committed"] == 200
    # All were due at once and the one client took them in turn: the last waited for all the others, which is
    # as long as the whole run, however fast or uneven that was.
    assert result["latency_ms"]["max"] > 0.8 * 1e3 * result["duration_s"]


async def test_replay_sends_what_the_file_says(bank: FakeBank, told: Auditable, tmp_path: Path) -> None:
    file = tmp_path / "transfers.csv"
    file.write_text("time,from,to,amount\n0,1,2,5\n0.01,150,160,6\n0.02,3,170,7\n")
    result = await run_bench(bank.topology, SECRET, BenchOptions(clients=4, replay=str(file), warmup_s=5.0))
    assert (result["committed"], result["transfers"]) == (3, 3)
    assert result["by_kind"]["cross"]["latency_ms"]["mean"] is not None
    sent = sorted(
        item.legs for node in (1, 4) for submit in bank.nodes[node].submits() for item in submit.items
    )
    assert sent == [(1, -5, 2, 5), (3, -7, 170, 7), (150, -6, 160, 6)]


async def test_a_client_with_nothing_to_do_is_not_without_success(
    bank: FakeBank, told: Auditable, tmp_path: Path
) -> None:
    file = tmp_path / "transfers.csv"
    file.write_text("time,from,to,amount\n0,1,2,5\n0.3,1,2,5\n")
    result = await run_bench(bank.topology, SECRET, BenchOptions(clients=4, replay=str(file)))
    assert result["committed"] == 2
    # Both are counted from when a transfer was due until it was answered.
    assert result["longest_without_success_ms"] == pytest.approx(result["latency_ms"]["max"], abs=0.1)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (BenchOptions(clients=0), "clients"),
        (BenchOptions(clients=5, connections=6), "connections"),
        (BenchOptions(duration_s=0), "duration"),
        (BenchOptions(read_pct=101), "read-only"),
        (BenchOptions(cross_pct=-1), "cross-shard"),
        (BenchOptions(retries=1_000), "retries"),
        (BenchOptions(distribution="normal"), "distribution"),
        (BenchOptions(consistency="strong"), "consistency"),
    ],
)
async def test_options_out_of_range(bank: FakeBank, options: BenchOptions, name: str) -> None:
    with pytest.raises(LoadError, match=f"^{name}: must be"):
        await run_bench(bank.topology, SECRET, options)
