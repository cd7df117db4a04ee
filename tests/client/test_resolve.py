"""Making unknown transactions final; sessions that cannot go on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from consensus.client import core, session
from consensus.client.bank import BankClient
from consensus.client.errors import ClientSaturatedError, UnknownTransactionError
from consensus.client.results import TxResult
from consensus.messages.client import Refusal, Refused, ResolveRequest, Status, Submit
from consensus.types import TxId
from tests.client.fake_node import FakeBank, FakeNode, until


async def unknown_transfer(bank: FakeBank, client: BankClient) -> TxResult:
    """A transfer that the node took and never answered."""
    bank.nodes[1].script = lambda node, message: [] if isinstance(message, Submit) else None
    result = await client.transfer(1, 2, 1, deadline_s=0.1)
    assert result.outcome == "unknown"
    bank.nodes[1].script = None
    return result


async def test_resolve_settles_the_number(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    lost = await unknown_transfer(bank, client)

    def resolving(node: FakeNode, message: Any) -> list[Any] | None:
        if isinstance(message, ResolveRequest):
            return [node.commit(message, message.numbers, Status.COORDINATOR_TIMEOUT)]
        return None

    bank.nodes[1].script = resolving
    result = await client.resolve(lost.id)
    assert (result.outcome, result.reason, result.final) == ("aborted", "coordinator_timeout", True)
    assert result.accounts == {1: {"version": 1, "balance": 9}, 2: {"version": 1, "balance": 11}}
    await client.transfer(1, 2, 1)
    assert bank.nodes[1].submits()[-1].settled_below == 2


async def test_resolve_asks_until_no_longer_in_doubt(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    lost = await unknown_transfer(bank, client)
    asked: list[ResolveRequest] = []

    def in_doubt_twice(node: FakeNode, message: Any) -> list[Any] | None:
        if not isinstance(message, ResolveRequest):
            return None
        asked.append(message)
        if len(asked) < 3:
            return [Refused(message.session, message.numbers, Refusal.IN_DOUBT)]
        return [node.commit(message, message.numbers)]

    bank.nodes[1].script = in_doubt_twice
    assert (await client.resolve(lost.id)).outcome == "committed"
    assert len(asked) == 3


async def test_resolve_of_two_callers_is_one_question(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    lost = await unknown_transfer(bank, client)
    bank.nodes[1].script = lambda node, m: (
        [node.commit(m, m.numbers)] if isinstance(m, ResolveRequest) else None
    )
    both = await asyncio.gather(client.resolve(lost.id), client.resolve(lost.id))
    assert [result.outcome for result in both] == ["committed", "committed"]
    assert sum(isinstance(message, ResolveRequest) for message in bank.nodes[1].heard) == 1


async def test_an_outcome_that_came_late_is_the_answer(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    lost = await unknown_transfer(bank, client)
    await bank.nodes[1].say(bank.nodes[1].commit(bank.nodes[1].submits()[0], [lost.id.number]))
    await client.transfer(3, 4, 1)
    assert (await client.resolve(lost.id)).outcome == "committed"
    assert not any(isinstance(message, ResolveRequest) for message in bank.nodes[1].heard)


async def test_resolve_without_an_answer_stays_unknown(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    lost = await unknown_transfer(bank, client)
    for node in bank.nodes.values():
        node.silent = True
    result = await client.resolve(lost.id, deadline_s=0.2)
    assert (result.outcome, result.final) == ("unknown", False)


async def test_resolve_in_a_forgotten_session_stays_unknown(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    stranger = TxId(bytes(16), 7)
    bank.nodes[1].script = lambda node, m: (
        [Refused(m.session, m.numbers, Refusal.SESSION_EXPIRED)] if isinstance(m, ResolveRequest) else None
    )
    result = await client.resolve(stranger, cluster=1)
    assert (result.outcome, result.reason) == ("unknown", "session_expired")
    assert sum(isinstance(message, ResolveRequest) for message in bank.nodes[1].heard) == 1


async def test_resolve_follows_a_redirect(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    bank.elect(2)
    bank.nodes[1].script = lambda node, m: (
        [Refused(m.session, m.numbers, Refusal.NOT_LEADER, 2)] if isinstance(m, ResolveRequest) else None
    )
    bank.nodes[2].script = lambda node, m: (
        [node.commit(m, m.numbers)] if isinstance(m, ResolveRequest) else None
    )
    assert (await client.resolve(TxId(bytes(16), 7), cluster=1)).outcome == "committed"


async def test_resolve_of_a_stranger_needs_its_cluster(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    for cluster in (None, 9):
        with pytest.raises(UnknownTransactionError):
            await client.resolve(TxId(bytes(16), 7), cluster=cluster)


async def test_an_unresolved_number_does_not_stop_the_client(
    bank: FakeBank, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "SPAN_MAX", 8)
    client = await connect(bank)
    lost = await unknown_transfer(bank, client)
    for _ in range(30):
        assert (await client.transfer(1, 2, 1)).outcome == "committed"
    spans = [s.items[-1].number - s.settled_below for s in bank.nodes[1].submits()]
    assert max(spans) <= 8
    assert len({s.session for s in bank.nodes[1].submits()}) == 2, "one new session, then its numbers settle"
    bank.nodes[1].script = lambda node, m: (
        [node.commit(m, m.numbers)] if isinstance(m, ResolveRequest) else None
    )
    assert (await client.resolve(lost.id)).outcome == "committed", "the old session is not forgotten"


async def test_too_many_outstanding_are_refused_by_the_client(
    bank: FakeBank, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "SPAN_MAX", 4)
    monkeypatch.setattr(core, "OUTSTANDING_MAX", 10)
    client = await connect(bank)
    bank.nodes[1].silent = True
    results: list[TxResult] = []
    for _ in range(12):
        client.submit_nowait((1, -1, 2, 1), results.append, (), 0.3)
    with pytest.raises(ClientSaturatedError):
        client.submit_nowait((1, -1, 2, 1), results.append, (), 0.3)
    await until(lambda: len(results) == 12)
    bank.nodes[1].silent = False
    assert (await client.transfer(1, 2, 1)).outcome == "committed"
