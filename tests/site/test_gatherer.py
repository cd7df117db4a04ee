"""What the site asks nodes for when somebody wants to know of traffic and placement."""

from __future__ import annotations

import asyncio

import pytest

from bankweb.redistribution import traffic
from tests.site.fakes import FakeWorker, until


@pytest.fixture
async def gatherer(workers: dict[int, FakeWorker]) -> traffic.Gatherer:
    from bankweb.orchestration.hub import hub

    await until(lambda: all(view.reports for view in hub().nodes.values()))
    return traffic.Gatherer()


async def test_the_map_is_read_when_something_moved(
    gatherer: traffic.Gatherer, workers: dict[int, FakeWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bankweb.orchestration.hub import hub

    rows: list[list[int]] = []
    asked: list[int] = []

    async def ask(node: int, name: str, **arguments: int) -> object:
        await asyncio.sleep(0)
        if name != "map":
            return None
        asked.append(node)
        return {"rows": rows, "next": None}

    monkeypatch.setattr(traffic, "ask", ask)
    await gatherer.gather(fresh_s=1e-9)
    assert sorted(asked) == [1, 4], "the leaders know most"
    await gatherer.gather(fresh_s=1e-9)
    assert len(asked) == 2, "nothing has moved"
    assert gatherer.placement.owner(7) == 1

    rows.append([7, 2, 1])
    hub().nodes[1].status["epoch"] = 1
    await gatherer.gather(fresh_s=1e-9)
    assert (len(asked), gatherer.placement.owner(7), gatherer.placement.epochs) == (4, 2, {7: 1})
    await gatherer.gather(fresh_s=0.0)
    assert len(asked) == 6, "whoever must know exactly does not wait for a status"


async def test_a_map_that_was_read_in_part_is_read_again(
    gatherer: traffic.Gatherer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    async def ask(node: int, name: str, **arguments: int) -> object:
        asked.append(node)
        return {"rows": [], "next": None} if name == "map" and node == 4 else None

    monkeypatch.setattr(traffic, "ask", ask)
    await gatherer.gather(fresh_s=1e-9)
    asked.clear()
    await gatherer.gather(fresh_s=1e-9)
    assert 1 in asked
