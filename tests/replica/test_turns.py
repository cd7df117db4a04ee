"""What comes in during one turn of a node's loop is taken together."""

from __future__ import annotations

from consensus.effects import Freeze, Requests, Together, Wake
from consensus.messages.client import Replies, Submit
from consensus.messages.entries import Item
from consensus.messages.paxos import Accept
from tests.replica.leading import ALICE, BOB, CONNECTION, Leading, pay


def submit(session: bytes, amount: int) -> Requests:
    """Account 1, which holds 100, pays account 2."""
    return Requests(CONNECTION, [Submit(session, 0, [Item(0, pay(1, 2, amount))])])


def proposed(node: Leading) -> list[Accept]:
    node.proposed.clear()
    return node.proposed


def outcomes(node: Leading) -> dict[bytes, list[int]]:
    return {reply.session: [outcome.status for outcome in reply.outcomes] for reply in node.told(Replies)}


def test_requests_of_a_turn_go_into_one_slot_and_are_run_in_order() -> None:
    node = Leading(sessions=(ALICE, BOB))
    accepts = proposed(node)
    node.feed(Together([submit(ALICE, 70), submit(BOB, 70)]))
    assert len({accept.slot for accept in accepts}) == 1
    told = outcomes(node)
    assert told[ALICE] == [0] and told[BOB] != [0], "only one of them finds the money, and that is the first"


def test_requests_of_a_turn_do_not_wait_for_a_wake() -> None:
    node = Leading()
    accepts = proposed(node)
    node.replica.step(node.now_us, submit(ALICE, 1))
    assert node.replica.wake_at_us <= node.now_us and not accepts
    node = Leading()
    out = node.replica.step(node.now_us, Together([submit(ALICE, 1)]))
    assert any(isinstance(send.message, Accept) for send in out.sends)
    assert node.replica.wake_at_us > node.now_us


def test_a_node_that_fails_in_a_turn_takes_what_came_before_and_not_what_came_after() -> None:
    node = Leading(sessions=(ALICE, BOB))
    accepts = proposed(node)
    node.feed(Together([submit(ALICE, 1), Freeze(), submit(BOB, 1)]))
    node.feed(Wake())
    assert not accepts, "a failed node proposes nothing"
    assert node.replica.queue.queued == 1
