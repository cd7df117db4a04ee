"""While somebody watches: of which transactions a replica tells."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from consensus.messages.client import Submit
from consensus.messages.entries import Item
from consensus.paxos.context import TOGETHER, Context, in_sample
from consensus.simulation.config import topology_of
from consensus.types import KEPT_PREFIX, TxId
from tests.replica.leading import ALICE, Leading, pay

KEPT = KEPT_PREFIX.ljust(16, b"k")
TOPOLOGY = topology_of(nodes=3, accounts=10, balance=100, clusters=3)
COUNT = 64
NONE = 1 << 30
"""A sample so small that nothing of a test is in it."""


def told(node: Leading, session: bytes, kind: str) -> list[int]:
    """Numbers of the session's transactions that events of ``kind`` speak of."""
    prefix = f"{session.hex()}-"
    return [
        int(event.fields["tx"].removeprefix(prefix))
        for event in node.events
        if event.kind == kind and event.fields["tx"].startswith(prefix)
    ]


def run(every: int, *, level: int = 1, amount: int = 1, slots: bool = True) -> Leading:
    """Each of two sessions pays ``COUNT`` times, while events of each ``every``th one are wanted."""
    node = Leading(sessions=(ALICE, KEPT))
    node.replica.trace_level = level
    node.replica.sample(every, slots)
    for session in (ALICE, KEPT):
        node.ask(Submit(session, 0, [Item(number, pay(1, 2, amount)) for number in range(COUNT)]))
    return node


def test_of_the_sample_and_of_what_is_kept() -> None:
    node = run(8)
    wanted = [number for number in range(COUNT) if in_sample(ALICE, number, 8)]
    assert len(wanted) == COUNT // 8
    assert told(node, ALICE, "tx.submit") == told(node, ALICE, "tx.apply") == wanted
    assert told(node, KEPT, "tx.submit") == list(range(COUNT))
    assert told(node, KEPT, "tx.apply") == list(range(COUNT)), (
        "some for want of money, and told of all the same"
    )


def test_every_abort_is_told_of() -> None:
    node = run(NONE, amount=101)
    assert told(node, ALICE, "tx.submit") == []
    assert told(node, ALICE, "tx.apply") == list(range(COUNT))


def test_nothing_but_what_is_kept_while_no_page_is_open() -> None:
    node = run(1, level=0)
    assert told(node, ALICE, "tx.submit") == told(node, ALICE, "tx.apply") == []
    assert told(node, KEPT, "tx.apply") == list(range(COUNT))


def test_all_of_it_is_counted() -> None:
    assert run(NONE).replica.ctx.outcomes_applied == 2 * COUNT


@given(
    st.binary(min_size=16, max_size=16),
    st.lists(st.integers(0, 2**62), max_size=3) | st.integers(0, 2**62).map(lambda n: range(n, n + 300)),
    st.integers(0, 3) | st.integers(4, 20),
)
def test_a_batch_is_looked_at_as_its_transactions_are(
    session: bytes, numbers: Sequence[int], log_every: int
) -> None:
    ctx = Context(1, TOPOLOGY, 0)
    ctx.trace_level = 1
    ctx.sample_every = 1 << log_every
    wanted = [place for place, number in enumerate(numbers) if ctx.traces_tx(session, number)]
    assert ctx.sampled(session, numbers) == wanted
    rows = [TxId(session, number) for number in numbers]
    assert ctx.traced_rows(rows) == [rows[place] for place in wanted]
    if isinstance(numbers, range) and not session.startswith(KEPT_PREFIX):
        whole = len(numbers) // (TOGETHER << log_every) * TOGETHER
        assert len(wanted) - whole in range(TOGETHER + 1), "spread evenly"


def test_rows_of_several_sessions_are_looked_at_each_for_itself() -> None:
    ctx = Context(1, TOPOLOGY, 0)
    rows = [TxId(session, number) for number in range(COUNT) for session in (ALICE, KEPT)]
    for level in (0, 1):
        ctx.trace_level, ctx.sample_every = level, 8
        assert ctx.traced_rows(rows) == [row for row in rows if ctx.traces_tx(*row)]
    assert ctx.traced_rows([]) == []


def test_neighbours_are_in_a_sample_together() -> None:
    taken = [number for number in range(COUNT) if in_sample(ALICE, number, 8)]
    begins = [number for number in taken if number - 1 not in taken]
    assert len(taken) == COUNT // 8 and len(begins) <= COUNT // 8 // 4 + 1, "so that few slots hold them"


def test_a_slot_is_told_of_where_every_one_is_or_something_of_it_is() -> None:
    def applied(node: Leading) -> list[int]:
        return [event.fields["s"] for event in node.events if event.kind == "paxos.applied"]

    every = applied(run(NONE))
    some = applied(run(NONE, slots=False))
    assert len(some) == 1 and set(some) < set(every), "the one with what is kept"


def test_the_leader_marks_slots_of_which_something_is_wanted() -> None:
    def marks(node: Leading, session: bytes) -> set[bool]:
        return {
            accept.traced for accept in node.proposed if session in accept.value and len(accept.value) > 200
        }

    none = run(NONE, slots=False)
    assert (marks(none, ALICE), marks(none, KEPT)) == ({False}, {True})
    sampled = run(8, slots=False)
    assert (marks(sampled, ALICE), marks(sampled, KEPT)) == ({True}, {True})
    unwatched = run(1, level=-1, slots=False)
    assert (marks(unwatched, ALICE), marks(unwatched, KEPT)) == ({False}, {True}), "others may be watched"
