"""Defects seen in systems of this kind, by their number in docs/protocol.md: one small scenario each.

Those of one cluster. 37 (a node that lost its disk) is in tests/paxos/test_learner.py. The checker of the
stage looks at every step besides what is asserted here.
"""

from __future__ import annotations

import pytest

from consensus.messages.client import (
    Level,
    Read,
    ReadItem,
    ReadRefused,
    ReadReplies,
    Refusal,
    Refused,
    ResolveRequest,
    Status,
    Submit,
)
from consensus.messages.entries import Item
from consensus.messages.paxos import (
    Accept,
    Accepted,
    Chosen,
    Commit,
    Fetch,
    Heartbeat,
    HeartbeatAck,
    Nack,
    NewViewNotice,
    Prepare,
    Promise,
)
from consensus.simulation.stage import Flight, Stage
from consensus.topology import Limits
from consensus.types import Ballot
from tests.sim.bank import SESSION, Teller

FIRST = Ballot(1, 1)
SECOND = Ballot(2, 2)


def sent(stage: Stage, kind: type, source: int) -> list[Flight]:
    return [f for f in stage.flying if type(f.message) is kind and f.source == source]


def read(stage: Stage, node: int, request: int, account: int = 2, connection: int = 9) -> None:
    item = ReadItem(request, (account,), Level.LINEARIZABLE)
    stage.request(node, Read([item]), connection=connection)


def values(stage: Stage, connection: int = 9) -> dict[int, tuple[int, ...]]:
    """(version, balance) by request, of all reads answered on ``connection``."""
    return {r.request: r.values for m in stage.told(connection, ReadReplies) for r in m.results}


def elect(stage: Stage, node: int) -> None:
    """Have ``node`` campaign and win."""
    stage.campaign(node)
    stage.quiet()
    assert stage.replica(node).leader is not None


# --- promises ----------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["crash", "fail"])
def test_01_02_promise_survives(way: str) -> None:
    """A promised acceptor is killed, or failed and recovered; then the old leader proposes."""
    stage = Stage()
    Teller(stage).open(1)
    stage.hold(1, 3)
    Teller(stage, session=b"s" * 16, connection=2).open(1)
    stage.arrive(Flight(2, 3, Prepare(SECOND, 0)))
    stage.sync(3)
    assert sent(stage, Promise, 3)
    if way == "crash":
        stage.crash(3)
        stage.restart(3)
    else:
        stage.fail(3)
        stage.recover(3)
    assert stage.replica(3).acceptor.promised == SECOND
    stage.deliver(1, 3)
    stage.sync(3)
    assert not sent(stage, Accepted, 3)
    assert sent(stage, Nack, 3)


def test_03_no_accept_slips_in_while_the_promise_is_being_stored() -> None:
    stage = Stage()
    teller = Teller(stage).open(1)
    stage.hold(1, 3)
    teller.send(1)
    stage.quiet()
    stage.stuck.add(3)
    stage.arrive(Flight(2, 3, Prepare(SECOND, 0)))
    assert not sent(stage, Promise, 3), "not before it is on the disk"
    stage.deliver(1, 3)
    stage.stuck.clear()
    stage.sync(3)
    assert not sent(stage, Accepted, 3)
    promise = sent(stage, Promise, 3)[0].message
    assert [value.slot for value in promise.entries] == [1], "slot 2 came after the promise"


# --- what is chosen ----------------------------------------------------------------------


def test_04_majority_is_of_the_configured_members() -> None:
    stage = Stage()
    teller = Teller(stage).open(1)
    stage.crash(2)
    stage.crash(3)
    number = teller.send(1)
    stage.run(2_000)
    assert number not in teller.done
    assert not stage.leaders, "a leader without a majority steps down"


def test_05_values_of_a_new_view_are_not_chosen_before_a_majority_accepts_them() -> None:
    stage = Stage()
    teller = Teller(stage).open(1)
    stage.cut(1, 3)
    stage.hold(2, 1)
    stage.stuck.add(1)
    number = teller.send(1)
    stage.quiet()
    stage.crash(1)
    assert stage.replica(2).acceptor.log.last == 2
    stage.intercept = lambda f: type(f.message) is not Accept
    elect(stage, 2)
    stage.run(40)
    assert stage.replica(2).acceptor.log.watermark == 1
    assert not stage.leaders
    stage.request(2, Submit(SESSION, number, [teller.items[number]]))
    stage.run(20)
    assert number not in teller.done
    stage.intercept = lambda flight: True
    stage.run(200)
    assert teller.done[number] == Status.COMMITTED


def test_06_commit_does_not_make_a_value_of_another_ballot_chosen() -> None:
    """Node 3 accepted v1 for slot 2; the chosen value is v2; its Accept got lost; then comes the Commit."""
    stage = Stage()
    teller = Teller(stage).open(1)
    stage.cut(1, 2)
    stage.stuck.add(1)
    stage.hold(3, 1)
    teller.send(1, amount=5)
    stage.quiet()
    stage.crash(1)
    stage.heal()
    stage.restart(1)
    assert stage.replica(3).acceptor.log.get(2).ballot == FIRST
    stage.isolate(3)
    elect(stage, 2)
    stage.run(60)
    other = teller.send(2, amount=7)
    stage.run(30)
    assert teller.done[other] == Status.COMMITTED
    stage.heal()
    stage.intercept = lambda f: f.target != 3 or type(f.message) in (Commit, Heartbeat)
    stage.run(60)
    assert stage.replica(3).acceptor.log.watermark == 1, "it has to ask for slot 2"
    stage.intercept = lambda flight: True
    stage.run(200)
    assert stage.replica(3).machine.state.accounts[2].balance == 107


def test_07_gap_repair_tells_chosen_values_only() -> None:
    stage = Stage()
    teller = Teller(stage).open(1)
    stage.hold(2, 1)
    stage.hold(3, 1)
    teller.send(1)
    stage.quiet()
    assert stage.replica(2).acceptor.log.last == 2
    stage.arrive(Flight(3, 2, Fetch(1, 2)))
    answer = sent(stage, Chosen, 2)
    answer = [f for f in stage.flying if type(f.message) is Chosen] or answer
    assert [value.slot for value in answer[-1].message.entries] == [1]


def test_08_gaps_of_followers_are_filled() -> None:
    stage = Stage()
    teller = Teller(stage).open(1)
    stage.cut(1, 2)
    stage.cut(1, 3)
    number = teller.send(1)
    stage.run(300)
    stage.heal()
    stage.run_until(lambda: bool(stage.leaders))
    leader = stage.leaders[0]
    teller.again(leader, number)
    stage.run(300)
    assert teller.done[number] == Status.COMMITTED
    assert {stage.replica(n).machine.state.slot for n in stage.nodes} == {stage.checker.chosen_to}


def test_09_10_restart_of_all_after_a_checkpoint_loses_nothing() -> None:
    stage = Stage(limits=Limits(checkpoint_slots=4, retain_slots=0))
    teller = Teller(stage).open(1)
    teller.transfers(1, 12)
    stage.run(20)
    last = stage.checker.chosen_to
    assert all(0 < stage.replica(n).checkpoint < last for n in stage.nodes)
    for node in stage.nodes:
        stage.crash(node)
    for node in stage.nodes:
        stage.restart(node)
    stage.run_until(lambda: bool(stage.leaders))
    teller.transfers(stage.leaders[0], 2)
    assert stage.checker.chosen_to > last
    stage.run(100)
    assert [stage.replica(n).machine.state.accounts[1].balance for n in stage.nodes] == [86] * 3


def test_11_no_slot_is_used_again_in_another_ballot() -> None:
    """The leader has a batch waiting for its slot when a higher ballot takes over."""
    stage = Stage(limits=Limits(window_slots=1))
    teller = Teller(stage).open(1)
    stage.cut(1, 2)
    stage.cut(1, 3)
    first = teller.send(1, amount=5)
    stage.quiet()
    waiting = teller.send(1, amount=6)
    stage.quiet()
    assert stage.replica(1).queue.pending
    stage.arrive(Flight(2, 1, Prepare(SECOND, 1)))
    stage.quiet()
    stage.run(30)
    proposed = [f.message for f in stage.dropped if type(f.message) is Accept]
    assert {m.ballot for m in proposed} == {FIRST}
    assert [m.numbers for m in stage.refusals(1)] == [[waiting]], (
        "the one in flight is left to the next leader"
    )
    assert first not in teller.done


# --- reads ---------------------------------------------------------------------------------


def test_12_partitioned_leader_serves_no_stale_read() -> None:
    stage = Stage()
    teller = Teller(stage).open(1)
    stage.run(30)
    stage.isolate(1)
    elect(stage, 2)
    stage.run(10)
    number = teller.send(2, amount=9)
    stage.run(10)
    assert teller.done[number] == Status.COMMITTED
    assert stage.leaders == [1, 2], "the old one does not know yet"
    read(stage, 1, request=1)
    read(stage, 2, request=2)
    stage.run(20)
    assert values(stage) == {2: (1, 109)}
    stage.run(1_000)
    assert 1 not in values(stage)
    assert [m.reason for m in stage.told(9, ReadRefused)] == [Refusal.NOT_LEADER]


def test_13_dead_leader_is_replaced_under_reads_alone() -> None:
    stage = Stage()
    Teller(stage).open(1)
    read(stage, 1, request=1)
    stage.quiet()
    assert 1 in values(stage)
    stage.crash(1)
    for request in range(2, 60):
        for node in (2, 3):
            read(stage, node, request)
        stage.run(10)
    assert stage.leaders in ([2], [3])
    assert 59 in values(stage)


def test_33_acknowledgements_of_earlier_rounds_confirm_no_later_read() -> None:
    stage = Stage()
    teller = Teller(stage).open(1)
    acks: list[Flight] = []
    stage.intercept = lambda f: type(f.message) is not HeartbeatAck or acks.append(f) is None
    stage.run(200)
    stage.intercept = lambda flight: True
    stage.isolate(1)
    elect(stage, 3)
    stage.run(5)
    teller.send(3)
    stage.quiet()
    read(stage, 1, request=1)
    stage.quiet()
    for flight in acks:
        stage.arrive(flight)
    stage.quiet()
    assert values(stage) == {}


# --- sessions ------------------------------------------------------------------------------


def test_14_retry_after_failover_runs_once() -> None:
    stage = Stage()
    teller = Teller(stage).open(1)
    number = teller.send(1, amount=30)
    stage.sync(1)
    stage.deliver(1, 2)
    stage.sync(2)
    stage.run(4)
    stage.crash(1)
    stage.answers[1].clear()
    elect(stage, 2)
    stage.run(50)
    for _ in range(3):
        teller.again(2, number)
        stage.run(5)
    assert teller.done == {number: Status.COMMITTED}
    assert stage.replica(2).machine.state.accounts[2].balance == 130


def test_15_later_number_that_ends_first_does_not_swallow_an_earlier_one() -> None:
    stage = Stage()
    teller = Teller(stage).open(1)
    teller.items = {1: Item(1, (1, -5, 2, 5)), 2: Item(2, (1, -7, 2, 7))}
    teller.number = 2
    teller.again(1, 2)
    stage.quiet()
    assert teller.done == {2: Status.COMMITTED}
    teller.again(1, 1)
    stage.quiet()
    assert teller.done == {1: Status.COMMITTED, 2: Status.COMMITTED}
    assert stage.replica(1).machine.state.accounts[2].balance == 112


def test_16_replicas_agree_however_late_they_apply() -> None:
    stage = Stage()
    teller = Teller(stage).open(1)
    stage.stopped.add(3)
    teller.transfers(1, 5)
    stage.run(700)
    stage.heal()
    stage.run(500)
    assert len({stage.replica(n).machine.state.digest() for n in stage.nodes}) == 1
    assert stage.replica(3).machine.state.slot == stage.checker.chosen_to


def test_17_unknown_is_made_final_and_stays_what_it_was() -> None:
    """The client gave up; the slot commits all the same; resolve tells how it ended, time and again."""
    stage = Stage()
    teller = Teller(stage).open(1)
    stage.hold(2, 1)
    stage.hold(3, 1)
    number = teller.send(1, amount=5)
    stage.quiet()
    stage.request(1, ResolveRequest(SESSION, [number, number + 1]))
    stage.quiet()
    assert [m.reason for m in stage.refusals(1)] == [Refusal.IN_DOUBT]
    assert number not in teller.done
    stage.heal()
    stage.run(50)
    for _ in range(2):
        stage.request(1, ResolveRequest(SESSION, [number, number + 1]))
        stage.quiet()
    assert teller.done == {number: Status.COMMITTED, number + 1: Status.COORDINATOR_TIMEOUT}
    teller.items[number + 1] = Item(number + 1, (1, -5, 2, 5))
    teller.again(1, number + 1)
    stage.quiet()
    assert teller.done[number + 1] == Status.COORDINATOR_TIMEOUT
    assert stage.replica(1).machine.state.accounts[2].balance == 105


@pytest.mark.parametrize(
    "legs",
    [(1, 5, 2, -5, 3), (1, -5, 1, 5), (1, -5, 2, 6), (1, -(10**16), 2, 10**16), (1, 0), ()],
)
def test_18_amounts_that_make_no_sense_change_nothing(legs: tuple[int, ...]) -> None:
    stage = Stage()
    teller = Teller(stage).open(1)
    teller.items[1] = Item(1, legs)
    teller.number = 1
    teller.again(1, 1)
    stage.quiet()
    assert teller.done == {1: Status.INVALID}
    assert {a.balance for a in stage.replica(1).machine.state.accounts.values()} == {100}


def test_36_refusal_is_not_remembered() -> None:
    stage = Stage(limits=Limits(queue_transactions=1, window_slots=1))
    teller = Teller(stage).open(1)
    stage.hold(2, 1)
    stage.hold(3, 1)
    numbers = [teller.send(1) for _ in range(4)]
    stage.quiet()
    refused = {n for m in stage.told(1, Refused) if m.reason == Refusal.OVERLOADED for n in m.numbers}
    assert refused
    stage.heal()
    for _ in range(4):
        stage.run(60)
        for number in numbers:
            teller.again(1, number)
    stage.run(60)
    assert teller.done == dict.fromkeys(numbers, Status.COMMITTED)


# --- disks ---------------------------------------------------------------------------------


def test_30_flipped_bit_makes_a_learner_that_is_rebuilt() -> None:
    stage = Stage()
    teller = Teller(stage).open(1)
    teller.transfers(1, 5)
    stage.crash(3)
    assert stage.nodes[3].disk.flip_bit()
    stage.checker.lost(3)
    stage.restart(3)
    assert stage.replica(3).acceptor.learner
    stage.run_until(lambda: not stage.replica(3).acceptor.learner)
    assert stage.replica(3).machine.state.slot == stage.checker.chosen_to


def test_30_torn_write_is_cut_and_the_node_goes_on() -> None:
    stage = Stage()
    teller = Teller(stage).open(1)
    teller.transfers(1, 3)
    torn = 0
    for _ in range(12):
        stage.stuck.add(3)
        for _ in range(6):
            teller.transfers(1, 1)
        before = stage.nodes[3].disk.crashes_torn
        stage.nodes[3].disk.start_write()
        stage.crash(3)
        torn += stage.nodes[3].disk.crashes_torn - before
        stage.heal()
        stage.restart(3)
        assert not stage.replica(3).acceptor.learner
        stage.run(100)
        assert stage.replica(3).machine.state.slot == stage.checker.chosen_to
    assert torn


def test_31_leader_with_a_stuck_disk_makes_room() -> None:
    stage = Stage()
    teller = Teller(stage).open(1)
    stage.stuck.add(1)
    number = teller.send(1)
    stage.run(100)
    assert teller.done[number] == Status.COMMITTED, "two other disks make a majority"
    stage.run(700)
    assert stage.leaders in ([2], [3])
    teller.transfers(stage.leaders[0], 2)


def test_32_node_that_hears_nothing_deposes_nobody() -> None:
    stage = Stage()
    teller = Teller(stage).open(1)
    for other in (1, 2):
        stage.cut(other, 3, both=False)
    for _ in range(20):
        teller.transfers(1, 1)
        stage.run(100)
    assert stage.leaders == [1]
    assert stage.replica(1).leader.ballot == FIRST


# --- views and truncation --------------------------------------------------------------------


def test_34_candidate_that_is_behind_fills_no_chosen_slot() -> None:
    """The others have truncated what it misses; it leads only after it took their state."""
    stage = Stage(limits=Limits(checkpoint_slots=4, retain_slots=0))
    teller = Teller(stage).open(1)
    stage.isolate(3)
    teller.transfers(1, 11)
    stage.run(30)
    floor = stage.replica(2).acceptor.log.floor
    stage.heal()
    stage.intercept = lambda f: f.source != 1
    notices: list[tuple[int, int]] = []

    def note(flight: Flight) -> bool:
        if type(flight.message) is NewViewNotice:
            notices.append((flight.source, flight.message.watermark))
        return flight.source != 1

    stage.intercept = note
    stage.campaign(3)
    stage.quiet()
    stage.run_until(lambda: bool(notices))
    assert notices[0][0] == 3 and notices[0][1] >= floor
    stage.intercept = lambda flight: True
    stage.run_until(lambda: stage.leaders == [3])
    assert stage.replica(3).machine.state.accounts[1].balance == 89


def test_40_truncation_keeps_the_promise_and_slots_that_are_not_chosen() -> None:
    stage = Stage(limits=Limits(checkpoint_slots=4, retain_slots=0), segment_bytes=1_024)
    teller = Teller(stage).open(1)
    stage.run(5)
    teller.transfers(1, 12)
    stage.run(30)
    stage.arrive(Flight(2, 3, Prepare(Ballot(7, 2), 0)))
    stage.quiet()
    stage.run(1_000)
    leader = stage.leaders[0]
    teller.transfers(leader, 12)
    stage.run(30)
    assert all(node.disk.segments_dropped for node in stage.nodes.values())
    stage.unsaved |= set(stage.nodes)
    while not all(node.capture for node in stage.nodes.values()):
        teller.transfers(leader, 1)
        stage.run(10)
    stage.intercept = lambda f: type(f.message) is not Accepted
    for _ in range(8):
        teller.send(leader)
        stage.run(4)
    stage.unsaved.clear()
    stage.run(4)
    promised = {n: stage.replica(n).acceptor.promised for n in stage.nodes}
    held = {n: stage.replica(n).acceptor.log.last for n in stage.nodes}
    assert set(held.values()) == {stage.checker.chosen_to}
    assert all(stage.replica(n).acceptor.log.watermark < held[n] - 4 for n in stage.nodes)
    for node in stage.nodes:
        stage.crash(node)
        stage.restart(node)
        acceptor = stage.replica(node).acceptor
        assert not acceptor.learner
        assert (acceptor.promised, acceptor.log.last) == (promised[node], held[node])
