"""While somebody watches: of which transactions a replica tells."""

from __future__ import annotations

from consensus.messages.client import Submit
from consensus.messages.entries import Item
from consensus.paxos.context import SAMPLE_ALL, sample_place
from consensus.types import KEPT_PREFIX, TxId
from tests.replica.leading import ALICE, Leading, pay

KEPT = KEPT_PREFIX.ljust(16, b"k")
COUNT = 64


def told(node: Leading, session: bytes, kind: str) -> list[int]:
    """Numbers of the session's transactions that events of ``kind`` speak of."""
    prefix = f"{session.hex()}-"
    return [
        int(event.fields["tx"].removeprefix(prefix))
        for event in node.events
        if event.kind == kind and event.fields["tx"].startswith(prefix)
    ]


def run(below: int, *, level: int = 1, amount: int = 1, slots: bool = True) -> Leading:
    """Each of two sessions pays ``COUNT`` times, while events of the sample ``below`` are wanted."""
    node = Leading(sessions=(ALICE, KEPT))
    node.replica.trace_level = level
    node.replica.sample(below, slots)
    for session in (ALICE, KEPT):
        node.ask(Submit(session, 0, [Item(number, pay(1, 2, amount)) for number in range(COUNT)]))
    return node


def test_of_the_sample_and_of_what_is_kept() -> None:
    below = SAMPLE_ALL // 8
    node = run(below)
    wanted = [number for number in range(COUNT) if sample_place(ALICE, number) < below]
    assert 4 <= len(wanted) <= 12, "about an eighth"
    assert told(node, ALICE, "tx.submit") == told(node, ALICE, "tx.apply") == wanted
    assert told(node, KEPT, "tx.submit") == list(range(COUNT))
    assert told(node, KEPT, "tx.apply") == list(range(COUNT)), (
        "some for want of money, and told of all the same"
    )


def test_every_abort_is_told_of() -> None:
    node = run(0, amount=101)
    assert told(node, ALICE, "tx.submit") == []
    assert told(node, ALICE, "tx.apply") == list(range(COUNT))


def test_nothing_but_what_is_kept_while_no_page_is_open() -> None:
    node = run(SAMPLE_ALL, level=0)
    assert told(node, ALICE, "tx.submit") == told(node, ALICE, "tx.apply") == []
    assert told(node, KEPT, "tx.apply") == list(range(COUNT))


def test_all_of_it_is_counted() -> None:
    assert run(0).replica.ctx.outcomes_applied == 2 * COUNT


def test_numbers_of_a_session_are_spread_evenly() -> None:
    session = TxId(ALICE, 0).session
    for share in (2, 16, 128):
        count = sum(sample_place(session, number) < SAMPLE_ALL // share for number in range(12_800))
        assert abs(count - 12_800 / share) <= 4


def test_a_slot_is_told_of_where_every_one_is_or_something_of_it_is() -> None:
    def applied(node: Leading) -> list[int]:
        return [event.fields["s"] for event in node.events if event.kind == "paxos.applied"]

    every = applied(run(0))
    some = applied(run(0, slots=False))
    assert len(some) == 1 and set(some) < set(every), "the one with what is kept"


def test_the_leader_marks_slots_of_which_something_is_wanted() -> None:
    def marks(node: Leading, session: bytes) -> set[bool]:
        return {
            accept.traced for accept in node.proposed if session in accept.value and len(accept.value) > 200
        }

    none = run(0, slots=False)
    assert (marks(none, ALICE), marks(none, KEPT)) == ({False}, {True})
    sampled = run(SAMPLE_ALL // 8, slots=False)
    assert (marks(sampled, ALICE), marks(sampled, KEPT)) == ({True}, {True})
    unwatched = run(SAMPLE_ALL, level=-1, slots=False)
    assert (marks(unwatched, ALICE), marks(unwatched, KEPT)) == ({False}, {True}), "others may be watched"
