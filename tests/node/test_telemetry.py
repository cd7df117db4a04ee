"""What watchers are told: status at their rate, events at their level, never more than the bound."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from consensus.client.bank import BankClient
from consensus.client.operator import Operator
from consensus.messages.control import Telemetry
from consensus.node import telemetry as telemetry_module
from consensus.trace import events
from consensus.trace.electiontrace import KINDS
from tests.node.cluster import SECRET, Bank


class Watcher:
    """An operator that watches a node and keeps what it is told."""

    def __init__(self, bank: Bank, node: int) -> None:
        self.told: list[Telemetry] = []
        self.changed = asyncio.Event()
        address = bank.topology.nodes[node]
        self.operator = Operator(address.host, address.port, SECRET, on_telemetry=self._hear)

    def _hear(self, message: Telemetry) -> None:
        self.told.append(message)
        self.changed.set()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for message in self.told for event in message.events]

    def kinds(self) -> Counter[str]:
        return Counter(event["k"] for event in self.events)

    async def until_kinds(self, *kinds: str) -> None:
        async with asyncio.timeout(10):
            while not set(kinds) <= self.kinds().keys():
                self.changed.clear()
                await self.changed.wait()


async def run_transfers(bank: Bank, count: int) -> None:
    client = BankClient(bank.topology, SECRET)
    await client.start()
    for _ in range(count):
        assert (await client.transfer(1, 2, 1, deadline_s=15.0)).outcome == "committed"
    await client.close()


ELECTION_MESSAGES = {"prevote", "prepare", "promise", "newview", "nack"}


async def test_level_0_is_told_status_windows_and_elections_only(bank: Bank) -> None:
    leader = await bank.leader()
    watcher = Watcher(bank, leader)
    await watcher.operator.call("watch", hz=50.0, level=0)
    await run_transfers(bank, 3)
    async with asyncio.timeout(10):
        while len(watcher.told) < 5:
            watcher.changed.clear()
            await watcher.changed.wait()
    async with asyncio.timeout(20):
        while "agg" not in watcher.kinds():
            await run_transfers(bank, 20)
    of_elections = [e for e in watcher.events if e["k"] in KINDS or e.get("m") in ELECTION_MESSAGES]
    assert {event["k"] for event in watcher.events if event not in of_elections} == {"agg"}
    assert all("links" not in event for event in watcher.events)
    assert [message.seq for message in watcher.told] == list(range(1, len(watcher.told) + 1))
    assert watcher.told[-1].status["node"] == leader
    assert bank.nodes[leader].node.replica.trace_level == 0
    await watcher.operator.call("watch", hz=0.0, level=0)
    count = len(watcher.told)
    await asyncio.sleep(0.1)
    assert len(watcher.told) == count
    await watcher.operator.close()


async def test_level_0_is_told_of_elections(bank: Bank) -> None:
    leader = await bank.leader()
    watcher = Watcher(bank, next(node for node in bank.nodes if node != leader))
    await watcher.operator.call("watch", hz=50.0, level=0)
    await bank.call(leader, "fail")
    await watcher.until_kinds("paxos.ballot")
    await bank.call(leader, "recover")
    await watcher.operator.close()


async def test_an_idle_node_closes_no_windows(bank: Bank) -> None:
    leader = await bank.leader()
    watcher = Watcher(bank, leader)
    await watcher.operator.call("watch", hz=50.0, level=0)
    telemetry = bank.nodes[leader].node._telemetry
    await bank.until(lambda statuses: telemetry._window is None)
    telemetry.latency(3)
    assert telemetry._window is not None, "an answer begins one"
    await watcher.until_kinds("agg")
    await bank.until(lambda statuses: telemetry._window is None)
    await watcher.operator.close()


async def test_a_second_watcher_takes_no_counts_away(bank: Bank) -> None:
    leader = await bank.leader()
    watcher, other = Watcher(bank, leader), Watcher(bank, leader)
    await watcher.operator.call("watch", hz=50.0, level=0)
    telemetry = bank.nodes[leader].node._telemetry
    await bank.until(lambda statuses: telemetry._window is None)
    counted = telemetry._counted
    await other.operator.call("watch", hz=50.0, level=0)
    assert telemetry._counted is counted
    await other.operator.call("watch", hz=0.0, level=0)
    await watcher.operator.call("watch", hz=20.0, level=1)
    assert telemetry._counted is counted, "nor does a change of what the first wants"
    await watcher.operator.close()
    await other.operator.close()


async def test_level_1_is_told_of_slots_transactions_and_windows(bank: Bank) -> None:
    leader = await bank.leader()
    watcher = Watcher(bank, leader)
    await watcher.operator.call("watch", hz=20.0, level=1)
    await run_transfers(bank, 5)
    await watcher.until_kinds("paxos.accepted", "paxos.chosen", "paxos.applied", "tx.apply", "agg")
    await watcher.until_kinds("tx.submit", "tx.reply")
    async with asyncio.timeout(10):
        while sum(event["tx"]["committed"] for event in watcher.events if "hist" in event) < 5:
            watcher.changed.clear()
            await watcher.changed.wait()
    told = {event["m"] for event in watcher.events if event["k"].startswith("msg.")}
    assert told <= {"accept", "accepted", "commit", "heartbeat"}, "of messages only those of slots"
    for event in watcher.events:
        assert events.problems(event) == [], event
        told_by = event["to"] if event["k"] == "msg.recv" else event["n"]
        assert (told_by, event["cl"], event["inc"]) == (leader, 1, 1)
    numbers = [event["ns"] for event in watcher.events]
    assert numbers == sorted(set(numbers))
    windows = [event for event in watcher.events if "hist" in event]
    others = {f"{leader}>{me}" for me in bank.nodes if me != leader}
    assert set().union(*(window["links"] for window in windows)) == others
    assert sum(window["links"].get(min(others), {}).get("accept", 0) for window in windows) >= 5
    assert sum(sum(window["hist"].values()) for window in windows) == 5
    async with asyncio.timeout(10):
        while sum(sum(event.get("heat", {}).values()) for event in watcher.events) < 10:
            watcher.changed.clear()
            await watcher.changed.wait()
    await watcher.operator.close()
    await bank.until(lambda _: bank.nodes[leader].node.replica.trace_level == -1)
    assert all(wire.on_sent is None for _, wire in bank.nodes[leader].node._peers.connections.values())


def in_order(told: list[str], *wanted: str) -> bool:
    """Whether ``wanted`` happened for the first time in this order."""
    places = [told.index(what) for what in wanted if what in told]
    return len(places) == len(wanted) and places == sorted(places)


async def test_all_nodes_tell_of_a_slot_and_of_each_of_its_messages(bank: Bank) -> None:
    leader = await bank.leader()
    watchers = {node: Watcher(bank, node) for node in bank.nodes}
    for watcher in watchers.values():
        await watcher.operator.call("watch", hz=20.0, level=1)
    await run_transfers(bank, 1)

    def of_slot(node: int, slot: int) -> list[str]:
        told = [event for event in watchers[node].events if event.get("s") == slot]
        return [event.get("m") or event["k"] for event in sorted(told, key=lambda e: (e["ts"], e["ns"]))]

    slot = bank.nodes[leader].node.replica.machine.state.slot
    for watcher in watchers.values():
        async with asyncio.timeout(10):
            while not any(e["k"] == "tx.apply" and e["s"] == slot for e in watcher.events):
                watcher.changed.clear()
                await watcher.changed.wait()
    # On a busy machine Accepts are sent again, and a slot may be chosen before the slower disk is done.
    assert in_order(of_slot(leader, slot), "paxos.accepted", "accept", "accepted", "paxos.chosen", "tx.apply")
    for node in bank.nodes.keys() - {leader}:
        told = ["commit" if what == "heartbeat" else what for what in of_slot(node, slot)]
        assert in_order(told, "accept", "paxos.accepted", "accepted")
        assert in_order(told, "paxos.accepted", "commit", "paxos.chosen", "paxos.applied", "tx.apply")
    applied = next(e for e in watchers[leader].events if e["k"] == "paxos.applied" and e["s"] == slot)
    assert (applied["has"], applied["count"]) == (["transfer"], 1)
    sent = {e["mid"] for w in watchers.values() for e in w.events if e["k"] == "msg.send"}
    got = {e["mid"] for w in watchers.values() for e in w.events if e["k"] == "msg.recv" and e["s"] == slot}
    assert got and got <= sent
    for watcher in watchers.values():
        await watcher.operator.close()


async def test_an_election_is_told_at_level_0_with_its_reasons(bank: Bank) -> None:
    leader = await bank.leader()
    watchers = {node: Watcher(bank, node) for node in bank.nodes}
    for watcher in watchers.values():
        await watcher.operator.call("watch", hz=20.0, level=0)
    await run_transfers(bank, 1)
    await bank.call(leader, "fail")
    after = await bank.leader(besides=leader)
    await watchers[after].until_kinds("timer.fire", "paxos.ballot", "paxos.leader", "msg.recv")
    own = [event for event in watchers[after].events if event.get("b", [0, 0])[1] == after]
    stood = next(event for event in own if event["k"] == "paxos.ballot")
    assert (stood["why"], stood["silent"]) == ("heartbeat_timeout", leader)
    assert stood["since_ms"] >= bank.topology.timings.election_min_ms
    leads = next(event for event in own if event["k"] == "paxos.leader")
    assert (leads["b"], leads["leader"]) == (stood["b"], after)
    assert len(leads["quorum"]) == 2 and after in leads["quorum"]
    by_number = {event["ns"]: event for event in watchers[after].events}
    assert by_number[leads["by"]]["m"] == "promise"
    assert {e["m"] for e in watchers[after].events if e["k"] == "msg.send"} >= {
        "prevote",
        "prepare",
        "newview",
    }
    for watcher in watchers.values():
        assert [events.problems(event) for event in watcher.events if events.problems(event)] == []
        await watcher.operator.close()


async def test_level_2_pairs_what_is_sent_with_what_is_received(bank: Bank) -> None:
    leader = await bank.leader()
    follower = next(me for me in bank.nodes if me != leader)
    near, far = Watcher(bank, leader), Watcher(bank, follower)
    await far.operator.call("watch", hz=20.0, level=2)
    await near.operator.call("watch", hz=20.0, level=2)
    await run_transfers(bank, 3)

    def pairs() -> set[str]:
        sent = {e["mid"]: e for e in near.events if e["k"] == "msg.send" and e["to"] == follower}
        got = {e["mid"]: e for e in far.events if e["k"] == "msg.recv" and e["n"] == leader}
        common = sent.keys() & got.keys()
        for mid in common:
            for field in ("n", "to", "m", "bytes"):
                assert sent[mid][field] == got[mid][field]
            assert sent[mid]["lc"] < got[mid]["lc"]
        return {sent[mid]["m"] for mid in common}

    async with asyncio.timeout(10):
        while not {"accept", "heartbeat"} <= pairs():
            near.changed.clear()
            await near.changed.wait()
    for event in [*near.events, *far.events]:
        assert events.problems(event) == [], event
    await bank.call(leader, "link", to=follower, cut=True)
    await near.until_kinds("link.cut", "msg.drop")
    await bank.call(leader, "heal")
    await near.until_kinds("link.heal")
    await near.operator.close()
    await far.operator.close()


async def test_fail_and_recover_are_told_of(bank: Bank) -> None:
    watcher = Watcher(bank, 2)
    await watcher.operator.call("watch", hz=20.0, level=1)
    await bank.call(2, "fail")
    await bank.call(2, "recover")
    await watcher.until_kinds("node.fail", "node.recover")
    await watcher.operator.close()


async def test_what_does_not_fit_is_counted(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry_module, "BUFFER_EVENTS_MAX", 10)
    monkeypatch.setattr(telemetry_module, "MESSAGE_EVENTS_MAX", 4)
    watcher = Watcher(bank, 1)
    await watcher.operator.call("watch", hz=5.0, level=1)
    node = bank.nodes[1].node
    for number in range(25):
        node._telemetry.note("mark", text=str(number))
    async with asyncio.timeout(10):
        while sum(message.dropped for message in watcher.told) < 15:
            watcher.changed.clear()
            await watcher.changed.wait()
    assert max(len(message.events) for message in watcher.told) == 4
    marks = [event["text"] for event in watcher.events if event["k"] == "mark"]
    assert marks == [str(number) for number in range(len(marks))]
    assert len(marks) <= 10
    await watcher.operator.close()


async def test_two_watchers_get_what_each_asked_for(bank: Bank) -> None:
    modest, curious = Watcher(bank, 1), Watcher(bank, 1)
    await modest.operator.call("watch", hz=20.0, level=0)
    await curious.operator.call("watch", hz=20.0, level=2)
    await curious.until_kinds("msg.send")
    assert modest.events == []
    await curious.operator.close()
    await bank.until(lambda _: bank.nodes[1].node._telemetry.level == 0)
    await modest.operator.close()
