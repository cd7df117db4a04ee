"""The closed loop and the audit, against scripted nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from consensus.client.fleet import Fleet
from consensus.messages.client import Read, Submit
from consensus.messages.control import Command, CommandReply
from consensus.workload.audit import audit
from consensus.workload.generator import LoadError
from consensus.workload.runner import BenchOptions, run_bench
from tests.client.fake_node import SECRET, FakeBank, FakeNode, start_fake_bank


class Auditable:
    """Answers of an operator: what each node claims about its state."""

    def __init__(self) -> None:
        self.applied = dict.fromkeys(range(1, 7), 5)
        self.hash = dict.fromkeys(range(1, 7), "aa")
        self.total = dict.fromkeys(range(1, 7), 1_000)

    def script(self, node: FakeNode, message: Any) -> list[Any] | None:
        if not isinstance(message, Command):
            return None
        applied = self.applied[node.id]
        body = {
            "status": {"applied": applied, "watermark": applied},
            "hash": {"slot": applied, "hash": self.hash[node.id]},
            "summary": {"total": self.total[node.id]},
        }[message.name]
        return [CommandReply(message.id, True, body)]


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


async def test_audit_finds_missing_money(bank: FakeBank, told: Auditable) -> None:
    told.total[5] = 999
    async with Fleet(bank.topology, SECRET) as fleet:
        found = await audit(fleet)
    assert (found["conserved"], found["replicas_agree"]) == (False, True)
    assert found["audit"][1]["totals"] == [1000, 999, 1000]


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


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (BenchOptions(clients=0), "clients"),
        (BenchOptions(clients=5, connections=6), "connections"),
        (BenchOptions(duration_s=0), "duration"),
        (BenchOptions(read_pct=101), "read-only"),
    ],
)
async def test_options_out_of_range(bank: FakeBank, options: BenchOptions, name: str) -> None:
    with pytest.raises(LoadError, match=f"^{name}: must be"):
        await run_bench(bank.topology, SECRET, options)
