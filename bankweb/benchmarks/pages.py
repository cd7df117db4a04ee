"""The benchmark pages: start, watch, compare."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from bankweb.benchmarks import api
from bankweb.benchmarks.forms import BenchmarkForm
from bankweb.benchmarks.records import records
from bankweb.benchmarks.service import SHOWN, shell
from bankweb.benchmarks.service import benchmarks as service
from bankweb.identity import audit
from bankweb.identity.audit import actor_of
from bankweb.rest.problems import Problem
from bankweb.rest.snippets import posting
from bankweb.runs.records import OVER
from consensus.workload.engines import PAXOS

LISTED: Final = 100
COMPARED_MAX: Final = 8
PLOTLY_CSP: Final = {"style-src": "'self' 'unsafe-inline'", "img-src": "'self' data: blob:"}
"""Plotly writes style elements, and draws its PNG from a blob; nothing else on its pages needs that."""
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
        unfinished: whether one of them waits or runs; the page asks again while it is so.

    POST starts a run and goes to its page; a form with errors comes back with status 422.
    ``HX-Request``: ``partials/benchmark_rows.html`` with ``rows`` and ``unfinished``.
    """
    form = BenchmarkForm(initial={"preset": "default", "bank": "private"})
    if request.method == "POST":
        form = BenchmarkForm(request.POST, request.FILES)
        if form.is_valid():
            try:
                return await _begun(request, form)
            except Problem as problem:
                form.add_error(problem.field if problem.field in form.fields else None, problem.detail)
    rows = list(map(api.summary, await records.newest(LISTED)))
    unfinished = any(row["status"] not in OVER for row in rows)
    if request.headers.get("HX-Request"):
        return render(request, "partials/benchmark_rows.html", {"rows": rows, "unfinished": unfinished})
    status = 422 if request.method == "POST" else 200
    context = {"form": form, "rows": rows, "unfinished": unfinished}
    return render(request, "benchmarks.html", context, status=status)


async def _begun(request: HttpRequest, form: BenchmarkForm) -> HttpResponse:
    bodies = form.bodies()
    for body in bodies:
        api.checked(body)  # all, before the first of them is queued
    rows = [await api.started(body, actor_of(request)) for body in bodies]
    return redirect("benchmark", rows[-1].pk)


async def _beside(row: dict[str, Any]) -> int | None:
    """The run just before or after, when it put the same load on another system."""

    def load(parameters: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in parameters.items() if name != "engine"}

    for one in await records.found([row["id"] - 1, row["id"] + 1]):
        engines = {each.get("engine", PAXOS) for each in (one.parameters, row["parameters"])}
        if len(engines) == 2 and load(one.parameters) == load(row["parameters"]):
            return int(one.pk)
    return None


@require_safe
async def benchmark(request: HttpRequest, benchmark: int) -> HttpResponse:
    """``/benchmarks/<id>/``: one run, live and afterwards. Template ``benchmark.html``.

    Context: ``row`` as :func:`bankweb.benchmarks.api.detail`; ``over``; ``on_show``; ``percent`` or None;
    ``beside``: id of the run of the same load on another system, or None; ``kinds``:
    rows of name and figures; ``snippets``: how to run it again, as curl,
    Python and a command of this folder. ``HX-Request``: ``partials/benchmark_state.html``.
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
        # Results stored before there were mixes have no "by_operation".
        kinds += [(name.replace("_", " "), one) for name, one in result.get("by_operation", {}).items()]
    context = {
        "row": row,
        "over": row["status"] in OVER,
        "on_show": row["bank"] == SHOWN,
        "percent": percent,
        "beside": await _beside(row),
        "kinds": kinds,
        "snippets": {
            **posting(request, "api-benchmarks", {**row["parameters"], "bank": row["bank"]}),
            "shell": shell(row["parameters"], row["bank"]),
        },
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
    listed = map(api.summary, await records.newest(LISTED))
    runs = [run for run in listed if run["throughput_tps"] is not None]
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
