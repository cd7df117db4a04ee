"""Every command of an operator: its reply, its effect, and what is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from consensus import codec
from consensus.client.bank import BankClient
from consensus.client.errors import OperatorError
from consensus.messages.control import Command, CommandReply
from consensus.net.wire import Wire
from consensus.node import operator as operator_module
from consensus.node.operator import Operators
from tests.node.cluster import SECRET, Bank, topology


async def transfers(bank: Bank, *pairs: tuple[int, int, int]) -> None:
    client = BankClient(bank.topology, SECRET)
    await client.start()
    for sender, receiver, amount in pairs:
        result = await client.transfer(sender, receiver, amount, deadline_s=15.0)
        assert result.outcome == "committed"
    await client.close()


async def test_status_has_the_keys_that_others_rely_on(bank: Bank) -> None:
    status = await bank.call(1, "status")
    keys = (
        "node cluster incarnation role state ballot leader watermark applied proposed checkpoint lag queue "
        "in_flight sessions epoch counters journal_bytes uptime_s hash"
    )
    assert set(keys.split()) <= status.keys()
    assert (status["node"], status["cluster"], status["incarnation"], status["state"]) == (1, 1, 1, "up")
    assert status["uptime_s"] > 0
    assert status["journal_bytes"] > 0


async def test_views_of_accounts(bank: Bank) -> None:
    leader = await bank.leader()
    await transfers(bank, (3, 9, 25), (4, 9, 5))
    body = await bank.call(leader, "accounts", ids=[3, 9, 77])
    assert body["accounts"] == [[3, 75, 1, 0], [9, 130, 2, 0]]
    body = await bank.call(leader, "accounts", after=0, limit=2, changed=True)
    assert (body["accounts"], body["next"]) == ([[3, 75, 1, 0], [4, 95, 1, 0]], 4)
    body = await bank.call(leader, "accounts", after=4, limit=100, changed=True)
    assert (body["accounts"], body["next"]) == ([[9, 130, 2, 0]], None)
    assert len((await bank.call(leader, "accounts"))["accounts"]) == 30
    summary = await bank.call(leader, "summary", **{"from": 3, "to": 9})
    assert {key: summary[key] for key in ("count", "min", "max", "total")} == {
        "count": 7,
        "min": 75,
        "max": 130,
        "total": 700,
    }


async def test_views_of_the_log(bank: Bank) -> None:
    leader = await bank.leader()
    await transfers(bank, (3, 9, 25))
    body = await bank.call(leader, "log", after=0, limit=500)
    kinds = [entry["kind"] for row in body["entries"] for entry in row["entries"]]
    assert "OpenSession" in kinds
    assert "Transact" in kinds
    assert body["entries"][-1]["state"] == "applied"
    assert [view["leader"] for view in (await bank.call(leader, "views"))["views"]] == [
        view.body.ballot.node for view in bank.nodes[leader].node.replica.machine.state.views
    ]
    at_now = await bank.call(leader, "hash")
    assert len(at_now["hash"]) == 32
    assert at_now["slot"] == (await bank.call(leader, "status"))["applied"]
    assert await bank.call(leader, "hash", slot=1_000_000) == {"slot": 1_000_000, "hash": None}
    assert await bank.call(leader, "locks") == {"locks": [], "waiting": []}
    assert await bank.call(leader, "wal") == {"records": [], "unfinished": []}


async def test_both_sides_tell_the_same_end_of_a_transaction_across_clusters(tmp_path: Path) -> None:
    bank = Bank(topology(2), tmp_path)
    bank.start()
    client = BankClient(bank.topology, SECRET)
    await client.start()
    try:
        assert (await client.transfer(1, 31, 1, deadline_s=20.0)).outcome == "committed"
        finished: list[dict[str, Any]] = []
        async with asyncio.timeout(20):
            while not finished:
                finished = (await bank.call(4, "ends"))["finished"]
        assert (finished[0]["coordinator"], finished[0]["commit"]) == (1, True)
        known: list[dict[str, Any]] = []
        async with asyncio.timeout(20):
            while not known or known[0]["number"] is not None:
                known = (await bank.call(1, "ends", txs=[finished[0]["tx"]]))["known"]
        assert known == [{"tx": finished[0]["tx"], "number": None, "commit": True}]
        with pytest.raises(OperatorError, match="txs"):
            await bank.call(1, "ends", txs=["x"])
    finally:
        await client.close()
        await bank.close()


async def test_counters_and_latency_start_anew_when_asked_to(bank: Bank) -> None:
    leader = await bank.leader()
    await transfers(bank, (3, 9, 25), (3, 9, 25))
    figures = await bank.call(leader, "latency")
    assert figures["throughput_tps"] > 0
    assert figures["latency_ms"]["count"] == 2
    assert 0 < figures["latency_ms"]["p50"] <= figures["latency_ms"]["p99"]
    counters = await bank.call(leader, "counters", reset=True)
    assert counters["transactions_committed"] == 2
    assert counters["uptime_s"] > 0
    assert (await bank.call(leader, "counters"))["transactions_committed"] == 0
    assert (await bank.call(leader, "latency"))["latency_ms"]["count"] == 0


async def test_an_audit_cut_is_made_by_the_leader_and_reported_everywhere(bank: Bank) -> None:
    leader = await bank.leader()
    await transfers(bank, (3, 9, 25))
    assert (await bank.call(leader, "audit", number=5)) == {
        "incarnation": 1,
        "last": 0,
        "report": None,
    }
    await bank.call(leader, "cut", number=5)
    await bank.until(lambda _: all(5 in one.node.replica.machine.audits for one in bank.nodes.values()))
    for me in bank.nodes:
        body = await bank.call(me, "audit", number=5)
        report = body["report"]
        assert (body["last"], report["balances"], report["accounts"]) == (5, 3_000, 30)
        assert (report["prepared"], report["committed"]) == ([], [])


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("dance", {}, "there is no command 'dance'"),
        ("status", {"now": 1}, "unknown field `now`"),
        ("reset", {}, "missing required field `incarnation`"),
        ("reset", {"incarnation": 0}, "Expected `int` >= 1"),
        ("reset", {"incarnation": "2"}, "Expected `int`, got `str`"),
        ("link", {"to": 1, "cut": True}, "node 1 has no link to node 1"),
        ("link", {"to": 9, "cut": True}, "node 1 has no link to node 9"),
        ("link", {"to": 2, "loss": 1.5}, "Expected `float` <= 1.0"),
        ("link", {"to": 2, "delay_ms": -1}, "Expected `float` >= 0.0"),
        ("watch", {"hz": 1.0, "level": 3}, "Expected `int` <= 2"),
        ("accounts", {"limit": 0}, "Expected `int` >= 1"),
        ("accounts", {"ids": [-1]}, "Expected `int` >= 0"),
        ("summary", {"from": 1}, "missing required field `to`"),
        ("log", {"limit": 10**6}, "Expected `int` <= "),
    ],
)
async def test_wrong_commands_are_refused_by_name(
    bank: Bank, name: str, args: dict[str, Any], words: str
) -> None:
    with pytest.raises(OperatorError, match=words):
        await bank.call(1, name, **args)
    assert (await bank.call(1, "status"))["incarnation"] == 1


async def test_an_earlier_incarnation_is_refused(bank: Bank) -> None:
    await bank.call(1, "reset", incarnation=3)
    with pytest.raises(OperatorError, match="the node lives in incarnation 3 already"):
        await bank.call(1, "reset", incarnation=2)


async def test_stop_ends_the_node_with_status_0(bank: Bank) -> None:
    running = bank.nodes.pop(2)
    await bank.call(2, "stop")
    assert await running.task == 0
    running.folder.close()


class Paper:
    """A wire that only notes what is sent on it."""

    def __init__(self) -> None:
        self.replies: list[CommandReply] = []

    def send(self, data: bytes) -> None:
        assert len(data) <= codec.FRAME_BYTES_MAX
        self.replies.append(codec.decode_frame(codec.frame(0, [data], 1))[1][0])  # type: ignore[arg-type]


async def test_answers_that_would_not_fit_a_frame_are_made_to_fit_or_refused(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = Paper()
    wire: Wire = paper  # type: ignore[assignment]
    operators = Operators(bank.nodes[1].node)
    monkeypatch.setattr(operator_module, "REPLY_BYTES_MAX", 200)
    operators.frame(wire, [Command(1, "accounts", {"limit": 1_000}), Command(2, "status")])
    page, status = paper.replies
    assert page.ok
    assert 0 < len(page.body["accounts"]) < 30
    assert page.body["next"] == page.body["accounts"][-1][0]
    assert not status.ok
    assert "too large" in status.body["error"]
    views = [{"number": number, "slots": "x" * 50} for number in range(20)]
    monkeypatch.setattr(operator_module.inspect, "views", lambda _: {"views": views})
    operators.frame(wire, [Command(3, "views")])
    assert paper.replies[-1].body["views"] == views[-2:]
    assert paper.replies[-1].body["truncated"] is True


async def test_a_command_that_fails_is_answered(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("nobody thought of this")

    monkeypatch.setattr(operator_module.inspect, "log", broken)
    with pytest.raises(OperatorError, match="log failed; the node's log says how"):
        await bank.call(1, "log")
    assert (await bank.call(1, "status"))["node"] == 1


async def test_commands_are_served_while_the_node_is_failed(tmp_path: Path) -> None:
    bank = Bank(topology(), tmp_path)
    bank.start(1)
    await bank.call(1, "fail")
    assert (await bank.call(1, "status"))["state"] == "failed"
    assert len((await bank.call(1, "accounts"))["accounts"]) == 30
    await bank.call(1, "recover")
    assert (await bank.call(1, "status"))["state"] == "up"
    await bank.close()
