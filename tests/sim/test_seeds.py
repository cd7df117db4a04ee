"""A hundred seeds: clusters of one, three and five nodes under faults, checked after every step."""

from __future__ import annotations

from collections import Counter

import pytest

from consensus.simulation.run import run_seed
from consensus.simulation.schedule import KINDS

pytestmark = pytest.mark.long

STEPS = 3_000
PART = 50
HAPPENS = (
    "committed",
    "aborted",
    "resolved",
    "reads",
    "slots",
    "elections",
    "state_transfers",
    "rebuilt",
    "sessions_evicted",
    "crashes",
    "writes_cut_off",
    "segments_dropped",
    "messages_lost",
    "messages_doubled",
)


@pytest.mark.parametrize("first", range(1, 101, PART))
def test_invariants_hold_and_everything_happens(first: int) -> None:
    seen: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    for seed in range(first, first + PART):
        run = run_seed(seed, STEPS)
        assert run.failure is None, run.failure
        assert run.steps >= STEPS
        happened = {**run.coverage, **run.seen}
        seen.update({name: happened[name] for name in HAPPENS})
        faults.update(run.coverage["faults"])
    assert not [name for name in HAPPENS if not seen[name]], seen
    assert not [kind for kind in KINDS if not faults[kind]], faults
