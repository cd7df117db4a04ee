"""What a node makes of its journal and checkpoint when it starts."""

from __future__ import annotations

import pytest

from consensus.bank.state import all_rows
from consensus.codec import encode_batch
from consensus.effects import CheckpointDone, Receive, Recovered
from consensus.messages.entries import Batch
from consensus.messages.paxos import Chosen, SlotValue
from consensus.messages.records import (
    AcceptedValue,
    ChosenValue,
    LearnerMark,
    Promised,
    Record,
    SegmentHead,
    Watermark,
)
from consensus.messages.rows import Row
from consensus.replica.door import Replica
from consensus.replica.recovery import Rebuilt, genesis, rebuild
from consensus.simulation.config import topology_of
from consensus.topology import Limits
from consensus.types import Ballot, Slot

TOPOLOGY = topology_of(nodes=3, accounts=10, balance=100)
FIRST = Ballot(1, 1)
LATER = Ballot(2, 2)


def value(n: int) -> bytes:
    return encode_batch(Batch(FIRST, n, []))


def checkpoint_at(slot: Slot) -> list[Row]:
    state = genesis(TOPOLOGY, TOPOLOGY.clusters[0])
    state.slot = slot
    return list(all_rows(state.capture(everything=True)))


def recover(records: list[Record], rows: list[Row] | None = None, learner: bool = False) -> Rebuilt:
    recovered = Recovered(1, False, learner, rows or [], records)
    return rebuild(recovered, TOPOLOGY, TOPOLOGY.clusters[0])


def test_promise_is_the_highest_of_all_records() -> None:
    found = recover([SegmentHead(1, FIRST, 0, False), Promised(Ballot(5, 3)), Promised(LATER)])
    assert found.promised == Ballot(5, 3)
    assert recover([SegmentHead(1, Ballot(7, 1), 0, False)]).promised == Ballot(7, 1)
    assert recover([AcceptedValue(Ballot(6, 2), 1, value(1))]).promised == Ballot(6, 2)


def test_watermark_marks_what_is_held_without_a_gap() -> None:
    records = [AcceptedValue(FIRST, slot, value(slot)) for slot in (1, 2, 4)]
    found = recover([*records, Watermark(4)])
    assert found.log.watermark == 2
    assert not found.log.get(4).chosen  # type: ignore[union-attr]


def test_watermark_within_an_acceptance_counts() -> None:
    found = recover([AcceptedValue(FIRST, 1, value(1)), AcceptedValue(FIRST, 2, value(2), watermark=1)])
    assert (found.log.watermark, found.log.last) == (1, 2)


def test_learnt_values_are_chosen_one_by_one() -> None:
    found = recover([ChosenValue(FIRST, 2, value(2)), ChosenValue(FIRST, 1, value(1))])
    assert found.log.watermark == 2


def test_checkpoint_replaces_the_log_below_it() -> None:
    records = [AcceptedValue(FIRST, slot, value(slot)) for slot in range(1, 8)]
    found = recover([*records, Watermark(6)], checkpoint_at(4))
    assert (found.state.slot, found.log.floor, found.log.watermark, found.log.last) == (4, 4, 6, 7)
    assert not found.learner


def damaged() -> list[Row]:
    """A checkpoint in which account 3 has another balance than it had."""
    return [
        Row(row.table, row.key, (row.values[0] + 1, *row.values[1:]))
        if row.table == "accounts" and row.key == 3 and row.values
        else row
        for row in checkpoint_at(4)
    ]


def test_damaged_checkpoint_makes_a_learner() -> None:
    found = recover([SegmentHead(1, LATER, 0, False)], damaged())
    assert found.learner and "hash" in found.damage
    assert found.promised == LATER


@pytest.mark.parametrize("whole", [True, False])
def test_the_first_checkpoint_over_a_damaged_one_leaves_nothing_of_it(whole: bool) -> None:
    rows = checkpoint_at(4) if whole else damaged()
    topology = topology_of(nodes=3, accounts=10, balance=100, limits=Limits(checkpoint_slots=3))
    replica = Replica(
        2, topology, Recovered(1, False, False, rows, [SegmentHead(1, LATER, 0, False)]), seed=1
    )
    replaces: list[bool] = []
    for slot in range(replica.machine.state.slot + 1, 12):
        # It holds the chosen values again, whoever it has them from.
        out = replica.step(
            slot, Receive(1, [Chosen(slot, 0, [SlotValue(slot, FIRST, chosen=True, value=value(slot))])])
        )
        while out.checkpoint is not None:
            replaces.append(out.checkpoint.replace)
            out = replica.step(slot, CheckpointDone(out.checkpoint.slot))
    assert len(replaces) >= 2 and replaces == [not whole, *[False] * (len(replaces) - 1)]


def test_stale_value_below_a_lost_checkpoint_is_not_taken_for_the_chosen_one() -> None:
    """The node accepted slot 1 in a ballot that lost, took over the state at slot 5, and went on."""
    stale = AcceptedValue(FIRST, 1, value(99))
    records: list[Record] = [
        stale,
        AcceptedValue(LATER, 6, value(6)),
        Watermark(5, checkpoint=5),
        AcceptedValue(LATER, 7, value(7), watermark=6),
    ]
    whole = recover(records, checkpoint_at(5))
    assert whole.log.watermark == 6 and not whole.learner
    for rows in ([], checkpoint_at(5)[:-1], checkpoint_at(4)):
        found = recover(records, rows)
        assert found.learner, "the checkpoint is gone or too old"
        held = found.log.get(1)
        assert held is None or not held.chosen
        assert found.log.watermark == found.state.slot


def test_learner_mark_holds_until_it_is_taken_back() -> None:
    assert recover([SegmentHead(1, FIRST, 0, False), LearnerMark(True)]).learner
    assert not recover([SegmentHead(1, FIRST, 0, True), LearnerMark(True), LearnerMark(False)]).learner
    assert recover([LearnerMark(False)], learner=True).learner
