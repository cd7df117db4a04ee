"""The runner's rules: order, concurrency, barriers, what is resolved when, what is printed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from consensus.client.results import ReadValues, TxResult
from consensus.client.routing import Directory
from consensus.messages.client import Level, Outcome
from consensus.testset import runner
from consensus.testset.csvtext import FaultError
from consensus.testset.parser import TestSet, parse
from consensus.testset.report import CommandResult, performance
from consensus.topology_file import generate
from consensus.types import Ballot, TxId

TOPOLOGY = generate()
ALL = "[" + ", ".join(f"n{node}" for node in TOPOLOGY.nodes) + "]"


def a_set(*commands: str, live: str = ALL) -> TestSet:
    rows = "".join(f',"{command}",\n' for command in commands)
    return parse(f'Set Number,Transactions,Live Nodes\n1,,"{live}"\n{rows}'.encode())[0]


class FakeFleet:
    """Nodes that apply what the client committed, at once unless held back."""

    def __init__(self) -> None:
        self.topology = TOPOLOGY
        self.calls: list[tuple[int, str]] = []
        self.applied = dict.fromkeys(TOPOLOGY.nodes, 0)
        self.slot = dict.fromkeys(TOPOLOGY.cluster_by_id, 0)
        self.locks: dict[int, list[str]] = {}
        self.views: dict[int, list[dict[str, Any]]] = {}

    async def call(self, node: int, name: str, **args: Any) -> Any:
        self.calls.append((node, name))

    async def ask(self, nodes: Any, name: str, **args: Any) -> dict[int, Any]:
        if name == "accounts":
            return {n: {"accounts": [[i, 10 * n, 1, 0] for i in args["ids"]]} for n in nodes}
        if name == "locks":
            return {n: {"locks": [{"account": 1, "tx": tx} for tx in self.locks.get(n, [])]} for n in nodes}
        return {node: {"views": self.views.get(node, [])} for node in nodes}

    async def statuses(self, nodes: Any, timeout_s: float) -> dict[int, Any]:
        return {node: self.status(node) for node in nodes}

    def status(self, node: int) -> dict[str, Any]:
        cluster = TOPOLOGY.cluster_by_node[node]
        failed = {other for other, name in self.calls if name == "fail"}
        leader = next((other for other in cluster.members if other not in failed), 0)
        return {
            "role": "leader" if node == leader else "follower",
            "established": True,
            "ballot": [1, leader],
            "queue": 0,
            "proposed": self.slot[cluster.id],
            "watermark": self.slot[cluster.id],
            "applied": self.applied[node],
        }

    async def wait_leaders(self, clusters: Any, among: Any, timeout_s: float) -> None:
        return None


class FakeClient:
    """Commits after a turn of the loop, unless an outcome is scripted per sender."""

    def __init__(self, fleet: FakeFleet) -> None:
        self.directory = Directory(TOPOLOGY)
        self.fleet = fleet
        self.running: list[int] = []
        self.together: list[set[int]] = []
        self.order: list[tuple[int, ...]] = []
        self.scripted: dict[int, str] = {}
        self.resolved: list[int] = []
        self.lagging: set[int] = set()
        self.reads: list[tuple[Level, int, tuple[int, ...]]] = []

    async def submit(self, legs: tuple[int, ...], **_: Any) -> TxResult:
        sender, _, receiver, amount = legs
        clusters = self.directory.clusters_of(legs)
        await self._work(sender, (sender, receiver, amount))
        outcome = self.scripted.get(sender, "committed")
        return self._result(TxId(bytes(16), sender), clusters, legs, outcome)

    def _result(self, tx_id: TxId, clusters: Any, legs: Any, outcome: str) -> TxResult:
        stored = None
        if outcome in ("committed", "aborted"):
            slot = self.fleet.slot[clusters[0]] = self.fleet.slot[clusters[0]] + 1
            stored = Outcome(int(outcome == "aborted"), slot, 0, Ballot(1, 1), ())
            for node in TOPOLOGY.cluster_by_id[clusters[0]].members:
                if node not in self.lagging:
                    self.fleet.applied[node] = slot
        reason = None if outcome == "committed" else "why"
        return TxResult(tx_id, outcome, reason, clusters, legs, stored, 0, 2.0)

    async def read(self, accounts: Any, level: Level, **fields: Any) -> ReadValues:
        self.reads.append((level, fields["bound_ms"], fields["versions"]))
        await self._work(accounts[0], tuple(accounts))
        if self.scripted.get(accounts[0]) == "refused":
            return ReadValues("refused", "unavailable", 1, 0, {}, 0, 5.0)
        return ReadValues("ok", None, 1, 0, {accounts[0]: (1, 7)}, 0, 1.0)

    async def resolve(self, tx_id: TxId, **_: Any) -> TxResult:
        self.resolved.append(tx_id.number)
        self.order.append((-tx_id.number,))
        return self._result(tx_id, (1,), (), self.scripted.get(-tx_id.number, "committed"))

    async def _work(self, key: int, what: tuple[int, ...]) -> None:
        self.order.append(what)
        self.running.append(key)
        await asyncio.sleep(0.005)
        self.together.append(set(self.running))
        self.running.remove(key)


class Bench:
    def __init__(self) -> None:
        self.fleet = FakeFleet()
        self.client = FakeClient(self.fleet)

    async def run(self, test_set: TestSet) -> Any:
        return await runner._Run(self.fleet, self.client, test_set, 1.0).run()  # type: ignore[arg-type]


async def test_unrelated_transfers_run_at_once() -> None:
    bench = Bench()
    await bench.run(a_set("(1, 2, 1)", "(3, 4, 1)", "(5,)"))
    assert {1, 3, 5} in bench.client.together


async def test_transfers_that_share_an_account_keep_the_order() -> None:
    bench = Bench()
    await bench.run(a_set("(1, 2, 1)", "(2, 3, 1)", "(3,)", "(4, 1, 1)"))
    assert bench.client.order[0] == (1, 2, 1)
    assert bench.client.order.index((2, 3, 1)) < bench.client.order.index((3,))
    assert not any({1, 2} <= group or {2, 3} <= group or {1, 4} <= group for group in bench.client.together)
    assert {2, 4} in bench.client.together, "both wait for the first only"


async def test_fail_and_recover_are_barriers() -> None:
    bench = Bench()
    report = await bench.run(a_set("(1, 2, 1)", "F(n9)", "(3, 4, 1)", "R(n9)", "(5, 6, 1)"))
    assert all(len(together) == 1 for together in bench.client.together)
    assert bench.fleet.calls == [(9, "fail"), (9, "recover")]
    assert [row.outcome for row in report.commands] == ["committed", "ok", "committed", "ok", "committed"]


async def test_a_barrier_waits_until_live_replicas_applied_what_was_answered() -> None:
    bench = Bench()
    bench.client.lagging = {3}
    run = asyncio.create_task(bench.run(a_set("(1, 2, 1)", "F(n1)")))
    await asyncio.sleep(0.05)
    assert bench.fleet.calls == []
    bench.fleet.applied[3] = 1
    report = await run
    assert (bench.fleet.calls, report.notes) == ([(1, "fail")], [])


async def test_a_barrier_waits_for_the_decisions_of_other_clusters() -> None:
    bench = Bench()
    bench.fleet.locks = {6: [str(TxId(bytes(16), 1)), str(TxId(bytes(16), 99))]}
    run = asyncio.create_task(bench.run(a_set("(1, 3001, 1)", "F(n1)")))
    await asyncio.sleep(0.05)
    assert bench.fleet.calls == []
    bench.fleet.locks = {6: [str(TxId(bytes(16), 99))]}  # nobody was answered about that one
    report = await run
    assert (bench.fleet.calls, report.notes) == ([(1, "fail")], [])


async def test_a_barrier_gives_up_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "SETTLE_TIMEOUT_S", 0.05)
    bench = Bench()
    bench.client.lagging = {3}
    report = await bench.run(a_set("(1, 2, 1)", "F(n1)"))
    assert any("before F(n1)" in note for note in report.notes)


async def test_failed_replicas_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "SETTLE_TIMEOUT_S", 0.05)
    bench = Bench()
    bench.client.lagging = {3}
    report = await bench.run(a_set("(1, 2, 1)", live="[n1, n2]"))
    assert report.notes == []
    assert sorted(bench.fleet.calls) == [(node, "fail") for node in range(3, 10)]


async def test_unknown_is_resolved_at_recover() -> None:
    bench = Bench()
    bench.client.scripted = {1: "unknown", -1: "aborted"}
    report = await bench.run(a_set("F(n2)", "F(n3)", "(1, 2, 1)", "R(n2)", "(1, 2, 1)"))
    first = report.commands[2]
    assert (first.outcome, first.resolved, first.reason) == ("unknown", "aborted", "why")
    assert bench.client.order == [(1, 2, 1), (-1,), (1, 2, 1), (-1,)], "at R, and the second at the end"


async def test_unknown_without_a_majority_stays_unresolved() -> None:
    bench = Bench()
    bench.client.scripted = {1: "unknown"}
    report = await bench.run(a_set("F(n2)", "F(n3)", "(1, 2, 1)"))
    assert (report.commands[2].outcome, report.commands[2].resolved) == ("unknown", None)
    assert bench.client.resolved == []


async def test_json_has_the_keys_of_the_contract() -> None:
    bench = Bench()
    view = {"number": 1, "slot": 4, "ballot": [2, 2], "leader": 2, "watermark": 3, "checkpoint": 0}
    bench.fleet.views = {2: [{**view, "slots": [{"slot": 4}, {"slot": 5}]}]}
    bench.client.scripted = {3004: "refused"}
    body = (await bench.run(a_set("(21, 700, 2)", "(21,)", "(3004,)"))).to_json()
    assert body["commands"][0] == {
        "command": "(21, 700, 2)",
        "level": "linearizable",
        "kind": "transfer",
        "outcome": "committed",
        "resolved": None,
        "reason": None,
        "balance": None,
        "latency_ms": 2.0,
    }
    assert [row["balance"] for row in body["commands"]] == [None, 7, None]
    assert body["balances"]["21"] == {"1": 10, "2": 20, "3": 30}
    assert body["balances"]["3004"] == {"4": 40, "5": 50, "6": 60}
    assert body["views"] == [{**view, "cluster": 1, "slots": 2}]
    assert body["performance"]["latency_ms"] == {"mean": 1.5, "p50": 1.0, "p99": 2.0}


def test_a_node_that_does_not_exist_is_a_fault_of_the_file() -> None:
    with pytest.raises(FaultError, match="line 3, column 3: there is no node n10"):
        runner.check([a_set("F(n10)")], TOPOLOGY)
    with pytest.raises(FaultError, match="no node n99"):
        runner.check([a_set(live="[n99]")], TOPOLOGY)


def test_performance_counts_only_what_was_answered() -> None:
    rows = [
        CommandResult("a", None, "transfer", "committed", latency_ms=1.0, answered=True),
        CommandResult("b", None, "transfer", "aborted", latency_ms=3.0, answered=True),
        CommandResult("c", None, "transfer", "unknown", latency_ms=5000.0),
    ]
    figures = performance(rows, 0.5)
    assert figures == {"throughput_tps": 2.0, "latency_ms": {"mean": 2.0, "p50": 1.0, "p99": 3.0}}
    assert performance([], 0.0)["latency_ms"]["mean"] is None


async def test_reads_ask_for_their_level() -> None:
    bench = Bench()
    report = await bench.run(
        a_set("(7)", "(7, ryw)", "(7, bounded)", "(7, eventual)", "(7, lease)", "(9, ryw)")
    )
    by_level = {(level, versions): bound for level, bound, versions in bench.client.reads}
    assert by_level == {
        (Level.LINEARIZABLE, ()): 0,
        (Level.RYW, (1,)): 0,
        (Level.BOUNDED, ()): 1_000,
        (Level.EVENTUAL, ()): 0,
        (Level.LEASE, ()): 0,
        (Level.RYW, (0,)): 0,
    }
    assert [row.level for row in report.commands][:3] == ["linearizable", "ryw", "bounded"]
