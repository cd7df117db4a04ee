"""Audits while transfers across clusters run at full speed: all the money, each time."""

from __future__ import annotations

import asyncio
from typing import Any

from consensus.client.fleet import Fleet
from consensus.cluster.cut import BankCut, take_cut
from consensus.cluster.launcher import LocalBank
from consensus.types import ClusterId
from tests.process.load import Load, leader_of

AUDITS = 40


class CrossLoad(Load):
    """Every transfer goes to another cluster; all accounts take part, so locks are met."""

    async def _run(self, cluster_id: ClusterId) -> None:
        topology = self.bank.topology
        while not self._stopping:
            sender = self._random.choice(_accounts(topology.cluster_by_id[cluster_id]))
            other = self._random.choice([c for c in topology.clusters if c.id != cluster_id])
            receiver = self._random.choice(_accounts(other))
            await self._pay(cluster_id, sender, receiver)


def _accounts(cluster: Any) -> range:
    return range(cluster.first_account, cluster.last_account + 1)


async def _audit(bank: LocalBank, fleet: Fleet) -> BankCut:
    cut = await take_cut(
        bank.topology, fleet.ask_one, lambda cluster: cluster.members, accounts=True, timeout_s=30.0
    )
    expected = bank.topology.initial_balance * bank.topology.accounts
    assert cut.total == expected, cut.reports
    assert cut.accounts is not None
    assert [row.id for row in cut.accounts] == list(range(1, bank.topology.accounts + 1))
    assert sum(row.balance for row in cut.accounts) == expected
    return cut


async def test_the_total_is_exact_at_full_speed(bank: LocalBank) -> None:
    async with Load(bank, clients=15) as inner, CrossLoad(bank, clients=60, seed=2) as load:
        async with Fleet(bank.topology, bank.secret) as fleet:
            await load.progress(20)
            cuts = []
            for _ in range(AUDITS):
                cuts.append(await _audit(bank, fleet))
                await load.progress(2)
            await inner.stop()
            await load.stop()
            at_rest = await _audit(bank, fleet)
        assert [cut.number for cut in cuts] == sorted({cut.number for cut in cuts})
        assert any(report.prepared for cut in cuts for report in cut.reports), "no cut met a transaction"
        assert at_rest.in_flight == 0
        assert at_rest.accounts is not None
        both = inner.expected(), load.expected()
        initial = bank.topology.initial_balance
        for row in at_rest.accounts:
            parts = [expected[row.id] for expected in both]
            assert row.balance == initial + sum(balance - initial for balance, _ in parts)
            assert row.version == sum(version for _, version in parts)


async def test_the_total_is_exact_while_a_leader_dies(bank: LocalBank) -> None:
    async with CrossLoad(bank, clients=30) as load, Fleet(bank.topology, bank.secret) as fleet:
        await load.progress(20)
        leader = await leader_of(bank, 2)
        bank.kill(leader)
        await asyncio.gather(_audit(bank, fleet), load.progress(20))
        bank.restart(leader)
        await bank.wait_ready()
        await _audit(bank, fleet)
