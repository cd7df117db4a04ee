"""Accounts move between clusters of real processes under load, and leaders die meanwhile."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from consensus.client.bank import BankClient
from consensus.client.operator import Operator
from consensus.client.results import COMMITTED, REFUSED
from consensus.cluster.launcher import LocalBank
from consensus.messages.client import Level
from consensus.types import AccountId, ClusterId
from tests.process.load import SETTLE_S, Load, agree, leader_of, operate

PLAN = "00" * 16


async def move(
    bank: LocalBank, part: int, source: ClusterId, to: ClusterId, accounts: list[AccountId]
) -> dict[str, Any]:
    """Ask whoever leads the source, under one name, until that part of the plan is over."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        for node in bank.topology.cluster_by_id[source].members:
            address = bank.topology.nodes[node]
            try:
                async with Operator(address.host, address.port, bank.secret) as operator:
                    done = await operator.call("move", plan=PLAN, part=part, to=to, accounts=accounts)
            except (TimeoutError, ConnectionError):
                continue
            if done["leads"] and done["over"]:
                return done  # type: ignore[no-any-return]
        assert time.monotonic() < deadline, f"part {part} does not come to its end"
        await asyncio.sleep(0.02)


async def moved(bank: LocalBank, part: int, source: ClusterId, to: ClusterId, wanted: set[AccountId]) -> int:
    """Move all of ``wanted``, asking again for what was busy or rolled back. Returns the next part."""
    left = set(wanted)
    while left:
        done = await move(bank, part, source, to, sorted(left))
        part += 1
        if done["phase"] == "flipped":
            left -= set(done["taken"])
    return part


BUSY = {"insufficient_funds", "lock_timeout", "lock_conflict"}
DEPOSED = {"coordinator_timeout", "participant_unavailable"}
"""Reasons for an abort where a leader died."""


async def verify(load: Load, homes: dict[AccountId, ClusterId], reasons: set[str] = BUSY) -> None:
    """Every acknowledged transfer happened once, and each account is where it should be and nowhere else."""
    await load.stop()
    bank = load.bank
    assert not [result for result in load.results if result.outcome == REFUSED]
    expected = load.expected()
    for cluster in bank.topology.clusters:
        await agree(bank, cluster.members)
        held = {account: expected[account] for account, home in homes.items() if home == cluster.id}
        for node in cluster.members:
            rows = await operate(bank, node, "accounts", after=0, limit=10_000)
            assert {row[0]: (row[1], row[2]) for row in rows["accounts"]} == held, f"node {node}"
    assert {result.reason for result in load.results if result.outcome != COMMITTED} <= reasons


def homes_of(bank: LocalBank) -> dict[AccountId, ClusterId]:
    return {
        account: cluster.id
        for cluster in bank.topology.clusters
        for account in range(cluster.first_account, cluster.last_account + 1)
    }


async def test_accounts_move_under_load_and_clients_follow(bank: LocalBank) -> None:
    homes = homes_of(bank)
    async with Load(bank, clients=12) as load:
        await load.progress(50)
        await asyncio.gather(
            moved(bank, 0, 1, 2, set(range(1, 9))),
            moved(bank, 1_000, 2, 3, set(range(21, 29))),
            moved(bank, 2_000, 3, 1, set(range(41, 49))),
        )
        await load.progress(50)
        for first, to in ((1, 2), (21, 3), (41, 1)):
            homes.update(dict.fromkeys(range(first, first + 8), to))
        await verify(load, homes)
        # A client that knows nothing is sent on by the old owner.
        async with Load(bank, clients=1) as stranger:
            result = await stranger.client.transfer(1, 21, 1)
            assert result.outcome == COMMITTED and set(result.clusters) == {2, 3}
        async with BankClient(bank.topology, bank.secret) as reader:
            for level in (Level.LINEARIZABLE, Level.BOUNDED, Level.EVENTUAL):
                assert (await reader.read([41], level=level)).outcome == "ok"


async def test_leaders_die_while_accounts_move(bank: LocalBank) -> None:
    homes = homes_of(bank)
    async with Load(bank, clients=12) as load:
        await load.progress(50)
        part = 0
        for round_ in range(4):
            wanted = set(range(1 + 3 * round_, 4 + 3 * round_))
            going = asyncio.create_task(moved(bank, part, 1, 2, wanted))
            victim = await leader_of(bank, 1 if round_ % 2 else 2)
            bank.kill(victim)
            part = await going
            bank.restart(victim)
            await bank.wait_ready()
            homes.update(dict.fromkeys(wanted, 2))
        await load.progress(20)
        await verify(load, homes, BUSY | DEPOSED)


async def test_moved_accounts_stay_moved_after_a_restart_of_everything(bank: LocalBank) -> None:
    homes = homes_of(bank)
    async with Load(bank, clients=6, deadline_s=SETTLE_S) as load:
        await load.progress(20)
        await moved(bank, 0, 1, 3, {1, 2, 3})
        for node in bank.children:
            bank.restart(node)
        await bank.wait_ready()
        await load.progress(20)
        homes.update(dict.fromkeys((1, 2, 3), 3))
        await verify(load, homes, BUSY | DEPOSED)
