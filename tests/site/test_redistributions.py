"""Steering a redistribution, and what a site that starts again makes of it; the cluster is a stand-in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.site.fakes import Site, until

KEY = "ab" * 16


class Leader:
    """Node 1 leads cluster 1. Parts are under way until ``over``; ``asked`` holds their numbers."""

    def __init__(self) -> None:
        self.over = False
        self.asked: list[int] = []

    async def ask(self, node: int, name: str, **arguments: Any) -> Any:
        if name != "move" or node != 1:
            return None
        self.asked.append(arguments["part"])
        taken = arguments["accounts"] if self.over else []
        return {"leads": True, "over": self.over, "phase": "flipped", "taken": taken}


@pytest.fixture
async def leader(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Leader]:
    from bankweb.redistribution import service, traffic

    standing = Leader()
    traffic.gatherer.cache_clear()
    service.redistributions.cache_clear()
    monkeypatch.setattr(service, "ask", standing.ask)
    monkeypatch.setattr(service, "VERIFY_S", 0.0)
    yield standing
    await service.redistributions().close()
    service.redistributions.cache_clear()
    traffic.gatherer.cache_clear()


async def planned(accounts: range) -> None:
    """A plan that takes ``accounts`` from cluster 1 to cluster 2."""
    from bankweb.redistribution import records
    from bankweb.redistribution.models import Redistribution

    moves = [[account, 1, 2, 1, 0, 1, 1] for account in accounts]
    plan = records.packed({"moves": moves, "table": [], "method": "flat"})
    row = Redistribution(
        key=KEY, status="planned", origin="hand", actor="", created=records.now(), plan=plan, total=len(moves)
    )
    await records.add(row)


async def said(site: Site) -> dict[str, Any]:
    body: dict[str, Any] = (await site.get(f"/api/redistributions/{KEY}/")).json
    return body


async def starts_again() -> None:
    """The site's process ends and another begins, as far as redistributions know."""
    from bankweb.redistribution import service

    await service.redistributions().close()
    service.redistributions.cache_clear()
    await service.redistributions().resume_unfinished()


async def over(site: Site) -> dict[str, Any]:
    from bankweb.redistribution.service import redistributions

    await until(lambda: redistributions().carrying is None)
    return await said(site)


async def test_an_abort_outlives_the_site(site: Site, leader: Leader) -> None:
    await planned(range(1, 31))
    assert (await site.post(f"/api/redistributions/{KEY}/apply/")).status == 200
    await until(lambda: bool(leader.asked))
    answer = await site.post(f"/api/redistributions/{KEY}/abort/")
    assert (answer.json["status"], answer.json["ended"]) == ("aborted", None)
    for command in ("pause", "resume", "apply", "rollback"):
        refused = await site.post(f"/api/redistributions/{KEY}/{command}/")
        assert (refused.status, refused.json["code"]) == (409, "conflict"), command

    await starts_again()
    leader.over = True
    body = await over(site)
    assert body["status"] == "aborted"
    assert body["ended"] is not None
    first = len(set(leader.asked))
    assert body["progress"]["moved"] < 30, "no further part was begun"
    assert first == 1
    assert (await site.post(f"/api/redistributions/{KEY}/rollback/")).status == 200


async def test_a_pause_outlives_the_site_and_a_resume_moves_the_rest(site: Site, leader: Leader) -> None:
    await planned(range(1, 31))
    await site.post(f"/api/redistributions/{KEY}/apply/")
    await until(lambda: bool(leader.asked))
    assert (await site.post(f"/api/redistributions/{KEY}/pause/")).json["status"] == "paused"
    await starts_again()
    leader.over = True
    assert (await said(site))["status"] == "paused"
    assert (await site.post(f"/api/redistributions/{KEY}/resume/")).json["status"] == "running"
    body = await over(site)
    assert (body["status"], body["progress"]["moved"]) == ("done", 30)


async def test_what_only_watches_cannot_be_paused(
    site: Site, leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bankweb.redistribution import service

    monkeypatch.setattr(service, "VERIFY_S", 600.0)
    leader.over = True
    await planned(range(1, 3))
    await site.post(f"/api/redistributions/{KEY}/apply/")
    await until(lambda: service.redistributions().carrying.phase == "verify")
    refused = await site.post(f"/api/redistributions/{KEY}/pause/")
    assert (refused.status, refused.json["detail"]) == (409, "cannot pause: moving is done")
    assert (await said(site))["status"] == "running"
