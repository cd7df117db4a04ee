"""Find a run that shows a defect, shrink its schedule and keep it.

``python -m tests.sim.find_regression MUTATION...``
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from consensus.simulation.run import STEPS, run_seed
from tests.sim import cross_mutations, move_mutations, mutations
from tests.sim.mutations import Mutation

FOLDER = Path(__file__).parent / "regressions"
SEEDS_MAX = 2_000
MUTATIONS: dict[str, Mutation] = {
    mutation.__name__: mutation
    for found in (
        mutations.FOUND_BY_SEEDS,
        cross_mutations.FOUND_BY_SEEDS,
        cross_mutations.FOUND_BY_CRASHES,
        move_mutations.FOUND_BY_MOVES,
        move_mutations.RARE,
    )
    for mutation in found
}


def find(name: str, steps: int = STEPS) -> Path:
    """Write the first run that fails under mutation ``name`` to its file.

    Raises:
        LookupError: none of the first ``SEEDS_MAX`` seeds fails.
    """
    with pytest.MonkeyPatch.context() as patch:
        MUTATIONS[name](patch)
        for seed in range(1, SEEDS_MAX + 1):
            failure = run_seed(seed, steps).failure
            if failure is not None:
                document = {
                    "finds": name,
                    "invariant": failure.invariant,
                    "seed": seed,
                    "steps": steps,
                    "schedule": failure.schedule,
                }
                path = FOLDER / f"{name}.json"
                path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
                return path
    raise LookupError(f"no seed up to {SEEDS_MAX} finds {name}")


if __name__ == "__main__":
    for wanted in sys.argv[1:] or MUTATIONS:
        sys.stdout.write(f"{find(wanted)}\n")
