"""The shipped sets, transfers across clusters and all, on real workers, against the oracle."""

from __future__ import annotations

from pathlib import Path

import pytest

from consensus.cluster.private import private_bank, topology_of
from consensus.testset.agreement import differences
from consensus.testset.parser import TestSet, parse
from consensus.testset.runner import SetRunner

FILE = Path(__file__).resolve().parents[2] / "testcases" / "course-testcases.csv"


@pytest.mark.process
async def test_every_set_comes_to_what_the_oracle_says() -> None:
    sets: dict[int, TestSet] = {each.number: each for each in parse(FILE.read_bytes())}
    assert set(sets) == set(range(1, 11))
    topology = topology_of(3, 3, 9_000, 10)
    async with private_bank(topology, told=lambda _: None) as bank:
        runner = SetRunner(topology, bank.secret, deadline_s=1.5)
        for number, test_set in sets.items():
            report = await runner.run(test_set)
            assert differences(report, test_set) == [], f"set {number}"
        # Set 3 fails the leader of cluster 3, so somebody else must have taken over there.
        assert sum(view["cluster"] == 3 for view in (await runner.run(sets[3])).views) >= 1
