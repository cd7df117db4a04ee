"""What clients record of a real bank whose leaders are killed is strictly serializable, says the checker."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import msgspec

from consensus.checker.history import Seen, read, write
from consensus.checker.judge import judge
from consensus.client.bank import BankClient
from consensus.cluster.launcher import LocalBank
from consensus.nemesis.recorder import Recorder
from tests.process.load import leader_of

BALANCE = 1_000
CLIENTS = 20


async def test_leaders_killed_under_recorded_load(bank: LocalBank, tmp_path: Path) -> None:
    accounts = list(range(1, bank.topology.accounts + 1))
    async with BankClient(bank.topology, bank.secret, name="recorder") as client:
        assert await client.ready()
        recorder = Recorder(client, dict.fromkeys(accounts, BALANCE))
        stop = asyncio.Event()

        async def run(random: Random) -> None:
            while not stop.is_set():
                if random.random() < 0.3:
                    await recorder.read([random.choice(accounts)])
                else:
                    await recorder.transfer(*random.sample(accounts, 2), random.randint(1, 400))

        async def progress(count: int) -> None:
            goal = len(recorder.events) + count
            while len(recorder.events) < goal:  # noqa: ASYNC110  (a condition with the test's own deadline)
                await asyncio.sleep(0.01)

        tasks = [asyncio.create_task(run(Random(seed))) for seed in range(CLIENTS)]
        await progress(300)
        for cluster in (1, 2, 3):
            leader = await leader_of(bank, cluster)
            bank.kill(leader)
            await progress(300)
            bank.restart(leader)
        await bank.wait_ready()
        await progress(300)
        stop.set()
        await asyncio.gather(*tasks)
        for account in accounts:
            assert await recorder.read([account])
    path = tmp_path / "history"
    write(path, recorder.events)
    verdict = judge(read(path))
    assert verdict.ok, "\n".join(verdict.words())
    assert verdict.outcomes["ok"] > 300
    spoiled = list(recorder.events)
    last = spoiled[-1]
    changed = {a: Seen(s.version + 1, s.balance) for a, s in last.accounts.items()}
    spoiled[-1] = msgspec.structs.replace(last, accounts=changed)
    write(path, spoiled)
    assert not judge(read(path)).ok
