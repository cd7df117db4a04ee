"""A crash at every point of two-phase commit: before and after each message, about each write to a disk.

The coordinator's leader, the participant's, or all of them, which come back at once, under a new leader, or
when all is over. Every time the client is answered, all clusters end the transaction in the same way, locks
and undo records drain, the money is all there, and nobody is blocked for longer than an election and two
deadlines (``crashing``; the invariants of the simulation look on at every step).
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import NamedTuple

import pytest

from consensus.messages.client import Status
from consensus.simulation.points import Point
from tests.sim.crashing import BALANCE, RETURNS, Crash, Play, Wish

pytestmark = pytest.mark.long

Nodes = tuple[int, ...]
LEADERS: dict[int, tuple[Nodes, ...]] = {2: ((1,), (4,), (1, 4)), 3: ((1,), (4,), (1, 4, 7))}
"""Who crashes, with so many clusters: leaders of cluster 1 (which coordinates), 2, and all."""


class Scenario(NamedTuple):
    """What clients want, how it ends when nothing crashes, and how it may end when something does."""

    wishes: tuple[Wish, ...]
    quiet: tuple[int, ...]
    clusters: int = 2
    seed: int = 1
    may_end: frozenset[int] = frozenset()
    returns: tuple[str, ...] = RETURNS[:2]

    def play(self, crash: Crash | None = None) -> Play:
        return Play(self.wishes, self.clusters, crash, self.seed)


COMMITTED = Status.COMMITTED
GIVEN_UP = frozenset({Status.COORDINATOR_TIMEOUT, Status.PARTICIPANT_UNAVAILABLE, Status.LOCK_TIMEOUT})
"""Reasons that a crash may give to a transaction that could have committed."""
SCENARIOS = {
    "transfer": Scenario((Wish(1, (1, -5, 5, 5)),), (COMMITTED,), may_end=GIVEN_UP, returns=RETURNS),
    "three clusters": Scenario(
        (Wish(1, (1, -6, 5, 1, 6, 1, 9, 4)),), (COMMITTED,), clusters=3, may_end=GIVEN_UP
    ),
    "participant has not the money": Scenario(
        (Wish(1, (1, -5, 6, -1_000, 2, 1_005)),), (Status.INSUFFICIENT_FUNDS,)
    ),
    "unknown account": Scenario((Wish(1, (1, -5, 5, 3, 10**9, 2)),), (Status.UNKNOWN_ACCOUNT,)),
    "lock conflict": Scenario(
        (Wish(1, (1, -5, 5, 5)), Wish(2, (5, -7, 1, 7))),
        (Status.LOCK_CONFLICT, COMMITTED),
        seed=2,
        may_end=GIVEN_UP | {COMMITTED, Status.LOCK_CONFLICT},
        returns=("led",),
    ),
}


@cache
def points(name: str) -> tuple[Point, ...]:
    """Every point of the scenario's run without a crash."""
    play = SCENARIOS[name].play()
    found = tuple(play.quiet())
    assert play.status == SCENARIOS[name].quiet
    return found


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_list_of_points_is_complete(name: str) -> None:
    """Each message is sent and received, each write begins and ends; each kind of them is there."""
    found = Counter((p.act, p.phase, p.label) for p in points(name))
    assert len(set(points(name))) == len(points(name))
    for (act, phase, label), count in found.items():
        if act == "send":
            assert found["receive", phase, label] == count, "nothing is lost"
        if phase == "after":
            # One write may hold what several steps appended.
            assert found[act, "during" if act == "persist" else "before", label] == count
    labels = {label for act, _, label in found if act == "send"}
    assert labels >= {"TxPrepare", "TxVote", "TxDecision", "TxAck"}
    assert labels >= {f"{message} {entry}" for message in ("Accept", "Accepted") for entry in ("P", "CA")}
    phases = {(p.phase, p.label, p.node) for p in points(name) if p.act == "persist"}
    nodes = range(1, 3 * SCENARIOS[name].clusters + 1)
    if SCENARIOS[name].quiet == (COMMITTED,):
        wanted = {
            (at, entry, n) for at in ("before", "during", "after") for entry in ("P", "CA") for n in nodes
        }
        assert phases >= wanted


@pytest.mark.parametrize("victims", range(3), ids=["coordinator", "participant", "all"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_crash_at_every_point_leaves_one_end(name: str, victims: int) -> None:
    scenario = SCENARIOS[name]
    for point in points(name):
        for back in scenario.returns:
            crash = Crash(point, LEADERS[scenario.clusters][victims], back)
            play = scenario.play(crash)
            try:
                play.run()
            except AssertionError as error:
                raise AssertionError(f"{crash}: {error}") from error
            assert len(play.status) == len(scenario.wishes)
            moved: Counter[int] = Counter()
            for wish, status, quiet in zip(scenario.wishes, play.status, scenario.quiet, strict=True):
                assert status == quiet or status in scenario.may_end, f"{crash}: {status!r}"
                if status == COMMITTED:
                    moved.update(dict(zip(wish.legs[::2], wish.legs[1::2], strict=True)))
            assert play.balances() == {a: BALANCE + moved[a] for a in play.balances()}, str(crash)
