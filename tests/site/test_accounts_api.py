"""Accounts through the ASGI stack."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.messages.client import Level
from tests.site.fakes import FakeBank, FakeWorker, Site, until

Workers = dict[int, FakeWorker]


@pytest.fixture
async def stocked(site: Site, workers: Workers) -> Workers:
    """Workers that hold accounts; n10 of cluster 1 is version 3."""
    from bankweb.orchestration.hub import hub

    def serve(first: int, last: int) -> Any:
        def accounts(
            ids: list[int] | None = None, after: int = 0, limit: int = 0, changed: bool = False
        ) -> dict[str, Any]:
            wanted = ids if ids is not None else range(max(first, after + 1), last + 1)
            rows = [[n, 10, 3 if n == 10 else 0, 0] for n in wanted if first <= n <= last]
            more = ids is None and len(rows) > limit
            rows = rows if ids is not None else rows[:limit]
            return {"applied": 7, "accounts": rows, "next": rows[-1][0] if more else None}

        return accounts

    for node, worker in workers.items():
        worker.answers["accounts"] = serve(1, 30) if node < 4 else serve(31, 60)
        worker.answers["summary"] = lambda **given: {
            "count": given["to"] - given["from"] + 1,
            "min": given["from"],
            "max": given["to"],
            "total": 10 * (given["to"] - given["from"] + 1),
        }
    await until(lambda: all(view.reports for view in hub().nodes.values()))
    return workers


async def test_a_read_tells_value_version_and_position(site: Site, bank: FakeBank) -> None:
    await site.post("/api/transactions/", {"sender": 1, "receiver": 2, "amount": 3})
    answer = await site.get("/api/accounts/1/")
    assert answer.status == 200
    body = answer.json
    assert (body["balance"], body["value"], body["version"]) == (7, 7, 1)
    assert body["position"] == {"cluster": 1, "slot": 1}
    assert (body["consistency"], body["cluster"]) == ("linearizable", 1)
    assert answer.headers["session-position"] == "1=1"
    assert bank.reads == [((1,), Level.LINEARIZABLE, 0, ())]


async def test_read_your_writes_asks_for_the_version_seen(site: Site, bank: FakeBank) -> None:
    sent = await site.post("/api/transactions/", {"sender": 1, "receiver": 2, "amount": 3})
    headers = {"Session-Position": sent.headers["session-position"]}
    await site.get("/api/accounts/2/?consistency=ryw", headers=headers)
    await site.get("/api/accounts/3/?consistency=ryw", headers=headers)
    assert bank.reads == [((2,), Level.RYW, 0, (1,)), ((3,), Level.RYW, 0, (0,))]


async def test_bounded_reads(site: Site, bank: FakeBank) -> None:
    await site.get("/api/accounts/1/?consistency=bounded&max_age_ms=40")
    await site.get("/api/accounts/1/?consistency=bounded")
    assert [read[2] for read in bank.reads] == [40, 1_000]


@pytest.mark.parametrize("level", list(Level))
async def test_every_level_is_passed_on(site: Site, bank: FakeBank, level: Level) -> None:
    answer = await site.get(f"/api/accounts/1/?consistency={level.name.lower()}")
    assert (answer.status, answer.json["consistency"]) == (200, level.name.lower())
    assert [read[1] for read in bank.reads] == [level]


async def test_a_read_in_doubt_says_why(site: Site, bank: FakeBank) -> None:
    bank.read_refusal = "in_doubt"
    answer = await site.get("/api/accounts/1/")
    assert (answer.status, answer.json["reason"]) == (503, "in_doubt")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("consistency=strong", "consistency"),
        ("consistency=", "consistency"),
        ("max_age_ms=5", "max_age_ms"),
        ("consistency=bounded&max_age_ms=0", "max_age_ms"),
        ("consistency=bounded&max_age_ms=1.5", "max_age_ms"),
        ("consistency=bounded&max_age_ms=60001", "max_age_ms"),
        ("level=eventual", "level"),
    ],
)
async def test_bad_read_queries(site: Site, bank: FakeBank, query: str, field: str) -> None:
    answer = await site.get(f"/api/accounts/1/?{query}")
    assert (answer.status, answer.json["field"]) == (400, field)
    assert not bank.reads


@pytest.mark.parametrize(
    "header", ["x", "1=", "1=2,,3=4", "1=2;3=4", "1=-2", "1=" + "9" * 30, "1=1," * 2_000]
)
async def test_bad_positions(site: Site, header: str) -> None:
    answer = await site.get("/api/accounts/1/?consistency=ryw", headers={"Session-Position": header})
    assert (answer.status, answer.json["field"]) == (400, "Session-Position")


@pytest.mark.parametrize("account", ["0", "61", "999999999999999999999999", "x", "-1", "1.0"])
@pytest.mark.parametrize("part", ["", "replicas/"])
async def test_there_is_no_such_account(site: Site, bank: FakeBank, account: str, part: str) -> None:
    answer = await site.get(f"/api/accounts/{account}/{part}")
    assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert not bank.reads


async def test_accounts_page_across_clusters(site: Site, stocked: Workers) -> None:
    seen: list[tuple[int, int]] = []
    url = "/api/accounts/?from=25&to=44&limit=7"
    pages = 0
    while url:
        body = (await site.get(url)).json
        seen += [(row["id"], row["cluster"]) for row in body["results"]]
        url = body["next"]
        pages += 1
    assert seen == [(n, 1 if n <= 30 else 2) for n in range(25, 45)]
    assert pages == 3


async def test_the_last_page_has_no_next(site: Site, stocked: Workers) -> None:
    body = (await site.get("/api/accounts/?from=51&limit=10")).json
    assert (len(body["results"]), body["next"]) == (10, None)
    assert (await site.get("/api/accounts/?from=70")).json == {"results": [], "next": None}
    assert (await site.get("/api/accounts/?from=9&to=3")).json == {"results": [], "next": None}


async def test_summary_adds_clusters_up(site: Site, stocked: Workers) -> None:
    body = (await site.get("/api/accounts/summary/?from=21&to=40")).json
    assert body == {"count": 20, "min": 21, "max": 40, "total": 200}
    assert stocked[1].heard("summary") == [{"from": 21, "to": 30}]
    assert stocked[4].heard("summary") == [{"from": 31, "to": 40}]
    empty = (await site.get("/api/accounts/summary/?from=9&to=3")).json
    assert empty == {"count": 0, "min": None, "max": None, "total": 0}


async def test_replicas_tell_failed_and_missing_nodes_apart(site: Site, stocked: Workers) -> None:
    await site.post("/api/nodes/2/fail/")
    await stocked[3].close()
    body = (await site.get("/api/accounts/10/replicas/")).json
    assert (body["account"], body["cluster"]) == (10, 1)
    rows = [
        (row["node"], row["state"], row["reachable"], row["balance"], row["version"])
        for row in body["replicas"]
    ]
    assert rows == [(1, "up", True, 10, 3), (2, "failed", True, 10, 3), (3, "down", False, None, None)]


async def test_accounts_come_from_the_leader_in_the_highest_ballot(site: Site, stocked: Workers) -> None:
    from bankweb.orchestration.hub import hub
    from consensus.messages.control import Telemetry

    promoted = {**stocked[2].status, "role": "leader", "ballot": [2, 2]}
    await stocked[2].send(Telemetry(2, promoted, [], 0))
    await until(lambda: hub().nodes[2].status["role"] == "leader")
    await site.get("/api/accounts/?to=3")
    assert stocked[2].heard("accounts")
    assert not stocked[1].heard("accounts")
