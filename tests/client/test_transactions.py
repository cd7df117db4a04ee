"""How a transaction ends: outcomes, refusals, silence, duplicates, resets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from consensus.client import lane
from consensus.client.bank import BankClient
from consensus.client.errors import ClientError
from consensus.client.results import TxResult
from consensus.messages.client import Leads, Open, Refusal, Refused, Status, Submit, WhoLeads
from consensus.types import Ballot, TxId
from tests.client.fake_node import FakeBank, FakeNode, start_fake_bank, until


def refusing(reason: Refusal, times: int, **fields: Any) -> Any:
    """A script that refuses the first ``times`` submits."""
    left = [times]

    def script(node: FakeNode, message: Any) -> list[Any] | None:
        if isinstance(message, Submit) and left[0] > 0:
            left[0] -= 1
            return [Refused(message.session, [i.number for i in message.items], reason, **fields)]
        return None

    return script


async def test_committed(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    result = await client.transfer(1, 2, 1)
    assert (result.outcome, result.reason, result.kind) == ("committed", None, "intra")
    assert result.positions == [{"cluster": 1, "ballot": [1, 1], "slot": 1, "index": 0}]
    assert result.accounts == {1: {"version": 1, "balance": 9}, 2: {"version": 1, "balance": 11}}
    assert result.to_json()["accounts"]["2"] == {"version": 1, "balance": 11}
    assert bank.nodes[1].submits()[0].items[0].legs == (1, -1, 2, 1)


async def test_aborted_keeps_the_reason_of_the_log(bank: FakeBank, connect: Any) -> None:
    def script(node: FakeNode, message: Any) -> list[Any] | None:
        if isinstance(message, Submit):
            return [node.commit(message, [message.items[0].number], Status.INSUFFICIENT_FUNDS)]
        return None

    bank.nodes[1].script = script
    client = await connect(bank)
    result = await client.transfer(1, 2, 1)
    assert (result.outcome, result.reason, result.final) == ("aborted", "insufficient_funds", True)


async def test_one_turn_of_the_loop_is_one_message(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    results: list[TxResult] = []
    for i in range(50):
        client.submit_nowait((i + 1, -1, i + 2, 1), results.append)
    await until(lambda: len(results) == 50)
    assert len(bank.nodes[1].submits()) == 1
    assert bank.nodes[1].numbers() == list(range(1, 51))


async def test_settled_below_passes_only_what_is_answered(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    held: list[Submit] = []

    def hold_the_second(node: FakeNode, message: Any) -> list[Any] | None:
        if isinstance(message, Submit) and message.items[0].number == 2 and not held:
            held.append(message)
            return []
        return None

    bank.nodes[1].script = hold_the_second
    await client.transfer(1, 2, 1)
    stuck = asyncio.create_task(client.transfer(3, 4, 1))
    await until(lambda: held)
    await client.transfer(5, 6, 1)
    await client.transfer(5, 6, 1)
    assert [s.settled_below for s in bank.nodes[1].submits()] == [1, 2, 2, 2]
    await bank.nodes[1].say(bank.nodes[1].commit(held[0], [2]))
    assert (await stuck).outcome == "committed"
    await client.transfer(5, 6, 1)
    assert bank.nodes[1].submits()[-1].settled_below == 5


@pytest.mark.parametrize(
    "reason", [Refusal.OVERLOADED, Refusal.UNAVAILABLE, Refusal.MIGRATING, Refusal.WRONG_OWNER]
)
async def test_refused_is_sent_again_under_the_same_id(bank: FakeBank, connect: Any, reason: Refusal) -> None:
    bank.nodes[1].script = refusing(reason, 3, retry_after_ms=5)
    client = await connect(bank)
    result = await client.transfer(1, 2, 1)
    assert result.outcome == "committed"
    assert bank.nodes[1].numbers() == [1, 1, 1, 1]


async def test_a_refusal_that_names_the_new_owner_is_followed_at_once(
    connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = await start_fake_bank(clusters=2)
    # Who waits is still waiting at the deadline.
    monkeypatch.setattr(lane, "RETRY_MAX_S", 60.0)
    try:
        hints = {"retry_after_ms": 60_000, "owners": (1, 2, 1, 2, 2, 1)}
        bank.nodes[1].script = refusing(Refusal.WRONG_OWNER, 1, **hints)
        client = await connect(bank)
        assert (await client.transfer(1, 2, 1)).outcome == "committed"
        assert (len(bank.nodes[1].submits()), len(bank.nodes[4].submits())) == (1, 1)
        assert (await client.transfer(2, 1, 1)).outcome == "committed"
        assert len(bank.nodes[1].submits()) == 1, "the other hint was taken in, too"
    finally:
        await bank.stop()


async def test_refused_to_the_end_reports_the_last_refusal(bank: FakeBank, connect: Any) -> None:
    bank.nodes[1].script = refusing(Refusal.OVERLOADED, 10_000, retry_after_ms=5)
    client = await connect(bank)
    result = await client.transfer(1, 2, 1, deadline_s=0.2)
    assert (result.outcome, result.reason, result.final) == ("refused", "overloaded", False)
    # Nothing of it can happen any more, so its number does not hold the others back.
    bank.nodes[1].script = None
    await client.transfer(1, 2, 1)
    assert bank.nodes[1].submits()[-1].settled_below == 2


async def test_unsupported_is_not_tried_again(bank: FakeBank, connect: Any) -> None:
    bank.nodes[1].script = refusing(Refusal.UNSUPPORTED, 1)
    client = await connect(bank)
    assert (await client.transfer(1, 2, 1)).reason == "unsupported"
    assert bank.nodes[1].numbers() == [1]


async def test_never_sent_is_refused_not_unknown(bank: FakeBank, connect: Any) -> None:
    for node in bank.nodes.values():
        await node.stop()
    client = await connect(bank, ready=False)
    result = await client.transfer(1, 2, 1, deadline_s=0.2)
    assert (result.outcome, result.reason) == ("refused", "unavailable")


async def test_silence_ends_unknown_and_holds_the_number(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    for node in bank.nodes.values():
        node.silent = True
    result = await client.transfer(1, 2, 1, deadline_s=1.5)
    assert (result.outcome, result.final) == ("unknown", False)
    assert len(bank.nodes[1].numbers()) >= 2, "sent again while unanswered"
    assert set(bank.nodes[1].numbers()) == {1}
    for node in bank.nodes.values():
        node.silent = False
    await client.transfer(1, 2, 1)
    assert bank.nodes[1].submits()[-1].settled_below == 1


async def test_a_refusal_after_silence_stays_unknown(bank: FakeBank, connect: Any) -> None:
    copies: list[Submit] = []

    def first_unheard_then_refused(node: FakeNode, message: Any) -> list[Any] | None:
        if not isinstance(message, Submit):
            return None
        copies.append(message)
        if len(copies) == 1:
            return []
        return [Refused(message.session, [1], Refusal.OVERLOADED, retry_after_ms=5)]

    bank.nodes[1].script = first_unheard_then_refused
    client = await connect(bank)
    result = await client.transfer(1, 2, 1, deadline_s=1.5)
    assert len(copies) > 1
    assert (result.outcome, result.reason) == ("unknown", "overloaded")


async def test_duplicate_answers_count_once(bank: FakeBank, connect: Any) -> None:
    def twice(node: FakeNode, message: Any) -> list[Any] | None:
        if isinstance(message, Submit):
            reply = node.commit(message, [i.number for i in message.items])
            return [reply, reply]
        return None

    bank.nodes[1].script = twice
    client = await connect(bank)
    results: list[TxResult] = []
    client.submit_nowait((1, -1, 2, 1), results.append)
    client.submit_nowait((3, -1, 4, 1), results.append)
    await until(lambda: len(results) == 2)
    assert (await client.transfer(5, 6, 1)).outcome == "committed"
    assert [result.id.number for result in results] == [1, 2]


async def test_redirect_is_followed(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    bank.elect(2)
    result = await client.transfer(1, 2, 1)
    assert result.outcome == "committed"
    assert result.positions[0]["ballot"] == [2, 2]
    assert client.leaders == {1: 2}


async def test_two_stale_nodes_do_not_send_the_client_to_and_fro(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    bank.elect(3, among=(3,))
    bank.nodes[1].leader, bank.nodes[2].leader = 2, 1
    result = await client.transfer(1, 2, 1)
    assert (result.outcome, client.leaders) == ("committed", {1: 3})
    assert len(bank.nodes[1].numbers()) + len(bank.nodes[2].numbers()) < 10


async def test_leads_push_moves_what_is_outstanding(
    bank: FakeBank, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "RESEND_S", 60.0)
    client = await connect(bank)
    bank.nodes[1].script = lambda node, message: []
    pending = asyncio.create_task(client.transfer(1, 2, 1))
    await until(bank.nodes[1].submits)
    bank.elect(3)
    await bank.nodes[1].say(Leads(1, Ballot(2, 3), 3))
    assert (await pending).outcome == "committed"
    assert bank.nodes[3].numbers() == [1]


async def test_old_news_of_a_leader_is_ignored(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    bank.elect(2, in_round=5)
    await bank.nodes[1].say(Leads(1, Ballot(5, 2), 2))
    await until(lambda: client.leaders == {1: 2})
    await bank.nodes[1].say(Leads(1, Ballot(4, 3), 3))
    assert (await client.transfer(1, 2, 1)).outcome == "committed"
    assert client.leaders == {1: 2}


async def test_silent_leader_is_replaced_by_probing(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    bank.nodes[1].silent = True
    bank.elect(2, among=(2, 3))
    result = await client.transfer(1, 2, 1)
    assert result.outcome == "committed"
    assert any(isinstance(message, WhoLeads) for message in bank.nodes[3].heard)


async def test_a_slow_leader_is_asked_before_the_others_are_bothered(
    bank: FakeBank, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "DEAF_S", 60.0)
    client = await connect(bank)
    bank.nodes[1].script = lambda node, message: [] if isinstance(message, Submit) else None
    before = sum(isinstance(message, WhoLeads) for message in bank.nodes[1].heard)
    await client.transfer(1, 2, 1, deadline_s=1.5)
    assert sum(isinstance(message, WhoLeads) for message in bank.nodes[1].heard) > before
    assert not bank.nodes[2].hellos
    assert not bank.nodes[3].hellos


async def test_a_leader_that_lost_and_won_gets_everything_again(
    bank: FakeBank, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "RESEND_S", 60.0)
    client = await connect(bank)
    bank.nodes[1].script = lambda node, message: []
    pending = asyncio.create_task(client.transfer(1, 2, 1))
    await until(bank.nodes[1].submits)
    bank.nodes[1].script = None
    bank.elect(1, in_round=3)
    await bank.nodes[1].say(Leads(1, Ballot(3, 1), 1))
    assert (await pending).outcome == "committed"


async def test_a_leader_that_talks_gets_more_time(
    bank: FakeBank, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "PATIENCE_S", 60.0)
    client = await connect(bank)

    def holds_the_first(node: FakeNode, message: Any) -> list[Any] | None:
        if not isinstance(message, Submit):
            return None
        return [node.commit(message, [item.number for item in message.items if item.number != 1])]

    bank.nodes[1].script = holds_the_first
    stuck = asyncio.create_task(client.transfer(1, 2, 1, deadline_s=0.6))
    await until(bank.nodes[1].submits)
    while not stuck.done():
        await client.transfer(3, 4, 1)
    assert bank.nodes[1].numbers().count(1) == 1


async def test_dead_leader_is_replaced(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    await bank.nodes[1].stop()
    bank.elect(3, among=(2, 3))
    assert (await client.transfer(1, 2, 1)).outcome == "committed"
    assert client.leaders == {1: 3}


async def test_leader_that_comes_back_gets_what_was_outstanding(
    bank: FakeBank, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "RESEND_S", 60.0)
    client = await connect(bank)
    bank.nodes[1].silent = True
    pending = asyncio.create_task(client.transfer(1, 2, 1))
    await until(bank.nodes[1].submits)
    await bank.nodes[1].stop()
    bank.nodes[1].silent = False
    await bank.nodes[1].start()
    assert (await pending).outcome == "committed"
    assert set(bank.nodes[1].numbers()) == {1}


async def test_new_incarnation_makes_everything_outstanding_unknown(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    before = next(m for m in bank.nodes[1].heard if isinstance(m, Open)).session
    bank.nodes[1].script = lambda node, message: [] if isinstance(message, Submit) else None
    pending = asyncio.create_task(client.transfer(1, 2, 1))
    await until(bank.nodes[1].submits)
    bank.nodes[1].script = None
    bank.reset()
    await bank.nodes[1].say(Leads(1, Ballot(1, 1), 1))
    assert (await pending).outcome == "unknown"
    assert (await client.transfer(1, 2, 1)).outcome == "committed"
    last = bank.nodes[1].submits()[-1]
    assert last.session != before, "numbers of the old life mean nothing in the new one"
    assert (last.settled_below, last.items[0].number) == (1, 1)


async def test_frames_of_an_earlier_incarnation_are_ignored(bank: FakeBank, connect: Any) -> None:
    bank.nodes[1].incarnation = 2
    client = await connect(bank)
    assert client.incarnation == 2
    bank.nodes[1].script = lambda node, message: [] if isinstance(message, Submit) else None
    pending = asyncio.create_task(client.transfer(1, 2, 1, deadline_s=0.3))
    await until(bank.nodes[1].submits)
    bank.nodes[1].incarnation = 1
    await bank.nodes[1].say(bank.nodes[1].commit(bank.nodes[1].submits()[0], [1]))
    assert (await pending).outcome == "unknown"


async def test_a_forgotten_session_is_never_opened_again(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    bank.nodes[1].script = refusing(Refusal.SESSION_UNKNOWN, 1)
    first = await client.transfer(1, 2, 1)
    assert (first.outcome, first.reason) == ("refused", "session_unknown")
    assert (await client.transfer(1, 2, 1)).outcome == "committed"
    sessions = [submit.session for submit in bank.nodes[1].submits()]
    assert sessions[0] != sessions[1]
    opened = [message.session for message in bank.nodes[1].heard if isinstance(message, Open)]
    assert opened.count(sessions[0]) == 1


async def test_a_late_copy_of_what_is_answered_costs_no_session(bank: FakeBank, connect: Any) -> None:
    """A resent copy meets a leader that knows its number as settled; the session itself is fine."""
    client = await connect(bank)
    first = await client.transfer(1, 2, 1)
    await bank.nodes[1].say(Refused(first.id.session, [first.id.number], Refusal.SESSION_EXPIRED))
    # Its answer comes on the same connection, behind the refusal.
    await client.transfer(1, 2, 1)
    third = await client.transfer(1, 2, 1)
    assert (third.outcome, third.id.session) == ("committed", first.id.session)
    assert third.id.number == first.id.number + 2


async def test_accounts_of_two_clusters(connect: Any) -> None:
    bank = await start_fake_bank(2)
    try:
        client = await connect(bank)
        result = await client.submit([(1, 3), (150, -3)])
        assert result.clusters == (2, 1), "the cluster of the first debited leg coordinates"
        assert result.kind == "cross"
        assert (await client.transfer(150, 151, 1)).clusters == (2,)
        assert bank.nodes[4].numbers() == [1, 2]
        assert bank.nodes[1].numbers() == []
    finally:
        await bank.stop()


async def test_an_account_that_nobody_owns_goes_where_the_other_one_lives(connect: Any) -> None:
    bank = await start_fake_bank(2)
    try:
        client = await connect(bank)
        assert (await client.transfer(9_999, 150, 1)).clusters == (2,)
        assert (await client.transfer(-5, 9_999, 1)).clusters == (1,)
    finally:
        await bank.stop()


@pytest.mark.parametrize(
    "legs",
    [
        [],
        [(1, 2, 3)],
        [(1, "2")],
        [(1, 1.0), (2, -1)],
        [(1, True), (2, -1)],
        [(1, 2**63), (2, 1)],
        [1, 2, 3],
        [(1, 1)] * 17,
    ],
)
async def test_what_cannot_be_sent_is_said_at_once(bank: FakeBank, connect: Any, legs: Any) -> None:
    client = await connect(bank)
    with pytest.raises(ValueError, match=r"^legs: "):
        await client.submit(legs)
    assert not bank.nodes[1].submits()


async def test_a_reserved_id_can_be_used_once(bank: FakeBank, connect: Any) -> None:
    client: BankClient = await connect(bank)
    tx_id = client.new_tx_id()
    await client.transfer(1, 2, 1)
    assert bank.nodes[1].submits()[-1].settled_below == tx_id.number, "a reserved number is open"
    result = await client.transfer(1, 2, 1, tx_id=tx_id)
    assert (result.outcome, result.id) == ("committed", tx_id)
    await client.transfer(1, 2, 1)
    assert bank.nodes[1].submits()[-1].settled_below == 3
    for used in (tx_id, TxId(bytes(16), 1)):
        with pytest.raises(ClientError, match="not an unused id"):
            await client.transfer(1, 2, 1, tx_id=used)
    dropped = client.new_tx_id()
    client.drop_tx_id(dropped)
    await client.transfer(1, 2, 1)
    assert bank.nodes[1].submits()[-1].settled_below == dropped.number + 1


async def test_a_failing_callback_does_not_stop_the_others(
    bank: FakeBank, connect: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client = await connect(bank)
    results: list[TxResult] = []

    def fails(result: TxResult) -> None:
        raise RuntimeError("on purpose")

    client.submit_nowait((1, -1, 2, 1), fails)
    client.submit_nowait((1, -1, 2, 1), results.append)
    await until(lambda: results)
    assert "on purpose" in caplog.text


async def test_close_ends_what_is_outstanding(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    bank.nodes[1].silent = True
    sent = asyncio.create_task(client.transfer(1, 2, 1))
    await until(bank.nodes[1].submits)
    await client.close()
    assert (await sent).outcome == "unknown"
    with pytest.raises(ClientError, match="closed"):
        await client.transfer(1, 2, 1)


async def test_before_start(bank: FakeBank) -> None:
    client = BankClient(bank.topology, "")
    with pytest.raises(ClientError, match="not started"):
        await client.transfer(1, 2, 1)
