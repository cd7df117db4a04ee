"""Requests that no client library sends: whatever numbers they hold, a leader answers or ignores them."""

from __future__ import annotations

from typing import Any, get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from consensus import codec
from consensus.bank.state import BankState
from consensus.messages.client import ClientRequest, Open, Read, ReadItem, ResolveRequest, Submit
from consensus.messages.entries import Item
from consensus.messages.rows import decode_rows, encode_rows
from tests.bank.batches import rows_of
from tests.replica.leading import ALICE, BOB, Leading, pay
from tests.test_codec import values_of

MONEY = 1_000
NUMBER = (
    st.integers(-2, 40)
    | st.integers(-(2**63), 2**64 - 1)
    | st.sampled_from((2**53, 2**63 - 1, 2**63, -(2**63)))
)
SESSION = st.sampled_from((ALICE, ALICE, BOB, b"", b"x", bytes(17)))
NUMBERS = st.lists(NUMBER, max_size=6)
NEAR = st.integers(0, 99)
DELTA = st.integers(-120, 120) | st.integers(-120, 120) | NUMBER
LEGS = (
    NUMBERS.map(tuple)
    | st.tuples(st.integers(1, 11), st.integers(1, 10), DELTA).map(lambda drawn: pay(*drawn))
    | st.lists(st.tuples(st.integers(1, 11), DELTA), min_size=2, max_size=3).map(
        lambda pairs: tuple(sum(pairs, ()))
    )
)
CONDITIONS = st.just(()) | NUMBERS.map(tuple)
ITEM = st.builds(Item, NEAR | NEAR | NEAR | NUMBER, LEGS, CONDITIONS, st.just(0) | st.just(0) | NUMBER)
READ = st.builds(
    ReadItem, NUMBER, NUMBERS.map(tuple), NUMBER, NUMBER, NUMBERS.map(tuple), st.integers(0, 100) | NUMBER
)
REQUEST: st.SearchStrategy[Any] = (
    st.builds(Open, SESSION)
    | st.builds(Submit, SESSION, NUMBER, st.lists(ITEM, max_size=3))
    | st.builds(Submit, st.just(ALICE), st.just(0), st.lists(ITEM, min_size=1, max_size=4))
    | st.builds(Read, st.lists(READ, max_size=3))
    | st.builds(ResolveRequest, SESSION, NUMBERS, NUMBERS.map(tuple))
    | st.one_of([values_of(kind) for kind in get_args(ClientRequest)])
)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(frames=st.lists(st.lists(REQUEST, min_size=1, max_size=3), max_size=8), waits=st.booleans())
def test_any_request_is_answered_or_ignored(frames: list[list[Any]], waits: bool) -> None:
    leading = Leading()
    for frame in frames:
        # As it comes over the wire: what cannot be encoded is no request.
        _, messages = codec.decode_frame(codec.frame(1, map(codec.encode, frame), len(frame)))
        leading.ask(*messages)
        if waits:
            leading.wait(20)
    for _, message in leading.replies:
        codec.encode(message)
    state = leading.replica.machine.state
    held = sum(state.cross.undo.values())  # the other clusters never vote
    assert sum(account.balance for account in state.accounts.values()) - held == MONEY
    assert min(account.balance for account in state.accounts.values()) >= 0
    again = BankState.restore(decode_rows(encode_rows(rows_of(state))))
    assert again.digest() == state.digest()
    # And it goes on: a client that behaves is served.
    leading.wait(5_000)
    leading.ask(Open(b"z" * 16))
    leading.replies.clear()
    leading.submit(Item(1, pay(1, 1, 1)), Item(2, pay(9, 10, 0)), session=b"z" * 16)
    assert leading.outcomes().keys() | leading.refusals().keys() >= {1, 2}
