"""A cluster under virtual time, with faults drawn from a seed: 100 of them, invariants after every step.

``make sim`` and ``make soak`` run more and longer ones. A failing seed repeats:
``.venv/bin/python scripts/sim.py SEED --steps STEPS``.
"""

from __future__ import annotations

import pytest

from consensus.simulation.config import draw_config
from consensus.simulation.invariants import Violation
from consensus.simulation.tight import tightened
from consensus.simulation.world import World

STEPS = 2_500


def simulate(seed: int, steps: int = STEPS) -> World:
    """Run a seed to its end: faults, then peace, in which everything must come to rest."""
    config = draw_config(seed)
    with tightened(config.tight):
        world = World(config)
        world.run(steps)
        world.settle()
    return world


@pytest.mark.parametrize("seed", range(1, 101))
def test_a_seed_breaks_no_invariant_and_comes_to_rest(seed: int) -> None:
    world = simulate(seed)
    assert world.steps >= STEPS


def test_the_same_seed_is_the_same_run() -> None:
    first, second = simulate(7), simulate(7)
    assert first.steps == second.steps
    assert first.trace_hash == second.trace_hash


def test_the_checker_sees_a_value_taken_as_chosen_by_its_slot_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A follower may trust only what it accepted in the leader's own ballot; without that they diverge."""
    from consensus.paxos.acceptor import Acceptor

    def believe_anything(self: Acceptor, ballot: object, watermark: int) -> bool:
        slot = self.log.watermark + 1
        while slot <= watermark and (entry := self.log.get(slot)) is not None:
            entry.chosen = True
            slot += 1
        if self.log.advance():
            self.moved()
        return self.log.watermark >= watermark

    monkeypatch.setattr(Acceptor, "on_watermark", believe_anything)
    for seed in range(1, 41):
        try:
            simulate(seed, steps=6_000)
        except (Violation, AssertionError):
            return
    pytest.fail("40 seeds did not notice")
