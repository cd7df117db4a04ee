"""The lab's pages: start a simulated run or break a real bank, watch, judge, play again."""

from __future__ import annotations

import json
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from bankweb.identity import audit
from bankweb.identity.audit import actor_of
from bankweb.lab import api, requests, timeline
from bankweb.lab.cards import cards
from bankweb.lab.forms import SimulationForm, VerifyForm
from bankweb.lab.models import Verdict
from bankweb.lab.records import KEPT_MAX, records
from bankweb.lab.service import PRIVATE, REPORT, SCENARIO, SIMULATION, VERIFY, on_show, shell_line
from bankweb.lab.service import lab as service
from bankweb.observatory import recordings
from bankweb.rest.problems import Problem
from bankweb.runs.records import OVER
from consensus.report.cases import CASES
from consensus.scenarios.scenario import scenarios as stories
from consensus.simulation.scenarios import SCENARIOS

LISTED: Final = 100
COUNTED: Final = ("committed", "aborted", "cross", "migrated", "elections", "crashes", "messages_lost")


@require_http_methods(["GET", "HEAD", "POST"])
async def lab(request: HttpRequest) -> HttpResponse:
    """``/lab/``: both forms and what was found. Template ``lab.html``; POST starts a simulation.

    Context: ``simulation``, ``verify``: the two forms; ``troubles``, ``stories``: what there is; ``rows``:
    newest first, as :func:`bankweb.lab.api.summary`; ``unfinished``. A form with errors comes back with 422.
    ``HX-Request``: ``partials/verdict_rows.html``.
    """
    return await _lab(request, SimulationForm, "simulation")


@require_http_methods(["GET", "HEAD", "POST"])
async def verify(request: HttpRequest) -> HttpResponse:
    """``/lab/verify/``: as ``/lab/``; POST breaks a private bank."""
    return await _lab(request, VerifyForm, "verify")


async def _lab(request: HttpRequest, kind: type[SimulationForm | VerifyForm], name: str) -> HttpResponse:
    given: dict[str, forms.Form] = {"simulation": SimulationForm(), "verify": VerifyForm()}
    if request.method == "POST":
        form = given[name] = kind(request.POST)
        if form.is_valid():
            try:
                return redirect("verdict", await _begun(request, form.body()))
            except Problem as problem:
                form.add_error(problem.field if problem.field in form.fields else None, problem.detail)
    rows = list(map(api.summary, await records.newest(LISTED)))
    context = {
        "rows": rows,
        "unfinished": any(row["status"] not in OVER for row in rows),
        "troubles": [(name, scenario.about) for name, scenario in SCENARIOS.items()],
        "stories": cards(),
        **given,
    }
    if request.headers.get("HX-Request"):
        return render(request, "partials/verdict_rows.html", context)
    return render(request, "lab.html", context, status=422 if request.method == "POST" else 200)


async def _begun(request: HttpRequest, body: dict[str, Any]) -> int:
    actor = actor_of(request)
    row = await requests.started(body, actor)
    await audit.record(actor, "lab", {"id": row.pk, "kind": row.kind, **row.parameters}, "ok")
    return int(row.pk)


@require_POST
async def tell(request: HttpRequest, name: str) -> HttpResponse:
    """``/lab/scenarios/<name>/``: run it on ``bank``, ``private`` or ``shown``; goes to its verdict."""
    actor = actor_of(request)
    try:
        row = await requests.told(name, actor, request.POST.get("bank", PRIVATE))
    except Problem as problem:
        messages.error(request, problem.detail)
        return redirect("lab")
    await audit.record(actor, "scenario", {"id": row.pk, **row.parameters}, "ok")
    return redirect("verdict", row.pk)


@require_http_methods(["GET", "HEAD", "POST"])
async def report(request: HttpRequest) -> HttpResponse:
    """``/report/``: the course's form. Template ``report.html``; POST fills it in and goes to its verdict.

    Context: ``row``: the newest as :func:`bankweb.lab.api.detail`, or None; ``cases``: number and title.
    """
    if request.method == "POST":
        try:
            return redirect("verdict", await _begun(request, {"kind": REPORT}))
        except Problem as problem:
            messages.error(request, problem.detail)
    newest = next((row for row in await records.newest(KEPT_MAX) if row.kind == REPORT), None)
    context = {
        "row": api.detail(newest) if newest is not None else None,
        "cases": [(case.number, case.title) for case in CASES],
    }
    return render(request, "report.html", context)


@require_safe
async def verdict(request: HttpRequest, verdict: int) -> HttpResponse:
    """``/lab/<id>/``: one run, live and afterwards. Template ``verdict.html``.

    Context: ``row`` as :func:`bankweb.lab.api.detail`; ``over``; ``percent`` or None; ``faults``: drawn by
    :mod:`bankweb.lab.timeline`; ``counts``: what the simulated runs saw; ``failures``; ``shell``;
    ``body``: of the POST that repeats it; ``on_show``; ``recorded``: its recording is there.
    ``HX-Request``: ``partials/verdict_state.html``.
    """
    try:
        stored = await records.find(verdict)
    except Problem as problem:
        raise Http404(problem.detail) from problem
    row = api.detail(stored)
    story = stories().get(row["parameters"].get("scenario", "")) if row["kind"] == SCENARIO else None
    context = {
        "row": row,
        "over": row["status"] in OVER,
        "percent": _percent(row),
        "faults": _faults(row),
        "counts": _counts(row),
        "failures": _failures(row),
        "verified": _verified(row),
        "story": story,
        "next_story": next((card for card in cards() if story and card.name == story.next), None),
        "on_show": on_show(stored),
        "recorded": bool(row["recording"]) and recordings.find(row["recording"]) is not None,
        "told": (row["result"] or row["progress"]).get("steps", []) if row["kind"] == SCENARIO else [],
        "shell": shell_line(stored),
        "path": "scenarios" if row["kind"] == SCENARIO else "verdicts",
        "body": json.dumps(_body(row)),
        "single": row["kind"] == SIMULATION and row["parameters"]["seed"] == row["parameters"]["last"],
    }
    template = "partials/verdict_state.html" if request.headers.get("HX-Request") else "verdict.html"
    return render(request, template, context)


def _body(row: dict[str, Any]) -> dict[str, Any]:
    """Of the POST that repeats it."""
    if row["kind"] == SCENARIO:
        return {"name": row["parameters"]["scenario"], "bank": row["parameters"].get("bank", PRIVATE)}
    return {"kind": row["kind"], **row["parameters"]}


def _percent(row: dict[str, Any]) -> int | None:
    progress = row["progress"]
    if not progress:
        return None
    if row["kind"] == SCENARIO:
        story = stories().get(row["parameters"]["scenario"])
        return round(100 * len(progress["steps"]) / len(story.steps)) if story is not None else None
    if row["kind"] == VERIFY:
        return min(100, round(100 * float(progress["seconds"]) / float(row["parameters"]["duration"])))
    return round(100 * int(progress["done"]) / int(progress["of"]))


def _faults(row: dict[str, Any]) -> dict[str, Any] | None:
    if row["kind"] == VERIFY:
        faults = row["progress"].get("faults")
        return timeline.of_verify(faults, row["progress"]["seconds"]) if faults else None
    schedule = row["parameters"].get("schedule")
    return timeline.of_schedule(schedule) if schedule else None


def _counts(row: dict[str, Any]) -> list[tuple[str, int, int]]:
    """What simulated runs saw: name, how often in all, and in how many of the runs."""
    if row["kind"] != SIMULATION or row["result"] is None:
        return []
    seen = [{**run["coverage"], **run["seen"]} for run in row["result"]["runs"]]
    table = [(name, [int(one[name]) for one in seen]) for name in COUNTED]
    table.append(("faults", [sum(one["faults"].values()) for one in seen]))
    return [(name.replace("_", " "), sum(found), sum(map(bool, found))) for name, found in table]


def _verified(row: dict[str, Any]) -> list[tuple[str, int, float | None]]:
    """Kind of fault, how often, and the longest silence of a cluster meanwhile in ms."""
    if row["kind"] != VERIFY or row["result"] is None:
        return []
    times, silence = row["result"]["faults_injected"], row["result"]["unavailable_ms"]
    return [(kind, times.get(kind, 0), silence.get(kind)) for kind in sorted({*times, *silence})]


def _failures(row: dict[str, Any]) -> list[dict[str, Any]]:
    if row["kind"] != SIMULATION or row["result"] is None:
        return []
    return [
        {
            **failure,
            "picture": timeline.of_schedule(failure["schedule"]) if failure["schedule"] else None,
            "kept": json.dumps({"seed": failure["seed"], "steps": failure["steps"], **_kept(failure)}),
        }
        for failure in row["result"]["failures"]
    ]


def _kept(failure: dict[str, Any]) -> dict[str, Any]:
    """The rest of a file that ``simulate --schedule`` repeats."""
    return {name: failure[name] for name in ("scenario", "invariant", "schedule")}


@require_POST
async def cancel(request: HttpRequest, verdict: int) -> HttpResponse:
    """``/lab/<id>/cancel/``: no fields; goes back to its page."""
    try:
        await service().cancel(await records.find(verdict))
        await audit.record(actor_of(request), "lab-cancel", {"id": verdict}, "ok")
    except Problem as problem:
        messages.error(request, problem.detail)
    return redirect("verdict", verdict)


@require_POST
async def again(request: HttpRequest, verdict: int, seed: int) -> HttpResponse:
    """``/lab/<id>/seeds/<seed>/``: run one of its seeds again, by itself, recorded, under the same faults."""
    try:
        row = await records.find(verdict)
        return redirect("verdict", await _begun(request, _one(row, seed)))
    except Problem as problem:
        messages.error(request, problem.detail)
        return redirect("verdict", verdict)


def _one(row: Verdict, seed: int) -> dict[str, Any]:
    parameters = row.parameters
    body = {"kind": SIMULATION, "seed": seed, "steps": parameters.get("steps")}
    body["scenario"] = parameters.get("scenario") or None
    failures = (row.result or {}).get("failures", ())
    failed = next((failure for failure in failures if failure["seed"] == seed), None)
    return body if failed is None else {**body, "schedule": failed["schedule"]}
