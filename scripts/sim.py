"""Run the simulation under many seeds: ``sim.py [A..B] [--steps N]``. A failing seed is printed and repeats.

Each seed is one cluster under virtual time with its own faults (:mod:`consensus.simulation.config`), checked
after every step, and brought to rest at the end.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from consensus.simulation.config import draw_config
from consensus.simulation.invariants import Violation
from consensus.simulation.tight import tightened
from consensus.simulation.world import World

STEPS = 5_000


class Run(NamedTuple):
    """One seed: how far it came and, if it failed, how."""

    seed: int
    steps: int
    failure: str


def run(seed: int, steps: int) -> Run:
    """Run one seed. An assertion of the core is a failure like a broken invariant."""
    config = draw_config(seed)
    with tightened(config.tight):
        world = World(config)
        try:
            world.run(steps)
            world.settle()
        except (Violation, AssertionError) as error:
            return Run(seed, world.steps, f"{type(error).__name__}: {error}")
    return Run(seed, world.steps, "")


def seeds(text: str) -> range:
    """Read ``7`` or ``1..100``, both ends included."""
    first, _, last = text.partition("..")
    return range(int(first), int(last or first) + 1)


def main() -> int:
    """Run all seeds on all cores; the exit status is 1 when one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", nargs="?", type=seeds, default=range(1, 101))
    parser.add_argument("--steps", type=int, default=STEPS, help=f"steps of replicas in a run ({STEPS})")
    options = parser.parse_args()
    begun = time.monotonic()
    steps = failed = 0
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(mp_context=spawn) as pool:
        for result in pool.map(run, options.seeds, repeat(options.steps)):
            steps += result.steps
            if result.failure:
                failed += 1
                print(f"seed {result.seed}, step {result.steps}: {result.failure}", flush=True)
    seconds = time.monotonic() - begun
    print(f"{len(options.seeds)} seeds, {failed} failed, {steps} steps, {steps / seconds:.0f} steps/s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
