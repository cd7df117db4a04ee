"""kill -9 in the middle of load: acknowledged transfers stay, none twice, total unchanged, replicas equal."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal

import pytest

from consensus.cluster.launcher import LocalBank
from tests.process.load import Load, leader_of, verify

BEFORE = 100
AFTER = 150


async def test_a_follower(bank: LocalBank) -> None:
    async with Load(bank) as load:
        await load.progress(BEFORE)
        follower = 2 if await leader_of(bank, 1) != 2 else 3
        bank.kill(follower)
        await load.progress(AFTER)
        bank.restart(follower)
        await bank.wait_ready()
        await load.progress(AFTER)
        await verify(load)


async def test_a_leader(bank: LocalBank) -> None:
    async with Load(bank) as load:
        await load.progress(BEFORE)
        leader = await leader_of(bank, 2)
        bank.kill(leader)
        await load.progress(AFTER)
        assert await leader_of(bank, 2) != leader
        bank.restart(leader)
        await bank.wait_ready()
        await load.progress(AFTER)
        await verify(load)


async def test_every_leader_in_turn_without_a_pause(bank: LocalBank) -> None:
    async with Load(bank) as load:
        await load.progress(BEFORE)
        for cluster in (1, 2, 3, 1, 2, 3):
            leader = await leader_of(bank, cluster)
            bank.kill(leader)
            bank.restart(leader)
            await load.progress(20, {cluster})
        await bank.wait_ready()
        await verify(load)


async def test_all_nine_at_once(bank: LocalBank) -> None:
    async with Load(bank) as load:
        await load.progress(BEFORE)
        for child in bank.children.values():
            child.signal(signal.SIGKILL)
        for node in bank.children:
            bank.kill(node)
        assert not any(child.running for child in bank.children.values())
        for node in bank.children:
            bank.restart(node)
        await bank.wait_ready()
        await load.progress(AFTER)
        await verify(load)


async def test_all_nine_again_and_again(bank: LocalBank) -> None:
    """Restarts of restarts: what recovery writes must itself be recoverable."""
    async with Load(bank) as load:
        for _ in range(4):
            await load.progress(40)
            for node in bank.children:
                bank.restart(node)
            await bank.wait_ready()
        await load.progress(40)
        await verify(load)


async def test_a_majority_stops_the_cluster_and_only_it(bank: LocalBank) -> None:
    async with Load(bank) as load:
        await load.progress(BEFORE)
        leader = await leader_of(bank, 3)
        others = [node for node in (7, 8, 9) if node != leader]
        for node in others:
            bank.kill(node)
        await load.progress(AFTER, {1, 2})
        stuck = load.committed[3]
        await load.progress(AFTER, {1, 2})
        # What was acknowledged while the majority went may still have been on its way; nothing after that.
        assert load.committed[3] == stuck
        for node in others:
            bank.restart(node)
        await load.progress(AFTER)
        await verify(load)


async def test_a_leader_that_stands_still_is_replaced(bank: LocalBank) -> None:
    async with Load(bank) as load:
        await load.progress(BEFORE)
        leader = await leader_of(bank, 1)
        bank.pause(leader)
        await load.progress(AFTER)
        bank.resume(leader)
        await load.progress(AFTER)
        await verify(load)


async def test_a_lost_disk_is_rebuilt_before_the_node_votes(bank: LocalBank) -> None:
    async with Load(bank) as load:
        await load.progress(BEFORE)
        leader = await leader_of(bank, 1)
        lost, other = (node for node in (1, 2, 3) if node != leader)
        bank.kill(lost)
        shutil.rmtree(bank.data_dir / f"node-{lost}")
        await load.progress(AFTER)
        bank.restart(lost)
        assert "--bootstrap" not in bank.children[lost].command
        await bank.wait_ready()
        await load.progress(BEFORE)
        await agree_soon(load, (1, 2, 3))
        # Now the rebuilt node is needed for a majority.
        bank.kill(other)
        await load.progress(AFTER)
        bank.restart(other)
        await bank.wait_ready()
        await verify(load)


async def agree_soon(load: Load, members: tuple[int, ...]) -> None:
    """Wait until no member is a learner; the load goes on."""
    async with asyncio.timeout(40):
        while True:
            statuses = await load.bank.statuses(members)
            if len(statuses) == len(members) and all(row["role"] != "learner" for row in statuses.values()):
                return
            await asyncio.sleep(0.05)


async def test_a_polite_stop_loses_nothing(bank: LocalBank) -> None:
    async with Load(bank) as load:
        await load.progress(BEFORE)
        for node, child in bank.children.items():
            await child.stop(10)
            assert child.exit_status == 0, f"node {node} {child.describe_end()}: {child.tail()}"
            bank.restart(node)
            await bank.wait_ready()
        await load.progress(AFTER)
        await verify(load)


@pytest.mark.parametrize("victims", [(1, 4, 7), (1, 2, 3)])
async def test_several_at_once(bank: LocalBank, victims: tuple[int, ...]) -> None:
    async with Load(bank) as load:
        await load.progress(BEFORE)
        pids = [bank.children[node].pid for node in victims]
        for pid in pids:
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        for node in victims:
            bank.restart(node)
        await load.progress(AFTER)
        await bank.wait_ready()
        await verify(load)
