"""REST: benchmarks, run one after the other beside the site."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from drf_spectacular.types import OpenApiTypes

from bankweb import store
from bankweb.benchmarks import replays, serializers
from bankweb.benchmarks.models import Benchmark
from bankweb.benchmarks.records import records
from bankweb.benchmarks.serializers import BANKS, CHOICES, NUMBERS
from bankweb.benchmarks.service import PRIVATE, PRIVATE_ONLY, SHOWN, benchmarks
from bankweb.identity import audit
from bankweb.identity.audit import actor_of
from bankweb.rest.cursors import CURSOR, LIMIT, listed
from bankweb.rest.fields import mapping, no_body, read_query
from bankweb.rest.parsers import read_bytes, read_json
from bankweb.rest.problems import Problem, invalid, shown
from bankweb.rest.schema import documented
from bankweb.rest.views import BankView, answer
from consensus.workload import csvfile, htmlfile
from consensus.workload.engines import PAXOS, TITLES
from consensus.workload.options import PRESETS

NAME_MAX: Final = 100


def parameters_of(body: dict[str, Any]) -> dict[str, Any]:
    """The parameters in ``body``, each checked; what is left out or null is the preset's or the default.

    Raises:
        Problem: one is wrong, or two exclude each other (400).
    """
    found: dict[str, Any] = {}
    for name, words in CHOICES.items():
        value = body.get(name)
        if value is not None:
            if value not in words:
                raise invalid(name, f"must be one of {', '.join(words)}, not {shown(value)}")
            found[name] = value
    for name, (kind, least, most) in NUMBERS.items():
        value = body.get(name)
        if value is None:
            continue
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise invalid(name, f"must be {'an integer' if kind is int else 'a number'}, not {shown(value)}")
        if not least <= value <= most:
            raise invalid(name, f"must be {least:g}..{most:g}, not {shown(value)}")
        found[name] = kind(value)
    preset = PRESETS.get(found.get("preset", ""), {})
    _check_engine(found)
    sweep = body.get("sweep")
    if sweep is not None and type(sweep) is not bool:
        raise invalid("sweep", f"must be true or false, not {shown(sweep)}")
    if sweep:
        if "rate" in found or "rate" in preset:
            raise invalid("sweep", "begins with a closed loop; leave rate and presets that have one out")
        found["sweep"] = True
    if "transactions" in found and "duration" in found:
        raise invalid("duration", "give transactions or duration, not both")
    if "skewness" in found and found.get("distribution", preset.get("distribution")) != "zipf":
        raise invalid("skewness", "goes with distribution zipf only")
    if found.get("connections", 1) > found.get("clients", serializers.CLIENTS_MAX):
        raise invalid("connections", "must not be more than clients")
    replay = body.get("replay")
    if replay is not None:
        if type(replay) is not str or not replay:
            raise invalid("replay", f"must be the text of a CSV file, not {shown(replay)}")
        replays.check(found)
        found["replay"] = replay
    return found


def _check_engine(found: dict[str, Any]) -> None:
    """Refuse what goes with the bank only.

    Raises:
        Problem: as said (400).
    """
    if found.get("engine", PAXOS) == PAXOS:
        return
    if found.get("generators", 1) > 1:
        raise invalid("generators", f"more than one goes with engine {PAXOS} only")


def checked(body: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Parameters and bank.

    Raises:
        Problem: something is wrong (400).
    """
    parameters = parameters_of(body)
    return parameters, bank_of(body, parameters)


async def started(body: dict[str, Any], actor: str) -> Benchmark:
    """Queue the run that ``body`` asks for.

    Raises:
        Problem: something in it is wrong (400), or too many wait (503).
    """
    parameters, bank = checked(body)
    if "replay" in parameters:
        parameters["replay"] = await asyncio.to_thread(replays.take, parameters["replay"])
        await store.read(replays.prune)
    row = await benchmarks().begin(parameters, name_of(body, parameters), bank, actor)
    await audit.record(actor, "benchmark", {"id": row.pk, "bank": bank, **parameters}, "ok")
    return row


def name_of(body: dict[str, Any], parameters: dict[str, Any]) -> str:
    """What the run is called: as asked, else by what it does.

    Raises:
        Problem: the name is no text, or too long (400).
    """
    name = body.get("name")
    name = "" if name is None else name
    if type(name) is not str or len(name) > NAME_MAX or "\x00" in name:
        raise invalid("name", f"must be text of up to {NAME_MAX} characters, not {shown(name)}")
    if name:
        return name
    words = [parameters.get("preset", "replay" if "replay" in parameters else "custom")]
    engine = parameters.get("engine", PAXOS)
    if engine != PAXOS:
        words.insert(0, TITLES[engine])
    words += [f"{key.replace('_', ' ')} {value:g}" for key, value in parameters.items() if key in NUMBERS][:4]
    return ", ".join(words)[:NAME_MAX]


def bank_of(body: dict[str, Any], parameters: dict[str, Any]) -> str:
    """``private`` or ``shown``.

    Raises:
        Problem: it is neither, or the bank on show would have to have another size (400).
    """
    bank = body.get("bank")
    bank = PRIVATE if bank is None else bank
    if bank not in BANKS:
        raise invalid("bank", f"must be one of {', '.join(BANKS)}, not {shown(bank)}")
    if bank == SHOWN:
        if parameters.get("engine", PAXOS) != PAXOS:
            raise invalid("engine", "is started for the run; it is not the bank on show")
        for name in PRIVATE_ONLY:
            if name in parameters:
                raise invalid(name, "is that of the bank on show; leave it out, or use a private bank")
    return str(bank)


def summary(row: Benchmark) -> dict[str, Any]:
    row = benchmarks().current(row)
    tps, p99_ms = _figures(row)
    return {
        "id": row.pk,
        "name": row.name,
        "bank": row.bank,
        "status": row.status,
        "error": row.error or None,
        "actor": row.actor,
        "created": row.created.isoformat(),
        "started": row.started.isoformat() if row.started else None,
        "ended": row.ended.isoformat() if row.ended else None,
        "parameters": row.parameters,
        "commit": row.commit,
        "machine": row.machine,
        "progress": row.progress,
        "throughput_tps": tps,
        "p99_ms": p99_ms,
    }


def _figures(row: Any) -> tuple[float | None, float | None]:
    if "result" in row.get_deferred_fields():
        return row.tps, row.p99_ms
    result = row.result or {}
    return result.get("throughput_tps"), (result.get("latency_ms") or {}).get("p99")


def detail(row: Benchmark) -> dict[str, Any]:
    row = benchmarks().current(row)
    return {**summary(row), "course": row.course, "result": row.result}


class BenchmarkList(BankView):
    @documented("List benchmarks", serializers.BenchmarkPage, params=(CURSOR, LIMIT))
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Newest first."""
        query = read_query(request, CURSOR, LIMIT)
        rows = await records.newest(query["limit"] + 1, query["cursor"])
        more = len(rows) > query["limit"]
        rows = rows[: query["limit"]]
        return answer(listed(request, list(map(summary, rows)), rows[-1].pk if more else None))

    @documented(
        "Run a benchmark",
        serializers.BenchmarkSerializer,
        body={"application/json": serializers.BENCHMARK_SCHEMA},
        errors=(503,),
    )
    async def post(self, request: HttpRequest) -> HttpResponse:
        """On a private bank, unless `bank` is `shown`. Queued behind those that wait; ask how far it is."""
        read_query(request)
        body = mapping(read_json(request), frozenset(("name", "bank", "sweep", "replay", *CHOICES, *NUMBERS)))
        return answer(summary(await started(body, actor_of(request))))


class BenchmarkDetail(BankView):
    @documented("A benchmark", serializers.BenchmarkDetailSerializer, errors=(404,))
    async def get(self, request: HttpRequest, benchmark: int) -> HttpResponse:
        """Its progress while it runs, its result when it is over."""
        read_query(request)
        return answer(detail(await records.find(benchmark)))

    @documented("Cancel a benchmark", serializers.BenchmarkSerializer, errors=(404,))
    async def delete(self, request: HttpRequest, benchmark: int) -> HttpResponse:
        """Stops it, or takes it out of the queue; one that is over stays as it is."""
        read_query(request)
        no_body(request, read_bytes(request))
        row = await benchmarks().cancel(await records.find(benchmark))
        await audit.record(actor_of(request), "benchmark-cancel", {"id": benchmark}, row.status)
        return answer(summary(row))


async def _with_result(benchmark: int) -> Benchmark:
    """The row of a run that has a result.

    Raises:
        Problem: there is no such run (404), or it has none (409).
    """
    row = await records.find(benchmark)
    if row.result is None:
        raise Problem("conflict", f"benchmark {benchmark} is {row.status} and has no result")
    return row


def _file(content: str, kind: str, name: str) -> HttpResponse:
    response = HttpResponse(content, f"{kind}; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


class BenchmarkJson(BankView):
    @documented(
        "A benchmark's result as a file", {(200, "application/json"): OpenApiTypes.OBJECT}, errors=(404, 409)
    )
    async def get(self, request: HttpRequest, benchmark: int) -> HttpResponse:
        """The document of `manage.py bench --json`, to keep."""
        read_query(request)
        row = await _with_result(benchmark)
        content = json.dumps(row.result, ensure_ascii=False, indent=1) + "\n"
        return _file(content, "application/json", f"benchmark-{benchmark}.json")


class BenchmarkHtml(BankView):
    @documented("A benchmark as a report", {(200, "text/html"): OpenApiTypes.STR}, errors=(404, 409))
    async def get(self, request: HttpRequest, benchmark: int) -> HttpResponse:
        """One HTML file with figures, tables and charts that needs nothing else: 5 MB, most of it Plotly."""
        read_query(request)
        row = await _with_result(benchmark)
        about = {
            "began": row.created.isoformat(timespec="seconds"),
            "commit": row.commit,
            "machine": row.machine,
        }
        title = f"Benchmark {row.pk}: {row.name}"
        content = await asyncio.to_thread(htmlfile.text, row.result, title, about)
        return _file(content, "text/html", f"benchmark-{benchmark}.html")


class BenchmarkCsv(BankView):
    @documented("A benchmark's figures as CSV", {(200, "text/csv"): OpenApiTypes.STR}, errors=(404, 409))
    async def get(self, request: HttpRequest, benchmark: int) -> HttpResponse:
        """Rows of section, name, value: parameters, figures, latencies by kind, the timeline."""
        read_query(request)
        row = await _with_result(benchmark)
        return _file(csvfile.text(row.result), "text/csv", f"benchmark-{benchmark}.csv")
