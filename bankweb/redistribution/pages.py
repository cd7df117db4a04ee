"""The shard map and the redistribution pages. Forms and links work without script."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from bankweb.benchmarks.service import SHOWN, benchmarks
from bankweb.identity import audit
from bankweb.identity.audit import actor_of
from bankweb.redistribution import documents, records
from bankweb.redistribution.forms import PlanForm, TriggerForm
from bankweb.redistribution.models import Redistribution
from bankweb.redistribution.observing import load, outlook_now
from bankweb.redistribution.reasons import reason, staying
from bankweb.redistribution.records import (
    ABORTED,
    DONE,
    FAILED,
    PAUSED,
    PLANNED,
    PLANNING,
    REFUSED,
    RUNNING,
)
from bankweb.redistribution.service import redistributions as service
from bankweb.redistribution.traffic import gatherer
from bankweb.redistribution.trigger import trigger
from bankweb.rest.problems import Problem

LISTED: Final = 50
MOVES_SHOWN: Final = 300
LOAD: Final[dict[str, Any]] = {
    "preset": "communities",
    "duration": 600.0,
    "clients": 24,
    "amount": 1,
    "warmup": 0.0,
}
"""The load that the page starts: a closed loop, which takes what it gets, so that throughput can rise; of few
clients, so that the site does not starve on a small machine."""
LOAD_NAME: Final = "communities, from the redistribution page"
OBSERVE_S: Final = 60.0
"""A plan asked for here waits so long for a window that is not too thin, while traffic comes."""
STEPS: Final = ("observe", "coarsen", "initial", "refine", "plan", "migrate", "verify")
COMMANDS: Final = {
    PLANNED: ("apply",),
    RUNNING: ("pause", "abort"),
    PAUSED: ("resume", "abort"),
    DONE: ("rollback",),
    ABORTED: ("rollback",),
    FAILED: ("rollback",),
}
WORDS: Final = {
    "apply": "Redistribute",
    "pause": "Pause",
    "resume": "Resume",
    "abort": "Stop here",
    "rollback": "Take it back",
}


@require_safe
async def shards(request: HttpRequest) -> HttpResponse:
    """``/shards/``: the map of all accounts. Template ``shards.html``.

    Context:
        stats: as ``access-stats/`` gives them.
        moved: how many accounts are not where the topology put them.
    """
    await gatherer().gather()
    context = {
        "stats": await gatherer().stats(),
        "moved": len(gatherer().placement.epochs),
    }
    fragment = bool(request.headers.get("HX-Request"))
    return render(request, "partials/shard_tables.html" if fragment else "shards.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
async def redistributions(request: HttpRequest) -> HttpResponse:
    """``/redistributions/``: traffic now, a new plan, the trigger, what there was.

    POST: ``do`` is ``plan``, ``redistribute``, ``load``, ``stop`` or ``automatic``. Template
    ``redistributions.html``; with ``HX-Request`` ``partials/traffic_now.html``.

    Context:
        traffic: :func:`_traffic`.
        plan_form, trigger_form: forms.
        trigger: settings; ``trigger_said``: what it thought last.
        rows: newest first, as :func:`bankweb.redistribution.documents.summary`.
        busy: key of one that is planned or carried out now, or "".
    """
    plan_form, trigger_form = PlanForm(), None
    settings = await records.trigger()
    if request.method == "POST":
        done = request.POST.get("do", "")
        try:
            if done in ("plan", "redistribute"):
                plan_form = PlanForm(request.POST)
                if plan_form.is_valid():
                    options = {**plan_form.options(), "wait_s": OBSERVE_S}
                    row = await service().begin_plan(options, actor_of(request))
                    service().plan_on(row, apply_as=actor_of(request) if done == "redistribute" else None)
                    return redirect("redistribution", row.key)
            elif done == "load":
                await _start_load(actor_of(request))
                return redirect("redistributions")
            elif done == "stop":
                running = load()
                if running is not None:
                    await benchmarks().cancel(running)
                return redirect("redistributions")
            elif done == "automatic":
                trigger_form = TriggerForm(request.POST, instance=settings)
                if trigger_form.is_valid():
                    settings = trigger_form.save(commit=False)
                    settings.on = request.POST.get("on") == "1"
                    await records.save_trigger(settings)
                    trigger().start()
                    await audit.record(
                        actor_of(request), "redistribution-automatic", {"on": settings.on}, "ok"
                    )
                    return redirect("redistributions")
        except Problem as problem:
            messages.error(request, problem.detail)
    if request.headers.get("HX-Request"):
        return render(request, "partials/traffic_now.html", {"traffic": await _traffic()})
    busy = service().planning or (service().carrying and service().carrying.row)
    context = {
        "traffic": await _traffic(),
        "plan_form": plan_form,
        "trigger_form": trigger_form or TriggerForm(instance=settings),
        "trigger": settings,
        "trigger_said": trigger().said,
        "rows": list(map(documents.summary, await records.newest(LISTED))),
        "busy": busy.key if busy else "",
    }
    return render(request, "redistributions.html", context, status=422 if request.method == "POST" else 200)


async def _start_load(actor: str) -> None:
    if load() is not None:
        raise Problem("conflict", "the load runs already")
    row = await benchmarks().begin(dict(LOAD), LOAD_NAME, SHOWN, actor)
    await audit.record(actor, "benchmark", {"id": row.pk, "bank": SHOWN, **LOAD}, "ok")


async def _traffic() -> dict[str, Any]:
    """``share`` and ``count`` of the last ten seconds, ``stats``, ``load``: the load's row or None.

    ``outlook``: :class:`bankweb.redistribution.observing.Outlook` on a window for a plan.
    """
    outlook, window = await outlook_now()
    share, count = gatherer().share(10.0)
    stats = await gatherer().stats(window)
    return {"share": share, "count": count, "stats": stats, "load": load(), "outlook": outlook}


@require_safe
async def redistribution(request: HttpRequest, redistribution: str) -> HttpResponse:
    """``/redistributions/<id>/``: one from the first look at the traffic to the last.

    Template ``redistribution.html``; ``HX-Request``: ``partials/redistribution_state.html``, or with
    ``?account=`` ``partials/move_why.html``. Context: see :func:`_context` and :func:`_why`; ``key``.
    """
    row = await _found(redistribution)
    asked = request.GET.get("account", "")
    why = {"key": row.key, **await _why(row, asked)}
    if request.headers.get("HX-Request"):
        if asked:
            return render(request, "partials/move_why.html", why)
        return render(request, "partials/redistribution_state.html", _context(row))
    return render(request, "redistribution.html", {**_context(row), **why})


async def _why(row: Redistribution, asked: str) -> dict[str, Any]:
    """What the plan has to say of the account that was ``asked`` for.

    ``why``: :func:`bankweb.redistribution.reasons.reason` or None; ``stays``:
    :func:`bankweb.redistribution.reasons.staying` or None; ``why_error``; ``first_moved``.
    """
    plan = records.unpacked(row.plan)
    found = {
        "why": None,
        "stays": None,
        "why_error": "",
        "first_moved": plan["moves"][0][0] if plan and plan["moves"] else "",
    }
    if not asked:
        return found
    try:
        if not asked.isdecimal():
            raise Problem("invalid", "an account is a number")
        account = int(asked[:12])
        if plan and account not in {move[0] for move in plan["moves"]}:
            return {**found, "stays": await staying(row, account)}
        return {**found, "why": await reason(row, account)}
    except Problem as problem:
        return {**found, "why_error": problem.detail}


@require_POST
async def command(request: HttpRequest, redistribution: str, command: str) -> HttpResponse:
    """``/redistributions/<id>/<command>/``: no fields; goes back to the page, or to that of the rollback."""
    row = await _found(redistribution)
    try:
        if command == "rollback":
            row = await service().rollback(row, actor_of(request))
        else:
            await service().steer(row, command, actor_of(request))
    except Problem as problem:
        messages.error(request, problem.detail)
    return redirect("redistribution", row.key)


async def _found(key: str) -> Redistribution:
    try:
        return await records.find(key)
    except Problem as problem:
        raise Http404(problem.detail) from problem


def _context(row: Redistribution) -> dict[str, Any]:
    """What the templates are given.

    ``row``: as :func:`documents.summary`; ``compiling``: the plan waits for the partitioner's compiler;
    ``steps``: rows of name and ``done``, ``now``, ``later`` or
    ``failed``; ``commands``: rows of command, word and address; ``over``: nothing changes any more;
    ``percent``; ``moves``: the first with their reasons; ``moves_more``; ``table``; ``search``: see
    :func:`documents.search`; ``figures``: rows of name and figures.
    """
    plan = records.unpacked(row.plan)
    moves = documents.moves(row)
    shown = documents.summary(row)
    progress = shown["progress"]
    commands = COMMANDS.get(row.status, ())
    if shown["observing"]:
        commands = ("abort",)
    if row.status in (DONE, ABORTED, FAILED) and (row.ended is None or not row.moved):
        commands = ()
    return {
        "row": shown,
        "compiling": service().compiling and row.status == PLANNING,
        "steps": _steps(row),
        "commands": [
            (name, WORDS[name], reverse(f"redistribution-{name}", args=[row.key])) for name in commands
        ],
        "over": row.ended is not None or row.status == PLANNED,
        "percent": round(100 * progress["moved"] / progress["total"]) if progress["total"] else 0,
        "moves": moves[:MOVES_SHOWN],
        "moves_more": max(0, len(moves) - MOVES_SHOWN),
        "table": plan["table"] if plan else [],
        "search": documents.search(row),
        "method": plan["method"] if plan else "",
        "figures": [
            (name, figures)
            for name, figures in (
                ("before", row.before), ("predicted", row.predicted), ("measured", row.observed),
            )
            if figures
        ],
    }  # fmt: skip


def _steps(row: Redistribution) -> list[tuple[str, str]]:
    """Each step and how far it is."""
    carrying = service().carrying
    at = {PLANNING: _planning_step(), REFUSED: 4, PLANNED: 5, RUNNING: 5, PAUSED: 5}.get(
        row.status, len(STEPS)
    )
    if row.status == RUNNING and carrying is not None and carrying.phase == "verify":
        at = 6
    if row.status in (FAILED, ABORTED):
        at = 5 if row.started else 4 if row.plan else 0
    if row.origin == "rollback":
        names = STEPS[5:]
        at = max(0, at - 5)
    else:
        names = STEPS
    word = {REFUSED: "failed", FAILED: "failed", ABORTED: "failed", PLANNED: "next"}.get(row.status, "now")
    return [(name, "done" if i < at else word if i == at else "later") for i, name in enumerate(names)]


def _planning_step() -> int:
    """Where the partitioner is with the plan, or with its trial while that is made."""
    events = service().planned_events
    trial = all(event.get("trial", False) for event in events)
    kinds = {event["k"] for event in events if event.get("trial", False) == trial}
    if not kinds:
        return 0
    if "hg.quality" in kinds:
        return 3
    return 2 if "hg.moves" in kinds else 1
