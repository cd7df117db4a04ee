"""A plan is carried out on real processes under load: by a mover that dies half-way, and by the next one."""

from __future__ import annotations

import asyncio
from copy import deepcopy

from consensus.client.fleet import Fleet
from consensus.cluster.launcher import LocalBank
from consensus.cluster.mover import ABORTED, DONE, Mover, Part, Step
from consensus.types import AccountId, ClusterId
from tests.process.load import Load, leader_of
from tests.process.test_migration import BUSY, DEPOSED, homes_of, verify

PLAN = "5a" * 16


class Kept:
    """What a mover saved, as a database would keep it."""

    def __init__(self, enough: int = 1) -> None:
        self.parts: dict[int, Part] = {}
        self.some_moved = asyncio.Event()
        """Set when ``enough`` accounts have."""
        self._enough = enough

    async def save(self, part: Part) -> None:
        self.parts[part.number] = deepcopy(part)
        if sum(len(part.moved) for part in self.parts.values()) >= self._enough:
            self.some_moved.set()


def steps_of(bank: LocalBank) -> list[Step]:
    """Half of every cluster's accounts to the next one."""
    steps: list[Step] = []
    clusters = bank.topology.clusters
    for i, cluster in enumerate(clusters):
        target = clusters[(i + 1) % len(clusters)].id
        steps += [Step(a, cluster.id, target) for a in range(cluster.first_account, cluster.last_account, 2)]
    return steps


async def test_a_plan_survives_its_mover_and_a_leader(bank: LocalBank) -> None:
    homes: dict[AccountId, ClusterId] = homes_of(bank)
    steps = steps_of(bank)
    kept = Kept(enough=4)
    async with Load(bank, clients=12) as load, Fleet(bank.topology, bank.secret) as fleet:
        await load.progress(50)
        first = Mover(bank.topology, PLAN, steps, fleet.ask_one, kept.save)
        going = asyncio.create_task(first.run())
        await kept.some_moved.wait()
        victim = await leader_of(bank, 1)
        bank.kill(victim)
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)

        second = Mover(bank.topology, PLAN, steps, fleet.ask_one, kept.save, parts=kept.parts.values())
        second.pause()
        going = asyncio.create_task(second.run())
        second.resume()
        assert await going == DONE
        assert (second.moved, second.given_up) == ({step.account for step in steps}, {})
        homes.update({step.account: step.target for step in steps})

        back = [Step(step.account, step.target, step.source) for step in reversed(steps)]
        undone = Kept()
        third = Mover(bank.topology, "5b" * 16, back, fleet.ask_one, undone.save)
        going = asyncio.create_task(third.run())
        await undone.some_moved.wait()
        third.abort()
        assert await going == ABORTED
        homes.update({step.account: step.target for step in back if step.account in third.moved})

        bank.restart(victim)
        await bank.wait_ready()
        await load.progress(20)
        await verify(load, homes, BUSY | DEPOSED)
