"""Scenario files: all of them are read strictly, lead to each other, and what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from consensus.scenarios.runner import _Run
from consensus.scenarios.scenario import ACTIONS, FOLDER, ScenarioError, read, scenarios

HEAD = "title: T\nabout: A\nnext: first-transfer\nsteps:\n"


def test_one_leads_to_the_next_and_none_is_left_out() -> None:
    assert set(scenarios()) == {path.stem for path in FOLDER.glob("*.yaml")}
    assert len(scenarios()) == 8
    names = list(scenarios())
    assert [scenario.next for scenario in scenarios().values()] == [*names[1:], names[0]]


def test_every_action_is_done_by_the_runner_and_used_by_a_file() -> None:
    assert all(hasattr(_Run, f"_{action}") for action in ACTIONS)
    used = {step.action[0] for scenario in scenarios().values() for step in scenario.steps}
    assert used == set(ACTIONS)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ("  - {caption: x}", "exactly one action, not 0"),
        (
            "  - {caption: x, read: {account: 1, balance: 1}, locked: {account: 1}}",
            "exactly one action, not 2",
        ),
        ("  - {caption: x, fault: {kind: flood}}", "'flood' is none of"),
        ("  - {caption: x, read: {account: 1, balnce: 1}}", "unknown field"),
        ("  - {caption: x, fly: {}}", "unknown field"),
        ("  - [", "file.yaml"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, steps: str, words: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(HEAD + steps)
    with pytest.raises(ScenarioError, match=words):
        read(path)
