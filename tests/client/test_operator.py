"""Operator connections, and the client for threads."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from consensus.client.errors import OperatorError
from consensus.client.operator import Operator
from consensus.client.sync import SyncBankClient
from consensus.messages.control import Command, CommandReply, Role, Telemetry
from tests.client.fake_node import SECRET, FakeBank, FakeNode, until


@pytest.fixture
async def operator(bank: FakeBank) -> Any:
    made: list[Operator] = []

    def make(node: int = 1, secret: str = SECRET, **options: Any) -> Operator:
        made.append(Operator("127.0.0.1", bank.nodes[node].port, secret, **options))
        return made[-1]

    yield make
    for each in made:
        await each.close()


def replying(body: Any, ok: bool = True) -> Any:
    def script(node: FakeNode, message: Any) -> list[Any] | None:
        return [CommandReply(message.id, ok, body)] if isinstance(message, Command) else None

    return script


async def test_call(bank: FakeBank, operator: Any) -> None:
    bank.nodes[1].script = replying({"node": 1})
    steering = operator()
    assert await steering.call("accounts", ids=[1, 2]) == {"node": 1}
    assert await steering.call("status") == {"node": 1}
    assert [(m.name, m.args) for m in bank.nodes[1].heard] == [("accounts", {"ids": [1, 2]}), ("status", {})]
    assert [hello.role for hello in bank.nodes[1].hellos] == [Role.OPERATOR], "one connection for both"


async def test_answers_may_come_in_any_order(bank: FakeBank, operator: Any) -> None:
    waiting: list[Command] = []

    def reversed_pairs(node: FakeNode, message: Any) -> list[Any]:
        waiting.append(message)
        if len(waiting) < 2:
            return []
        return [CommandReply(command.id, True, command.name) for command in reversed(waiting)]

    bank.nodes[1].script = reversed_pairs
    steering = operator()
    assert await asyncio.gather(steering.call("a"), steering.call("b")) == ["a", "b"]


async def test_refused_command_names_its_reason(bank: FakeBank, operator: Any) -> None:
    bank.nodes[1].script = replying({"error": "no such command"}, ok=False)
    with pytest.raises(OperatorError, match="nonsense: no such command"):
        await operator().call("nonsense")


async def test_silent_node(bank: FakeBank, operator: Any) -> None:
    bank.nodes[1].silent = True
    with pytest.raises(TimeoutError, match="did not answer within"):
        await operator().call("status", timeout_s=0.1)


async def test_dead_node(bank: FakeBank, operator: Any) -> None:
    await bank.nodes[1].stop()
    with pytest.raises(TimeoutError, match="cannot be reached"):
        await operator().call("status", timeout_s=0.2)


async def test_wrong_secret(bank: FakeBank, operator: Any) -> None:
    with pytest.raises(TimeoutError, match="cannot be reached"):
        await operator(secret="wrong").call("status", timeout_s=0.2)


async def test_broken_connection_fails_the_call_and_is_dialled_again(bank: FakeBank, operator: Any) -> None:
    bank.nodes[1].silent = True
    steering = operator()
    call = asyncio.create_task(steering.call("fail"))
    await until(lambda: bank.nodes[1].heard)
    await bank.nodes[1].stop()
    with pytest.raises(ConnectionError, match="broke"):
        await call
    bank.nodes[1].silent = False
    bank.nodes[1].script = replying("again")
    await bank.nodes[1].start()
    assert await steering.call("status") == "again"


async def test_telemetry(bank: FakeBank, operator: Any) -> None:
    got: list[Telemetry] = []

    def watching(node: FakeNode, message: Any) -> list[Any]:
        return [CommandReply(message.id, True, {}), Telemetry(1, {"node": 1}, [])]

    bank.nodes[1].script = watching
    await operator(on_telemetry=got.append).call("watch", hz=5.0, level=0)
    await until(lambda: got)
    assert got[0].status == {"node": 1}


async def test_sync_client_serves_several_threads(bank: FakeBank) -> None:
    outcomes: list[str] = []

    def work() -> None:
        with SyncBankClient(bank.topology, SECRET) as client:
            assert client.ready(5.0)

            def transfers() -> None:
                outcomes.extend(client.transfer(1, 2, 1).outcome for _ in range(5))

            threads = [threading.Thread(target=transfers) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            outcomes.append(client.submit([(1, -1), (2, 1)]).outcome)
            outcomes.append(client.read([1]).outcome)
        client.close()

    await asyncio.to_thread(work)
    assert outcomes == ["committed"] * 16 + ["ok"]
