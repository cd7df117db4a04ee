"""The workers' socket and the hub behind it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator

from consensus import codec
from consensus.messages.control import PROTOCOL_VERSION, Command, CommandReply, Hello, Role, Telemetry
from consensus.messages.paxos import Commit
from consensus.types import Ballot
from tests.site.fakes import FakeWorker, Site, until

GOOD = (b"authorization", b"Bearer the-secret")
HELLO = Hello(PROTOCOL_VERSION, Role.OPERATOR, 1, 1)


def _socket(site: Site, *headers: tuple[bytes, bytes]) -> WebsocketCommunicator:
    return WebsocketCommunicator(site.application, "/ws/worker/", [(b"host", b"localhost"), *headers])


def _frame(*messages: Any) -> bytes:
    return codec.frame(1, [codec.encode(message) for message in messages], len(messages))


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((b"authorization", b"Bearer wrong"),),
        ((b"authorization", b"Token the-secret"),),
        ((b"authorization", b""),),
        (GOOD, (b"origin", b"http://localhost")),
        (GOOD, (b"origin", b"")),
    ],
)
async def test_handshakes_are_refused(site: Site, headers: tuple[tuple[bytes, bytes], ...]) -> None:
    connected, _ = await _socket(site, *headers).connect()
    assert not connected


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"nonsense", 4400),
        (_frame(HELLO)[:-3], 4400),
        (_frame(HELLO) + b"x", 4400),
        (codec.frame(1, [b"\x92\xcd\x03\xe7\x01"], 1), 4400),
        (b"\xc1" * (codec.FRAME_BYTES_MAX + 1), 1009),
        (_frame(Command(1, "status")), 4401),
        (_frame(Hello(99, Role.OPERATOR, 1, 1)), 4401),
        (_frame(Hello(PROTOCOL_VERSION, Role.PEER, 1, 1)), 4401),
        (_frame(Hello(PROTOCOL_VERSION, Role.OPERATOR, 77, 1)), 4401),
        (_frame(HELLO, Commit(Ballot(1, 1), 3)), 4400),
        (_frame(HELLO, HELLO), 4400),
    ],
    ids=range(11),
)
async def test_bad_frames_close_with_a_code_and_are_counted(site: Site, data: bytes, code: int) -> None:
    from bankweb.orchestration.hub import hub

    socket = _socket(site, GOOD)
    assert (await socket.connect())[0]
    await socket.send_to(bytes_data=data)
    output = await socket.receive_output(5)
    while output["type"] != "websocket.close":
        output = await socket.receive_output(5)
    assert output["code"] == code
    assert hub().bad_frames == 1
    await socket.disconnect()
    assert hub().connected() == []


async def test_text_is_no_frame(site: Site) -> None:
    socket = _socket(site, GOOD)
    await socket.connect()
    await socket.send_to(text_data="hello")
    assert (await socket.receive_output(5))["code"] == 4400


async def test_a_silent_connection_is_closed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from bankweb.orchestration import consumers

    monkeypatch.setattr(consumers, "HELLO_WITHIN_S", 0.01)
    socket = _socket(site, GOOD)
    await socket.connect()
    assert (await socket.receive_output(5))["code"] == 4401


async def test_calls_are_answered_in_any_order(site: Site, workers: dict[int, FakeWorker]) -> None:
    from bankweb.orchestration.hub import hub

    workers[1].silent.add("slow")
    slow = asyncio.create_task(hub().call(1, "slow"))
    await until(lambda: workers[1].heard("slow"))
    workers[1].answers["quick"] = lambda **args: {"seen": args}
    assert await hub().call(1, "quick", a=1) == {"seen": {"a": 1}}
    [command] = [command for command in workers[1].commands if command.name == "slow"]
    await workers[1].send(CommandReply(command.id, True, {"late": True}))
    assert await slow == {"late": True}


async def test_a_call_has_a_deadline_and_a_late_answer_is_ignored(
    site: Site, workers: dict[int, FakeWorker]
) -> None:
    from bankweb.orchestration.hub import hub
    from bankweb.rest.problems import Problem

    workers[1].silent.add("status")
    with pytest.raises(Problem, match=r"node 1 did not answer `status` within 0\.05 s"):
        await hub().call(1, "status", deadline_s=0.05)
    command = workers[1].commands[-1]
    await workers[1].send(CommandReply(command.id, True, {}))
    workers[1].silent.clear()
    assert (await hub().call(1, "status"))["node"] == 1


async def test_a_refusal_carries_the_nodes_reason(site: Site, workers: dict[int, FakeWorker]) -> None:
    from bankweb.orchestration.hub import hub
    from bankweb.rest.problems import Problem

    with pytest.raises(Problem, match="node 1 refused `dance`: unknown command dance"):
        await hub().call(1, "dance")


async def test_questions_fail_at_once_when_the_worker_goes(
    site: Site, workers: dict[int, FakeWorker]
) -> None:
    from bankweb.orchestration.hub import hub
    from bankweb.rest.problems import Problem

    workers[2].silent.add("status")
    call = asyncio.create_task(hub().call(2, "status", deadline_s=60))
    await until(lambda: workers[2].heard("status"))
    await workers[2].close()
    with pytest.raises(Problem, match="node 2 is not connected"):
        await call
    with pytest.raises(Problem, match="node 2 is not connected"):
        await hub().call(2, "status")
    with pytest.raises(Problem, match="no node 99"):
        await hub().call(99, "status")


async def test_the_newer_of_two_connections_wins(site: Site, workers: dict[int, FakeWorker]) -> None:
    from bankweb.orchestration.hub import hub

    newer = FakeWorker(site.application, 1, leader=1)
    await newer.connect()
    newer.answers["who"] = "newer"
    assert await hub().call(1, "who") == "newer"
    await until(lambda: workers[1].closed_with is not None)
    assert workers[1].closed_with == 4409
    await workers[1].close()
    assert await hub().call(1, "who") == "newer"
    assert 1 in hub().connected()
    await newer.close()
    assert 1 not in hub().connected()


async def test_reports_set_status_and_age(site: Site, workers: dict[int, FakeWorker]) -> None:
    from bankweb.orchestration.hub import hub

    await until(lambda: hub().nodes[3].reports == 1)
    view = hub().nodes[3]
    assert view.status["applied"] == 7
    assert view.age_s is not None
    assert 0 <= view.age_s < 10
    await workers[3].send(Telemetry(2, {**workers[3].status, "applied": 9}, [], 4))
    await until(lambda: view.reports == 2)
    assert (view.status["applied"], view.dropped) == (9, 4)


async def test_workers_that_come_are_told_what_to_report(site: Site, workers: dict[int, FakeWorker]) -> None:
    await until(lambda: all(worker.heard("watch") for worker in workers.values()))
    assert workers[4].heard("watch") == [{"hz": 1.0, "level": 0}]
