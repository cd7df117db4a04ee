"""Reads: answers, refusals, levels, a leader that goes away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from consensus.client import reads as reads_module
from consensus.client.bank import BankClient
from consensus.client.errors import CrossClusterError
from consensus.messages.client import Level, Read, ReadRefused, Refusal, Status
from tests.client.fake_node import FakeBank, FakeNode, start_fake_bank, until


def reads(node: FakeNode) -> list[Read]:
    return [message for message in node.heard if isinstance(message, Read)]


def refusing_reads(reason: int, times: int, **fields: Any) -> Any:
    left = [times]

    def script(node: FakeNode, message: Any) -> list[Any] | None:
        if isinstance(message, Read) and left[0] > 0:
            left[0] -= 1
            return [ReadRefused([item.request for item in message.items], reason, **fields)]
        return None

    return script


async def test_values(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    values = await client.read([1, 2])
    assert (values.outcome, values.values) == ("ok", {1: (0, 10), 2: (0, 10)})


async def test_reads_of_one_turn_are_one_message(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    answers = await asyncio.gather(*(client.read([account]) for account in range(1, 21)))
    assert len(reads(bank.nodes[1])) == 1
    assert [list(answer.values) for answer in answers] == [[account] for account in range(1, 21)]


async def test_level_is_passed_on(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    await client.read([1], Level.LEASE, deadline_s=2.0)
    await client.read([1], Level.RYW, versions=[3])
    await client.read([1], Level.BOUNDED, bound_ms=200)
    items = [item for node in bank.nodes.values() for message in reads(node) for item in message.items]
    items.sort(key=lambda item: item.request)
    assert [(i.level, i.versions, i.bound) for i in items] == [(1, (), 0), (2, (3,), 0), (3, (), 200)]
    assert [item.wait_ms for item in items] == [1_800, 2_700, 2_700]


def answering(node: FakeNode, message: Any) -> list[Any] | None:
    """A follower that answers what followers may."""
    return [node.values(message, 7)] if isinstance(message, Read) else None


async def connected(bank: FakeBank, connect: Any) -> BankClient:
    """A client that has a connection to each node."""
    client: BankClient = await connect(bank)
    await client.read([1], Level.EVENTUAL)  # the first dials, and is the leader's
    await until(lambda: all(client.link(node).up for node in bank.nodes))
    for node in bank.nodes.values():
        node.heard.clear()
    return client


@pytest.mark.parametrize("level", [Level.RYW, Level.BOUNDED, Level.EVENTUAL])
async def test_weak_reads_are_spread_over_the_followers(bank: FakeBank, connect: Any, level: Level) -> None:
    for node in (bank.nodes[2], bank.nodes[3]):
        node.script = answering
    client = await connected(bank, connect)
    answers = await asyncio.gather(*(client.read([account], level) for account in range(1, 21)))
    assert {answer.values[account] for account, answer in enumerate(answers, 1)} == {(0, 7)}
    counts = {node.id: [len(message.items) for message in reads(node)] for node in bank.nodes.values()}
    assert counts == {1: [], 2: [10], 3: [10]}


@pytest.mark.parametrize("level", [Level.RYW, Level.BOUNDED])
async def test_what_a_follower_cannot_answer_goes_to_the_leader_at_once(
    bank: FakeBank, connect: Any, level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads_module, "REFUSED_WAIT_S", 60.0)
    monkeypatch.setattr(reads_module, "RESEND_S", 60.0)
    for node in (bank.nodes[2], bank.nodes[3]):
        node.script = refusing_reads(Refusal.NOT_LEADER, 100, leader=1)
    client = await connected(bank, connect)
    assert (await client.read([1], level)).values == {1: (0, 10)}
    assert len(reads(bank.nodes[1])) == 1 and client.leaders == {1: 1}


@pytest.mark.parametrize("level", [Level.RYW, Level.BOUNDED, Level.EVENTUAL])
async def test_a_silent_follower_is_passed_over(bank: FakeBank, connect: Any, level: Level) -> None:
    client = await connected(bank, connect)
    bank.nodes[2].silent = bank.nodes[3].silent = True
    answers = await asyncio.gather(*(client.read([account], level) for account in (1, 2, 3)))
    assert {answer.outcome for answer in answers} == {"ok"}


async def test_a_follower_stands_in_for_a_leader_out_of_reach(bank: FakeBank, connect: Any) -> None:
    client = await connected(bank, connect)
    for node in (bank.nodes[2], bank.nodes[3]):
        node.script = answering
    await bank.nodes[1].stop()
    await until(lambda: not client.link(1).up)
    assert (await client.read([1])).values == {1: (0, 7)}


async def test_a_read_in_doubt_says_so_at_its_deadline(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    bank.nodes[1].script = refusing_reads(Refusal.IN_DOUBT, 1_000)
    values = await client.read([1], deadline_s=0.2)
    assert (values.outcome, values.reason) == ("refused", "in_doubt")


async def test_unknown_account_is_final(bank: FakeBank, connect: Any) -> None:
    bank.nodes[1].script = refusing_reads(-Status.UNKNOWN_ACCOUNT, 100)
    client = await connect(bank)
    values = await client.read([999])
    assert (values.outcome, values.reason) == ("refused", "unknown_account")
    assert len(reads(bank.nodes[1])) == 1


async def test_refused_is_asked_again(bank: FakeBank, connect: Any) -> None:
    bank.nodes[1].script = refusing_reads(Refusal.UNAVAILABLE, 2)
    client = await connect(bank)
    assert (await client.read([1])).outcome == "ok"
    assert len(reads(bank.nodes[1])) == 3


async def test_redirect_is_followed(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    bank.elect(3)
    bank.nodes[1].script = refusing_reads(Refusal.NOT_LEADER, 1, leader=3)
    assert (await client.read([1])).outcome == "ok"
    assert client.leaders == {1: 3}


async def test_silent_leader_is_replaced(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    bank.nodes[1].silent = True
    bank.elect(2, among=(2, 3))
    assert (await client.read([1])).outcome == "ok"


async def test_no_answer_ends_refused(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    for node in bank.nodes.values():
        node.silent = True
    values = await client.read([1], deadline_s=0.2)
    assert (values.outcome, values.reason, values.values) == ("refused", "unavailable", {})


async def test_eventual_reads_need_no_leader(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    bank.nodes[1].silent = True
    bank.elect(1)
    for node in (bank.nodes[2], bank.nodes[3]):
        node.script = lambda node, m: [node.values(m, 7)] if isinstance(m, Read) else None
    values = await client.read([1], Level.EVENTUAL)
    assert values.values == {1: (0, 7)}


async def test_accounts_of_two_clusters(connect: Any) -> None:
    bank = await start_fake_bank(2)
    try:
        client = await connect(bank)
        with pytest.raises(CrossClusterError):
            await client.read([1, 150])
        assert (await client.read([150])).cluster == 2
    finally:
        await bank.stop()


@pytest.mark.parametrize("accounts", [[], ["1"], [1.5], list(range(1001)), [2**63]])
async def test_what_cannot_be_asked_is_said_at_once(bank: FakeBank, connect: Any, accounts: Any) -> None:
    client = await connect(bank)
    with pytest.raises(ValueError, match=r"^accounts: "):
        await client.read(accounts)


async def test_close_ends_reads(bank: FakeBank, connect: Any) -> None:
    client = await connect(bank)
    bank.nodes[1].silent = True
    pending = asyncio.create_task(client.read([1]))
    await until(lambda: reads(bank.nodes[1]))
    await client.close()
    assert (await pending).outcome == "refused"
