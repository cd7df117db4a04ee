"""REST: benchmarks, run one after the other beside the site."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from drf_spectacular.types import OpenApiTypes

from bankweb.benchmarks import records, serializers
from bankweb.benchmarks.models import Benchmark
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
from consensus.workload import csvfile
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
    sweep = body.get("sweep") or False
    if type(sweep) is not bool:
        raise invalid("sweep", f"must be true or false, not {shown(sweep)}")
    if sweep:
        paced = "rate" in found or "rate" in PRESETS.get(found.get("preset", ""), {})
        if paced:
            raise invalid("sweep", "begins with a closed loop; leave rate and presets that have one out")
        found["sweep"] = True
    if "transactions" in found and "duration" in found:
        raise invalid("duration", "give transactions or duration, not both")
    if "skewness" in found and found.get("distribution") != "zipf":
        raise invalid("skewness", "goes with distribution zipf only")
    if found.get("connections", 1) > found.get("clients", serializers.CLIENTS_MAX):
        raise invalid("connections", "must not be more than clients")
    return found


def name_of(body: dict[str, Any], parameters: dict[str, Any]) -> str:
    """What the run is called: as asked, else by what it does.

    Raises:
        Problem: the name is no text, or too long (400).
    """
    name = body.get("name") or ""
    if type(name) is not str or len(name) > NAME_MAX or "\x00" in name:
        raise invalid("name", f"must be text of up to {NAME_MAX} characters, not {shown(name)}")
    if name:
        return name
    words = [parameters.get("preset", "custom")]
    words += [f"{key.replace('_', ' ')} {value:g}" for key, value in parameters.items() if key in NUMBERS][:4]
    return ", ".join(words)[:NAME_MAX]


def bank_of(body: dict[str, Any], parameters: dict[str, Any]) -> str:
    """``private`` or ``shown``.

    Raises:
        Problem: it is neither, or the bank on show would have to have another size (400).
    """
    bank = body.get("bank") or PRIVATE
    if bank not in BANKS:
        raise invalid("bank", f"must be one of {', '.join(BANKS)}, not {shown(bank)}")
    if bank == SHOWN:
        for name in PRIVATE_ONLY:
            if name in parameters:
                raise invalid(name, "is that of the bank on show; leave it out, or use a private bank")
    return str(bank)


def summary(row: Benchmark) -> dict[str, Any]:
    row = benchmarks().current(row)
    result = row.result or {}
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
        "throughput_tps": result.get("throughput_tps"),
        "p99_ms": (result.get("latency_ms") or {}).get("p99"),
    }


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
        body = mapping(read_json(request), frozenset(("name", "bank", "sweep", *CHOICES, *NUMBERS)))
        parameters = parameters_of(body)
        bank = bank_of(body, parameters)
        row = await benchmarks().begin(parameters, name_of(body, parameters), bank, actor_of(request))
        await audit.record(actor_of(request), "benchmark", {"id": row.pk, "bank": bank, **parameters}, "ok")
        return answer(summary(row))


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


class BenchmarkCsv(BankView):
    @documented("A benchmark's figures as CSV", {(200, "text/csv"): OpenApiTypes.STR}, errors=(404, 409))
    async def get(self, request: HttpRequest, benchmark: int) -> HttpResponse:
        """Rows of section, name, value: parameters, figures, latencies by kind, the timeline."""
        read_query(request)
        row = await records.find(benchmark)
        if row.result is None:
            raise Problem("conflict", f"benchmark {benchmark} is {row.status} and has no result")
        response = HttpResponse(csvfile.text(row.result), "text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="benchmark-{benchmark}.csv"'
        return response
