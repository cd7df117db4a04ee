"""Steering a redistribution, and what a site that starts again makes of it; the cluster is a stand-in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from bankweb.orchestration.experiments import SCENARIO, Experiment, experiments
from tests.site.fakes import Site, until

STORY = Experiment(SCENARIO, "Kill the leader", "/lab/7/")
KEY = "ab" * 16
FIGURES = {"cross_shard_pct": 66.0, "load_imbalance_pct": 1.0, "account_imbalance_pct": 0.0, "window": 100}


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
        return {"leads": True, "over": self.over, "phase": "flipped", "taken": taken, "out_ms": None}


@pytest.fixture
async def leader(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Leader]:
    from bankweb.redistribution import service, traffic

    async def warm() -> bool:
        return True

    standing = Leader()
    monkeypatch.setattr(service, "is_warm", warm)
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


async def test_a_plan_outlives_the_request_that_asked_for_it(
    site: Site, leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bankweb.redistribution import service

    asked, go = asyncio.Event(), asyncio.Event()

    async def slow_plan(*_: Any) -> tuple[dict[str, Any], list[Any]]:
        asked.set()
        await go.wait()
        return {
            "status": "refused",
            "reason": "r",
            "id": "",
            "moves": [],
            "before": FIGURES,
            "predicted": FIGURES,
        }, []

    monkeypatch.setattr(service, "make_plan", slow_plan)
    request = asyncio.create_task(service.redistributions().plan({}, ""))
    await asked.wait()
    request.cancel()  # the client hung up
    await asyncio.wait([request])
    go.set()
    await until(lambda: not service.redistributions()._tasks)
    (row,) = (await site.get("/api/redistributions/")).json["results"]
    assert row["status"] == "refused"


async def test_the_first_plan_of_an_installation_says_what_it_waits_for(
    site: Site, leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bankweb.redistribution import service

    begun: list[bool] = []
    pages: list[str] = []
    await site.sign_in()

    async def cold() -> bool:
        return False

    async def compile_the_rest() -> None:
        begun.append(service.redistributions().planning is None)

    async def plan(*_: Any) -> tuple[dict[str, Any], list[Any]]:
        planning = service.redistributions().planning
        assert planning is not None
        pages.append((await site.get(f"/redistributions/{planning.key}/", token=None)).text)
        refused = {"status": "refused", "reason": "r", "id": "", "moves": []}
        return {**refused, "before": FIGURES, "predicted": FIGURES}, []

    monkeypatch.setattr(service, "is_warm", cold)
    monkeypatch.setattr(service, "warm", compile_the_rest)
    monkeypatch.setattr(service, "make_plan", plan)
    await service.redistributions().plan({}, "")
    await until(lambda: bool(begun))
    assert begun == [True], "once, when the plan was made"
    assert "compiled first, once per installation" in pages[0]
    assert not service.redistributions().compiling


@pytest.mark.parametrize("body", [{"seed": None}, {"max_moves": None}, {"epsilon": None}, {"price": "1"}])
async def test_what_is_no_number_is_refused(site: Site, leader: Leader, body: dict[str, Any]) -> None:
    answer = await site.post("/api/redistributions/", body)
    assert (answer.status, [answer.json["field"]]) == (400, list(body))


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


async def test_it_has_the_bank_while_it_moves_and_not_while_it_is_paused(site: Site, leader: Leader) -> None:
    await planned(range(1, 31))
    experiments().take(STORY)
    refused = await site.post(f"/api/redistributions/{KEY}/apply/")
    assert (refused.status, "Kill the leader" in refused.json["detail"]) == (409, True)
    experiments().give(STORY)
    await site.post(f"/api/redistributions/{KEY}/apply/")
    await until(lambda: bool(leader.asked))
    [holder] = experiments().holders
    assert (holder.what, holder.path) == ("redistribution", f"/redistributions/{KEY}/")
    await site.post(f"/api/redistributions/{KEY}/pause/")
    experiments().take(STORY)
    assert (await site.post(f"/api/redistributions/{KEY}/resume/")).status == 409
    assert (await said(site))["status"] == "paused"
    experiments().give(STORY)
    await site.post(f"/api/redistributions/{KEY}/resume/")
    assert experiments().holders == [holder]
    leader.over = True
    await over(site)
    assert experiments().holders == []


async def test_a_plan_is_in_the_trace_with_its_trial_and_its_end(
    site: Site, leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bankweb.observatory.live import live
    from bankweb.redistribution import service

    moves = [[account, 1, 2, 1, 0, 1, 1] for account in range(1, 31)]
    rows = [[vertex, 0, 1, 8] for vertex in range(100)]
    quality = {"k": "hg.quality", "km1": 7, "imbalance": 0.01}
    events = [
        {"k": "hg.level", "level": 1, "vertices": 40, "trial": True},
        {"k": "hg.moves", "level": 1, "moves": rows, "trial": True},
        quality,
    ]

    async def make(sample: Any, placement: Any, options: Any, heard: Any) -> Any:
        for event in events:
            heard(event)
        after = {**FIGURES, "cross_shard_pct": 10.0}
        return {
            "status": "planned", "reason": "", "id": "d", "moves": moves, "table": [], "method": "flat",
            "before": dict(FIGURES), "predicted": after,
        }, events  # fmt: skip

    monkeypatch.setattr(service, "make_plan", make)
    monkeypatch.setattr(type(service.watch()), "tps", lambda *_: 100.0)
    body = (await site.post("/api/redistributions/", {"dry_run": True})).json
    assert body["before"]["throughput_tps"] == 100.0
    assert body["predicted"]["throughput_tps"] == pytest.approx(
        100 * (1 + 2.7 * 0.66) / (1 + 2.7 * 0.1), abs=0.1
    )
    state = live().state
    assert state["hg"]["plan"] == body["id"]
    assert (state["hg"]["moved"], state["hg"]["trial"], state["hg"]["is"]) == (100, False, "quality")
    assert [(one["k"], one.get("moves")) for one in state["feed"] if one["k"].startswith("mig")] == [
        ("mig.plan", 30)
    ]
    leader.over = True
    await site.post(f"/api/redistributions/{body['id']}/apply/")
    await until(lambda: service.redistributions().carrying is None)
    assert live().state["plans"][0]["state"] == "done"
    ended = (await site.get(f"/api/redistributions/{body['id']}/")).json
    assert [row[0] for row in ended["series"][:10]] == [float(-ago) for ago in range(10, 0, -1)]
    levels = (await site.get(f"/api/redistributions/{body['id']}/levels/")).json
    assert [event.get("trial", False) for event in levels["events"]] == [True, True, False]


async def test_why_an_account_moved(site: Site, leader: Leader) -> None:
    from bankweb.redistribution import records
    from bankweb.redistribution.models import Redistribution

    moves = [[11, 1, 2, 9, 3, 12, 30], [12, 1, 2, 7, 1, 8, 10], [13, 1, 2, 5, 0, 5, 5]]
    plan = {
        "moves": moves,
        "table": [],
        "method": "flat",
        "weights": [[60, 40], [30, 30]],
        "partners": [[[40, 6, 2], [12, 4, 1]], [[11, 4, 2]]],
    }
    row = Redistribution(
        key=KEY, status="planned", origin="hand", actor="", created=records.now(), total=3,
        plan=records.packed(plan), before=FIGURES,
    )  # fmt: skip
    await records.add(row)
    told = (await site.get(f"/api/redistributions/{KEY}/moves/11/")).json
    assert (told["place"], told["saved"], told["partners_there"], told["partners_here"]) == (1, 9, 12, 3)
    assert told["partners"] == [
        {"account": 40, "transactions": 6, "cluster": 2, "follows": False},
        {"account": 12, "transactions": 4, "cluster": 1, "follows": True},
    ]
    assert told["load_pct"] == [
        {"cluster": 1, "before": 60.0, "after": 30.0},
        {"cluster": 2, "before": 40.0, "after": 70.0},
    ]
    second = (await site.get(f"/api/redistributions/{KEY}/moves/12/")).json
    assert second["load_pct"][0] == {"cluster": 1, "before": 30.0, "after": 20.0}
    third = (await site.get(f"/api/redistributions/{KEY}/moves/13/")).json
    assert (third["from_plan"], third["partners"], third["part"]) == (False, [], None)
    assert (await site.get(f"/api/redistributions/{KEY}/moves/14/")).status == 404

    leader.over = True
    await site.post(f"/api/redistributions/{KEY}/apply/")
    await over(site)
    told = (await site.get(f"/api/redistributions/{KEY}/moves/11/")).json
    assert (told["moved"], told["phase"], told["together"]) == (True, "flipped", 3)
    await site.sign_in()
    page = (await site.get(f"/redistributions/{KEY}/?account=11", token=None)).text
    assert "Why account 11 moved" in page
    fragment = await site.get(
        f"/redistributions/{KEY}/?account=x", token=None, headers={"hx-request": "true"}
    )
    assert "an account is a number" in fragment.text
    assert "<html" not in fragment.text
    stays = (await site.get(f"/redistributions/{KEY}/?account=14", token=None)).text
    assert "Why account 14 stays" in stays
    assert "Nobody has traded with it of late" in stays
    beyond = (await site.get(f"/redistributions/{KEY}/?account=99999999", token=None)).text
    assert "the bank has accounts 1 to" in beyond


async def test_why_an_account_stays(site: Site, leader: Leader) -> None:
    """Its partners count where the plan puts them."""
    from bankweb.redistribution import records
    from bankweb.redistribution.models import Redistribution
    from bankweb.redistribution.reasons import staying
    from bankweb.redistribution.traffic import gatherer

    far = gatherer().placement.accounts
    ends = np.array([1, 2, 1, 2, 1, 3, 1, far], dtype=np.uint32)
    gatherer().traffic.add(
        1,
        {
            "started_ms": 1,
            "now_ms": 2**50,
            "marks": [],
            "pairs": {"first": 0, "next": 0, "total": 0, "data": b""},
            "sets": {"first": 0, "next": 4, "total": 4, "rows": ends.reshape(-1, 2).tolist()},
            "reads": {"first": 0, "next": 0, "total": 0, "data": b""},
        },
    )
    here, there = gatherer().placement.owner(1), gatherer().placement.owner(far)

    def plan(moves: list[list[int]]) -> Redistribution:
        return Redistribution(key=KEY, plan=records.packed({"moves": moves}))

    told = await staying(plan([]), 1)
    assert told == {
        "account": 1,
        "cluster": here,
        "clusters": [{"cluster": here, "transactions": 3}, {"cluster": there, "transactions": 1}],
        "transactions": 4,
        "best": True,
    }
    told = await staying(plan([[2, here, there, 1, 0, 1, 1]]), 1)
    assert told["clusters"][0] == {"cluster": there, "transactions": 3}
    assert not told["best"]
