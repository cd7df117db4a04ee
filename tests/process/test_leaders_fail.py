"""Transfers across clusters on real workers while a leader fails: one outcome, on both sides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from consensus.client.bank import BankClient
from consensus.client.fleet import Fleet, leaders_in
from consensus.client.results import TxResult
from consensus.cluster.private import private_bank, topology_of
from consensus.testset.settling import settle

pytestmark = pytest.mark.process

TOPOLOGY_SIZES = (2, 3, 2_000, 10)
PAIRS = 120
"""Transfers of the load, each between accounts of its own."""
WIDE_S = 30.0


class Bank:
    def __init__(self, fleet: Fleet, client: BankClient) -> None:
        self.fleet = fleet
        self.client = client
        self.members = {cluster.id: cluster.members for cluster in fleet.topology.clusters}

    async def leader(self, cluster: int) -> int:
        return leaders_in(await self.fleet.statuses())[cluster]

    async def cut(self, from_: int, to: int, *, cut: bool = True) -> None:
        """Everything that cluster ``from_`` sends to cluster ``to``."""
        for node in self.members[from_]:
            for other in self.members[to]:
                await self.fleet.call(node, "link", to=other, cut=cut)

    async def until(self, nodes: tuple[int, ...], name: str, key: str) -> None:
        """Until each of ``nodes`` lists something there."""
        async with asyncio.timeout(WIDE_S):
            while not all(body[key] for body in (await self.fleet.ask(nodes, name)).values()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def check(self, results: list[TxResult], first: int) -> None:
        """Make all final; then every replica must tell the same story, with nothing left over.

        Transfer ``i`` moved 1 from account ``first + i`` to account ``first + 1000 + i``.
        """
        final = [
            each if each.final else await self.client.resolve(each.id, deadline_s=WIDE_S) for each in results
        ]
        assert all(each.final for each in final)
        nodes = [node for group in self.members.values() for node in group]
        await settle(
            self.fleet, self.fleet.topology.clusters, set(nodes), {str(each.id) for each in final}, WIDE_S
        )
        for cluster, sign in ((1, -1), (2, 1)):
            base = first if cluster == 1 else first + 1_000
            ids = [base + i for i in range(len(final))]
            want = [10 + sign * (each.outcome == "committed") for each in final]
            bodies = await self.fleet.ask(self.members[cluster], "accounts", ids=ids)
            for node in self.members[cluster]:
                assert [row[1] for row in bodies[node]["accounts"]] == want, f"n{node}"
        for node, body in (await self.fleet.ask(nodes, "wal")).items():
            assert body["records"] == [], f"n{node}"


@pytest.fixture
async def bank() -> AsyncIterator[Bank]:
    topology = topology_of(*TOPOLOGY_SIZES)
    async with (
        private_bank(topology, told=lambda _: None) as running,
        Fleet(topology, running.secret) as fleet,
        BankClient(topology, running.secret) as client,
    ):
        await client.ready(WIDE_S)
        yield Bank(fleet, client)


@pytest.mark.parametrize("cluster", [1, 2], ids=["coordinator", "participant"])
async def test_a_leader_fails_under_load(bank: Bank, cluster: int) -> None:
    leader = await bank.leader(cluster)

    def send(i: int) -> asyncio.Task[TxResult]:
        return asyncio.create_task(bank.client.transfer(1 + i, 1_001 + i, 1, deadline_s=WIDE_S))

    tasks = [send(i) for i in range(PAIRS // 2)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for i in range(PAIRS // 2, PAIRS):
        tasks.append(send(i))
        if i == 3 * PAIRS // 4:
            await asyncio.sleep(0)  # those so far are on their way, the others come to a headless cluster
            failing = asyncio.create_task(bank.fleet.call(leader, "fail"))
            await asyncio.sleep(0)
    await failing
    results = await asyncio.gather(*tasks)
    assert await bank.leader(cluster) != leader
    await bank.fleet.call(leader, "recover")
    await bank.check(results, 1)


@pytest.mark.parametrize("cluster", [1, 2], ids=["coordinator", "participant"])
async def test_a_leader_fails_after_the_votes_and_before_the_decision(bank: Bank, cluster: int) -> None:
    """Both sides have prepared; the votes are lost with the leader."""
    await bank.cut(2, 1)
    sent = asyncio.create_task(bank.client.transfer(1, 1_001, 1, deadline_s=WIDE_S))
    await bank.until(bank.members[1], "locks", "locks")
    await bank.until(bank.members[2], "locks", "locks")
    leader = await bank.leader(cluster)
    await bank.fleet.call(leader, "fail")
    await bank.cut(2, 1, cut=False)
    result = await sent
    await bank.fleet.call(leader, "recover")
    await bank.check([result], 1)


@pytest.mark.parametrize("cluster", [1, 2], ids=["coordinator", "participant"])
async def test_a_leader_fails_after_the_decision_and_before_it_is_told(bank: Bank, cluster: int) -> None:
    """The coordinator's group has decided; the participant's group holds its locks until it hears of it."""
    await bank.cut(2, 1)
    sent = asyncio.create_task(bank.client.transfer(1, 1_001, 1, deadline_s=WIDE_S))
    await bank.until(bank.members[2], "locks", "locks")
    await bank.cut(1, 2)
    await bank.until(bank.members[1], "wal", "unfinished")
    result: Any = await sent
    assert (result.outcome, result.reason) == ("aborted", "participant_unavailable")
    held = await bank.fleet.ask(bank.members[2], "locks")
    assert all(body["locks"] for body in held.values())
    leader = await bank.leader(cluster)
    await bank.fleet.call(leader, "fail")
    await bank.cut(1, 2, cut=False)
    await bank.cut(2, 1, cut=False)
    await bank.fleet.wait_leaders([cluster], set(bank.members[cluster]) - {leader}, WIDE_S)
    await bank.fleet.call(leader, "recover")
    await bank.check([result], 1)
