"""Nodes, clusters, faults, health and metrics through the ASGI stack."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from consensus.cluster import steering
from tests.site.fakes import FakeWorker, Site, until

Workers = dict[int, FakeWorker]


class FakeSupervisor:
    """Answers on the data folder's steering socket."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.states = dict.fromkeys(range(1, 7), ("running", "up"))

    def handle(self, request: dict[str, Any]) -> Any:
        self.asked.append(request)
        if request["op"] == "status":
            return {"nodes": {str(node): self.status(node) for node in self.states}, "site": None}
        if request["node"] == 6:
            raise LookupError("node 6 is not on this machine")
        after = {
            "kill": ("down", "down"),
            "restart": ("running", "up"),
            "pause": ("paused", "up"),
            "resume": ("running", "up"),
        }
        self.states[request["node"]] = after[request["op"]]
        return self.status(request["node"])

    def status(self, node: int) -> dict[str, Any]:
        state, wanted = self.states[node]
        return {"state": state, "wanted": wanted}


@pytest.fixture
async def supervisor(site: Site, settings: Any) -> AsyncIterator[FakeSupervisor]:
    fake = FakeSupervisor()
    path = Path(settings.BANK_DATA) / "supervisor.sock"
    server = await steering.serve(path, fake.handle)
    yield fake
    server.close()
    path.unlink()


async def _settled(workers: Workers) -> None:
    from bankweb.orchestration.hub import hub

    await until(lambda: all(view.reports for view in hub().nodes.values()))


async def test_nodes_and_clusters(site: Site, workers: Workers) -> None:
    await _settled(workers)
    nodes = (await site.get("/api/nodes/")).json
    assert nodes["next"] is None
    assert [node["id"] for node in nodes["results"]] == [1, 2, 3, 4, 5, 6]
    first = nodes["results"][0]
    assert (first["role"], first["ballot"], first["applied"], first["state"]) == ("leader", [1, 1], 7, "up")
    assert first["actions"] == ["fail", "kill", "restart", "pause"]
    clusters = (await site.get("/api/clusters/")).json["results"]
    assert [(cluster["id"], cluster["leader"], cluster["ballot"]) for cluster in clusters] == [
        (1, 1, [1, 1]),
        (2, 4, [1, 4]),
    ]
    assert (clusters[1]["first_account"], clusters[1]["last_account"]) == (31, 60)


async def test_without_workers_everything_is_down_and_nothing_breaks(site: Site) -> None:
    nodes = (await site.get("/api/nodes/")).json["results"]
    assert {node["state"] for node in nodes} == {"down"}
    assert nodes[0]["ballot"] is None
    assert (await site.get("/api/nodes/1/")).status == 200
    for path in ("/api/nodes/1/db/", "/api/nodes/1/log/", "/api/nodes/1/export/", "/api/accounts/"):
        answer = await site.get(path)
        assert (answer.status, answer.headers["retry-after"]) == (503, "1"), path
    assert (await site.get("/api/views/")).json["results"][0]["views"] == []
    assert (await site.get("/api/performance/")).json["unreachable"] == [1, 2, 3, 4, 5, 6]
    assert (await site.post("/api/reset/")).status == 503
    assert (await site.post("/api/faults/heal/")).status == 200


async def test_one_node_with_its_hash(site: Site, workers: Workers) -> None:
    workers[2].answers["hash"] = lambda slot: {"slot": slot, "hash": "cd" if slot else "ab"}
    plain = (await site.get("/api/nodes/2/")).json
    assert (plain["hash_slot"], plain["state_hash"]) == (0, "ab")
    assert plain["counters"]["elections_won"] == 1
    assert plain["slots"] == {"watermark": 7, "applied": 7, "proposed": 7, "checkpoint": 0}
    at = (await site.get("/api/nodes/2/?slot=5")).json
    assert (at["hash_slot"], at["state_hash"], at["applied"]) == (5, "cd", 7)


@pytest.mark.parametrize("path", ["7/", "0/", "99999999999999999999/", "x/", "7/db/", "7/log/", "7/export/"])
async def test_there_is_no_such_node(site: Site, workers: Workers, path: str) -> None:
    answer = await site.get(f"/api/nodes/{path}")
    assert (answer.status, answer.json["code"]) == (404, "not_found")


async def test_changed_accounts_of_a_node(site: Site, workers: Workers) -> None:
    rows = [[n, n % 2 * 9, 1, 0] for n in range(1, 8)]

    def accounts(after: int, limit: int, changed: bool) -> dict[str, Any]:
        assert changed
        found = [row for row in rows if row[0] > after][:limit]
        return {"applied": 7, "accounts": found, "next": found[-1][0] if found[-1][0] < 7 else None}

    workers[3].answers["accounts"] = accounts
    first = (await site.get("/api/nodes/3/db/?limit=4")).json
    assert [row["id"] for row in first["results"]] == [1, 2, 3, 4]
    second = (await site.get(first["next"])).json
    assert ([row["id"] for row in second["results"]], second["next"]) == ([5, 6, 7], None)
    some = (await site.get("/api/nodes/3/db/?nonzero=true")).json
    assert [row["id"] for row in some["results"]] == [1, 3, 5, 7]
    assert some["results"][0] == {"id": 1, "balance": 9, "version": 1, "epoch": 0}


async def test_log_and_export(site: Site, workers: Workers) -> None:
    entry = {"slot": 3, "ballot": [1, 1], "state": "applied", "stamp_us": 5, "entries": []}
    workers[1].answers["log"] = lambda after, limit: {
        "entries": [{**entry, "slot": after + 1}],
        "next": after + 1,
    }
    page = (await site.get("/api/nodes/1/log/?after=2&limit=1")).json
    assert page["results"][0]["slot"] == 3
    assert (await site.get(page["next"])).json["results"][0]["slot"] == 4
    workers[1].answers["accounts"] = lambda after, limit: {
        "applied": 7 + after,
        "accounts": [[after + 1, 10, 0, 0]],
        "next": after + 1 if after < 2 else None,
    }
    answer = await site.get("/api/nodes/1/export/")
    assert [row["id"] for row in answer.json["accounts"]] == [1, 2, 3]
    assert (answer.json["applied"], answer.json["node"], answer.json["cluster"]) == (7, 1, 1)
    assert "node-1.json" in answer.headers["content-disposition"]


# --- acting ---------------------------------------------------------------------------------------


async def test_fail_and_recover_go_to_the_worker_and_are_logged(site: Site, workers: Workers) -> None:
    from bankweb.identity.models import Action

    await _settled(workers)
    answer = await site.post("/api/nodes/2/fail/")
    assert (answer.status, answer.json["result"]) == (200, "Node 2 acts disconnected from peers and clients.")
    assert workers[2].heard("fail") == [{}]
    assert (await site.get("/api/nodes/")).json["results"][1]["state"] == "failed"
    await site.post("/api/nodes/2/recover/", {})
    assert workers[2].heard("recover") == [{}]
    rows = [row async for row in Action.objects.order_by("id")]
    assert [(row.actor, row.command, row.arguments, row.result) for row in rows] == [
        ("local", "fail", {"node": 2}, "ok"),
        ("local", "recover", {"node": 2}, "ok"),
    ]


async def test_an_action_that_does_not_succeed_is_logged_with_its_reason(
    site: Site, workers: Workers
) -> None:
    from bankweb.identity.models import Action

    await workers[2].close()
    answer = await site.post("/api/nodes/2/fail/")
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    row = await Action.objects.aget()
    assert "not connected" in row.result


async def test_processes_are_steered_by_the_supervisor(
    site: Site, workers: Workers, supervisor: FakeSupervisor
) -> None:
    for action, state in (("pause", "paused"), ("resume", "up"), ("kill", "killed"), ("restart", "up")):
        answer = await site.post(f"/api/nodes/3/{action}/")
        assert answer.status == 200, answer.text
        assert {"op": action, "node": 3} in supervisor.asked
        assert (await site.get("/api/nodes/3/")).json["state"] == state
    refused = await site.post("/api/nodes/6/kill/")
    assert (refused.status, refused.json["detail"]) == (409, "node 6 is not on this machine")


async def test_without_a_supervisor_processes_cannot_be_steered(site: Site, workers: Workers) -> None:
    answer = await site.post("/api/nodes/3/kill/")
    assert answer.status == 503
    assert "no supervisor" in answer.json["detail"]


@pytest.mark.parametrize("action", ["fail", "recover", "kill", "restart", "pause", "resume"])
async def test_actions_refuse_bodies_other_methods_and_unknown_nodes(
    site: Site, workers: Workers, action: str
) -> None:
    assert (await site.post(f"/api/nodes/2/{action}/", {"now": True})).json["field"] == "body"
    wrong = await site.get(f"/api/nodes/2/{action}/")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    assert (await site.post(f"/api/nodes/9/{action}/")).status == 404
    assert not workers[2].heard(action)


async def test_links(site: Site, workers: Workers) -> None:
    answer = await site.post("/api/links/", {"from": 1, "to": 2, "both": True, "cut": True})
    assert answer.json["result"] == "Link 1 → 2 cut; link 2 → 1 cut."
    assert workers[1].heard("link") == [{"to": 2, "cut": True, "delay_ms": 0.0, "loss": 0.0}]
    assert workers[2].heard("link") == [{"to": 1, "cut": True, "delay_ms": 0.0, "loss": 0.0}]
    await site.post("/api/links/", {"from": 3, "to": 1, "delay_ms": 20, "loss": 0.25})
    assert workers[3].heard("link") == [{"to": 1, "cut": False, "delay_ms": 20.0, "loss": 0.25}]
    from bankweb.orchestration import faults

    assert [fault["text"] for fault in faults.active()] == [
        "link 1 → 2 cut",
        "link 2 → 1 cut",
        "link 3 → 1 delayed by 20 ms and loses 25%",
    ]
    healed = await site.post("/api/links/", {"from": 3, "to": 1})
    assert healed.json["result"] == "Link 3 → 1 healed."
    assert len(faults.active()) == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"to": 2}, "from"),
        ({"from": 1}, "to"),
        ({"from": 1, "to": 1}, "to"),
        ({"from": 1, "to": 7}, "to"),
        ({"from": 1.0, "to": 2}, "from"),
        ({"from": 1, "to": 2, "cut": 1}, "cut"),
        ({"from": 1, "to": 2, "both": "yes"}, "both"),
        ({"from": 1, "to": 2, "delay_ms": -1}, "delay_ms"),
        ({"from": 1, "to": 2, "delay_ms": 10_001}, "delay_ms"),
        ({"from": 1, "to": 2, "loss": 1.1}, "loss"),
        ({"from": 1, "to": 2, "loss": True}, "loss"),
        ({"from": 1, "to": 2, "loss": None}, "loss"),
        ({"from": 1, "to": 2, "speed": 1}, "speed"),
    ],
)
async def test_bad_links(site: Site, workers: Workers, body: Any, field: str) -> None:
    answer = await site.post("/api/links/", body)
    assert (answer.status, answer.json["field"]) == (400, field)
    assert not any(worker.heard("link") for worker in workers.values())


async def test_heal_ends_everything(site: Site, workers: Workers, supervisor: FakeSupervisor) -> None:
    from bankweb.orchestration import faults, processes

    await _settled(workers)
    await site.post("/api/links/", {"from": 1, "to": 2, "cut": True})
    await site.post("/api/nodes/2/fail/")
    await site.post("/api/nodes/3/pause/")
    await site.post("/api/nodes/5/kill/")
    assert len(faults.active()) == 4
    processes.forget()
    answer = await site.post("/api/faults/heal/")
    assert answer.status == 200, answer.text
    assert all(workers[node].heard("heal") for node in (1, 2, 4, 6))
    assert not workers[3].heard("heal")
    assert workers[2].heard("recover")
    assert supervisor.states[3] == supervisor.states[5] == ("running", "up")
    assert faults.active() == []


async def test_reset_is_done_when_every_running_node_confirmed(
    site: Site, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bankweb.orchestration import actions

    await _settled(workers)
    answer = await site.post("/api/reset/")
    assert (answer.status, answer.json["incarnation"]) == (200, 2)
    assert all(worker.heard("reset") == [{"incarnation": 2}] for worker in workers.values())
    monkeypatch.setattr(actions, "RESET_DEADLINE_S", 0.05)
    workers[5].silent.add("reset")
    again = await site.post("/api/reset/")
    assert again.status == 503
    assert "node 5 did not answer" in again.json["detail"]


async def test_what_people_do_is_told_to_the_pages(site: Site, workers: Workers) -> None:
    from bankweb.observatory.live import live

    await site.post("/api/links/", {"from": 1, "to": 2, "cut": True})
    kinds = [event["k"] for event in live().state["feed"]]
    assert kinds[-2:] == ["link.cut", "ctl"]
    assert live().state["cuts"]["1>2"]["loss"] == 1.0


# --- views, performance, health ---------------------------------------------------------------------


async def test_views(site: Site, workers: Workers) -> None:
    view = {
        "number": 1,
        "slot": 4,
        "ballot": [2, 2],
        "leader": 2,
        "watermark": 3,
        "checkpoint": 0,
        "slots": [],
    }
    workers[1].answers["views"] = {"views": [view]}
    workers[4].answers["views"] = {"views": []}
    await _settled(workers)
    first, second = (await site.get("/api/views/")).json["results"]
    assert (first["cluster"], first["leader"], first["views"]) == (1, 1, [view])
    assert first["nodes"][2] == {
        "node": 3,
        "state": "up",
        "role": "follower",
        "ballot": [1, 1],
        "next_slot": 8,
    }
    assert second["views"] == []


async def test_performance_adds_counters_up(site: Site, workers: Workers) -> None:
    for worker in workers.values():
        worker.answers["counters"] = {"transactions_total": 5, "note": "no number"}
        worker.answers["latency"] = {"latency_ms": {"p50": 1.0}}
    del workers[6].answers["counters"]
    await _settled(workers)
    body = (await site.get("/api/performance/")).json
    assert body["counters"]["transactions_total"] == 25
    assert body["unreachable"] == [6]
    assert body["clusters"][1] == {"cluster": 2, "leader": 4, "latency_ms": {"p50": 1.0}}
    assert (await site.post("/api/performance/reset/")).status == 409  # node 6 does not know the command
    workers[6].answers["counters"] = {}
    assert (await site.post("/api/performance/reset/")).json[
        "result"
    ] == "The counters of 6 nodes are at zero."
    assert workers[1].heard("counters") == [{}, {"reset": True}, {"reset": True}]


async def test_ready_means_a_leader_and_a_majority_everywhere(site: Site, workers: Workers) -> None:
    await _settled(workers)
    ready = await site.get("/api/health/ready/", token=None)
    assert (ready.status, ready.json["status"]) == (200, "ready")
    await workers[5].close()
    assert (await site.get("/api/health/ready/", token=None)).status == 200
    await workers[6].close()
    short = await site.get("/api/health/ready/", token=None)
    assert (short.status, short.json["detail"]) == (503, "no leader with a majority in cluster 2")
    assert (await site.get("/api/health/live/", token=None)).json == {"status": "ok"}


async def test_metrics_are_prometheus_text(site: Site, workers: Workers) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    await _settled(workers)
    answer = await site.get("/api/metrics/")
    assert answer.headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, sample.labels.get("node")): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples["bank_node_up", "3"] == 1
    assert samples["bank_node_leads", "1"] == 1
    assert samples["bank_node_applied", "2"] == 7
    assert samples["bank_transactions_total", "4"] == 5
