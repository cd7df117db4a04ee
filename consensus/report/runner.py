"""Runs the cases of the form on private banks, one after the other, and judges each."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from consensus.client.bank import BankClient
from consensus.client.fleet import Fleet
from consensus.cluster.launcher import PROJECT, LocalBank
from consensus.cluster.private import private_bank, topology_of
from consensus.cluster.reshard import reshard
from consensus.report.cases import Case, Filled
from consensus.testset.agreement import differences
from consensus.testset.oracle import Oracle
from consensus.testset.parser import TestSet, parse
from consensus.testset.runner import SetRunner

ACCOUNTS: Final = 9_000
BALANCE: Final = 10
DEADLINE_S: Final = 2.0
"""Of a command; where a cluster has lost its majority each takes that long."""
BENCH_BALANCE: Final = 100_000
FILES: Final = PROJECT / "testcases"
MOVED_SHOWN: Final = 50

Told = Callable[[str], None]


async def fill(case: Case, told: Told) -> Filled:
    """Run one case.

    Raises:
        StartError, OSError: a bank did not start.
    """
    began = time.monotonic()
    filled = Filled(case.number, case.title, False, [], [], [], [], None, 0.0)
    balance = BENCH_BALANCE if case.benches else BALANCE
    topology = topology_of(case.clusters, case.nodes, ACCOUNTS, balance)
    async with private_bank(topology, lambda _: None) as bank:
        for number in case.sets:
            await _set(case, _read(case.file)[number], bank, filled)
        for options in case.benches:
            await _bench(options, bank, filled)
        if case.reshard:
            filled.reshard = await _reshard(bank, filled)
    filled.seconds = round(time.monotonic() - began, 1)
    filled.ok = not filled.wrong
    told(f"case {case.number}: {'ok' if filled.ok else '; '.join(filled.wrong)}")
    return filled


def _read(file: str) -> dict[int, TestSet]:
    return {each.number: each for each in parse(Path(FILES / file).read_bytes())}


async def _set(case: Case, test_set: TestSet, bank: LocalBank, filled: Filled) -> None:
    report = await SetRunner(bank.topology, bank.secret, deadline_s=DEADLINE_S).run(test_set)
    filled.inputs.append(
        {
            "set": test_set.number,
            "live": list(test_set.live),
            "commands": [command.text for command in test_set.commands],
        }
    )
    filled.sets.append(report.to_json())
    filled.wrong += differences(report, test_set, Oracle(case.clusters, case.nodes, ACCOUNTS, BALANCE))
    elected = {view["cluster"] for view in report.views}
    filled.wrong += [
        f"cluster {cluster} elected no new leader" for cluster in case.new_leaders if cluster not in elected
    ]


async def _bench(options: tuple[str, ...], bank: LocalBank, filled: Filled) -> None:
    """In a process of its own, as everybody runs it, on this case's bank."""
    filled.inputs.append({"bench": " ".join(options)})
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "manage.py", "bench", *options, "--bank", str(bank.data_dir), "--json"),
        cwd=PROJECT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, said = await process.communicate()
    if process.returncode != 0 and not out:
        filled.wrong.append(
            f"bench ended with {process.returncode}: {said.decode('utf-8', 'replace')[-300:]}"
        )
        return
    result: dict[str, Any] = msgspec.json.decode(out)
    filled.benches.append(result)
    wanted = int(options[options.index("--transactions") + 1])
    ended = result["committed"] + result["reads"] + sum(result["aborted"].values()) + result["unknown"]
    if ended != wanted:
        filled.wrong.append(f"{ended:,} of {wanted:,} operations ended")
    if result["unknown"]:
        filled.wrong.append(f"{result['unknown']} operations are unknown")
    if not result["conserved"]:
        filled.wrong.append("money was not conserved")
    if not result["replicas_agree"]:
        filled.wrong.append("replicas differ")


async def _reshard(bank: LocalBank, filled: Filled) -> dict[str, Any]:
    """PrintReshard: what moved as triplets, or why nothing did; the balance of an account that moved."""
    async with Fleet(bank.topology, bank.secret) as fleet:
        found = await reshard(fleet)
    told: dict[str, Any] = msgspec.to_builtins(found)
    told["moved"], told["moves"] = len(found.moves), told["moves"][:MOVED_SHOWN]
    if found.status not in ("done", "refused"):
        filled.wrong.append(f"PrintReshard ended as {found.status}: {found.reason}")
    if found.moves:
        account, _, target = found.moves[0]
        async with BankClient(bank.topology, bank.secret, name="report") as client:
            await client.ready()
            values = await client.read([account])
        if values.outcome != "ok" or values.cluster != target:
            filled.wrong.append(f"account {account} is not served by cluster {target} after its move")
        else:
            told["balance_of_moved"] = {"account": account, "balance": values.values[account][1]}
    return told
