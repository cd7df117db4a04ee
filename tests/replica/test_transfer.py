"""State transfer between two nodes, message by message: repeated, restarted, damaged, abandoned."""

from __future__ import annotations

import pytest

from consensus.bank.machine import Machine
from consensus.bank.state import BankState
from consensus.effects import Outputs
from consensus.messages.entries import Batch, Item, OpenSession, Transact
from consensus.messages.paxos import StateChunk, StateRequest
from consensus.paxos.context import Context
from consensus.replica import transfer as transfer_module
from consensus.replica.transfer import SEND_IDLE_US, SENDS_MAX, Transfer
from consensus.simulation.config import topology_of
from consensus.types import Ballot, NodeId

TOPOLOGY = topology_of(nodes=5, accounts=400, balance=100)
ALICE = b"a" * 16


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer_module, "CHUNK_STREAM_BYTES", 400)
    monkeypatch.setattr(transfer_module, "BLOCK_ROWS", 37)


class End:
    """One node's end of transfers."""

    def __init__(self, node: NodeId) -> None:
        self.ctx = Context(node, TOPOLOGY, seed=node)
        self.ctx.now_us = 1_000_000
        self.transfer = Transfer(self.ctx)
        self.marks: list[str] = []

    def sent(self) -> list[tuple[tuple[NodeId, ...], StateRequest | StateChunk]]:
        sends = self.ctx.out.sends
        self.marks += [event.fields["text"] for event in self.ctx.out.events]
        self.ctx.out = Outputs()
        return [
            (send.to, send.message) for send in sends if isinstance(send.message, StateRequest | StateChunk)
        ]

    def chunk(self, sender: NodeId, request: StateRequest, state: BankState) -> StateChunk:
        """The answer to a request."""
        self.transfer.on_request(sender, request, state)
        ((to, message),) = self.sent()
        assert to == (sender,) and isinstance(message, StateChunk)
        return message

    def request(self) -> StateRequest:
        """The one thing asked since the last look."""
        ((_, message),) = self.sent()
        assert isinstance(message, StateRequest)
        return message


class Bank:
    """A state that goes on changing."""

    def __init__(self) -> None:
        self.machine = Machine(BankState.genesis(400, 1, 400, 100), 1)
        self.number = 0
        self.apply(OpenSession(ALICE))

    @property
    def state(self) -> BankState:
        return self.machine.state

    def apply(self, *entries: OpenSession | Transact) -> None:
        self.machine.apply(self.state.slot + 1, Batch(Ballot(1, 1), 0, list(entries)))

    def pay(self) -> None:
        legs = (1 + self.number % 400, -1, 1 + (self.number + 200) % 400, 1)
        self.apply(Transact(ALICE, 0, [Item(self.number, legs)]))
        self.number += 7


def take_over(source: End, taker: End, bank: Bank) -> BankState:
    """Hand chunks over until the state is whole; the source's state changes meanwhile."""
    for _ in range(1_000):
        state = taker.transfer.on_chunk(
            source.ctx.me, source.chunk(taker.ctx.me, taker.request(), bank.state)
        )
        if state is not None:
            return state
        bank.pay()
    raise AssertionError("the transfer does not end")


def begun() -> tuple[End, End, Bank]:
    """Node 2 asks node 1 for its state."""
    source, taker, bank = End(1), End(2), Bank()
    taker.transfer.begin(1)
    return source, taker, bank


def test_the_state_is_the_one_of_the_first_request() -> None:
    source, taker, bank = begun()
    slot, digest = bank.state.slot, bank.state.digest()
    assert taker.transfer.active
    state = take_over(source, taker, bank)
    assert (state.slot, state.digest()) == (slot, digest) and bank.state.slot > slot + 10
    assert not taker.transfer.active and taker.sent() == []
    assert bank.state.captures == [], "nothing is held for it any more"


def test_a_chunk_that_got_lost_is_sent_again_as_it_was() -> None:
    source, taker, bank = begun()
    for _ in range(3):
        taker.transfer.on_chunk(1, source.chunk(2, taker.request(), bank.state))
    request = taker.request()
    lost = source.chunk(2, request, bank.state)
    bank.pay()
    taker.ctx.now_us = taker.transfer.retry_us
    taker.transfer.on_time()
    assert taker.request() == request
    assert source.chunk(2, request, bank.state) == lost
    taker.transfer.on_chunk(1, lost)
    digest = bank.state.digest()
    assert take_over(source, taker, bank).digest() != digest


def test_chunks_twice_out_of_turn_or_from_others_are_ignored() -> None:
    source, taker, bank = begun()
    first = source.chunk(2, taker.request(), bank.state)
    assert taker.transfer.on_chunk(3, first) is None and taker.sent() == []
    taker.transfer.on_chunk(1, first)
    second = taker.request()
    assert taker.transfer.on_chunk(1, first) is None and taker.sent() == []
    taker.transfer.on_chunk(1, StateChunk(first.slot, 5, True, b""))
    assert taker.sent() == []
    taker.transfer.on_chunk(1, source.chunk(2, second, bank.state))
    assert take_over(source, taker, bank).slot == first.slot


def test_no_chunk_is_taken_by_one_who_did_not_ask() -> None:
    source, _, bank = begun()
    taker = End(2)
    chunk = source.chunk(2, StateRequest(0, 0), bank.state)
    assert taker.transfer.on_chunk(1, chunk) is None and taker.sent() == []
    taker.transfer.begin(1)
    taker.transfer.stop()
    assert taker.transfer.on_chunk(1, chunk) is None and not taker.transfer.active


def test_a_source_that_started_anew_makes_the_taker_start_anew() -> None:
    source, taker, bank = begun()
    for _ in range(3):
        taker.transfer.on_chunk(1, source.chunk(2, taker.request(), bank.state))
        bank.pay()
    again = End(1)
    refused = again.chunk(2, taker.request(), bank.state)
    assert refused.slot == 0
    taker.transfer.on_chunk(1, refused)
    slot = bank.state.slot
    assert take_over(again, taker, bank).slot == slot


def test_asking_from_the_start_captures_anew() -> None:
    source, _, bank = begun()
    first = source.chunk(2, StateRequest(0, 0), bank.state)
    bank.pay()
    second = source.chunk(2, StateRequest(0, 0), bank.state)
    assert second.slot == first.slot + 1 and len(bank.state.captures) == 1
    assert source.chunk(2, StateRequest(first.slot, 1), bank.state).slot == 0, "of another slot"
    assert source.chunk(2, StateRequest(second.slot, 9), bank.state).slot == 0, "out of turn"


@pytest.mark.parametrize("at", [0, 3])
@pytest.mark.parametrize("flip", [True, False], ids=["flipped", "shortened"])
def test_a_damaged_state_is_not_believed_and_asked_for_again(at: int, flip: bool) -> None:
    source, taker, bank = begun()
    damaged = False
    for _ in range(200):
        chunk = source.chunk(2, taker.request(), bank.state)
        if chunk.index == at and not damaged:
            damaged = True
            rows = chunk.rows
            rows = rows[:40] + bytes([rows[40] ^ 1]) + rows[41:] if flip else rows[:-1]
            chunk = StateChunk(chunk.slot, chunk.index, chunk.last, rows)
        state = taker.transfer.on_chunk(1, chunk)
        if state is not None:
            break
    assert state is not None and state.digest() == bank.state.digest()
    taker.sent()
    assert len(taker.marks) == 1 and "damaged" in taker.marks[0], "and it is said"


def test_a_stream_that_ends_inside_a_block_is_not_believed() -> None:
    source, taker, bank = begun()
    chunk = source.chunk(2, taker.request(), bank.state)
    taker.transfer.on_chunk(1, StateChunk(chunk.slot, 0, True, chunk.rows))
    assert taker.request() == StateRequest(0, 0) and taker.transfer.active


def test_a_source_that_never_answers_is_left_for_another() -> None:
    taker = End(2)
    taker.transfer.begin(1)
    asked: list[tuple[NodeId, ...]] = [to for to, _ in taker.sent()]
    for _ in range(5):
        taker.ctx.now_us = taker.transfer.retry_us
        taker.transfer.on_time()
        asked += [to for to, _ in taker.sent()]
    assert asked == [(1,), (3,), (4,), (5,), (1,), (3,)]


def test_a_source_that_dies_in_the_middle_is_left_for_another() -> None:
    source, taker, bank = begun()
    for _ in range(3):
        taker.transfer.on_chunk(1, source.chunk(2, taker.request(), bank.state))
    taker.sent()
    asked: list[tuple[tuple[NodeId, ...], StateRequest | StateChunk]] = []
    while len(asked) < 50 and (not asked or asked[-1][0] == (1,)):
        taker.ctx.now_us = taker.transfer.retry_us
        taker.transfer.on_time()
        asked += taker.sent()
    assert asked[-1] == ((3,), StateRequest(0, 0)), "from the start, and from somebody else"
    assert len(asked) > 2, "not after the first silence"
    other = End(3)
    state = taker.transfer.on_chunk(3, other.chunk(2, StateRequest(0, 0), bank.state))
    assert state is None
    assert take_over(other, taker, bank).slot <= bank.state.slot


def test_a_node_serves_a_few_at_a_time_and_gives_up_on_the_idle() -> None:
    source, _, bank = begun()
    for node in range(2, 2 + SENDS_MAX):
        source.chunk(node, StateRequest(0, 0), bank.state)
    source.transfer.on_request(5, StateRequest(0, 0), bank.state)
    assert source.sent() == [] and len(bank.state.captures) == SENDS_MAX
    source.ctx.now_us += SEND_IDLE_US
    assert source.chunk(3, StateRequest(bank.state.slot, 1), bank.state).slot == bank.state.slot
    source.ctx.now_us += 1
    assert source.chunk(5, StateRequest(0, 0), bank.state).slot == bank.state.slot
    assert len(bank.state.captures) == SENDS_MAX, "node 2 was idle for too long, node 3 was not"
    assert source.chunk(2, StateRequest(bank.state.slot, 1), bank.state).slot == 0
