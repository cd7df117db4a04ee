"""What the parts of a replica share: who belongs to the group, journal positions, timeouts."""

from __future__ import annotations

import pytest

from consensus.effects import Append, Event, Send
from consensus.messages.paxos import Commit
from consensus.messages.records import LearnerMark, Promised
from consensus.paxos.context import COUNTERS, Context
from consensus.topology import Timings, Topology
from consensus.topology_file import generate
from consensus.types import Ballot


def context(node: int = 5, seed: int = 1, timings: Timings | None = None) -> Context:
    """A node of three clusters of three."""
    shape = generate(3, 3)
    return Context(node, Topology(shape.clusters, shape.initial_balance, timings or Timings()), seed)


def test_a_node_knows_the_members_of_its_own_cluster_only() -> None:
    ctx = context(node=5)
    assert ctx.cluster.id == 2
    assert (ctx.members, ctx.others) == ((4, 5, 6), (4, 6))


@pytest.mark.parametrize(("members", "majority"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (7, 4)])
def test_a_majority_is_counted_over_the_configured_members(members: int, majority: int) -> None:
    assert Context(1, generate(1, members), seed=1).majority == majority


def test_timings_are_kept_in_microseconds() -> None:
    ctx = context(timings=Timings(heartbeat_ms=12.5, election_min_ms=80, election_max_ms=160, resend_ms=40))
    timings = (ctx.heartbeat_us, ctx.election_min_us, ctx.election_max_us, ctx.resend_us)
    assert timings == (12_500, 80_000, 160_000, 40_000)


def test_positions_count_the_records_of_this_process() -> None:
    ctx = context()
    assert ctx.position == 0
    assert [ctx.persist(Promised(Ballot(2, 5))), ctx.persist(LearnerMark(True), 7)] == [1, 2]
    assert ctx.position == 2 and ctx.synced == 0
    assert ctx.out.persist == [Append(Promised(Ballot(2, 5)), 0), Append(LearnerMark(True), 7)]


def test_messages_and_events_leave_in_the_order_they_were_made() -> None:
    ctx = context()
    ctx.send((4, 6), Commit(Ballot(2, 5), 1))
    ctx.send((4,), Commit(Ballot(2, 5), 2), after=3)
    ctx.event("paxos.chosen", s=2)
    assert ctx.out.sends == [
        Send((4, 6), Commit(Ballot(2, 5), 1), 0),
        Send((4,), Commit(Ballot(2, 5), 2), 3),
    ]
    assert ctx.out.events == [Event("paxos.chosen", {"s": 2})]


def test_election_timeouts_spread_over_the_configured_span() -> None:
    ctx = context()
    drawn = [ctx.election_timeout_us() for _ in range(400)]
    assert min(drawn) >= 100_000 and max(drawn) < 200_000
    tenths = {(timeout - 100_000) // 10_000 for timeout in drawn}
    assert tenths == set(range(10))


def test_the_same_seed_draws_the_same_numbers_and_another_seed_others() -> None:
    def draws(seed: int) -> list[int]:
        ctx = context(seed=seed)
        return [ctx.draw() for _ in range(50)]

    assert draws(1) == draws(1)
    assert len({*draws(1), *draws(2), *draws(-3)}) == 150
    assert all(0 <= number < 1 << 63 for number in draws(-3))


def test_equal_bounds_give_that_timeout() -> None:
    ctx = context(timings=Timings(election_min_ms=150, election_max_ms=150))
    assert {ctx.election_timeout_us() for _ in range(5)} == {150_000}


def test_all_counters_start_at_nought() -> None:
    ctx = context()
    assert ctx.counters == dict.fromkeys(COUNTERS, 0)
    ctx.counters["elections_won"] += 1
    assert context().counters["elections_won"] == 0
