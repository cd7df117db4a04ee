"""Runs course test sets on a bank: reset, live nodes, commands, barriers, balances, views, performance."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from consensus.client.attempts import submit_until
from consensus.client.bank import BankClient
from consensus.client.errors import ClientError
from consensus.client.fleet import Fleet
from consensus.client.reads import BOUND_MS_DEFAULT
from consensus.client.results import REFUSED, UNKNOWN, ReadValues, TxResult
from consensus.client.seen import Seen
from consensus.messages.client import Level
from consensus.testset.csvtext import FaultError
from consensus.testset.parser import Command, TestSet
from consensus.testset.report import CommandResult, SetReport, performance
from consensus.testset.settling import SETTLE_TIMEOUT_S, settle
from consensus.topology import Topology
from consensus.types import AccountId, ClusterId, NodeId, majority

DEADLINE_S: Final = 5.0
"""How long a command waits for its outcome."""
LEADER_TIMEOUT_S: Final = 5.0
"""How long a set waits, after its live nodes are set, until each cluster with a majority has a leader."""
CONCURRENT_MAX: Final = 1_000
"""Commands under way at once."""


def check(sets: Iterable[TestSet], topology: Topology) -> None:
    """Make sure that every node named exists, before anything is run.

    Raises:
        FaultError: the first that does not.
    """
    for each in sets:
        for node in each.live:
            if node not in topology.nodes:
                raise FaultError(each.line, each.live_column, f"there is no node n{node} in this topology")
        for command in each.commands:
            if command.node and command.node not in topology.nodes:
                raise FaultError(
                    command.line, command.column, f"there is no node n{command.node} in this topology"
                )


class SetRunner:
    """Runs sets one after the other on a bank that nobody else uses.

    Args:
        topology: the bank; every node must be running.
        secret: its cluster secret.
        deadline_s: how long a command waits for its outcome.
        told: called with the number of commands that are over, each time one more is.
    """

    def __init__(
        self,
        topology: Topology,
        secret: str,
        *,
        deadline_s: float = DEADLINE_S,
        told: Callable[[int], None] | None = None,
    ) -> None:
        self.topology = topology
        self._secret = secret
        self._deadline_s = deadline_s
        self._told = told or (lambda _: None)

    async def run(self, test_set: TestSet) -> SetReport:
        """Reset the bank, run one set, report. The bank is left as the set left it, failed nodes included.

        Raises:
            FaultError: the set names a node that does not exist.
            OperatorError, TimeoutError, ConnectionError: a node does not answer its operator.
        """
        check([test_set], self.topology)
        async with Fleet(self.topology, self._secret) as fleet:
            await fleet.reset()
            client = BankClient(self.topology, self._secret, name=f"testset-{test_set.number}")
            async with client:
                await client.ready(LEADER_TIMEOUT_S)
                return await _Run(fleet, client, test_set, self._deadline_s, self._told).run()


class _Run:
    """One set on a bank that was just reset."""

    def __init__(
        self,
        fleet: Fleet,
        client: BankClient,
        test_set: TestSet,
        deadline_s: float,
        told: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._told = told
        self._over = 0
        self._topology = fleet.topology
        self._fleet = fleet
        self._client = client
        self._set = test_set
        self._deadline_s = deadline_s
        self._live = set(test_set.live)
        self._answered: set[str] = set()  # transactions with a final outcome
        self._unresolved: list[tuple[CommandResult, TxResult]] = []
        self._notes: list[str] = []
        self._seen = Seen()
        self._room = asyncio.Semaphore(CONCURRENT_MAX)

    async def run(self) -> SetReport:
        await self._fail_the_others()
        results: list[CommandResult] = []
        busy_s = 0.0
        for segment in segments(self._set.commands):
            first = segment[0]
            if first.node:
                results.append(await self._barrier(first))
                self._count()
                continue
            started = time.perf_counter()
            results += await self._concurrently(segment)
            busy_s += time.perf_counter() - started
        await self._settle("the end")
        await self._resolve()
        return SetReport(
            set=self._set.number,
            live=list(self._set.live),
            commands=results,
            balances=await self._balances(),
            views=await self._views(),
            performance=performance(results, busy_s),
            notes=self._notes,
        )

    def _count(self) -> None:
        self._over += 1
        self._told(self._over)

    # --- nodes ------------------------------------------------------------

    async def _fail_the_others(self) -> None:
        down = [node for node in self._topology.nodes if node not in self._live]
        await asyncio.gather(*(self._fleet.call(node, "fail") for node in down))
        if not down:
            return
        able = self._clusters_with_majority()
        try:
            await self._fleet.wait_leaders(able, self._live, LEADER_TIMEOUT_S)
        except TimeoutError:
            self._notes.append(
                f"a cluster of {sorted(able)} had no leader {LEADER_TIMEOUT_S:g} s after the start"
            )

    def _clusters_with_majority(self) -> set[ClusterId]:
        return {
            cluster.id
            for cluster in self._topology.clusters
            if sum(node in self._live for node in cluster.members) >= majority(len(cluster.members))
        }

    async def _barrier(self, command: Command) -> CommandResult:
        """F or R: what came before is over, what comes after starts on the changed bank."""
        await self._settle(command.text)
        started = time.perf_counter()
        node = command.node
        if command.kind == "fail":
            await self._fleet.call(node, "fail")
            self._live.discard(node)
        else:
            await self._fleet.call(node, "recover")
            self._live.add(node)
            await self._resolve()
        latency_ms = (time.perf_counter() - started) * 1e3
        return CommandResult(command.text, None, command.kind, "ok", latency_ms=latency_ms)

    async def _settle(self, before: str) -> None:
        """Wait until every decision that was answered is applied on all live replicas that can know it."""
        able = [self._topology.cluster_by_id[cluster] for cluster in sorted(self._clusters_with_majority())]
        try:
            await settle(self._fleet, able, self._live, self._answered, SETTLE_TIMEOUT_S)
        except TimeoutError:
            self._notes.append(
                f"before {before}: not every live replica applied all answered decisions within "
                f"{SETTLE_TIMEOUT_S:g} s"
            )

    # --- commands ---------------------------------------------------------

    async def _concurrently(self, commands: Sequence[Command]) -> list[CommandResult]:
        """Run transfers and reads: those that share an account in file order, the others at once."""
        last: dict[AccountId, asyncio.Task[CommandResult]] = {}
        tasks: list[asyncio.Task[CommandResult]] = []
        async with asyncio.TaskGroup() as group:
            for command in commands:
                await self._room.acquire()
                before = {last[account] for account in command.accounts if account in last}
                task = group.create_task(self._after(before, command))
                for account in command.accounts:
                    last[account] = task
                tasks.append(task)
        return [task.result() for task in tasks]

    async def _after(self, before: set[asyncio.Task[CommandResult]], command: Command) -> CommandResult:
        try:
            if before:
                await asyncio.wait(before)
            result = await self._execute(command)
            self._count()
            return result
        finally:
            self._room.release()

    async def _execute(self, command: Command) -> CommandResult:
        level = command.level.name.lower()
        try:
            if command.kind == "read":
                values = await self._client.read(
                    command.accounts,
                    command.level,
                    bound_ms=BOUND_MS_DEFAULT if command.level == Level.BOUNDED else 0,
                    versions=self._seen.versions(command.accounts) if command.level == Level.RYW else (),
                    deadline_s=self._deadline_s,
                )
                self._seen.note_versions((account, value[0]) for account, value in values.values.items())
                return self._read_result(command, level, values)
            sender, receiver = command.accounts
            legs = (sender, -command.amount, receiver, command.amount)
            result = await submit_until(self._client, legs, self._deadline_s)
            self._seen.note(result.accounts)
        except (ClientError, ValueError) as error:
            return CommandResult(command.text, level, command.kind, REFUSED, reason=str(error))
        return self._transfer_result(command, level, result)

    def _transfer_result(self, command: Command, level: str, result: TxResult) -> CommandResult:
        self._note(result)
        row = CommandResult(
            command.text,
            level,
            command.kind,
            result.outcome,
            reason=result.reason,
            latency_ms=result.latency_ms,
            answered=result.final,
        )
        if result.outcome == UNKNOWN:
            self._unresolved.append((row, result))
        return row

    def _read_result(self, command: Command, level: str, values: ReadValues) -> CommandResult:
        balance = None
        if values.outcome == "ok":
            balance = values.values[command.accounts[0]][1]
        return CommandResult(
            command.text,
            level,
            command.kind,
            values.outcome,
            reason=values.reason,
            balance=balance,
            latency_ms=values.latency_ms,
            answered=values.outcome == "ok",
        )

    def _note(self, result: TxResult) -> None:
        if result.final:
            self._answered.add(str(result.id))

    async def _resolve(self) -> None:
        """Make unknown transfers final where a majority is up; the others stay as they are."""
        able = self._clusters_with_majority()
        asked = [(row, result) for row, result in self._unresolved if result.clusters[0] in able]
        answers = await asyncio.gather(
            *(self._client.resolve(result.id, deadline_s=self._deadline_s) for _, result in asked)
        )
        for (row, result), answer in zip(asked, answers, strict=True):
            if answer.final:
                row.resolved = answer.outcome
                row.reason = answer.reason
                self._note(answer)
                self._unresolved.remove((row, result))
        await self._settle("the balances")

    # --- what is printed --------------------------------------------------

    async def _balances(self) -> dict[str, dict[str, int]]:
        """Every account named in the set, on every node of its cluster, failed ones included."""
        named = sorted({account for command in self._set.commands for account in command.accounts})
        by_cluster: dict[ClusterId, list[AccountId]] = {}
        for account in named:
            cluster = self._client.directory.cluster_of(account)
            if cluster is not None:
                by_cluster.setdefault(cluster, []).append(account)
        found: dict[AccountId, dict[str, int]] = {}
        for cluster, accounts in by_cluster.items():
            members = self._topology.cluster_by_id[cluster].members
            for node, body in (await self._fleet.ask(members, "accounts", ids=accounts)).items():
                for account, balance, *_ in body["accounts"]:
                    found.setdefault(account, {})[str(node)] = balance
        return {str(account): found[account] for account in sorted(found)}

    async def _views(self) -> list[dict[str, Any]]:
        """Every NEW-VIEW since the set began, from the replica of each cluster that knows most of them."""
        bodies = await self._fleet.ask(self._topology.nodes, "views")
        views: list[dict[str, Any]] = []
        for cluster in self._topology.clusters:
            lists = [bodies[node]["views"] for node in cluster.members if node in bodies]
            views += (
                {**view, "cluster": cluster.id, "slots": len(view["slots"])}
                for view in max(lists, key=len, default=[])
            )
        return views


def segments(commands: Sequence[Command]) -> list[list[Command]]:
    """Split at F and R, which stand alone; what lies between may run concurrently."""
    found: list[list[Command]] = []
    for command in commands:
        if command.node or not found or found[-1][0].node:
            found.append([command])
        else:
            found[-1].append(command)
    return found


def nodes_text(nodes: Iterable[NodeId]) -> str:
    """``n1, n2``, as the files write it."""
    return ", ".join(f"n{node}" for node in nodes)
