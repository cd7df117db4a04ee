"""The site with a real bank of one cluster behind it: live stream, batches, faults, reset."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
import websockets

from consensus.trace import fold
from tests.process.test_site import Running, runbank

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]
WAIT_S = 60


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One bank for all tests here. Nothing may have gone wrong in the site when it ends."""
    data = tmp_path_factory.mktemp("end-to-end") / "bank"
    with runbank(data, "--clusters", "1", "--nodes", "3", "--accounts", "90") as bank:
        yield bank
    log = (data / "logs" / "site.log").read_text(encoding="utf-8")
    assert "Traceback" not in log, log
    assert "unforeseen" not in log, log


@pytest.fixture
async def bank(running: Running) -> Running:
    """The bank, every node up, all accounts as at first."""

    async def nodes() -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = (await rest(running, "GET", "nodes/"))[1]["results"]
        return told

    await until(nodes, lambda rows: all(row["state"] == "up" for row in rows))
    assert (await rest(running, "POST", "reset/"))[0] == 200
    await until(lambda: rest(running, "GET", "health/ready/"), lambda told: told[0] == 200)
    return running


async def rest(bank: Running, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    return await asyncio.to_thread(bank.rest, method, path, body, **headers)


async def until(ask: Any, holds: Any) -> Any:
    """Ask until the answer is as wanted, and return it."""
    async with asyncio.timeout(WAIT_S):
        while not holds(told := await ask()):  # noqa: ASYNC110  (another process is asked)
            await asyncio.sleep(0.05)
    return told


def live(bank: Running) -> Any:
    url = f"{bank.base.replace('http', 'ws')}/ws/live/"
    return websockets.connect(url, additional_headers={"Authorization": f"Token {bank.token}"})


async def _follow(socket: Any, state: dict[str, Any], holds: Any) -> dict[str, Any]:
    """Fold frames until ``holds(state)``."""
    async with asyncio.timeout(WAIT_S):
        while not holds(state):
            message = json.loads(await socket.recv())
            assert message["type"] in ("frame", "key"), message
            if message["type"] == "key":
                state = message["state"]
                continue
            await socket.send(json.dumps({"type": "ack", "f": message["f"]}))
            state = fold.fold_all(state, message["events"])
    return state


async def test_the_live_stream_shows_transfers_failures_and_elections(bank: Running) -> None:
    async with live(bank) as socket:
        state = await _follow(socket, fold.empty(), lambda s: s["clusters"])
        state = await _follow(socket, state, lambda s: s["clusters"]["1"]["leader"] == 1)
        status, sent = await rest(bank, "POST", "transactions/", {"sender": 1, "receiver": 2, "amount": 3})
        assert (status, sent["outcome"]) == (200, "committed")
        slot = sent["positions"][0]["slot"]
        state = await _follow(
            socket, state, lambda s: all(node["applied"] >= slot for node in s["nodes"].values())
        )
        state = await _follow(
            socket, state, lambda s: any(tx["id"] == sent["id"] and tx["outcome"] for tx in s["tx"])
        )
        state = await _follow(socket, state, lambda s: all(check["ok"] for check in s["checks"].values()))
        assert (await rest(bank, "POST", "nodes/1/fail/"))[0] == 200
        state = await _follow(socket, state, lambda s: s["nodes"]["1"]["up"] == "failed")
        state = await _follow(socket, state, lambda s: s["clusters"]["1"]["leader"] in (2, 3))
        assert state["clusters"]["1"]["elections"] >= 1
        _, sent = await rest(bank, "POST", "transactions/", {"sender": 1, "receiver": 2, "amount": 3})
        assert sent["outcome"] == "committed"
        assert sent["positions"][0]["ballot"][1] == state["clusters"]["1"]["leader"]
        _, told = await rest(bank, "GET", "accounts/1/replicas/")
        assert [(row["node"], row["balance"]) for row in told["replicas"] if row["node"] == 1] == [(1, 7)]
        assert (await rest(bank, "POST", "nodes/1/recover/"))[0] == 200
        await _follow(socket, state, lambda s: s["nodes"]["1"]["up"] == "up" and s["nodes"]["1"]["lag"] == 0)
    views = (await rest(bank, "GET", "views/"))[1]["results"][0]
    assert views["views"][-1]["leader"] in (2, 3)


async def test_batches_keep_the_total_and_the_replicas_equal(bank: Running) -> None:
    items = [{"sender": 1 + n % 45, "receiver": 46 + n % 45, "amount": 1 + n % 2} for n in range(500)]
    status, told = await rest(bank, "POST", "transactions/batch/", items, **{"Idempotency-Key": "batch"})
    assert status == 200
    outcomes = [result["outcome"] for result in told["results"]]
    assert set(outcomes) == {"committed", "aborted"}
    again = (await rest(bank, "POST", "transactions/batch/", items, **{"Idempotency-Key": "batch"}))[1]
    assert again == told
    one = (await rest(bank, "GET", f"transactions/{told['results'][77]['id']}/"))[1]
    assert (one["outcome"], one["positions"]) == (outcomes[77], told["results"][77]["positions"])
    assert (await rest(bank, "GET", "accounts/summary/"))[1]["total"] == 900

    async def nodes() -> list[dict[str, Any]]:
        return [(await rest(bank, "GET", f"nodes/{node}/"))[1] for node in (1, 2, 3)]

    await until(nodes, lambda rows: len({row["applied"] for row in rows}) == 1)
    exports = [(await rest(bank, "GET", f"nodes/{node}/export/"))[1]["accounts"] for node in (1, 2, 3)]
    assert exports[0] == exports[1] == exports[2]
    assert sum(row["balance"] for row in exports[0]) == 900


async def test_a_cut_majority_refuses_until_it_is_healed(bank: Running) -> None:
    transfer = {"sender": 1, "receiver": 2, "amount": 1}
    for node in (2, 3):
        status, told = await rest(bank, "POST", f"nodes/{node}/fail/")
        assert status == 200, told
    status, told = await rest(bank, "POST", "transactions/", transfer, **{"Idempotency-Key": "cut"})
    assert status in (202, 503), told
    assert (await rest(bank, "GET", "health/ready/"))[0] == 503
    assert (await rest(bank, "POST", "faults/heal/"))[0] == 200
    await until(lambda: rest(bank, "GET", "health/ready/"), lambda told: told[0] == 200)
    status, told = await until(
        lambda: rest(bank, "POST", "transactions/", transfer, **{"Idempotency-Key": "cut"}),
        lambda told: told[0] == 200,
    )
    assert told["outcome"] in ("committed", "aborted")
    again = (await rest(bank, "POST", "transactions/", transfer, **{"Idempotency-Key": "cut"}))[1]
    assert again == told
    balance = (await rest(bank, "GET", "accounts/1/"))[1]["balance"]
    assert balance == (9 if told["outcome"] == "committed" else 10)


async def test_reset_begins_anew(bank: Running) -> None:
    transfer = {"sender": 1, "receiver": 2, "amount": 4}
    before = (await rest(bank, "POST", "transactions/", transfer))[1]
    incarnation = (await rest(bank, "GET", "nodes/1/"))[1]["incarnation"]
    status, told = await rest(bank, "POST", "reset/")
    assert (status, told["incarnation"]) == (200, incarnation + 1), told
    _, account = await until(lambda: rest(bank, "GET", "accounts/1/"), lambda told: told[0] == 200)
    assert (account["balance"], account["version"]) == (10, 0)
    assert (await rest(bank, "GET", "nodes/2/db/"))[1]["results"] == []
    after = (await rest(bank, "POST", "transactions/", transfer))[1]
    assert (after["outcome"], after["accounts"]["1"]) == ("committed", {"version": 1, "balance": 6})
    assert after["id"] != before["id"]
    rows = (await rest(bank, "GET", "transactions/"))[1]["results"]
    assert [row["id"] for row in rows[:2]] == [after["id"], before["id"]]
