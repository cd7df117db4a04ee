"""The audit, and locks and undo records of nodes, through the ASGI stack."""

from __future__ import annotations

from typing import Any

from tests.site.fakes import FakeWorker, Site, until

Workers = dict[int, FakeWorker]
TX = "ab" * 24


async def _told() -> None:
    from bankweb.orchestration.hub import hub

    await until(lambda: all(view.reports for view in hub().nodes.values()))


async def test_money_in_flight_counts_once(site: Site, workers: Workers) -> None:
    """Cluster 1 has committed 5 of account 3 to account 33; cluster 2 is prepared for it."""
    await _told()
    first = [[number, 5 if number == 3 else 10, int(number == 3), 0, ""] for number in range(1, 31)]
    for number in (1, 2, 3):
        workers[number].hold(295, first, committed=[TX])
    second = [[number, 15 if number == 33 else 10, 0, 0, ""] for number in range(31, 61)]
    second[2][3:] = [5, TX]
    for number in (4, 5, 6):
        workers[number].hold(305, second, prepared=[[TX, 1, 5]])
    body = (await site.get("/api/audit/")).json
    assert (body["total"], body["expected"], body["in_flight"], body["number"]) == (600, 600, 5, 1)
    assert [(part["cluster"], part["slot"], part["prepared"]) for part in body["cut"]] == [
        (1, 7, 0),
        (2, 7, 1),
    ]
    assert sum(row["balance"] for row in body["accounts"]) == 600
    assert body["accounts"][32] == {"id": 33, "cluster": 2, "balance": 15, "version": 1}


async def test_an_undecided_prepare_is_taken_back(site: Site, workers: Workers) -> None:
    await _told()
    for number in (1, 2, 3):
        workers[number].hold(295, [[3, 295, 0, -5, TX]], prepared=[[TX, 1, -5]])
    for number in (4, 5, 6):
        workers[number].hold(305, [[33, 305, 0, 5, TX]], prepared=[[TX, 1, 5]])
    body = (await site.get("/api/audit/")).json
    assert (body["total"], body["in_flight"]) == (600, 0)
    assert [(row["balance"], row["version"]) for row in body["accounts"]] == [(300, 0), (300, 0)]


async def test_totals_only(site: Site, workers: Workers) -> None:
    await _told()
    for worker in workers.values():
        worker.hold(300)
    first = (await site.get("/api/audit/?totals=1")).json
    second = (await site.get("/api/audit/?totals=1")).json
    assert "accounts" not in first
    assert (first["number"], second["number"]) == (1, 2)
    assert (await site.get("/api/audit/?totals=2")).status == 400


async def test_a_cut_that_was_overtaken_is_made_anew(site: Site, workers: Workers) -> None:
    await _told()
    for worker in workers.values():
        worker.hold(300)
    real = workers[4].answers["cut"]
    seen: list[int] = []

    def overtaken(number: int) -> Any:
        seen.append(number)
        return real(number + (len(seen) == 1))

    workers[4].answers["cut"] = overtaken
    for number in (5, 6):
        await workers[number].close()
    await until(lambda: True)
    body = (await site.get("/api/audit/?totals=1")).json
    assert (body["total"], body["number"]) == (600, 3)


async def test_no_audit_without_a_cluster(site: Site, workers: Workers, monkeypatch: Any) -> None:
    from consensus.cluster import cut

    await _told()
    monkeypatch.setattr(cut.take_cut, "__kwdefaults__", {"accounts": False, "timeout_s": 0.2})
    for worker in workers.values():
        worker.hold(300)
    for number in (4, 5, 6):
        await workers[number].close()
    answer = await site.get("/api/audit/")
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    assert "cluster 2" in answer.json["detail"]


async def test_locks_and_undo_records(site: Site, workers: Workers) -> None:
    await _told()
    lock = {"account": 33, "tx": "ab-1", "coordinator": 1}
    undo = {"account": 33, "delta": 5, "tx": "ab-1", "prepared_in": 4}
    workers[4].answers["locks"] = {"locks": [lock], "waiting": []}
    workers[4].answers["wal"] = {"records": [undo], "unfinished": []}
    assert (await site.get("/api/nodes/4/locks/")).json == {"node": 4, "locks": [lock], "waiting": []}
    assert (await site.get("/api/nodes/4/wal/")).json == {"node": 4, "records": [undo], "unfinished": []}
    for part in ("locks", "wal"):
        assert (await site.get(f"/api/nodes/77/{part}/")).status == 404
        assert (await site.get(f"/api/nodes/4/{part}/?x=1")).status == 400
