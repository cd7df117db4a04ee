"""Banks of other sizes, on real workers: the shipped set of each against the oracle."""

from __future__ import annotations

from pathlib import Path

import pytest

from consensus.cluster.private import private_bank, topology_of
from consensus.testset.agreement import differences
from consensus.testset.oracle import Oracle
from consensus.testset.parser import parse
from consensus.testset.runner import SetRunner

FOLDER = Path(__file__).resolve().parents[2] / "testcases"
SIZES = {"four-clusters-120-accounts.csv": (4, 3, 120), "one-node.csv": (1, 1, 9_000)}


@pytest.mark.process
@pytest.mark.parametrize("name", SIZES)
async def test_the_set_of_a_size(name: str) -> None:
    clusters, size, accounts = SIZES[name]
    topology = topology_of(clusters, size, accounts, 10)
    async with private_bank(topology, told=lambda _: None) as bank:
        runner = SetRunner(topology, bank.secret, deadline_s=1.5)
        for test_set in parse((FOLDER / name).read_bytes()):
            report = await runner.run(test_set)
            oracle = Oracle(clusters, size, accounts)
            assert differences(report, test_set, oracle) == [], f"set {test_set.number}"
