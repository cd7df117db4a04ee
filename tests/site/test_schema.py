"""The OpenAPI document: complete, and true of the answers."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from jsonschema import Draft4Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from tests.site.fakes import FakeBank, FakeWorker, Site, until


@pytest.fixture
async def document(site: Site) -> Any:
    answer = await site.get("/api/schema/", headers={"accept": "application/vnd.oai.openapi+json"})
    assert answer.status == 200
    return answer.json


def test_it_is_made_without_warnings(small_topology: None, capsys: pytest.CaptureFixture[str]) -> None:
    from django.core.management import call_command

    call_command("spectacular", "--fail-on-warn", "--validate")
    assert "openapi: 3" in capsys.readouterr().out


async def test_every_rest_address_is_in_it(site: Site, document: Any) -> None:
    from tests.site.test_gate import _addresses

    documented = {re.sub(r"{\w+}", "1", path) for path in document["paths"]}
    assert {path for path in _addresses() if path.startswith("/api/")} == documented | {
        "/api/docs/",
        "/api/schema/",
    }


async def test_every_operation_names_its_errors_as_problems(document: Any) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            statuses = operation["responses"]
            where = f"{method} {path}"
            assert {"200", "400", "401"} <= statuses.keys(), where
            for status, response in statuses.items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"], where
                    assert response["description"], where
            assert operation["summary"], where


def _schema_of(document: Any, path: str, method: str, status: int, kind: str) -> Any:
    content = document["paths"][path][method]["responses"][str(status)]["content"]
    return content[kind]["schema"]


def _check(document: Any, schema: Any, body: Any) -> None:
    text = json.dumps({**schema, "components": document["components"]})
    resource = Resource.from_contents(json.loads(text), default_specification=DRAFT4)
    registry = Registry().with_resource("", resource)
    plain = json.loads(text.replace('"nullable": true, ', ""))
    errors = [
        error
        for error in Draft4Validator(plain, registry=registry).iter_errors(body)
        if error.instance is not None
    ]
    assert not errors, errors[0]


async def test_answers_are_as_described(
    site: Site, document: Any, bank: FakeBank, workers: dict[int, FakeWorker]
) -> None:
    from bankweb.benchmarks.models import Benchmark
    from bankweb.benchmarks.records import records as benchmarks
    from bankweb.lab.models import Verdict
    from bankweb.lab.records import records as verdicts
    from bankweb.orchestration.hub import hub
    from bankweb.redistribution import records as redistributions
    from bankweb.redistribution.models import Redistribution
    from bankweb.runs.records import now
    from bankweb.testsets import runs
    from consensus.node.access import Access

    await until(lambda: all(view.reports for view in hub().nodes.values()))
    for worker in workers.values():
        worker.answers["accounts"] = {"applied": 3, "accounts": [[1, 10, 0, 0]], "next": None}
        worker.answers["counters"] = {"transactions_total": 1}
        worker.answers["latency"] = {}
        worker.answers["views"] = {"views": []}
        worker.answers["log"] = {"entries": [], "next": None}
        worker.answers["locks"] = {
            "locks": [{"account": 1, "tx": "ab-1", "coordinator": 2}],
            "waiting": [{"tx": "ab-2", "accounts": [1]}],
        }
        worker.answers["wal"] = {
            "records": [{"account": 1, "delta": -3, "tx": "ab-1", "prepared_in": 4}],
            "unfinished": [{"tx": "ab-3", "number": 3, "commit": True, "participants": [2]}],
        }
        worker.hold(300, [[worker.node, 10, 1, 0, ""]])
        worker.answers["access"] = Access().document(0, 0, 0, 10)
        worker.answers["map"] = {"moved": 1, "rows": [[1, 2, 1]], "next": None}
        worker.answers["summary"] = {"count": 1, "min": 1, "max": 1, "total": 1}
    transfer = {"sender": 1, "receiver": 2, "amount": 3}
    sent = await site.post("/api/transactions/", transfer)
    _check(document, _schema_of(document, "/api/transactions/", "post", 200, "application/json"), sent.json)
    batch = await site.post("/api/transactions/batch/", [transfer, {**transfer, "receiver": 60}])
    path = "/api/transactions/batch/"
    _check(document, _schema_of(document, path, "post", 200, "application/json"), batch.json)
    run = (await site.post("/api/testsets/", {"file": "one-node.csv"})).json["id"]
    await site.post(f"/api/testsets/{run}/next/")
    await until(lambda: runs.runs().get(run).state == "ready")
    figures = {"cross_shard_pct": 60.0, "load_imbalance_pct": 1.0, "account_imbalance_pct": 0.0, "window": 9}
    plan = {"moves": [[1, 1, 2, 5, 0, 5, 6]], "table": [], "method": "flat", "snapshot": {"nets": []}}
    moved = Redistribution(
        key="ab" * 16,
        status="done",
        origin="hand",
        actor="somebody",
        created=redistributions.now(),
        before=figures,
        plan=redistributions.packed(plan),
        events=redistributions.packed([{"k": "hg.level", "level": 1}]),
        series=[[1.0, 60.0, 1, 20.0, None]],
    )
    await redistributions.add(moved)
    judged = Verdict(
        created=now(),
        actor="somebody",
        kind="simulation",
        name="x",
        status="done",
        parameters={"seed": 1, "last": 1},
        result={"failures": []},
    )
    await verdicts.add(judged)
    measured = Benchmark(
        created=now(),
        actor="somebody",
        name="x",
        bank="private",
        status="done",
        parameters={},
        result={"throughput_tps": 5.0},
    )
    await benchmarks.add(measured)
    trace = (
        b'{"v":1,"run":"r","src":"sim","sha":"","seed":1,"topology":{"clusters":[]},"t0":1,"truncated":false}\n'
        b'{"q":1,"ts":2,"k":"tx.apply","n":1,"tx":"%b","s":1,"outcome":"committed"}\n'
        % sent.json["id"].encode()
    )
    kept = await site.post("/api/recordings/", trace, headers={"content-type": "application/x-ndjson"})
    for path in document["paths"]:
        if "get" not in document["paths"][path] or path == "/api/metrics/":
            continue
        if path.endswith((".csv", ".html", "/download/")):
            continue
        example = path.format(
            account=1,
            node=1,
            run=run,
            tx_id=sent.json["id"],
            redistribution=moved.key,
            benchmark=measured.pk,
            verdict=judged.pk,
            recording=kept.json["id"],
        )
        answer = await site.get(example)
        assert answer.status == 200, (path, answer.text)
        _check(document, _schema_of(document, path, "get", 200, "application/json"), answer.json)
    bad = await site.post("/api/transactions/", {})
    schema = _schema_of(document, "/api/transactions/", "post", 400, "application/problem+json")
    _check(document, schema, bad.json)
