"""Read-index: which heartbeat round vouches for a read, and when it may be evaluated."""

from __future__ import annotations

from consensus.paxos.readindex import ReadIndex


def test_a_read_joins_only_a_round_started_after_it_arrived() -> None:
    """Defect 33: acknowledgements of an earlier round say nothing about what was chosen before the read."""
    reads = ReadIndex()
    reads.start(1)
    reads.add(0, "late for round 1")
    assert reads.ready(confirmed=1, applied=9) == []
    reads.start(2)
    assert reads.ready(confirmed=1, applied=9) == []
    assert reads.ready(confirmed=2, applied=9) == ["late for round 1"]


def test_a_read_is_ready_when_its_round_is_confirmed_and_its_index_applied() -> None:
    reads = ReadIndex()
    reads.add(5, "read")
    reads.start(3)
    assert reads.ready(confirmed=2, applied=5) == []
    assert reads.ready(confirmed=3, applied=4) == []
    assert reads.ready(confirmed=3, applied=5) == ["read"]
    assert reads.ready(confirmed=3, applied=5) == [], "answered once"


def test_a_later_round_confirms_the_earlier_ones() -> None:
    reads = ReadIndex()
    reads.add(1, "first")
    reads.start(1)
    reads.add(2, "second")
    reads.start(2)
    assert reads.ready(confirmed=7, applied=2) == ["first", "second"]


def test_a_round_waits_for_the_highest_index_among_its_reads() -> None:
    reads = ReadIndex()
    reads.add(1, "a")
    reads.add(4, "b")
    reads.start(1)
    assert reads.ready(confirmed=1, applied=3) == []
    assert reads.ready(confirmed=1, applied=4) == ["a", "b"]


def test_reads_of_an_unconfirmed_round_do_not_leave_with_those_before() -> None:
    reads = ReadIndex()
    reads.add(1, "first")
    reads.start(1)
    reads.add(1, "second")
    reads.start(2)
    assert reads.ready(confirmed=1, applied=1) == ["first"]
    assert len(reads) == 1


def test_a_round_nobody_waits_for_is_not_remembered() -> None:
    reads = ReadIndex()
    reads.start(1)
    assert not reads.round_open
    reads.add(0, "read")
    assert not reads.round_open, "it waits for a round that has yet to start"
    reads.start(2)
    assert reads.round_open
    reads.ready(confirmed=2, applied=0)
    assert not reads.round_open


def test_all_unanswered_reads_are_handed_back_in_order_when_the_leadership_ends() -> None:
    reads = ReadIndex()
    for number in (1, 2):
        reads.add(0, f"round {number}")
        reads.start(number)
    reads.add(0, "waiting")
    assert len(reads) == 3
    assert reads.drain() == ["round 1", "round 2", "waiting"]
    assert len(reads) == 0 and not reads.round_open and not reads.waiting
    assert reads.ready(confirmed=9, applied=9) == []
