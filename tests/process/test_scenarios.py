"""Scenarios on real processes: each comes to what it says, and one that does not says so."""

from __future__ import annotations

import msgspec
import pytest

from consensus.cluster.private import private_bank, topology_of
from consensus.scenarios.runner import Done, Report, play
from consensus.scenarios.scenario import Scenario, scenarios
from consensus.scenarios.stage import private_stage


async def played(name: str, scenario: Scenario) -> tuple[Report, list[Done]]:
    told: list[Done] = []
    async with (
        private_bank(topology_of(3, 3, scenario.accounts, scenario.balance), lambda _: None) as bank,
        private_stage(bank) as stage,
    ):
        report = await play(name, scenario, stage, told.append)
    assert report.steps == told
    return report, told


@pytest.mark.parametrize("name", list(scenarios()))
async def test_it_comes_to_what_it_says(name: str) -> None:
    report, told = await played(name, scenarios()[name])
    assert report.ok, [(done.caption, done.told) for done in told if not done.ok] or report.proof
    assert len(told) == len(scenarios()[name].steps)


async def test_what_comes_to_something_else_ends_the_run_and_is_told() -> None:
    first = scenarios()["first-transfer"]
    assert first.steps[0].transfer is not None
    wrong = msgspec.structs.replace(first.steps[0].transfer, amount=11)
    steps = [msgspec.structs.replace(first.steps[0], transfer=wrong), *first.steps[1:]]
    report, told = await played("wrong", msgspec.structs.replace(first, steps=steps))
    assert not report.ok and len(told) == 1
    assert told[0].told.startswith("aborted (insufficient_funds)")
    assert all(found["ok"] for found in report.proof), "the bank is well all the same"
