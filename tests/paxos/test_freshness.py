"""How old a follower takes its state for."""

from __future__ import annotations

from consensus.messages.paxos import Heartbeat
from consensus.paxos import freshness
from consensus.paxos.context import Context
from consensus.paxos.freshness import Freshness
from consensus.simulation.config import topology_of
from consensus.types import Ballot

B2, B3 = Ballot(2, 1), Ballot(3, 3)


def follower(seed: int = 1) -> tuple[Context, Freshness]:
    ctx = Context(2, topology_of(nodes=3, accounts=10, balance=1), seed)
    return ctx, Freshness(ctx)


def beat(round: int, confirmed: int, watermark: int, mark: int, ballot: Ballot = B2) -> Heartbeat:
    return Heartbeat(ballot, round, confirmed, watermark, watermark, True, (0, mark, 0))


def test_the_age_counts_from_the_acknowledgement_that_is_echoed() -> None:
    ctx, fresh = follower()
    ctx.now_us = 1_000
    mark = fresh.mark()
    ctx.now_us = 2_000
    fresh.mark()
    ctx.now_us = 5_000
    fresh.heard(beat(7, 0, 30, mark))
    assert fresh.since_us is None, "a majority has not confirmed the heartbeat that echoes it"
    fresh.heard(beat(8, 6, 40, mark))
    assert fresh.since_us is None
    fresh.heard(beat(9, 7, 50, mark))
    assert (fresh.since_us, fresh.slot) == (1_000, 30)
    assert fresh.within(4_001, applied=30) and not fresh.within(4_000, applied=30)
    assert not fresh.within(9_000, applied=29)


def test_a_heartbeat_without_an_echo_of_this_process_says_nothing() -> None:
    _, other_life = follower(seed=2)
    mark = other_life.mark()
    _, fresh = follower()
    fresh.mark()
    for at, echoes in enumerate([(), (0, 0, 0), (0, mark, 0), (mark, 0, 0)]):
        fresh.heard(Heartbeat(B2, 7 + at, 100, 1, 1, True, echoes))
    assert fresh.since_us is None


def test_a_later_ballot_confirms_nothing_of_an_earlier_one() -> None:
    _, fresh = follower()
    fresh.heard(beat(7, 0, 30, fresh.mark()))
    fresh.heard(beat(9, 8, 31, 0, ballot=B3))
    assert fresh.since_us is None


def test_an_older_mark_never_replaces_a_newer_one() -> None:
    ctx, fresh = follower()
    old = fresh.mark()
    ctx.now_us = 3_000
    new = fresh.mark()
    fresh.heard(beat(8, 8, 40, new))
    fresh.heard(beat(7, 8, 30, old))
    assert (fresh.since_us, fresh.slot) == (3_000, 40)


def test_what_is_remembered_is_bounded() -> None:
    _, fresh = follower()
    first = fresh.mark()
    for number in range(freshness.NOTED_MAX):
        fresh.heard(beat(number, 0, 1, fresh.mark()))
    fresh.heard(beat(9_999, 9_999, 1, first))
    assert len(fresh._sent) == freshness.NOTED_MAX and not fresh._beats
