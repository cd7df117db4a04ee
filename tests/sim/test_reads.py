"""Reads at each level while links are cut and leaders change: what each promises, and the rules for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consensus.messages.client import Level, Read, ReadItem, ReadRefused, ReadReplies, Refusal
from consensus.messages.paxos import IndexReply
from consensus.paxos.acceptor import Acceptor
from consensus.simulation.config import Config, draw_config, topology_of
from consensus.simulation.run import play
from consensus.simulation.stage import Stage
from consensus.simulation.wishes import Habits
from tests.sim import mutations
from tests.sim.bank import Teller

READER = 9
"""The connection that reads."""


class Reader:
    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.requests = 0

    def ask(self, node: int, level: Level, bound: int = 0, versions: tuple[int, ...] = ()) -> int:
        """Ask ``node`` for account 2; returns the number of the question."""
        self.requests += 1
        item = ReadItem(self.requests, (2,), level, bound, versions)
        self.stage.request(node, Read([item]), connection=READER)
        return self.requests

    def read(self, node: int, level: Level, bound: int = 0, versions: tuple[int, ...] = ()) -> int | None:
        """The balance, None if there is no answer at this moment."""
        request = self.ask(node, level, bound, versions)
        self.stage.quiet()
        return self.balance(request)

    def balance(self, request: int) -> int | None:
        replies = self.stage.told(READER, ReadReplies)
        return {r.request: r.values[1] for reply in replies for r in reply.results}.get(request)

    def refusal(self, request: int) -> int | None:
        replies = self.stage.told(READER, ReadRefused)
        return {number: reply.reason for reply in replies for number in reply.requests}.get(request)


def started(nodes: int = 3, lease: bool = False) -> tuple[Stage, Teller, Reader]:
    """A bank with one transfer to account 2, known everywhere, and heartbeats for a while."""
    stage = Stage(topology=topology_of(nodes, accounts=10, balance=100, lease=lease))
    stage.quiet()
    teller = Teller(stage).open(1)
    teller.transfers(1, 1)
    stage.run(200)
    return stage, teller, Reader(stage)


def apart(stage: Stage, left: tuple[int, ...]) -> None:
    for node in left:
        for other in stage.nodes:
            if other not in left:
                stage.cut(node, other)


def other_side_moves_on(stage: Stage, leader: int) -> None:
    """The nodes that ``leader`` reaches elect it and run a transfer; nobody else hears of it."""
    stage.campaign(leader)
    stage.quiet()
    assert leader in stage.leaders
    teller = Teller(stage, b"another session2", connection=2).open(leader)
    teller.transfers(leader, 1)


def test_every_level_is_answered_by_a_follower() -> None:
    _, _, reader = started()
    assert [reader.read(2, level, 1_000, (1,)) for level in Level] == [101] * 5


# --- linearizable ------------------------------------------------------------------------


def test_a_follower_beside_a_leader_of_the_past_answers_no_linearizable_read() -> None:
    stage, _, reader = started(nodes=5)
    apart(stage, (1, 2))
    other_side_moves_on(stage, 3)
    assert reader.read(3, Level.LINEARIZABLE) == 102
    asked = reader.ask(2, Level.LINEARIZABLE)
    stage.quiet()
    assert 1 in stage.leaders, "n1 does not know yet"
    assert reader.balance(asked) is None
    stage.heal()
    stage.run(300)
    assert reader.balance(asked) == 102


def test_a_follower_that_was_told_the_index_waits_until_it_has_applied_it() -> None:
    stage, teller, reader = started()
    stage.hold(1, 2)
    teller.send(1)
    stage.quiet()
    asked = reader.ask(2, Level.LINEARIZABLE)
    stage.quiet()
    for flight in [f for f in stage.flying if isinstance(f.message, IndexReply)]:
        stage.flying.remove(flight)
        stage.arrive(flight)
    assert reader.balance(asked) is None
    stage.heal()
    stage.run(100)
    assert reader.balance(asked) == 102


def test_a_question_is_asked_again_and_given_up_in_the_end() -> None:
    stage, _, reader = started()
    stage.cut(2, 1)
    lost = reader.ask(2, Level.LINEARIZABLE)
    stage.quiet()
    stage.heal()
    stage.run(60)
    assert reader.balance(lost) == 101
    stage.cut(2, 1)
    request = reader.ask(2, Level.LINEARIZABLE)
    stage.run(499)
    assert reader.refusal(request) is None
    stage.run(1)
    assert reader.refusal(request) == Refusal.UNAVAILABLE
    assert not stage.replica(2).reads.pending


# --- bounded -----------------------------------------------------------------------------


def test_a_follower_cut_off_answers_bounded_reads_until_it_may_be_too_old() -> None:
    stage, _, reader = started(nodes=5)
    apart(stage, (2,))
    other_side_moves_on(stage, 3)
    assert reader.read(2, Level.BOUNDED, 300) == 101, "heard less than 300 ms ago"
    stage.run(301)
    request = reader.ask(2, Level.BOUNDED, 300)
    assert reader.balance(request) is None and reader.refusal(request) == Refusal.NOT_LEADER


def test_heartbeats_that_were_under_way_for_long_do_not_make_a_state_new() -> None:
    stage, _, reader = started(nodes=5)
    for source in (1, 3, 4, 5):
        stage.hold(source, 2)
    stage.run(100)
    stage.cut(2, 1)
    apart(stage, (1,))
    other_side_moves_on(stage, 3)
    stage.pass_time(400)
    stage.deliver(1, 2)  # all that n1 sent while it led, now
    assert reader.read(2, Level.BOUNDED, 200) is None


def test_a_leader_cut_off_answers_no_bounded_read_that_may_be_too_old() -> None:
    stage, _, reader = started()
    apart(stage, (1,))
    other_side_moves_on(stage, 2)
    stage.pass_time(110)
    assert 1 in stage.leaders
    assert reader.read(1, Level.BOUNDED, 100) is None


# --- ryw ---------------------------------------------------------------------------------


def test_a_follower_that_lacks_the_version_waits_a_moment_for_it() -> None:
    stage, teller, reader = started()
    stage.hold(1, 2)
    teller.send(1)
    stage.quiet()
    request = reader.ask(2, Level.RYW, versions=(2,))
    assert (reader.balance(request), reader.refusal(request)) == (None, None)
    stage.deliver(1, 2)
    stage.heal()
    stage.run(10)
    assert reader.balance(request) == 102
    late = reader.ask(2, Level.RYW, versions=(9,))
    stage.run(25)
    assert reader.refusal(late) == Refusal.NOT_LEADER


# --- lease -------------------------------------------------------------------------------


def test_a_lease_needs_no_round_and_ends_before_another_can_lead() -> None:
    stage, _, reader = started(lease=True)
    apart(stage, (1,))
    assert reader.read(1, Level.LEASE) == 101
    stage.campaign(2)
    stage.run(40)
    assert 2 not in stage.leaders, "n3 has acknowledged n1's round less than 100 ms ago"
    stage.stopped.add(1)
    stage.run(400)
    (leader,) = [node for node in stage.leaders if node != 1]
    Teller(stage, b"another session2", connection=2).open(leader).transfers(leader, 1)
    assert 1 in stage.leaders, "its process stood still"
    assert reader.balance(reader.ask(1, Level.LEASE)) is None, "its clock says that the lease is over"


@pytest.mark.parametrize("restarted", [False, True])
def test_nobody_promises_while_a_lease_may_hold(restarted: bool) -> None:
    stage, _, reader = started(lease=True)
    apart(stage, (1,))
    if restarted:
        for node in (2, 3):
            stage.crash(node)
            stage.restart(node)
        stage.quiet()
    stage.campaign(2)
    stage.quiet()
    if 2 in stage.leaders:
        Teller(stage, b"another session2", connection=2).open(2).transfers(2, 1)
    balance = reader.read(1, Level.LEASE)
    assert balance == (102 if 2 in stage.leaders else 101)


def test_without_leases_a_lease_read_takes_a_round() -> None:
    stage, _, reader = started()
    apart(stage, (1,))
    other_side_moves_on(stage, 2)
    assert reader.read(1, Level.LEASE) is None


# --- across clusters, under faults ---------------------------------------------------------


def many_reads(seed: int) -> Config:
    """Two clusters, most transfers between them, reads of every level anywhere, leases, clocks that drift."""
    drawn = draw_config(seed)
    of_three = len(drawn.topology.clusters[0].members) == 3
    return Config(
        seed=seed,
        topology=topology_of(3, accounts=6, balance=1_000, clusters=2, lease=True),
        profile=drawn.profile,
        habits=Habits(
            window=6, reads=0.8, cross=0.5, hot_accounts=4, stray_reads=0.5, retry_us=60_000, odd=0.0
        ),
        schedule=drawn.schedule if of_three else [],
        drift_ppm=5_000,
        sync_us=drawn.sync_us,
    )


@pytest.mark.parametrize("seed", range(1, 7))
def test_every_level_keeps_its_promise_across_clusters(seed: int) -> None:
    _, violation = play(many_reads(seed), 4_000)
    assert violation is None


def test_reads_that_do_not_wait_for_decisions_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    mutations.decisions_are_not_waited_for(monkeypatch)
    assert any(play(many_reads(seed), 4_000)[1] is not None for seed in range(1, 13))


# --- the tests can fail --------------------------------------------------------------------


def no_binding(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Acceptor, "bind", lambda self: None)


@pytest.mark.parametrize(
    ("mutation", "scenario"),
    [
        (
            mutations.indexes_without_a_round,
            test_a_follower_beside_a_leader_of_the_past_answers_no_linearizable_read,
        ),
        (
            mutations.indexes_are_not_waited_for,
            test_a_follower_that_was_told_the_index_waits_until_it_has_applied_it,
        ),
        (
            mutations.ages_are_not_checked,
            test_a_follower_cut_off_answers_bounded_reads_until_it_may_be_too_old,
        ),
        (
            mutations.ages_count_from_arrival,
            test_heartbeats_that_were_under_way_for_long_do_not_make_a_state_new,
        ),
        (mutations.leases_do_not_end, test_a_lease_needs_no_round_and_ends_before_another_can_lead),
        (mutations.versions_are_not_waited_for, test_a_follower_that_lacks_the_version_waits_a_moment_for_it),
        (no_binding, lambda: test_nobody_promises_while_a_lease_may_hold(restarted=False)),
        (no_binding, lambda: test_nobody_promises_while_a_lease_may_hold(restarted=True)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_without_its_rule_the_scenario_fails(
    mutation: Callable[[pytest.MonkeyPatch], None],
    scenario: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mutation(monkeypatch)
    with pytest.raises(AssertionError):
        scenario()
