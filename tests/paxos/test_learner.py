"""A node that lost its disk: when it may vote again (PROTOCOL, Disk; defect 37)."""

from __future__ import annotations

import pytest

from consensus.messages.paxos import Heartbeat, LearnerQuery, LearnerReply, Prepare, Promise
from consensus.simulation.stage import Flight, Stage
from consensus.types import Ballot
from tests.sim.bank import Teller


def names(stage: Stage, kind: type) -> list[Flight]:
    return [f for f in stage.flying if type(f.message) is kind]


def test_learner_takes_part_in_nothing_until_it_is_rebuilt() -> None:
    stage = Stage()
    teller = Teller(stage).open(1)
    stage.lose_disk(3)
    stage.isolate(3)
    stage.restart(3)
    stage.cut(1, 2)
    number = teller.send(1)
    stage.run(50)
    assert stage.replica(3).acceptor.learner
    assert number not in teller.done
    stage.heal()
    stage.run_until(lambda: not stage.replica(3).acceptor.learner)
    stage.run(50)
    assert stage.replica(3).machine.state.slot == stage.checker.chosen_to


def test_learner_adopts_the_highest_promise_of_the_others() -> None:
    stage = Stage()
    stage.crash(1)
    stage.run_until(lambda: bool(stage.leaders))
    ballot = stage.replica(2).acceptor.promised
    assert ballot > Ballot(1, 1)
    stage.lose_disk(1)
    stage.restart(1)
    stage.run_until(lambda: not stage.replica(1).acceptor.learner)
    assert stage.replica(1).acceptor.promised >= ballot


def test_heartbeats_from_before_the_loss_do_not_say_how_far_to_catch_up() -> None:
    """Else the node votes again without a slot that it had helped to choose."""
    stage = Stage()
    teller = Teller(stage).open(1)
    old: list[Flight] = []

    def note(flight: Flight) -> bool:
        if type(flight.message) is Heartbeat and flight.target == 3:
            old.append(flight)
        return True

    stage.intercept = note
    stage.run(400)
    stage.intercept = lambda flight: True
    assert old[-1].message.confirmed >= old[0].message.round
    stage.cut(1, 2)
    number = teller.send(1)
    stage.quiet()
    assert teller.done[number] == 0, "chosen by nodes 1 and 3"
    stage.lose_disk(3)
    stage.heal()
    stage.intercept = lambda flight: type(flight.message) in (LearnerQuery, LearnerReply)
    stage.restart(3)
    stage.quiet()
    stage.intercept = lambda flight: 1 not in (flight.source, flight.target)
    for flight in (old[0], old[-1]):
        stage.arrive(flight)
        stage.quiet()
    stage.crash(1)
    stage.run(2_000)
    assert stage.replica(3).acceptor.learner
    assert not stage.leaders, "nobody who knows the slot is up besides the learner's lost memory"
    stage.intercept = lambda flight: True
    stage.restart(1)
    stage.run_until(lambda: bool(stage.leaders) and not stage.replica(3).acceptor.learner)
    assert stage.replica(stage.leaders[0]).machine.state.accounts[2].balance == 101


def test_candidate_that_still_counts_a_lost_promise_cannot_be_overlooked() -> None:
    """Node 2 of five has the promise of 3 for a ballot that nobody else has heard of when 3 loses its disk.

    Were 3 to ask the other three only, it could vote in the old ballot, and 2 still win with that promise.
    """
    stage = Stage(nodes=5)
    Teller(stage).open(1)
    stage.run(100)
    stage.isolate(1)
    for node in (4, 5):
        stage.nodes[node].replica.election.deadline_us += 10_000_000  # type: ignore[union-attr]
    stage.nodes[3].replica.election.deadline_us += 10_000_000  # type: ignore[union-attr]
    prepares: list[Flight] = []

    def only_three(flight: Flight) -> bool:
        if type(flight.message) is Prepare:
            prepares.append(flight)
            return flight.target == 3
        return True

    stage.intercept = only_three
    stage.run_until(lambda: bool(prepares), within_ms=390)
    stage.quiet()
    assert stage.replica(3).acceptor.promised == Ballot(2, 2)
    stage.heal()
    for node in (1, 3, 4, 5):
        stage.cut(2, node)
    stage.lose_disk(3)
    stage.restart(3)
    stage.run(1_000)
    assert stage.leaders == [1]
    assert stage.replica(3).acceptor.learner
    stage.arrive(next(f for f in prepares if f.target == 4))
    stage.heal()
    stage.intercept = lambda flight: True
    stage.run_until(lambda: not stage.replica(3).acceptor.learner)
    assert stage.replica(3).acceptor.promised >= Ballot(2, 2)


def test_every_other_member_is_asked_however_damaged() -> None:
    stage = Stage(nodes=5)
    stage.crash(5)
    stage.lose_disk(4)
    stage.restart(4)
    stage.run(1_000)
    assert stage.replica(4).acceptor.learner
    assert "5" in stage.replica(4).learner.reason
    stage.lose_disk(5)
    stage.restart(5)
    stage.run_until(lambda: not any(stage.replica(n).acceptor.learner for n in (4, 5)))


def test_too_many_losses_are_said_and_stop_the_cluster() -> None:
    stage = Stage()
    Teller(stage).open(1)
    stage.lose_disk(2)
    stage.lose_disk(3)
    stage.restart(2)
    stage.restart(3)
    stage.run(2_000)
    assert not stage.leaders
    assert all(stage.replica(n).acceptor.learner for n in (2, 3))
    assert "too many" in stage.replica(2).learner.reason


def test_answers_to_an_earlier_process_are_not_counted() -> None:
    stage = Stage()
    replies: list[Flight] = []

    def keep(flight: Flight) -> bool:
        if type(flight.message) is LearnerReply:
            replies.append(flight)
            return False
        return True

    stage.intercept = keep
    stage.lose_disk(3)
    stage.restart(3)
    stage.quiet()
    assert len(replies) == 2
    stage.crash(3)
    stage.isolate(3)
    stage.restart(3)
    for flight in replies:
        stage.arrive(flight)
    assert stage.replica(3).acceptor.promised == Ballot(0, 0)


def test_only_member_that_loses_its_disk_says_so() -> None:
    stage = Stage(nodes=1)
    stage.lose_disk(1)
    stage.restart(1)
    stage.run(1_000)
    assert stage.replica(1).acceptor.learner and "only member" in stage.replica(1).learner.reason


@pytest.mark.parametrize("node", [1, 2, 3])
def test_rebuilt_node_that_crashes_before_the_mark_is_synced_is_a_learner_again(node: int) -> None:
    stage = Stage()
    Teller(stage).open(1)
    stage.lose_disk(node)
    stage.restart(node)
    stage.run_until(lambda: bool(stage.leaders), within_ms=5_000)
    stage.stuck.add(node)
    stage.run_until(lambda: not stage.replica(node).acceptor.learner)
    stage.crash(node)
    stage.restart(node)
    assert stage.replica(node).acceptor.learner
    stage.heal()
    stage.run_until(lambda: not stage.replica(node).acceptor.learner)


def test_promise_waits_for_the_learner() -> None:
    """A candidate gets nothing from a learner, whatever it asks."""
    stage = Stage()
    stage.lose_disk(3)
    stage.isolate(3)
    stage.restart(3)
    stage.heal()
    before = len(names(stage, Promise))
    stage.arrive(Flight(2, 3, Prepare(Ballot(9, 2), 0)))
    assert len(names(stage, Promise)) == before
