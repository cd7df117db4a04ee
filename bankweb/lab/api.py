"""REST: verdicts on simulated runs and on real banks under faults."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.types import OpenApiTypes

from bankweb.identity import audit
from bankweb.identity.audit import actor_of
from bankweb.lab import requests, serializers
from bankweb.lab.models import Verdict
from bankweb.lab.records import KEPT_MAX, records
from bankweb.lab.service import PRIVATE, REPORT, SCENARIO, VERIFY, lab
from bankweb.orchestration.bank import topology
from bankweb.rest.cursors import CURSOR, LIMIT, listed
from bankweb.rest.fields import mapping, no_body, read_query
from bankweb.rest.parsers import read_bytes, read_json
from bankweb.rest.problems import Problem
from bankweb.rest.schema import documented
from bankweb.rest.views import BankView, answer
from consensus.report import htmlfile
from consensus.scenarios.fitting import misfit
from consensus.scenarios.scenario import scenarios


def verdict_of(row: Verdict) -> str | None:
    """``ok`` or ``violation``; None while nothing is known."""
    if row.result is None:
        return None
    if row.kind == VERIFY:
        fine = row.result["verdict"] == "ok" and row.result["available"]
    elif row.kind == SCENARIO:
        fine = row.result["ok"]
    elif row.kind == REPORT:
        fine = row.result["passed"] == len(row.result["cases"])
    else:
        fine = not row.result["failures"]
    return "ok" if fine else "violation"


def summary(row: Verdict) -> dict[str, Any]:
    row = lab().current(row)
    return {
        "id": row.pk,
        "kind": row.kind,
        "name": row.name,
        "status": row.status,
        "verdict": verdict_of(row),
        "error": row.error or None,
        "actor": row.actor,
        "created": row.created.isoformat(),
        "started": row.started.isoformat() if row.started else None,
        "ended": row.ended.isoformat() if row.ended else None,
        "parameters": row.parameters,
        "progress": row.progress,
        "recording": row.recording or None,
    }


def detail(row: Verdict) -> dict[str, Any]:
    return {**summary(row), "result": lab().current(row).result}


class VerdictList(BankView):
    @documented("List verdicts", serializers.VerdictPage, params=(CURSOR, LIMIT))
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Newest first."""
        query = read_query(request, CURSOR, LIMIT)
        rows = await records.newest(query["limit"] + 1, query["cursor"])
        more = len(rows) > query["limit"]
        rows = rows[: query["limit"]]
        return answer(listed(request, list(map(summary, rows)), rows[-1].pk if more else None))

    @documented(
        "Run a simulation, or break a real bank",
        serializers.VerdictSerializer,
        body={"application/json": serializers.VERDICT_SCHEMA},
        errors=(503,),
    )
    async def post(self, request: HttpRequest) -> HttpResponse:
        """Always on a private bank. Queued behind those that wait; ask how far it is."""
        read_query(request)
        actor = actor_of(request)
        row = await requests.started(mapping(read_json(request), requests.FIELDS), actor)
        await audit.record(actor, "lab", {"id": row.pk, "kind": row.kind, **row.parameters}, "ok")
        return answer(summary(row))


class VerdictDetail(BankView):
    @documented("A verdict", serializers.VerdictDetailSerializer, errors=(404,))
    async def get(self, request: HttpRequest, verdict: int) -> HttpResponse:
        """Its progress while the run goes on, what was found when it is over."""
        read_query(request)
        return answer(detail(await records.find(verdict)))

    @documented("Cancel a run", serializers.VerdictSerializer, errors=(404,))
    async def delete(self, request: HttpRequest, verdict: int) -> HttpResponse:
        """Stops it, or takes it out of the queue; one that is over stays as it is."""
        read_query(request)
        no_body(request, read_bytes(request))
        row = await lab().cancel(await records.find(verdict))
        await audit.record(actor_of(request), "lab-cancel", {"id": verdict}, row.status)
        return answer(summary(row))


class ReportHtml(BankView):
    @documented("A report as one HTML file", {(200, "text/html"): OpenApiTypes.STR}, errors=(404, 409))
    async def get(self, request: HttpRequest, verdict: int) -> HttpResponse:
        """The filled form of a verdict of kind `report`."""
        read_query(request)
        row = await records.find(verdict)
        if row.kind != REPORT or row.result is None:
            raise Problem("conflict", f"verdict {verdict} is {row.status} and has no report")
        response = HttpResponse(htmlfile.text(row.result), "text/html; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="report-{verdict}.html"'
        return response


class ScenarioList(BankView):
    @documented("List scenarios", serializers.ScenariosSerializer)
    async def get(self, request: HttpRequest) -> HttpResponse:
        """In the order in which one leads to the next, each with the verdict on its last run."""
        read_query(request)
        last: dict[str, Verdict] = {}
        for row in await records.newest(KEPT_MAX):
            if row.kind == SCENARIO:
                last.setdefault(row.parameters["scenario"], row)
        results = [
            {
                "name": name,
                "title": scenario.title,
                "about": scenario.about,
                "next": scenario.next,
                "steps": [step.caption for step in scenario.steps],
                "misfit": misfit(scenario, topology()) or None,
                "last": summary(last[name]) if name in last else None,
            }
            for name, scenario in scenarios().items()
        ]
        return answer({"results": results})

    @documented(
        "Run a scenario",
        serializers.VerdictSerializer,
        body={"application/json": serializers.SCENARIO_SCHEMA},
        errors=(409, 503),
    )
    async def post(self, request: HttpRequest) -> HttpResponse:
        """On a private bank, or on the one on show, which begins anew first and is then taken.

        The answer is a verdict: ask for it under its id.
        """
        read_query(request)
        actor = actor_of(request)
        body = mapping(read_json(request), frozenset(("name", "bank")))
        row = await requests.told(body.get("name"), actor, body.get("bank", PRIVATE))
        await audit.record(actor, "scenario", {"id": row.pk, **row.parameters}, "ok")
        return answer(summary(row))
