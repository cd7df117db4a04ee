"""The test set pages: files, one run set by set, the course's Print functions. They work without script."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from bankweb.identity import audit
from bankweb.identity.audit import actor_of
from bankweb.rest.problems import Problem
from bankweb.testsets import files
from bankweb.testsets.forms import PrintForm, UploadForm
from bankweb.testsets.runs import Run, runs

ROWS_MAX: Final = 60
"""Longer sets show so many commands, and every further one that did not commit."""
BALANCES_MAX: Final = 60


@require_http_methods(["GET", "HEAD", "POST"])
async def testsets(request: HttpRequest) -> HttpResponse:
    """``/testsets/``: upload, shipped files, runs. Template ``testsets.html``.

    Context:
        form: :class:`UploadForm`.
        shipped: :func:`bankweb.testsets.files.shipped`.
        shown_sizes: of the bank on show; files for a bank of those sizes can be run there.
        runs: newest first, each a :class:`bankweb.testsets.runs.Run`.

    POST takes a file in, either a shipped one (field ``shipped``) or an upload, and redirects to its run. A
    form with errors is shown again with status 422; those of the file name line and column.
    """
    form = UploadForm()
    if request.method == "POST":
        run, form = _taken(request)
        if run is not None:
            await audit.record(actor_of(request), "testset", {"run": run.id, "name": run.name}, "ok")
            return redirect("testset", run.id)
    context = {
        "form": form,
        "shipped": files.shipped(),
        "runs": runs().newest_first(),
        "shown_sizes": files.shown_sizes(),
    }
    return render(request, "testsets.html", context, status=422 if request.method == "POST" else 200)


def _taken(request: HttpRequest) -> tuple[Run | None, UploadForm]:
    if "shipped" not in request.POST:
        form = UploadForm(request.POST, request.FILES)
        return (form.run() if form.is_valid() else None), form
    try:
        shipped, data = files.read_shipped(request.POST["shipped"])
        on_show = request.POST.get("bank") == "shown"
        return runs().add(shipped.name, data, shipped.sizes, on_show=on_show), UploadForm()
    except Problem as problem:
        messages.error(request, problem.detail)
        return None, UploadForm()


@require_safe
async def testset(request: HttpRequest, run: int) -> HttpResponse:
    """``/testsets/<run>/``: one run. Template ``testset.html``.

    Context: :func:`_context`. ``HX-Request``: ``partials/testset_run.html`` with the same.
    """
    return _page(request, _found(run))


@require_POST
async def next_set(request: HttpRequest, run: int) -> HttpResponse:
    """``/testsets/<run>/next/``: begin the next set. No fields; answers as :func:`testset`."""
    return await _changed(request, _found(run), "testset-next", runs().next)


@require_POST
async def skip_set(request: HttpRequest, run: int) -> HttpResponse:
    """``/testsets/<run>/skip/``: leave the next set out. No fields; answers as :func:`testset`."""
    return await _changed(request, _found(run), "testset-skip", runs().skip)


@require_POST
async def reshard(request: HttpRequest, run: int) -> HttpResponse:
    """``/testsets/<run>/reshard/``: PrintReshard. No fields; answers as :func:`testset`."""
    return await _changed(request, _found(run), "testset-reshard", runs().reshard)


@require_POST
async def release(request: HttpRequest, run: int) -> HttpResponse:
    """``/testsets/<run>/release/``: give its bank back. No fields; goes back to the run."""
    found = _found(run)
    try:
        await runs().release(found)
        await audit.record(actor_of(request), "testset-release", {"run": run}, "ok")
    except Problem as problem:
        messages.error(request, problem.detail)
    return redirect("testset", run)


async def _changed(
    request: HttpRequest, run: Run, command: str, change: Callable[[Run], Any]
) -> HttpResponse:
    try:
        change(run)
        await audit.record(actor_of(request), command, {"run": run.id}, "ok")
    except Problem as problem:
        messages.error(request, problem.detail)
    if request.headers.get("HX-Request"):
        return _page(request, run)
    return redirect("testset", run.id)


@require_safe
async def print_text(request: HttpRequest, run: int) -> HttpResponse:
    """``/testsets/<run>/print/?function=&argument=``: what a function prints.

    Template ``testset.html`` with ``printed`` (``{"title", "text", "failed"}``); ``HX-Request``:
    ``partials/testset_printed.html`` with that alone.
    """
    found = _found(run)
    form = PrintForm(request.GET)
    printed: dict[str, Any] = {"title": "", "text": "", "failed": True}
    if form.is_valid():
        function, argument = form.cleaned_data["function"], form.cleaned_data["argument"]
        argument = argument if function in ("printbalance", "printlog") else ""
        printed["title"] = f"{function} {argument}".strip()
        try:
            printed |= {"text": await runs().print(found, function, argument), "failed": False}
        except Problem as problem:
            printed["text"] = problem.detail
    else:
        printed["text"] = "; ".join(f"{name}: {' '.join(errors)}" for name, errors in form.errors.items())
    if request.headers.get("HX-Request"):
        return render(request, "partials/testset_printed.html", {"printed": printed})
    return _page(request, found, printed)


def _found(number: int) -> Run:
    try:
        return runs().get(number)
    except Problem as problem:
        raise Http404(problem.detail) from problem


def _page(request: HttpRequest, run: Run, printed: dict[str, Any] | None = None) -> HttpResponse:
    fragment = bool(request.headers.get("HX-Request"))
    template = "partials/testset_run.html" if fragment else "testset.html"
    return render(request, template, {**_context(run), "printed": printed, "fragment": fragment})


def _context(run: Run) -> dict[str, Any]:
    """What the templates are given.

    ``run``; ``upcoming``: the next set or None; ``percent`` of the running set; ``ended``: newest first,
    each ``{"number", "report" or None, "rows", "left_out", "balances", "balances_left_out"}``.
    """
    upcoming = run.upcoming
    total = len(upcoming.commands) if upcoming else 0
    return {
        "run": run,
        "upcoming": upcoming,
        "percent": 100 * run.over // total if total else 0,
        "ended": [_ended(test_set, report) for test_set, report in reversed(run.ended)],
    }


def _ended(test_set: Any, report: Any) -> dict[str, Any]:
    if report is None:
        return {"number": test_set.number, "report": None}
    rows = [
        row for i, row in enumerate(report.commands) if i < ROWS_MAX or row.outcome not in ("committed", "ok")
    ]
    balances = list(report.balances.items())
    return {
        "number": test_set.number,
        "report": report,
        "rows": rows,
        "left_out": len(report.commands) - len(rows),
        "balances": balances[:BALANCES_MAX],
        "balances_left_out": max(0, len(balances) - BALANCES_MAX),
    }
