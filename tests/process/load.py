"""Transfers in the background, and the proof afterwards that each acknowledged one happened exactly once."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from contextlib import suppress
from typing import Any, Self

from consensus.client.bank import BankClient
from consensus.client.operator import Operator
from consensus.client.results import ABORTED, COMMITTED, REFUSED, UNKNOWN, TxResult
from consensus.cluster.launcher import LocalBank
from consensus.types import AccountId, ClusterId, NodeId

SETTLE_S = 40.0
"""Longest wait for something that must come about; ordinary runs take a fraction of it."""


class Load:
    """``clients`` transfers in flight over all clusters, until :meth:`stop`.

    ``deadline_s``: when a transfer is given up; None for the topology's, which an outage of the whole bank
    may well outlast.
    """

    def __init__(
        self, bank: LocalBank, clients: int = 45, seed: int = 1, deadline_s: float | None = None
    ) -> None:
        self.bank = bank
        self.client = BankClient(bank.topology, bank.secret, name="load")
        self.results: list[TxResult] = []
        self.committed: Counter[ClusterId] = Counter()
        self._random = random.Random(seed)
        self._clients = clients
        self._deadline_s = deadline_s
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.client.start()
        clusters = self.bank.topology.clusters
        self._tasks = [
            asyncio.create_task(self._run(clusters[number % len(clusters)].id))
            for number in range(self._clients)
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        await self.client.close()

    async def _run(self, cluster_id: ClusterId) -> None:
        cluster = self.bank.topology.cluster_by_id[cluster_id]
        accounts = range(cluster.first_account, cluster.last_account + 1)
        while not self._stopping:
            await self._pay(cluster_id, *self._random.sample(accounts, 2))

    async def _pay(self, cluster_id: ClusterId, sender: AccountId, receiver: AccountId) -> None:
        amount = self._random.randint(1, 3)
        result = await self.client.transfer(sender, receiver, amount, deadline_s=self._deadline_s)
        self.results.append(result)
        if result.outcome == COMMITTED:
            self.committed[cluster_id] += 1
            self._news.set()

    async def progress(self, count: int, clusters: set[ClusterId] | None = None) -> None:
        """Wait until each of ``clusters`` (default: all) has committed ``count`` more."""
        wanted = set(self.bank.topology.cluster_by_id) if clusters is None else clusters
        goal = {cluster: self.committed[cluster] + count for cluster in wanted}
        deadline = time.monotonic() + SETTLE_S
        while any(self.committed[cluster] < least for cluster, least in goal.items()):
            for task in self._tasks:
                if task.done():
                    task.result()  # raises what ended it
            left = deadline - time.monotonic()
            assert left > 0, f"no progress to {goal}: {dict(self.committed)}; {await self.bank.statuses()}"
            self._news.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), min(left, 1.0))

    async def stop(self) -> None:
        """Let every transfer in flight come to its end, and make the unknown ones final."""
        self._stopping = True
        await asyncio.gather(*self._tasks)
        deadline = time.monotonic() + SETTLE_S
        for index, result in enumerate(self.results):
            while result.outcome == UNKNOWN:
                assert time.monotonic() < deadline, f"{result.id} cannot be resolved"
                resolved = await self.client.resolve(result.id)
                if resolved.final:
                    result = self.results[index] = with_legs(resolved, result)

    def expected(self) -> dict[int, tuple[int, int]]:
        """Balance and version of every account, from the committed transfers alone."""
        initial = self.bank.topology.initial_balance
        rows = dict.fromkeys(range(1, self.bank.topology.accounts + 1), (initial, 0))
        for result in self.results:
            if result.outcome == COMMITTED:
                for account, delta in zip(result.legs[::2], result.legs[1::2], strict=True):
                    balance, version = rows[account]
                    rows[account] = (balance + delta, version + 1)
        return rows


def with_legs(resolved: TxResult, first: TxResult) -> TxResult:
    """A resolved result knows its outcome only; the legs are those that were submitted."""
    return TxResult(
        first.id, resolved.outcome, resolved.reason, first.clusters, first.legs, resolved.stored, 0, 0.0
    )


async def verify(load: Load) -> None:
    """Stop the load and check everything that must hold of it and of all replicas."""
    await load.stop()
    bank = load.bank
    assert {result.outcome for result in load.results} <= {COMMITTED, ABORTED, REFUSED}
    places = [
        (place["cluster"], place["slot"], place["index"])
        for result in load.results
        if result.outcome == COMMITTED
        for place in result.positions
    ]
    assert len(set(places)) == len(places), "two transfers were told the same place in the log"
    expected = load.expected()
    total = bank.topology.initial_balance * bank.topology.accounts
    assert sum(balance for balance, _ in expected.values()) == total
    for cluster in bank.topology.clusters:
        await agree(bank, cluster.members)
        held = {
            account: row
            for account, row in expected.items()
            if cluster.first_account <= account <= cluster.last_account
        }
        for node in cluster.members:
            rows = await operate(bank, node, "accounts", after=0, limit=10_000)
            actual = {row[0]: (row[1], row[2]) for row in rows["accounts"]}
            wrong = {
                account: (actual.get(account), row)
                for account, row in held.items()
                if actual.get(account) != row
            }
            assert not wrong, f"node {node}: account: ((balance, version) it has, it should have): {wrong}"
            assert set(actual) == set(held)
        values = await load.client.read(list(held))
        assert values.outcome == "ok", values.reason
        assert {account: (row[1], row[0]) for account, row in values.values.items()} == held


async def agree(bank: LocalBank, members: tuple[NodeId, ...]) -> None:
    """Wait until the nodes are at rest at one slot, none a learner, and compare their state hashes."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        statuses = await bank.statuses(members)
        places = {(status["watermark"], status["applied"]) for status in statuses.values()}
        roles = sorted(str(status["role"]) for status in statuses.values())
        at_rest = len(places) == 1 and all(watermark == applied for watermark, applied in places)
        if (
            at_rest
            and len(statuses) == len(members)
            and roles == ["follower"] * (len(members) - 1) + ["leader"]
        ):
            hashes = [await operate(bank, node, "hash", slot=0) for node in members]
            if len({row["slot"] for row in hashes}) == 1:
                assert len({row["hash"] for row in hashes}) == 1, f"replicas differ: {hashes}"
                return
        assert time.monotonic() < deadline, f"nodes {members} do not come to rest: {statuses}"
        await asyncio.sleep(0.05)


async def operate(bank: LocalBank, node: NodeId, name: str, **arguments: Any) -> Any:
    """One operator command to one node."""
    address = bank.topology.nodes[node]
    async with Operator(address.host, address.port, bank.secret) as operator:
        return await operator.call(name, **arguments)


async def leader_of(bank: LocalBank, cluster: ClusterId) -> NodeId:
    """The node that leads the cluster now."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        statuses = await bank.statuses(bank.topology.cluster_by_id[cluster].members)
        leaders = [
            node for node, status in statuses.items() if status["role"] == "leader" and status["established"]
        ]
        if len(leaders) == 1:
            return leaders[0]
        assert time.monotonic() < deadline, f"cluster {cluster} has no leader: {statuses}"
        await asyncio.sleep(0.05)
