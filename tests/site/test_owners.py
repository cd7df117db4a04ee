"""Owners that no event told of reach the trace: what moved before the site began, what got lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bankweb.redistribution import owners, traffic
from tests.site.fakes import FakeWorker, until

UP = {"incarnation": 1, "epoch": 2}


@pytest.fixture
async def watch(
    workers: dict[int, FakeWorker], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[owners.OwnersWatch]:
    from bankweb.orchestration.hub import hub

    await until(lambda: all(view.reports for view in hub().nodes.values()))
    here = traffic.Gatherer()
    monkeypatch.setattr(owners, "gatherer", lambda: here)
    monkeypatch.setattr(owners, "QUIET_S", 0.01)
    made = owners.OwnersWatch()
    yield made
    await made.close()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Rows as nodes tell them of the map; may be changed."""
    rows: list[list[int]] = []

    async def ask(node: int, name: str, **arguments: int) -> object:
        await asyncio.sleep(0)
        return {"rows": list(rows), "next": None}

    monkeypatch.setattr(traffic, "ask", ask)
    return rows


def _statuses(**status: Any) -> None:
    from bankweb.orchestration.hub import hub

    for view in hub().nodes.values():
        view.status.update(status)


async def test_what_moved_before_is_told_once(
    watch: owners.OwnersWatch, told: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bankweb.observatory.live import live

    before = live().state["q"]
    watch.heard(1, {"incarnation": 1, "epoch": 0}, [], 0)
    assert watch._task is None, "nothing has ever moved"
    monkeypatch.setattr(owners, "ROWS_MAX", 2)
    told.extend([[7, 2, 1], [8, 2, 3], [11, 1, 2]])
    _statuses(**UP)
    watch.heard(1, UP, [], 0)
    watch.heard(4, UP, [], 0)
    await until(lambda: live().state["owners"] == {"7": [2, 1], "8": [2, 3], "11": [1, 2]})
    assert live().state["q"] == before + 2, "in pieces"
    await until(lambda: watch._task is not None and watch._task.done())
    watch.heard(1, UP, [], 0)
    assert watch._task is not None and watch._task.done(), "nothing has moved since"
    owners.tell()
    assert live().state["q"] == before + 2


async def test_only_what_the_state_lacks_is_told_and_a_silent_cluster_is_asked_again(
    watch: owners.OwnersWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bankweb.observatory.live import live

    tries: list[int] = []

    async def ask(node: int, name: str, **arguments: int) -> object:
        await asyncio.sleep(0)
        tries.append(node)
        return None if len(tries) < 3 else {"rows": [[7, 2, 1], [8, 2, 1]], "next": None}

    monkeypatch.setattr(traffic, "ask", ask)
    flip = {"k": "mig.flip", "n": 1, "cl": 1, "inc": 1, "plan": "p", "batch": 1, "to": 2, "accounts": [7]}
    live().happened({**flip, "epochs": [1]})
    first = live().state["q"]
    heard = {**UP, "epoch": 3}
    _statuses(**heard)
    watch.heard(1, heard, [], 0)
    await until(lambda: "8" in live().state["owners"])
    assert len(tries) >= 4
    assert live().state["q"] == first + 1


async def test_a_map_of_an_earlier_life_of_the_bank_is_not_told(
    watch: owners.OwnersWatch, told: list[list[int]]
) -> None:
    from bankweb.observatory.live import live

    live().happened({"k": "node.up", "n": 1, "inc": 9})
    told.append([7, 2, 1])
    _statuses(**UP)
    watch.heard(1, UP, [], 0)
    await until(lambda: watch._task is not None and watch._task.done())
    assert owners.gatherer().placement.owner(7) == 2
    assert live().state["owners"] == {}
