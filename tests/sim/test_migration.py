"""Batches of accounts that move between clusters, simulated: the way of one, and every crash on it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consensus.effects import Move, Receive
from consensus.messages.client import Open, Outcome, Refusal, Refused, Replies, Submit
from consensus.messages.entries import Item
from consensus.messages.migration import (
    MapNews,
    MigrationMessage,
    MoveActivate,
    MoveFlip,
    MoveInstall,
    MoveReply,
    MoveReserve,
    MoveRollback,
    Step,
)
from consensus.messages.txn import TxPrepare
from consensus.migration.source import CHUNKS
from consensus.simulation.config import topology_of
from consensus.simulation.stage import Flight, Stage
from consensus.topology import Limits
from consensus.types import NodeId
from tests.sim.bank import SESSION, Teller

pytestmark = pytest.mark.long

PLAN = b"plan of the test"
SOURCE, DESTINATION = 1, 4
"""First leaders of clusters 1 (accounts 1–10) and 2 (accounts 11–20); 7 leads cluster 3."""


def stage_of() -> Stage:
    stage = Stage(topology=topology_of(3, accounts=10, balance=100, clusters=3))
    stage.quiet()
    for node in (SOURCE, DESTINATION, 7):
        stage.request(node, Open(SESSION), connection=node)
    stage.quiet()
    return stage


def move(stage: Stage, *accounts: int, part: int = 0, node: NodeId = SOURCE, to: int = 2) -> None:
    stage.step(node, Move(PLAN, part, to, accounts))


def owners(stage: Stage, account: int) -> list[int]:
    """Clusters of which some replica that is up owns the account."""
    found = set()
    for node in stage.nodes.values():
        if node.replica is not None and account in node.replica.machine.state.accounts:
            found.add(stage.topology.cluster_by_node[node.id].id)
    return sorted(found)


def at_rest(stage: Stage) -> None:
    """Let everything come to its end, and judge it."""
    stage.heal()
    for number, node in stage.nodes.items():
        if not node.up:
            stage.restart(number)
    stage.run(3_000)
    for cluster in stage.topology.clusters:
        replicas = {node: stage.replica(node) for node in cluster.members}
        stage.checkers[cluster.id].at_rest(replicas)
    stage.whole.at_rest(sum(sum(checker.bank.balances.values()) for checker in stage.checkers.values()))


def outcome_of(stage: Stage, connection: int, number: int) -> Outcome:
    replies = [r for r in stage.told(connection, Replies) if number in r.numbers]
    return dict(zip(replies[-1].numbers, replies[-1].outcomes, strict=True))[number]  # type: ignore[no-any-return]


# --- the way of a batch --------------------------------------------------------------------


def test_a_batch_moves_and_its_accounts_are_served_by_the_new_owner() -> None:
    stage = stage_of()
    teller = Teller(stage, connection=SOURCE)
    paid = teller.send(SOURCE, 1, 2, 30)
    stage.quiet()
    move(stage, 1, 2)
    stage.quiet()
    assert (owners(stage, 1), owners(stage, 2), owners(stage, 3)) == ([2], [2], [1])
    late = teller.send(SOURCE, 1, 3, 1)
    stage.quiet()
    refused = stage.refusals(SOURCE)[-1]
    assert (refused.numbers, refused.reason, refused.owners[:3]) == ([late], Refusal.WRONG_OWNER, (1, 2, 1))
    assert refused.owners[3:] == (1, 2, 1, 2, 2, 1), "and where others went, in turn"
    before = outcome_of(stage, SOURCE, paid)
    new = Teller(stage, connection=DESTINATION)
    new.items, new.number = teller.items, teller.number
    new.again(DESTINATION, paid)
    stage.quiet()
    assert outcome_of(stage, DESTINATION, paid) == before, "a retry finds what the old owner told"
    new.send(DESTINATION, 1, 2, 5)
    stage.quiet()
    assert outcome_of(stage, DESTINATION, new.number).legs == (2, 65, 2, 135)
    new.again(DESTINATION, late)
    at_rest(stage)
    assert outcome_of(stage, DESTINATION, late).status == 0, (
        "across clusters now, coordinated by the new owner"
    )


def test_everybody_learns_where_the_accounts_went() -> None:
    stage = stage_of()
    move(stage, 1, 2)
    stage.quiet()
    for node in (1, 4, 5, 6, 7, 8, 9):
        assert stage.replica(node).shards.owner(1) == 2, node
    third = Teller(stage, connection=7)
    number = third.send(7, 21, 1, 10)
    at_rest(stage)
    assert outcome_of(stage, 7, number).status == 0


def test_a_coordinator_that_was_not_told_learns_from_the_vote() -> None:
    stage = stage_of()
    stage.intercept = lambda flight: not isinstance(flight.message, MapNews)
    move(stage, 1)
    stage.quiet()
    assert stage.replica(7).shards.owner(1) == 1
    third = Teller(stage, connection=7)
    number = third.send(7, 21, 1, 10)
    stage.quiet()
    assert [r.reason for r in stage.refusals(7)] == [Refusal.MIGRATING], "the attempt is taken back"
    assert stage.replica(7).shards.owner(1) == 2
    stage.run(100)
    third.again(7, number)
    at_rest(stage)
    assert outcome_of(stage, 7, number).status == 0


def test_taken_accounts_refuse_transactions_until_the_batch_is_over() -> None:
    stage = stage_of()
    stage.cut(SOURCE, DESTINATION)
    move(stage, 1)
    stage.quiet()
    teller = Teller(stage, connection=SOURCE)
    number = teller.send(SOURCE, 1, 3, 1)
    stage.quiet()
    refused: Refused = stage.refusals(SOURCE)[-1]
    assert (refused.numbers, refused.reason) == ([number], Refusal.MIGRATING)
    stage.run(400)
    teller.again(SOURCE, number)
    stage.quiet()
    assert teller.done[number] == 0, "rolled back after 300 ms without a flip"
    at_rest(stage)
    assert owners(stage, 1) == [1]


def test_nobody_is_asked_to_prepare_for_a_payer_that_is_taken() -> None:
    stage = stage_of()
    stage.cut(SOURCE, DESTINATION)
    move(stage, 1)
    stage.quiet()
    asked: list[Flight] = []

    def note(flight: Flight) -> bool:
        if isinstance(flight.message, TxPrepare):
            asked.append(flight)
        return True

    stage.intercept = note
    teller = Teller(stage, connection=SOURCE)
    number = teller.send(SOURCE, 1, 21, 1)
    stage.quiet()
    assert [(r.numbers, r.reason) for r in stage.refusals(SOURCE)] == [([number], Refusal.MIGRATING)]
    assert not asked
    at_rest(stage)


def test_outcomes_go_ahead_in_chunks() -> None:
    stage = stage_of()
    submit = Submit(SESSION, 0, [Item(number, (1, -1, 2, 1)) for number in range(60)])
    stage.request(SOURCE, submit, connection=SOURCE)
    stage.quiet()
    seen: list[int] = []

    def note(flight: Flight) -> bool:
        if isinstance(flight.message, MoveInstall):
            seen.append(flight.message.chunk)
        return True

    stage.intercept = note
    stage.replica(SOURCE).ctx.limits = Limits(batch_bytes=4_096)
    move(stage, 1)
    stage.quiet()
    assert seen == list(range(seen[0], seen[0] + len(seen))) and len(seen) > 3
    stage.request(DESTINATION, submit, connection=DESTINATION)
    at_rest(stage)
    assert stage.outcomes(DESTINATION, SESSION) == stage.outcomes(SOURCE, SESSION)
    assert stage.replica(DESTINATION).machine.state.accounts[1].balance == 40


def test_an_answer_to_an_earlier_leader_stands_for_no_chunk_of_this_one() -> None:
    """Their chunks may have been cut elsewhere: one of this leader's would be passed over."""
    stage = stage_of()
    submit = Submit(SESSION, 0, [Item(number, (1, -1, 2, 1)) for number in range(60)])
    stage.request(SOURCE, submit, connection=SOURCE)
    stage.quiet()
    sent: list[int] = []

    def first_only(flight: Flight) -> bool:
        if isinstance(flight.message, MoveInstall):
            sent.append(flight.message.chunk)
            return False
        return True

    stage.intercept = first_only
    stage.replica(SOURCE).ctx.limits = Limits(batch_bytes=4_096)
    move(stage, 1)
    stage.run(20)
    (chunk,) = set(sent)
    for answered in (0, chunk - CHUNKS, chunk):
        told = MoveReply(2, 1, 1, Step.RESERVED, 0, answered)
        stage.step(SOURCE, Receive(DESTINATION, [told]))
        stage.run(1)
        assert set(sent) == {chunk} | ({chunk + 1} if answered == chunk else set())


def test_contents_come_right_behind_the_reserve() -> None:
    stage = stage_of()
    Teller(stage, connection=SOURCE).transfers(SOURCE, 2)
    stage.quiet()
    slots: list[int] = []
    applied = stage.replica(DESTINATION).machine

    def note(flight: Flight) -> bool:
        if isinstance(flight.message, MoveFlip):
            slots.append(applied.state.slot)
        return True

    before = applied.state.slot
    stage.intercept = note
    move(stage, 1, 2)
    stage.quiet()
    assert slots[0] <= before + 2, "one slot, or two in a row, for the reserve and all of the contents"
    assert owners(stage, 1) == [2]


def test_a_batch_goes_there_and_back() -> None:
    stage = stage_of()
    move(stage, 1)
    stage.quiet()
    move(stage, 1, node=DESTINATION, to=1)
    stage.quiet()
    assert owners(stage, 1) == [1]
    assert stage.replica(7).shards.epoch(1) == 2
    at_rest(stage)


# --- crashes ---------------------------------------------------------------------------------


class Points:
    """Moments at which a message of the migration leaves or arrives, and syncs of the two leaders.

    ``stop`` is asked after each; True ends the run there.
    """

    def __init__(self, stage: Stage, stop: Callable[[int, str], bool]) -> None:
        self.stage = stage
        self.count = 0
        self.names: list[str] = []
        self.stop = stop

    def run(self) -> None:
        """Do what is due, one thing at a time, until nothing is, or the point was reached."""
        stage = self.stage
        moving = MigrationMessage.__args__  # type: ignore[attr-defined]
        while True:
            before = list(stage.flying)
            synced = {node: stage.replica(node).ctx.synced for node in (SOURCE, DESTINATION)}
            if not stage._once():
                return
            names = [f"sync {n}" for n in synced if stage.replica(n).ctx.synced != synced[n]]
            came = [f.message for f in before if f not in stage.flying]
            went = [f.message for f in stage.flying if f not in before]
            names += [f"{type(m).__name__} arrives" for m in came if isinstance(m, moving)]
            names += [f"{type(m).__name__} leaves" for m in went if isinstance(m, moving)]
            for name in names:
                self.names.append(name)
                self.count += 1
                if self.stop(self.count, name):
                    return


def points_of_a_move() -> list[str]:
    stage = stage_of()
    move(stage, 1, 2)
    points = Points(stage, lambda count, name: False)
    points.run()
    return points.names


NAMES = points_of_a_move()


def test_the_points_cover_every_message_and_both_disks() -> None:
    for kind in (MoveReserve, MoveInstall, MoveFlip, MoveActivate, MoveReply):
        assert f"{kind.__name__} leaves" in NAMES and f"{kind.__name__} arrives" in NAMES
    assert {"sync 1", "sync 4"} <= set(NAMES)
    assert len(NAMES) > 20


MAJORITY = (DESTINATION, 5)


@pytest.mark.parametrize("victims", [(SOURCE,), (DESTINATION,), (SOURCE, DESTINATION), MAJORITY], ids=str)
@pytest.mark.parametrize("back_after_ms", [0, 1_500])
def test_a_crash_at_any_point_leaves_each_account_with_one_owner(
    victims: tuple[NodeId, ...], back_after_ms: int
) -> None:
    ends = set()
    for point in range(1, len(NAMES) + 1):
        stage = stage_of()
        Teller(stage, connection=SOURCE).transfers(SOURCE, 2)
        move(stage, 1, 2)
        Points(stage, lambda count, name, at=point: count == at).run()  # type: ignore[misc]
        for victim in victims:
            stage.crash(victim)
        if back_after_ms:
            stage.run(back_after_ms)
        at_rest(stage)
        owner = owners(stage, 1)
        assert len(owner) == 1 and owners(stage, 2) == owner, NAMES[point - 1]
        ends.add(owner[0])
        leader = next(node for node in stage.leaders if stage.topology.cluster_by_node[node].id == owner[0])
        teller = Teller(stage, session=b"after the crash!", connection=99).open(leader)
        number = teller.send(leader, 1, 2, 1)
        stage.quiet()
        assert teller.done[number] == 0, f"served again after a crash at: {NAMES[point - 1]}"
    if victims == MAJORITY and back_after_ms:
        assert ends == {1, 2}, "before the flip it is rolled back, after it it waits"
    else:
        assert ends == {2}, "a new leader takes it up in time"


@pytest.mark.parametrize("lost", [MoveReserve, MoveInstall, MoveFlip, MoveActivate, MoveReply, MoveRollback])
def test_any_message_may_be_lost_once(lost: type) -> None:
    stage = stage_of()
    gone: list[Flight] = []

    def lose(flight: Flight) -> bool:
        if type(flight.message) is lost and not gone:
            gone.append(flight)
            return False
        return True

    stage.intercept = lose
    if lost is MoveRollback:
        stage.cut(SOURCE, DESTINATION)
    move(stage, 1, 2)
    stage.run(400)
    at_rest(stage)
    assert gone
    assert owners(stage, 1) == ([1] if lost is MoveRollback else [2])


def test_late_copies_of_everything_change_nothing() -> None:
    stage = stage_of()
    copies: list[Flight] = []

    def keep(flight: Flight) -> bool:
        if isinstance(flight.message, MigrationMessage):
            copies.append(flight)
        return True

    stage.intercept = keep
    move(stage, 1)
    stage.quiet()
    move(stage, 1, node=DESTINATION, to=1)
    stage.quiet()
    move(stage, 2, part=1)
    stage.quiet()
    stage.intercept = lambda flight: True
    for flight in copies:
        stage.arrive(flight)
        stage.quiet()
    at_rest(stage)
    assert (owners(stage, 1), owners(stage, 2)) == ([1], [2])


def test_a_destination_without_majority_costs_nothing_but_time() -> None:
    stage = stage_of()
    for node in (5, 6):
        stage.crash(node)
    move(stage, 1)
    stage.run(400)
    assert not stage.replica(SOURCE).machine.state.moves.taken
    at_rest(stage)
    assert owners(stage, 1) == [1]


def test_a_replica_that_lost_its_disk_learns_of_batches_and_forwards() -> None:
    stage = stage_of()
    stage.crash(2)
    move(stage, 1)
    stage.quiet()
    stage.cut(SOURCE, DESTINATION)
    move(stage, 2, part=1)
    stage.quiet()
    stage.lose_disk(2)
    stage.restart(2)
    stage.run(100)
    at_rest(stage)
    assert stage.replica(2).machine.state.moves.forwards.keys() == {1, 2}
