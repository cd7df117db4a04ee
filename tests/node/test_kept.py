"""Kept transactions: every node tells each of their steps, also to those who asked for the status only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from consensus.client.bank import BankClient
from consensus.client.results import COMMITTED
from consensus.trace import events
from consensus.types import KEPT_PREFIX, NodeId, TxId, parse_tx_id
from tests.node.cluster import SECRET, Bank, topology
from tests.node.test_telemetry import Watcher


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Bank]:
    bank = Bank(topology(clusters=2), tmp_path)
    bank.start()
    yield bank
    await bank.close()


async def _watch(bank: Bank, level: int) -> dict[NodeId, Watcher]:
    watchers = {node: Watcher(bank, node) for node in bank.nodes}
    for watcher in watchers.values():
        await watcher.operator.call("watch", hz=50.0, level=level)
    return watchers


async def _close(watchers: dict[NodeId, Watcher]) -> None:
    for watcher in watchers.values():
        await watcher.operator.close()


async def _until(watchers: dict[NodeId, Watcher], wanted: dict[NodeId, set[str]]) -> None:
    async with asyncio.timeout(15):
        for node, kinds in wanted.items():
            await watchers[node].until_kinds(*kinds)


async def test_every_step_across_clusters_is_told_at_level_0(two: Bank) -> None:
    watchers = await _watch(two, 0)
    async with BankClient(two.topology, SECRET) as client:
        result = await client.submit((3, -7, 33, 7), keep=True, deadline_s=15.0)
    assert result.outcome == COMMITTED
    assert result.id.session.startswith(KEPT_PREFIX)
    first, second = two.topology.clusters
    lead = {
        cluster.id: next(n for n in cluster.members if two.nodes[n].node.replica.leads)
        for cluster in (first, second)
    }
    wanted = {node: {"tx.lock", "tx.apply"} for node in two.nodes}
    wanted[lead[1]] |= {"tx.submit", "tx.decide", "tx.reply", "msg.send", "msg.recv"}
    wanted[lead[2]] |= {"tx.vote", "msg.send", "msg.recv"}
    await _until(watchers, wanted)

    def acknowledged() -> bool:
        return any(e["k"] == "msg.recv" and e["m"] == "tx.ack" for e in watchers[lead[1]].events)

    async with asyncio.timeout(15):
        while not acknowledged():
            watchers[lead[1]].changed.clear()
            await watchers[lead[1]].changed.wait()
    everything = [event for watcher in watchers.values() for event in watcher.events]
    assert [events.problems(event) for event in everything if events.problems(event)] == []
    told = [event for event in everything if isinstance(event.get("tx"), str)]
    assert {event["tx"] for event in told} == {str(result.id)}
    submit = next(event for event in told if event["k"] == "tx.submit")
    assert (submit["from"], submit["to"], submit["amt"], submit["keep"]) == (3, 33, 7, True)
    locked = {(event["n"], *event["accounts"]) for event in told if event["k"] == "tx.lock"}
    assert locked == {(n, 3) for n in first.members} | {(n, 33) for n in second.members}
    assert all(event["outcome"] == "committed" for event in told if "outcome" in event)
    _pairs(told, lead)
    await _close(watchers)


def _pairs(told: list[dict[str, Any]], lead: dict[int, NodeId]) -> None:
    """Each message of the protocol was sent by one side's leader and received by the other's."""
    sent = {e["mid"]: e["m"] for e in told if e["k"] == "msg.send"}
    received = {e["mid"]: (e["m"], e["n"], e["to"]) for e in told if e["k"] == "msg.recv"}
    assert set(sent.values()) == {"tx.prepare", "tx.vote", "tx.decision", "tx.ack"}
    there, back = (lead[1], lead[2]), (lead[2], lead[1])
    ways = {"tx.prepare": there, "tx.vote": back, "tx.decision": there, "tx.ack": back}
    for name, way in ways.items():
        assert any((m, n, to) == (name, *way) and sent[mid] == name for mid, (m, n, to) in received.items())


async def test_what_is_not_kept_is_not_told_at_level_0(two: Bank) -> None:
    watchers = await _watch(two, 0)
    async with BankClient(two.topology, SECRET) as client:
        for keep in (False, True):
            result = await client.submit((3, -7, 33, 7), keep=keep, deadline_s=15.0)
            assert result.outcome == COMMITTED
            again = await client.submit((4, -7, 5, 7), keep=keep, deadline_s=15.0)
            assert again.outcome == COMMITTED
    leader = next(n for n in two.topology.clusters[0].members if two.nodes[n].node.replica.leads)
    async with asyncio.timeout(15):
        while sum(e["k"] == "tx.reply" for e in watchers[leader].events) < 2:
            watchers[leader].changed.clear()
            await watchers[leader].changed.wait()
    told = {e["tx"] for watcher in watchers.values() for e in watcher.events if e["k"].startswith("tx.")}
    assert told == {str(result.id), str(again.id)}
    await _close(watchers)


async def test_an_abort_tells_its_vote(two: Bank) -> None:
    watchers = await _watch(two, 0)
    async with BankClient(two.topology, SECRET) as client:
        short = await client.submit((3, -3, 33, -900, 4, 903), keep=True, deadline_s=15.0)
    assert (short.outcome, short.reason) == ("aborted", "insufficient_funds")

    second = two.topology.clusters[1].members
    voter = next(node for node in second if two.nodes[node].node.replica.leads)
    await _until(watchers, {voter: {"tx.vote"}})
    votes = [e for e in watchers[voter].events if e["k"] == "tx.vote" and e["tx"] == str(short.id)]
    assert [(e["yes"], e["why"]) for e in votes] == [(False, "insufficient_funds")]
    await _close(watchers)


async def test_ids_of_one_client_are_kept_or_not(two: Bank) -> None:
    async with BankClient(two.topology, SECRET) as client:
        plain, kept = client.new_tx_id(), client.new_tx_id(keep=True)
        assert (plain.session[:4] == KEPT_PREFIX, kept.session[:4] == KEPT_PREFIX) == (False, True)
        assert parse_tx_id(str(kept)) == kept == TxId(kept.session, kept.number)
        result = await client.submit((3, -1, 4, 1), tx_id=kept, deadline_s=15.0)
        assert (result.outcome, result.id) == (COMMITTED, kept)
        assert client.new_tx_id(keep=True).session == kept.session
