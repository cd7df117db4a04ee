"""Reads at real nodes: who answers which level, and a reply that comes after its lease."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from consensus.client.bank import BankClient
from consensus.codec import decode_frame, frame
from consensus.effects import ReplyTo
from consensus.messages.client import Level, ReadReplies, ReadResult
from consensus.node import runtime
from tests.client.fake_node import until
from tests.node.cluster import SECRET, Bank, topology


@pytest.fixture(params=[False, True], ids=["no leases", "leases"])
async def leasing(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bank]:
    bank = Bank(msgspec.structs.replace(topology(), lease=request.param), tmp_path)
    bank.start()
    await bank.leader()
    yield bank
    await bank.close()


@pytest.fixture
async def client(leasing: Bank) -> AsyncIterator[BankClient]:
    async with BankClient(leasing.topology, SECRET) as client:
        assert await client.ready()
        await client.read([1], Level.EVENTUAL)
        await until(lambda: all(client.link(node).up for node in leasing.nodes))
        yield client


def answers(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The nodes that answer reads from now on, in order."""
    found: list[int] = []
    for me, running in bank.nodes.items():
        reply = running.node.reply

        def spy(replies: list[ReplyTo], now_us: int, me: int = me, reply: Any = reply) -> None:
            found.extend(me for each in replies if isinstance(each.message, ReadReplies))
            reply(replies, now_us)

        monkeypatch.setattr(running.node, "reply", spy)
    return found


async def test_each_level_is_answered_by_whom_it_should_be(
    leasing: Bank, client: BankClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader = await leasing.leader()
    result = await client.transfer(1, 2, 5)
    version = result.accounts[2]["version"]
    fresh = [one.node.replica.reads.fresh for me, one in leasing.nodes.items() if me != leader]
    await until(lambda: all(each.since_us is not None for each in fresh))
    found = answers(leasing, monkeypatch)
    for level, asked, at_follower in (
        (Level.LINEARIZABLE, {}, False),
        (Level.LEASE, {}, False),
        (Level.BOUNDED, {"bound_ms": 30_000}, True),
        (Level.RYW, {"versions": [version]}, True),
        (Level.EVENTUAL, {}, True),
    ):
        found.clear()
        seen = [(await client.read([2], level, **asked)).values[2] for _ in range(2)]  # type: ignore[arg-type]
        if level in (Level.LINEARIZABLE, Level.LEASE, Level.RYW):
            assert seen == [(version, 105)] * 2
        if level != Level.RYW:  # which may wait for the version too long at a busy follower
            assert {node == leader for node in found} == {not at_follower}


async def test_a_follower_answers_a_linearizable_read(
    leasing: Bank, client: BankClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader = await leasing.leader()
    await client.transfer(1, 2, 5)
    found = answers(leasing, monkeypatch)
    client._lanes[1].leadership.leader = 0  # the client knows of nobody
    values = await asyncio.gather(*(client.read([2]) for _ in range(6)))
    assert {value.values[2] for value in values} == {(1, 105)}
    assert set(found) - {leader}


async def test_a_reply_that_is_late_for_its_lease_is_discarded(
    leasing: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = leasing.nodes[1].node

    sent: list[bytes] = []
    monkeypatch.setitem(node._clients, 999, SimpleNamespace(send=sent.append))  # type: ignore[arg-type]
    monkeypatch.setattr(runtime.time, "monotonic_ns", lambda: 5_000_000)
    for request, until_us in ((1, 0), (2, 5_000), (3, 5_001), (4, 4_999)):
        reply = ReadReplies([ReadResult(request, 1, (0, 0))])
        node.reply([ReplyTo(999, reply, until_us)], 1)
    told = [decode_frame(frame(1, [data], 1))[1][0].results[0].request for data in sent]
    assert told == [1, 3]
