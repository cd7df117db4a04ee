"""The benchmark pages: start, watch, compare."""

from __future__ import annotations

import json
from typing import Any, Final

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from bankweb.benchmarks import api, records
from bankweb.benchmarks.forms import BenchmarkForm
from bankweb.benchmarks.records import OVER
from bankweb.benchmarks.service import benchmarks as service
from bankweb.identity import audit
from bankweb.identity.audit import actor_of
from bankweb.rest.problems import Problem

LISTED: Final = 100
COMPARED_MAX: Final = 8
PLOTLY_CSP: Final = {"style-src": "'self' 'unsafe-inline'"}
"""Plotly writes style elements; nothing else on its pages needs that."""
KINDS: Final = (
    ("all", "all"),
    ("intra", "within a cluster"),
    ("cross", "across clusters"),
    ("read", "reads"),
)


@require_http_methods(["GET", "HEAD", "POST"])
async def benchmarks(request: HttpRequest) -> HttpResponse:
    """``/benchmarks/``: a form with every parameter, and the runs. Template ``benchmarks.html``.

    Context:
        form: :class:`BenchmarkForm`.
        rows: newest first, as :func:`bankweb.benchmarks.api.summary`.

    POST starts a run and goes to its page; a form with errors comes back with status 422.
    ``HX-Request``: ``partials/benchmark_rows.html`` with ``rows``.
    """
    form = BenchmarkForm(initial={"preset": "default", "bank": "private"})
    if request.method == "POST":
        form = BenchmarkForm(request.POST)
        if form.is_valid():
            try:
                return await _begun(request, form)
            except Problem as problem:
                form.add_error(problem.field if problem.field in form.fields else None, problem.detail)
    rows = list(map(api.summary, await records.newest(LISTED)))
    if request.headers.get("HX-Request"):
        return render(request, "partials/benchmark_rows.html", {"rows": rows})
    status = 422 if request.method == "POST" else 200
    return render(request, "benchmarks.html", {"form": form, "rows": rows}, status=status)


async def _begun(request: HttpRequest, form: BenchmarkForm) -> HttpResponse:
    body = form.body()
    parameters = api.parameters_of(body)
    bank = api.bank_of(body, parameters)
    row = await service().begin(parameters, api.name_of(body, parameters), bank, actor_of(request))
    await audit.record(actor_of(request), "benchmark", {"id": row.pk, "bank": bank, **parameters}, "ok")
    return redirect("benchmark", row.pk)


@require_safe
async def benchmark(request: HttpRequest, benchmark: int) -> HttpResponse:
    """``/benchmarks/<id>/``: one run, live and afterwards. Template ``benchmark.html``.

    Context: ``row`` as :func:`bankweb.benchmarks.api.detail`; ``over``; ``percent`` or None; ``kinds``:
    rows of name and figures; ``curl``: how to run it again. ``HX-Request``:
    ``partials/benchmark_state.html``.
    """
    try:
        row = api.detail(await records.find(benchmark))
    except Problem as problem:
        raise Http404(problem.detail) from problem
    result = row["result"]
    progress = row["progress"]
    of = progress.get("of") or 0
    seconds = row["parameters"].get("duration")
    percent = None
    if of:
        percent = min(100, round(100 * progress["ended"] / of))
    elif seconds and progress:
        percent = min(100, round(100 * progress["seconds"] / seconds))
    kinds = []
    if result:
        found = {"all": result, **result["by_kind"]}
        kinds = [(word, found[name]) for name, word in KINDS if found[name]["latency_ms"]["mean"] is not None]
    context = {
        "row": row,
        "over": row["status"] in OVER,
        "percent": percent,
        "kinds": kinds,
        "body": json.dumps({**row["parameters"], "bank": row["bank"]}),
    }
    template = "partials/benchmark_state.html" if request.headers.get("HX-Request") else "benchmark.html"
    return render(request, template, context)


@require_POST
async def cancel(request: HttpRequest, benchmark: int) -> HttpResponse:
    """``/benchmarks/<id>/cancel/``: no fields; goes back to its page."""
    try:
        await service().cancel(await records.find(benchmark))
        await audit.record(actor_of(request), "benchmark-cancel", {"id": benchmark}, "ok")
    except Problem as problem:
        messages.error(request, problem.detail)
    return redirect("benchmark", benchmark)


@require_safe
async def compare(request: HttpRequest) -> HttpResponse:
    """``/benchmarks/compare/?run=1&run=2``: figures side by side, curves over each other.

    Template ``compare.html``. Context: ``rows``: those asked for that have a result; ``runs``: all that do;
    ``chosen``: their ids; ``keys``: names of parameters that differ.
    """
    chosen = [int(text) for text in request.GET.getlist("run") if text.isdecimal()][:COMPARED_MAX]
    rows = [api.detail(row) for row in await records.found(chosen) if row.result is not None]
    runs = [api.summary(row) for row in await records.newest(LISTED) if row.result is not None]
    response = render(
        request,
        "compare.html",
        {
            "rows": rows,
            "runs": runs,
            "chosen": [row["id"] for row in rows],
            "differing": _differing(rows),
            "most": COMPARED_MAX,
        },
    )
    response.csp = PLOTLY_CSP  # type: ignore[attr-defined]
    return response


def _differing(rows: list[dict[str, Any]]) -> list[tuple[str, list[Any]]]:
    """Parameters in which the runs differ: name and the value of each."""
    everything = [row["result"]["parameters"] for row in rows]
    names = sorted({name for parameters in everything for name in parameters})
    table = [(name, [parameters.get(name) for parameters in everything]) for name in names]
    return [(name, values) for name, values in table if any(value != values[0] for value in values)]
