"""SmallBank and the YCSB-like mixes: what they draw, what they decide, and how clients run them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from consensus.bank.rules import well_formed
from consensus.client.routing import Directory
from consensus.messages.client import Status, Submit
from consensus.topology_file import generate
from consensus.workload import smallbank, ycsb
from consensus.workload.generator import LoadError, Mix
from consensus.workload.operations import Operation, Seen, branches
from consensus.workload.options import PRESETS, BenchOptions
from consensus.workload.runner import run_bench
from consensus.workload.smallbank import SmallBank, cheque
from consensus.workload.ycsb import Ycsb
from tests.client.fake_node import SECRET, FakeBank, FakeNode, start_fake_bank
from tests.workload.test_runner import Auditable

TOPOLOGY = generate(accounts=900)
CHECKING, SAVINGS, VAULT = 301, 302, 600


def small(mix: Mix | None = None, seed: str = "1") -> SmallBank:
    mix = mix or Mix()
    return SmallBank(branches(TOPOLOGY, mix, 1, smallbank.WIDTH), 2, mix, seed)


def drawn(operations: SmallBank | Ycsb, count: int = 4_000) -> list[Operation]:
    return [operations.operation() for _ in range(count)]


def written(operation: Operation, *balances: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The transaction an operation runs, when it finds these balances."""
    if operation.decide is None:
        return operation.legs, ()
    return operation.decide([Seen(7, balance) for balance in balances])


def test_shares_of_the_six_kinds() -> None:
    counts = Counter(operation.kind for operation in drawn(small(), 20_000))
    assert counts.keys() == smallbank.SHARES.keys()
    for kind, percent in smallbank.SHARES.items():
        assert counts[kind] / 200 == pytest.approx(percent, abs=1.5), kind


def test_the_seed_decides() -> None:
    first, same, other = (
        [(each.kind, each.reads, each.legs) for each in drawn(small(seed=seed), 50)] for seed in "112"
    )
    assert first == same != other


def test_what_is_written_is_well_formed_and_stays_among_customers_and_tellers() -> None:
    vaults = range(598, 601)
    for operation in drawn(small()):
        if operation.kind == "balance":
            assert operation.reads[1] == operation.reads[0] + 1
            continue
        legs, conditions = written(operation, 30, 40)
        assert well_formed(legs, conditions), operation.kind
        at_teller = [account for account in legs[::2] if account in vaults]
        tellers = operation.kind in ("deposit_checking", "transact_savings", "write_check")
        assert len(at_teller) == tellers, operation.kind
        assert set(legs[::2]) <= set(range(301, 598)) | set(at_teller)


def test_checking_accounts_come_before_savings() -> None:
    for operation in drawn(small()):
        if operation.kind in ("deposit_checking", "send_payment"):
            customers = [account for account in operation.legs[::2] if account < 598]
            assert all(account % 2 == 1 for account in customers)
        if operation.kind == "transact_savings":
            assert sum(account % 2 == 0 for account in operation.legs[::2] if account < 598) == 1


def test_amalgamate_moves_everything() -> None:
    operation = next(each for each in drawn(small()) if each.kind == "amalgamate")
    checking, savings = operation.reads
    legs, conditions = written(operation, 30, 40)
    assert legs[:4] == (checking, -30, savings, -40)
    assert legs[4] not in (checking, savings)
    assert legs[5] == 70
    assert conditions == (checking, 2, 7, savings, 2, 7), "on the condition that nobody changed them"


@pytest.mark.parametrize(
    ("current", "saved", "legs"),
    [
        (30, 40, (CHECKING, -10, SAVINGS, 0, VAULT, 10)),
        (4, 40, (CHECKING, -4, SAVINGS, -6, VAULT, 10)),
        (0, 10, (CHECKING, 0, SAVINGS, -10, VAULT, 10)),
        (4, 5, (CHECKING, -1, SAVINGS, 0, VAULT, 1)),
        (0, 9, (CHECKING, 0, SAVINGS, -1, VAULT, 1)),
        (0, 0, (CHECKING, -1, SAVINGS, 0, VAULT, 1)),
    ],
)
def test_cheques(current: int, saved: int, legs: tuple[int, ...]) -> None:
    found, conditions = cheque(CHECKING, VAULT, 10, [Seen(3, current), Seen(5, saved)])
    assert found == legs
    assert well_formed(found, conditions)
    assert conditions == (CHECKING, 2, 3, SAVINGS, 2, 5)


def test_share_of_second_customers_elsewhere() -> None:
    two = [
        written(operation, 1, 1)[0]
        for operation in drawn(small(Mix(cross_pct=30)), 20_000)
        if operation.kind in ("amalgamate", "send_payment")
    ]
    away = sum(not 301 <= legs[-2] <= 600 for legs in two)
    assert away / len(two) == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("name", list(ycsb.READ_SHARE))
def test_ycsb_shares(name: str) -> None:
    mix = Mix(distribution="zipf", skewness=ycsb.SKEWNESS)
    operations = Ycsb(name, branches(TOPOLOGY, mix, 1, ycsb.WIDTH), 2, mix, "1")
    found = drawn(operations, 10_000)
    kinds = Counter(operation.kind for operation in found)
    assert kinds["read"] / 10_000 == pytest.approx(ycsb.READ_SHARE[name], abs=0.02)
    changing = {"ycsb-a": {"update"}, "ycsb-b": {"update"}, "ycsb-c": set(), "ycsb-f": {"read_modify_write"}}
    assert kinds.keys() - {"read"} == changing[name]
    records = Counter(operation.reads[0] for operation in found if operation.reads)
    assert records.most_common(1)[0][1] > 5 * 10_000 / 300 * ycsb.READ_SHARE[name], "Zipf's law"
    for operation in found:
        if operation.kind != "read":
            assert well_formed(*written(operation, 50))


def test_banks_that_are_too_small() -> None:
    with pytest.raises(LoadError, match="cluster 1 has 4 accounts; two customers and a teller need 5"):
        branches(generate(accounts=12), Mix(), 1, smallbank.WIDTH)
    with pytest.raises(LoadError, match="cross-shard: needs two clusters"):
        branches(generate(clusters=1), Mix(cross_pct=1), 1, smallbank.WIDTH)
    with pytest.raises(LoadError, match="mix: smallbank has reads"):
        BenchOptions(mix="smallbank", read_pct=5).check()
    for preset in ("smallbank", *ycsb.READ_SHARE):
        BenchOptions(**PRESETS[preset]).check()


@pytest.fixture
async def bank() -> AsyncIterator[FakeBank]:
    bank = await start_fake_bank(2)
    told = Auditable()
    for node in bank.nodes.values():
        node.script = told.script
    yield bank
    await bank.stop()


async def test_each_kind_is_counted(bank: FakeBank) -> None:
    options = BenchOptions(clients=4, transactions=600, warmup_s=0.0, mix="smallbank", cross_pct=50)
    result = await run_bench(bank.topology, SECRET, options)
    kinds = result["by_operation"]
    assert kinds.keys() == smallbank.SHARES.keys()
    assert sum(kind["succeeded"] for kind in kinds.values()) == 600 == result["committed"] + result["reads"]
    assert kinds["balance"]["succeeded"] == result["reads"]
    assert all(kind["failed"] == 0 and kind["latency_ms"]["p50"] > 0 for kind in kinds.values())
    assert result["by_kind"]["cross"]["throughput_tps"] > 0


async def test_what_changed_meanwhile_is_read_anew(bank: FakeBank) -> None:
    """The first write of every amalgamation finds other versions than were read."""
    told = Auditable()
    tried: Counter[int] = Counter()

    def script(node: FakeNode, message: Any) -> list[Any] | None:
        if node.leader != node.id or not isinstance(message, Submit):
            return told.script(node, message)
        answers = []
        for item in message.items:
            lost = len(item.conditions) == 6 and tried[item.legs[0]] < 2
            tried[item.legs[0]] += bool(item.conditions)
            answers.append(node.commit(message, [item.number], Status.CONDITION_FAILED if lost else 0))
        return answers

    for node in bank.nodes.values():
        node.script = script
    options = BenchOptions(clients=1, transactions=100, warmup_s=0.0, mix="smallbank", retries=3)
    result = await run_bench(bank.topology, SECRET, options)
    assert result["aborted"] == {}
    assert result["retried"]["condition_failed"] > 10
    assert result["attempts"] == result["transfers"] + result["retried"]["condition_failed"]


async def test_a_customer_whose_accounts_were_moved_apart(bank: FakeBank) -> None:
    """His balance is read by a transaction without deltas: a read sees one cluster only."""
    told = Auditable()
    legs: list[tuple[int, ...]] = []

    def script(node: FakeNode, message: Any) -> list[Any] | None:
        if node.leader != node.id or not isinstance(message, Submit):
            return told.script(node, message)
        legs.extend(item.legs for item in message.items)
        return None

    for node in bank.nodes.values():
        node.script = script
    moved = [value for account in range(2, 100, 2) for value in (account, 2, 1)]
    options = BenchOptions(clients=2, transactions=300, warmup_s=0.0, mix="smallbank")
    built = Directory.__init__

    def elsewhere(self: Directory, topology: Any) -> None:
        built(self, topology)
        self.learn(tuple(moved))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Directory, "__init__", elsewhere)
        result = await run_bench(bank.topology, SECRET, options)
    looks = [each for each in legs if not any(each[1::2])]
    assert looks and all(first % 2 == 1 and second == first + 1 for first, _, second, _ in looks)
    assert result["by_operation"]["balance"]["succeeded"] > 0
    assert result["refused"] == {}
