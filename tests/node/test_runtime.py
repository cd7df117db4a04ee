"""Nodes that serve, fail, recover, are reset, lose their disk: three of them in this process."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import Any

import pytest

from consensus import codec
from consensus.client.bank import BankClient
from consensus.messages.client import Leads, WhoLeads
from consensus.messages.control import PROTOCOL_VERSION, Hello, Role, Welcome
from consensus.messages.paxos import Heartbeat
from consensus.messages.records import SegmentHead
from consensus.net.wire import Wire, dial
from consensus.storage import writer
from consensus.storage.format import scan_segment
from consensus.types import BALLOT_NONE, Ballot
from tests.node.cluster import SECRET, Bank, topology
from tests.storage.faulty import flip


async def transfer(bank: Bank, amount: int = 1, deadline_s: float = 15.0) -> str:
    """One transfer from account 1 to account 2 by a client of its own; its outcome."""
    client = BankClient(bank.topology, SECRET)
    await client.start()
    try:
        return (await client.transfer(1, 2, amount, deadline_s=deadline_s)).outcome
    finally:
        await client.close()


def balances(bank: Bank) -> dict[int, list[int]]:
    """Balance of accounts 1 and 2 on every running node."""
    return {
        me: [one.node.replica.machine.state.accounts[account].balance for account in (1, 2)]
        for me, one in bank.nodes.items()
    }


async def everywhere(bank: Bank, first: int, second: int) -> None:
    await bank.until(lambda _: all(pair == [first, second] for pair in balances(bank).values()))


async def test_a_transfer_reaches_every_node_and_survives_a_restart_of_all(bank: Bank) -> None:
    assert await transfer(bank, 30) == "committed"
    assert await transfer(bank, 71) == "aborted"
    await everywhere(bank, 70, 130)
    assert await bank.stop() == {1: 0, 2: 0, 3: 0}
    bank.start(bootstrap=False)
    await everywhere(bank, 70, 130)
    assert await transfer(bank, 5) == "committed"
    await everywhere(bank, 65, 135)


async def test_a_restart_after_checkpoints_and_dropped_segments(tmp_path: Path) -> None:
    bank = Bank(topology(checkpoint_slots=5, retain_slots=10), tmp_path)
    bank.start()
    for _ in range(12):
        assert await transfer(bank) == "committed"
    await everywhere(bank, 88, 112)
    await bank.until(lambda all_: all(s["checkpoint"] >= 5 for s in all_.values()))
    await bank.stop()
    bank.start(bootstrap=False)
    await everywhere(bank, 88, 112)
    assert await transfer(bank) == "committed"
    await everywhere(bank, 87, 113)
    await bank.close()


async def test_a_failed_leader_is_replaced_and_follows_when_it_recovers(bank: Bank) -> None:
    leader = await bank.leader()
    await bank.call(leader, "fail")
    assert (await bank.call(leader, "status"))["state"] == "failed"
    other = await bank.leader(besides=leader)
    assert await transfer(bank, 10) == "committed"
    assert balances(bank)[leader] == [100, 100]
    await bank.call(leader, "recover")
    await everywhere(bank, 90, 110)
    status = await bank.call(leader, "status")
    assert (status["state"], status["leader"]) == ("up", other)


async def test_a_failed_node_neither_hears_nor_answers_clients_until_it_recovers(bank: Bank) -> None:
    address = bank.topology.nodes[2]
    heard: list[Any] = []
    wire = await dial(
        address.host, address.port, SECRET, lambda _, messages: heard.extend(messages), lambda _: None
    )
    wire.send(codec.encode(Hello(PROTOCOL_VERSION, Role.CLIENT, 0, 0)))
    wire.flush()
    await bank.until(lambda _: heard == [Welcome(PROTOCOL_VERSION, 2, 1, 1)])
    await bank.call(2, "fail")
    wire.send(codec.encode(WhoLeads()))
    wire.flush()
    wire.incarnation = 9  # not even this is answered
    wire.send(codec.encode(WhoLeads()))
    wire.flush()
    wire.incarnation = 1
    late = await dial(
        address.host, address.port, SECRET, lambda _, messages: heard.extend(messages), lambda _: None
    )
    late.send(codec.encode(Hello(PROTOCOL_VERSION, Role.CLIENT, 0, 0)))
    late.flush()
    assert (await bank.call(2, "status"))["state"] == "failed"
    assert len(heard) == 1
    await bank.call(2, "recover")
    await bank.until(lambda _: heard[1:] == [Welcome(PROTOCOL_VERSION, 2, 1, 1)])
    wire.send(codec.encode(WhoLeads()))
    await bank.until(lambda _: isinstance(heard[-1], Leads))
    wire.close()
    late.close()


async def test_nothing_leaves_a_failed_node_for_its_peers(bank: Bank) -> None:
    leader = await bank.leader()
    node = bank.nodes[leader].node
    await bank.until(lambda _: len(node._peers.wires) == 2)
    await bank.call(leader, "fail")
    sent = [wire.sent for wire in node._peers.wires.values()]
    node.leave(tuple(bank.nodes), codec.encode(WhoLeads()))
    node._leave_delayed(2 if leader != 2 else 3, codec.encode(WhoLeads()), 1)
    await bank.leader(besides=leader)
    assert [wire.sent for wire in node._peers.wires.values()] == sent


async def test_a_cut_leader_cannot_commit_until_the_links_heal(bank: Bank) -> None:
    leader = await bank.leader()
    followers = [me for me in bank.nodes if me != leader]
    for follower in followers:
        await bank.call(leader, "link", to=follower, cut=True)
    assert sorted((await bank.call(leader, "status"))["links"]) == sorted(map(str, followers))
    await bank.leader(besides=leader)
    assert await transfer(bank, 10) == "committed"
    await bank.call(leader, "heal")
    await everywhere(bank, 90, 110)


async def test_slow_and_lossy_links_only_slow_things_down(bank: Bank) -> None:
    leader = await bank.leader()
    for me in bank.nodes:
        if me != leader:
            await bank.call(leader, "link", to=me, delay_ms=10, loss=0.2)
            await bank.call(me, "link", to=leader, delay_ms=10, loss=0.2)
    assert await transfer(bank, 10) == "committed"
    assert bank.nodes[leader].node.faults.delayed_bytes >= 0
    for me in bank.nodes:
        await bank.call(me, "heal")
    await everywhere(bank, 90, 110)
    await bank.until(lambda _: all(one.node.faults.delayed_bytes == 0 for one in bank.nodes.values()))


# --- incarnations -----------------------------------------------------------------------------------


async def test_a_reset_of_one_node_reaches_all_and_clients(bank: Bank) -> None:
    client = BankClient(bank.topology, SECRET)
    await client.start()
    assert (await client.transfer(1, 2, 10)).outcome == "committed"
    await bank.call(2, "reset", incarnation=7)
    await bank.until(lambda all_: {s["incarnation"] for s in all_.values()} == {7})
    await everywhere(bank, 100, 100)
    # Sent before the client heard of the reset, it may have been meant for the life that is gone.
    first = (await client.transfer(1, 2, 3, deadline_s=15.0)).outcome
    assert first in ("unknown", "committed")
    left = 94 if first == "committed" else 97
    assert (await client.transfer(1, 2, 3, deadline_s=15.0)).outcome == "committed"
    await client.close()
    await everywhere(bank, left, 200 - left)
    assert (await bank.call(1, "reset", incarnation=7)) == {}
    await bank.stop()
    bank.start(bootstrap=False)
    await everywhere(bank, left, 200 - left)
    assert {one.node.incarnation for one in bank.nodes.values()} == {7}


async def test_a_node_that_was_away_joins_the_new_incarnation(bank: Bank) -> None:
    await bank.stop(3)
    await bank.call(1, "reset", incarnation=2)
    await bank.until(lambda all_: {s["incarnation"] for s in all_.values()} == {2})
    assert await transfer(bank, 10) == "committed"
    bank.start(3, bootstrap=False)
    await everywhere(bank, 90, 110)
    assert bank.nodes[3].node.status()["role"] == "follower"


async def test_frames_of_an_earlier_incarnation_do_nothing(bank: Bank) -> None:
    await bank.call(1, "reset", incarnation=2)
    await bank.until(lambda all_: {s["incarnation"] for s in all_.values()} == {2})
    heard: list[tuple[int, Any]] = []

    async def speak(role: Role, node: int, message: Any) -> Wire:
        address = bank.topology.nodes[1]
        wire = await dial(
            address.host,
            address.port,
            SECRET,
            lambda incarnation, messages: heard.extend((incarnation, one) for one in messages),
            lambda _: None,
        )
        wire.incarnation = 1
        wire.send(codec.encode(Hello(PROTOCOL_VERSION, role, node, 1)))
        wire.flush()
        wire.send(codec.encode(message))
        return wire

    ballot = bank.nodes[1].node.status()["ballot"]
    peer = await speak(Role.PEER, 2, Heartbeat(Ballot(99, 2), 1, 0, 0, 0))
    client = await speak(Role.CLIENT, 0, WhoLeads())
    await bank.until(lambda all_: all_[1]["counters"].get("frames_stale") == 2)
    await bank.until(lambda _: len(heard) == 3)
    assert heard == [(2, Welcome(PROTOCOL_VERSION, 1, 1, 2))] * 3, "two greetings, one more to the client"
    assert bank.nodes[1].node.status()["ballot"] == ballot
    peer.close()
    client.close()


async def test_a_node_without_its_folder_learns_and_votes_again(bank: Bank) -> None:
    assert await transfer(bank, 10) == "committed"
    await bank.call(1, "reset", incarnation=4)
    await bank.until(lambda all_: {s["incarnation"] for s in all_.values()} == {4})
    assert await transfer(bank, 20) == "committed"
    await bank.stop(3)
    for path in sorted((bank.data / "node-3").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    bank.start(3, bootstrap=False)
    assert bank.nodes[3].node.status()["role"] == "learner"
    await bank.until(lambda all_: all_[3]["role"] == "follower" and all_[3]["incarnation"] == 4)
    journal = bank.data / "node-3" / "incarnation-4" / "journal" / "00000001.segment"
    first = scan_segment(journal.read_bytes()).records[0]
    assert first == SegmentHead(4, BALLOT_NONE, 0, True), "it may have voted there, so it promised nothing"
    await everywhere(bank, 80, 120)
    await bank.stop(await bank.leader())
    assert await transfer(bank, 1) == "committed", "the former learner makes the majority"


async def test_a_node_with_a_damaged_journal_learns_and_votes_again(bank: Bank) -> None:
    assert await transfer(bank, 10) == "committed"
    await everywhere(bank, 90, 110)
    follower = 3 if await bank.leader() != 3 else 2
    await bank.stop(follower)
    flip(bank.data / f"node-{follower}" / "incarnation-1" / "journal" / "00000001.segment", 80)
    bank.start(follower, bootstrap=False)
    assert bank.nodes[follower].node.status()["role"] == "learner"
    await bank.until(lambda all_: all_[follower]["role"] == "follower")
    await everywhere(bank, 90, 110)


# --- the disk ---------------------------------------------------------------------------------------


async def test_a_failing_disk_ends_the_node_and_nothing_more_is_promised(bank: Bank) -> None:
    leader = await bank.leader()
    victim = next(me for me in bank.nodes if me != leader)
    running = bank.nodes.pop(victim)
    running.files.error = errno.EIO
    assert await transfer(bank, 10) == "committed"
    async with asyncio.timeout(20):
        assert await running.task == 3
    running.folder.close()
    bank.start(victim, bootstrap=False)
    await everywhere(bank, 90, 110)


async def test_a_replica_that_fails_ends_its_node_and_the_others_go_on(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    leader = await bank.leader()
    victim = next(me for me in bank.nodes if me != leader)
    running = bank.nodes.pop(victim)

    def broken(now_us: int, input: object) -> None:
        raise AssertionError("a thing that cannot be")

    monkeypatch.setattr(running.node.replica, "step", broken)
    async with asyncio.timeout(20):
        assert await running.task == 1
    assert "a thing that cannot be" in caplog.text
    running.folder.close()
    assert await transfer(bank, 10) == "committed"


async def test_a_stalled_disk_costs_the_leader_its_office(bank: Bank) -> None:
    leader = await bank.leader()
    running = bank.nodes[leader]
    running.files.gate.clear()
    assert await transfer(bank, 10) == "committed"
    await bank.until(lambda all_: all_[leader]["disk_wait_ms"] > 0)
    await bank.leader(besides=leader)
    running.files.gate.set()
    await everywhere(bank, 90, 110)


async def test_nothing_that_depends_on_the_disk_leaves_before_it_is_synced(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Once they have written, these disks count as slow: no loop waits for them, and all nodes share one here.
    monkeypatch.setattr(writer, "SLOW_NS", -1)
    monkeypatch.setattr(writer, "SLOW_FOR_NS", 1 << 60)
    leader = await bank.leader()
    followers = [me for me in bank.nodes if me != leader]
    client = BankClient(bank.topology, SECRET)
    await client.start()
    assert (await client.transfer(1, 2, 10, deadline_s=15.0)).outcome == "committed"
    await everywhere(bank, 90, 110)
    for me in followers:
        bank.nodes[me].files.gate.clear()
    late = asyncio.create_task(client.transfer(1, 2, 10, deadline_s=20.0))
    await bank.until(lambda all_: all(all_[me]["disk_wait_ms"] > 0 for me in followers))
    status = bank.nodes[leader].node.status()
    assert status["proposed"] > status["watermark"], "proposed, and synced by the leader only"
    assert not late.done()
    for me in followers:
        bank.nodes[me].files.gate.set()
    assert (await late).outcome == "committed"
    await client.close()
