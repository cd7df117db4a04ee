"""A state taken over from another node: chunks, losses, dead and useless sources."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consensus.messages.paxos import Accept, Chosen, Commit, Heartbeat, StateChunk, StateRequest
from consensus.replica import transfer
from consensus.simulation.stage import Flight, Stage
from consensus.topology import Limits
from tests.sim.bank import Teller

SMALL = Limits(checkpoint_slots=5, retain_slots=0)


def left_behind(stage: Stage, node: int, transfers: int = 12) -> Teller:
    """A cluster that went on without ``node`` and truncated what it misses."""
    teller = Teller(stage).open(1)
    stage.isolate(node)
    teller.transfers(1, transfers)
    stage.run(50)
    assert stage.replica(1).acceptor.log.floor > stage.replica(node).acceptor.log.watermark
    return teller


def no_more_than(count: int, kind: type) -> Callable[[Flight], bool]:
    seen: list[Flight] = []

    def look(flight: Flight) -> bool:
        if type(flight.message) is kind:
            seen.append(flight)
        return len(seen) <= count

    return look


def test_node_that_is_too_far_behind_takes_a_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "CHUNK_STREAM_BYTES", 100)
    monkeypatch.setattr(transfer, "BLOCK_ROWS", 3)
    stage = Stage(limits=SMALL)
    left_behind(stage, 3)
    chunks: list[Flight] = []
    stage.intercept = lambda f: type(f.message) is not StateChunk or chunks.append(f) is None
    stage.heal()
    stage.run_until(lambda: stage.replica(3).machine.state.slot == stage.checker.chosen_to)
    assert len(chunks) > 3
    assert chunks[-1].message.last
    assert stage.replica(3).checkpoint >= chunks[-1].message.slot


def test_lost_and_doubled_chunks_are_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "CHUNK_STREAM_BYTES", 100)
    monkeypatch.setattr(transfer, "BLOCK_ROWS", 3)
    stage = Stage(limits=SMALL)
    left_behind(stage, 3)
    count = [0]

    def every_third(flight: Flight) -> bool:
        if type(flight.message) is StateChunk:
            count[0] += 1
            if count[0] % 3 == 1:
                stage.flying.append(flight)
            return count[0] % 3 != 0
        return True

    stage.intercept = every_third
    stage.heal()
    stage.run_until(lambda: stage.replica(3).machine.state.slot == stage.checker.chosen_to)
    assert count[0] > 4


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_source_that_dies_is_replaced(monkeypatch: pytest.MonkeyPatch, chunks: int) -> None:
    """Before its first chunk or in the middle: the others go on with it."""
    monkeypatch.setattr(transfer, "CHUNK_STREAM_BYTES", 100)
    monkeypatch.setattr(transfer, "BLOCK_ROWS", 3)
    stage = Stage(limits=SMALL)
    left_behind(stage, 3)
    stage.heal()
    stage.cut(2, 3)
    stage.intercept = no_more_than(chunks, StateChunk)
    stage.run(30)
    assert stage.replica(3).transfer.active
    stage.crash(1)
    stage.heal()
    stage.intercept = lambda flight: True
    stage.run_until(lambda: bool(stage.leaders) and not stage.replica(3).transfer.active, within_ms=5_000)
    stage.run_until(lambda: stage.replica(3).machine.state.slot == stage.checker.chosen_to)


def test_two_nodes_with_nothing_do_not_ask_each_other_without_end() -> None:
    stage = Stage(nodes=5, limits=SMALL)
    left_behind(stage, 4)
    for node in (4, 5):
        stage.lose_disk(node)
        stage.restart(node)
    stage.heal()
    for node in (4, 5):
        for other in (1, 2, 3):
            stage.cut(other, node)
    asked: list[Flight] = []
    stage.intercept = lambda f: type(f.message) is not StateRequest or asked.append(f) is None
    for node, other in ((4, 5), (5, 4)):
        stage.arrive(Flight(other, node, Chosen(12, 12, [])))
    stage.run(1_000)
    assert 2 <= len(asked) <= 2 * 11 * 4
    stage.heal()
    stage.run_until(lambda: not any(stage.replica(n).acceptor.learner for n in (4, 5)))


def test_state_that_arrives_at_a_new_leader_is_ignored() -> None:
    """Node 1 is ahead and gone; its state reaches node 3 when that already proposes those slots again."""
    stage = Stage(limits=SMALL)
    teller = Teller(stage).open(1)
    teller.transfers(1, 2)
    stage.intercept = lambda f: type(f.message) not in (Commit, Heartbeat) and f.target != 3
    stage.hold(2, 1)
    for _ in range(3):
        teller.send(1)
        stage.run(3)
    stage.deliver(2, 1)
    stage.run(1)
    assert stage.replica(1).acceptor.log.floor > stage.replica(3).acceptor.log.watermark
    floor = stage.replica(1).acceptor.log.floor
    stage.hold(1, 3)
    stage.intercept = lambda f: type(f.message) is not Accept
    stage.arrive(Flight(1, 3, Chosen(floor, floor, [])))
    stage.quiet()
    state = [f for f in stage.flying if type(f.message) is StateChunk]
    assert len(state) == 1 and state[0].message.last and state[0].message.slot >= floor
    stage.crash(1)
    stage.campaign(3)
    stage.intercept = lambda f: type(f.message) is not Accept
    stage.quiet()
    assert stage.replica(3).leader is not None and stage.replica(3).leader.in_flight
    assert stage.replica(3).acceptor.log.watermark < floor
    stage.arrive(state[0])
    stage.intercept = lambda flight: True
    stage.heal()
    stage.run_until(lambda: stage.leaders == [3])
    teller.transfers(3, 3)


def test_leader_does_not_begin_a_transfer() -> None:
    stage = Stage(limits=SMALL)
    Teller(stage).open(1)
    stage.arrive(Flight(2, 1, Chosen(50, 50, [])))
    assert not stage.replica(1).transfer.active


def test_promise_is_not_lowered_by_a_state() -> None:
    stage = Stage(limits=SMALL)
    left_behind(stage, 3)
    stage.run(400)
    before = stage.replica(3).acceptor.promised
    stage.heal()
    stage.run_until(lambda: stage.replica(3).machine.state.slot == stage.checker.chosen_to)
    assert stage.replica(3).acceptor.promised >= before


def test_crash_between_state_and_its_checkpoint_starts_over() -> None:
    stage = Stage(limits=SMALL)
    teller = left_behind(stage, 3)
    stage.heal()
    stage.unsaved.add(3)
    stage.run_until(lambda: stage.replica(3).acceptor.installing)
    teller.transfers(1, 3)
    stage.run(30)
    watermark = stage.replica(3).acceptor.log.watermark
    assert watermark == stage.checker.chosen_to
    stage.crash(3)
    stage.restart(3)
    assert stage.replica(3).acceptor.log.watermark < watermark, "nothing durable proves the slots in between"
    stage.heal()
    stage.run_until(lambda: stage.replica(3).machine.state.slot == stage.checker.chosen_to)


def test_damaged_chunk_is_not_believed() -> None:
    stage = Stage(limits=SMALL)
    left_behind(stage, 3)
    spoilt = [0]

    def spoil(flight: Flight) -> bool:
        message = flight.message
        if type(message) is StateChunk and not spoilt[0]:
            spoilt[0] += 1
            rows = bytearray(message.rows)
            rows[-3] ^= 1
            stage.flying.append(
                flight._replace(message=StateChunk(message.slot, 0, message.last, bytes(rows)))
            )
            return False
        return True

    stage.intercept = spoil
    stage.heal()
    stage.run_until(lambda: stage.replica(3).machine.state.slot == stage.checker.chosen_to)
    assert spoilt[0]


def test_chunk_that_the_source_no_longer_holds_is_refused() -> None:
    stage = Stage(limits=SMALL)
    Teller(stage).open(1).transfers(1, 3)
    stage.arrive(Flight(2, 1, StateRequest(3, 4)))
    answer = next(f.message for f in stage.flying if type(f.message) is StateChunk)
    assert (answer.slot, answer.index, answer.last) == (0, 4, False)
