"""The live socket: key, frames, gaps, what workers are asked for."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator

from consensus.trace import fold
from tests.site.fakes import FakeWorker, Site, until


async def _open(site: Site) -> WebsocketCommunicator:
    if not site.cookies:
        await site.sign_in()
    socket = site.live()
    assert (await socket.connect())[0]
    return socket


async def _next(socket: WebsocketCommunicator, kind: str | None = None) -> dict[str, Any]:
    """The next message; empty frames that only say "still here" are passed over."""
    while True:
        message = json.loads(await socket.receive_from(10))
        if message["type"] == "frame" and not message["events"] and not message["dropped"]:
            continue
        assert kind in (None, message["type"]), message
        return message


def _leader_event(round_: int) -> dict[str, Any]:
    return {"k": "paxos.leader", "n": 1, "ts": 1_000, "b": [round_, 1], "leader": 1, "w": 0}


async def test_the_first_message_is_the_key_of_now(site: Site, workers: dict[int, FakeWorker]) -> None:
    from bankweb.orchestration.hub import hub

    await until(lambda: all(view.reports for view in hub().nodes.values()))
    socket = await _open(site)
    key = await _next(socket, "key")
    assert key["run"].startswith("live-")
    assert key["q"] == key["state"]["q"] > 0
    assert key["state"]["clusters"]["1"]["leader"] == 1
    assert key["state"]["nodes"]["5"]["applied"] == 7
    assert key["state"]["nodes"]["5"]["up"] == "up"
    await socket.disconnect()


async def test_key_and_frames_fold_to_the_state_of_the_hub(
    site: Site, workers: dict[int, FakeWorker]
) -> None:
    from bankweb.observatory.live import live

    socket = await _open(site)
    state = (await _next(socket, "key"))["state"]
    await workers[1].report(_leader_event(5), {"k": "paxos.applied", "n": 1, "ts": 1_001, "s": 40})
    workers[2].state = "failed"
    await workers[2].report()
    await workers[3].close()
    numbers: list[int] = []
    while state["nodes"]["3"]["up"] != "down" or state["nodes"]["2"]["up"] != "failed":
        frame = await _next(socket, "frame")
        numbers += [event["q"] for event in frame["events"]]
        state = fold.fold_all(state, frame["events"])
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert state == json.loads(json.dumps(live().state))
    assert state["clusters"]["1"]["ballot"] == [5, 1]
    assert state["nodes"]["1"]["applied"] == 40
    await socket.disconnect()


async def test_browsers_get_the_same_bytes(site: Site, workers: dict[int, FakeWorker]) -> None:
    first, second = await _open(site), await _open(site)
    await _next(first, "key")
    await _next(second, "key")
    await workers[1].report(_leader_event(6))
    assert await _next(first, "frame") == await _next(second, "frame")
    await first.disconnect()
    await second.disconnect()


async def test_workers_report_more_only_while_somebody_looks(
    site: Site, workers: dict[int, FakeWorker]
) -> None:
    from bankweb.observatory.live import live

    await until(lambda: workers[1].heard("watch"))
    first = await _open(site)
    await until(lambda: workers[1].heard("watch")[-1] == {"hz": 10.0, "level": 1})
    second = await _open(site)
    await second.send_to(text_data='{"type":"watch","level":2}')
    await until(lambda: workers[6].heard("watch")[-1] == {"hz": 10.0, "level": 2})
    await second.disconnect()
    await until(lambda: workers[1].heard("watch")[-1] == {"hz": 10.0, "level": 1})
    await first.disconnect()
    await until(lambda: workers[1].heard("watch")[-1] == {"hz": 1.0, "level": 0})
    assert len(workers[1].heard("watch")) == 5
    assert live()._ticker is None, "nobody looks, so no frames are made"


async def test_a_browser_that_stops_acknowledging_gets_a_gap_and_a_key(
    site: Site, workers: dict[int, FakeWorker]
) -> None:
    from bankweb.observatory.live import FRAMES_AHEAD_MAX, QUEUE_FRAMES_MAX, live

    socket = await _open(site)
    await _next(socket, "key")
    hub = live()
    await socket.send_to(text_data='{"type":"ack","f":0}')
    [browser] = hub._browsers
    await until(lambda: browser._acked == 0)
    last = hub.frame_number
    for number in range(FRAMES_AHEAD_MAX + QUEUE_FRAMES_MAX + 20):
        hub.happened({"k": "mark", "text": str(number)})
        hub.tick()
        await asyncio.sleep(0)
    got = []
    while not await socket.receive_nothing(0.05, 0.01):
        got.append(await _next(socket, "frame"))
    assert [frame["f"] for frame in got] == list(range(last + 1, last + 1 + len(got)))
    assert len(got) <= FRAMES_AHEAD_MAX
    await socket.send_to(text_data=json.dumps({"type": "ack", "f": got[-1]["f"]}))
    gap = await _next(socket, "gap")
    key = await _next(socket, "key")
    assert gap["from"] == got[-1]["events"][-1]["q"] + 1
    assert gap["to"] == key["q"]
    hub.happened({"k": "mark", "text": "after"})
    hub.tick()
    after = await _next(socket, "frame")
    assert after["events"][0]["q"] == key["q"] + 1
    await socket.disconnect()


async def test_what_is_too_much_for_a_frame_is_counted(site: Site, workers: dict[int, FakeWorker]) -> None:
    """Single timers go first; a mark and an exact count still get in."""
    from bankweb.observatory.live import EVENTS_PER_FRAME_MAX, live

    socket = await _open(site)
    await _next(socket, "key")
    for number in range(EVENTS_PER_FRAME_MAX + 5):
        live().happened({"k": "timer.fire", "n": 1, "name": str(number)})
    live().happened({"k": "mark", "text": "dear"})
    live().happened({"k": "agg", "n": 1, "window": 100, "links": {"1>2": {"accept": 3}}})
    await workers[1].report(dropped=7)
    kinds: Counter[str] = Counter()
    dropped = 0
    while kinds["timer.fire"] + dropped < EVENTS_PER_FRAME_MAX + 12:
        frame = await _next(socket, "frame")
        kinds.update(event["k"] for event in frame["events"])
        dropped += frame["dropped"]
    assert kinds["timer.fire"] <= EVENTS_PER_FRAME_MAX
    assert kinds["mark"] == 1
    assert live().state["links"]["1>2"]["m"] == {"accept": 3}
    await socket.disconnect()


async def test_causes_are_numbers_of_the_run(site: Site, workers: dict[int, FakeWorker]) -> None:
    socket = await _open(site)
    await _next(socket, "key")
    message = {"n": 1, "to": 2, "m": "accept", "mid": "x.1", "bytes": 9, "inc": 1, "s": 8, "b": [1, 1]}
    own = {"n": 1, "inc": 1, "s": 8, "b": [1, 1]}
    await workers[1].report(
        {"k": "paxos.accepted", "ts": 1, "ns": 4, **own},
        {"k": "msg.send", "ts": 2, "ns": 5, "by": 4, **message},
        {"k": "paxos.chosen", "ts": 9, "ns": 6, "by": 77, **own},
    )
    await workers[2].report(
        {"k": "msg.recv", "ts": 3, "ns": 4, **message},
        {"k": "paxos.accepted", "ts": 4, "ns": 5, "by": 4, **own, "n": 2},
        {"k": "mark", "ts": 5, "text": "a", "by": [], "mid": {}, "ns": "?"},
    )
    seen: list[dict[str, Any]] = []
    while not any(event["k"] == "mark" for event in seen):
        seen += [event for event in (await _next(socket, "frame"))["events"] if event["k"] != "agg"]
    number = {event["ts"]: event["q"] for event in seen}
    cause = {event["ts"]: event.get("cause") for event in seen}
    assert cause == {1: None, 2: number[1], 9: None, 3: number[2], 4: number[3], 5: None}
    assert not any("by" in event for event in seen)
    await socket.disconnect()


async def test_an_event_that_is_none_is_left_out(site: Site, workers: dict[int, FakeWorker]) -> None:
    socket = await _open(site)
    await _next(socket, "key")
    await workers[1].report({"k": "paxos.leader", "n": 1, "ts": 5}, _leader_event(7))
    frame = await _next(socket, "frame")
    while not any(event["k"] == "paxos.leader" for event in frame["events"]):
        frame = await _next(socket, "frame")
    assert [event["b"] for event in frame["events"] if event["k"] == "paxos.leader"] == [[7, 1]]
    assert frame["dropped"] == 1
    await socket.disconnect()


@pytest.mark.parametrize(
    "text", ["x", "[]", '{"type":"ack","f":-1}', '{"type":"ack"}', '{"type":"watch","level":3}', " " * 1_001]
)
async def test_other_messages_close_the_connection(site: Site, text: str) -> None:
    socket = await _open(site)
    await _next(socket, "key")
    await socket.send_to(text_data=text)
    output = await socket.receive_output(5)
    while output["type"] != "websocket.close":
        output = await socket.receive_output(5)
    assert output["code"] == 4400
    await socket.disconnect()


async def test_who_is_not_signed_in_is_told_so(site: Site) -> None:
    socket = site.live()
    await socket.connect()
    assert (await socket.receive_output(5))["code"] == 4401


@pytest.mark.parametrize("origin", ["http://evil.example", "", "null", "http://localhost:9999"])
async def test_a_foreign_page_is_not_let_in(site: Site, origin: str) -> None:
    await site.sign_in()
    connected, _ = await site.live(origin=origin).connect()
    assert not connected


async def test_a_script_may_watch_with_the_token(site: Site) -> None:
    socket = site.live(origin="", authorization="Token the-token")
    assert (await socket.connect())[0]
    await _next(socket, "key")
    await socket.disconnect()


async def test_other_websocket_addresses_do_not_exist(site: Site) -> None:
    socket = WebsocketCommunicator(site.application, "/ws/other/")
    await socket.connect()
    assert (await socket.receive_output(5))["code"] == 4404


async def test_checks_notice_replicas_that_differ(site: Site, workers: dict[int, FakeWorker]) -> None:
    from bankweb.observatory import checks
    from bankweb.orchestration.hub import hub

    await until(lambda: all(view.reports for view in hub().nodes.values()))
    check = checks.Replicas()
    assert await check.look() == {
        "k": "check",
        "name": "replicas agree",
        "ok": True,
        "detail": "compared in 2 clusters",
    }
    hub().nodes[5].status["hash"] = {"slot": 1_000, "hash": "cd"}
    assert (await check.look())["ok"]
    hub().nodes[5].status["hash"] = {"slot": 0, "hash": "cd"}
    assert (await check.look())["ok"], "seen once only: it may be about to be reset"
    verdict = await check.look()
    assert (verdict["ok"], verdict["detail"]) == (False, "nodes 4, 6 and nodes 5 differ at slot 0")


async def test_checks_compare_the_hashes_of_now(site: Site, workers: dict[int, FakeWorker]) -> None:
    from bankweb.observatory import checks
    from bankweb.orchestration.hub import hub

    for node, worker in workers.items():
        worker.answers["hash"] = {"slot": 70 + node % 2, "hash": "ef"}
        hub().nodes[node].status.pop("hash", None)
    check = checks.Replicas()
    assert (await check.look())["detail"] == "compared in 2 clusters"
    workers[3].answers["hash"] = {"slot": 71, "hash": "00"}
    await check.look()
    assert (await check.look())["detail"] == "nodes 1 and nodes 3 differ at slot 71"


async def test_checks_notice_money_that_is_gone(site: Site, workers: dict[int, FakeWorker]) -> None:
    from bankweb.observatory import checks
    from bankweb.orchestration.hub import hub

    await until(lambda: all(view.reports for view in hub().nodes.values()))
    for worker in workers.values():
        worker.hold(300)
    assert (await checks.balances_constant())["ok"]
    for worker in workers.values():
        worker.hold(300 if worker.node < 4 else 299)
    verdict = await checks.balances_constant()
    assert (verdict["ok"], verdict["detail"]) == (
        False,
        "cut 2: all balances add up to 599; it should be 600",
    )


async def test_checks_run_while_somebody_looks(site: Site, workers: dict[int, FakeWorker]) -> None:
    for worker in workers.values():
        worker.hold(300)
    socket = await _open(site)
    await _next(socket, "key")
    found: set[str] = set()
    while found != {"replicas agree", "Σ balances constant"}:
        frame = await _next(socket, "frame")
        found |= {event["name"] for event in frame["events"] if event["k"] == "check"}
    await socket.disconnect()
