"""Runs that once showed a defect: they pass, and fail again when the rule that mends it is taken away."""

from __future__ import annotations

from pathlib import Path

import pytest

from consensus.simulation.run import STEPS, run_seed
from consensus.simulation.schedule import load
from tests.sim.find_regression import FOLDER, MUTATIONS

pytestmark = pytest.mark.long

FILES = sorted(FOLDER.glob("*.json"))


def test_there_are_some() -> None:
    assert len(FILES) >= 8


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_stays_mended(path: Path) -> None:
    replay = load(path)
    assert replay.seed is not None
    assert run_seed(replay.seed, replay.steps or STEPS, replay.schedule, small=False).failure is None


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_shows_the_defect_when_the_rule_is_gone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replay = load(path)
    assert replay.seed is not None
    MUTATIONS[replay.finds](monkeypatch)
    failure = run_seed(replay.seed, replay.steps or STEPS, replay.schedule, small=False).failure
    assert failure is not None and failure.invariant == replay.invariant
