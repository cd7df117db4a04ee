"""REST: plans, carrying them out, the shard map, what the traffic says."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpRequest, HttpResponse

from bankweb.identity import audit
from bankweb.identity.audit import actor_of
from bankweb.redistribution import documents, records, serializers
from bankweb.redistribution.documents import CELLS_MAX
from bankweb.redistribution.observing import WAIT_MAX_S
from bankweb.redistribution.reasons import reason
from bankweb.redistribution.records import PLANNED, PLANNING
from bankweb.redistribution.service import redistributions
from bankweb.redistribution.traffic import gatherer
from bankweb.redistribution.trigger import trigger
from bankweb.rest.cursors import CURSOR, LIMIT, listed
from bankweb.rest.fields import Param, mapping, no_body, read_query
from bankweb.rest.parsers import read_bytes, read_json
from bankweb.rest.problems import invalid, shown
from bankweb.rest.schema import documented
from bankweb.rest.views import BankView, answer

CELLS = Param("cells", "int", "How many cells the map has at most.", 9_000, 1, CELLS_MAX)
_PLAN: Final = {
    "max_moves": (int, 0, 10_000_000),
    "price": (float, 0.0, 1_000.0),
    "epsilon": (float, 0.001, 1.0),
    "load_epsilon": (float, 0.001, 10.0),
    "seed": (int, 0, 2**31 - 1),
    "wait_s": (float, 0.0, WAIT_MAX_S),
}
_TRIGGER: Final = {
    "high_pct": (float, 0.0, 100.0),
    "low_pct": (float, 0.0, 100.0),
    "load_high_pct": (float, 0.0, 10_000.0),
    "window_s": (float, 1.0, 3_600.0),
    "cooldown_s": (float, 0.0, 86_400.0),
}


def options_of(body: dict[str, Any]) -> dict[str, Any]:
    """What a plan has to respect, checked.

    Raises:
        Problem: a value is of the wrong kind or out of bounds (400).
    """
    given = [name for name in _PLAN if name in body and not (name == "load_epsilon" and body[name] is None)]
    return {name: _number(body[name], name, *_PLAN[name]) for name in given}


def _number(value: Any, name: str, kind: type, least: float, most: float) -> float:
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise invalid(name, f"must be {'an integer' if kind is int else 'a number'}, not {shown(value)}")
    if not least <= value <= most:
        raise invalid(name, f"must be {least:g}..{most:g}, not {shown(value)}")
    return kind(value)  # type: ignore[no-any-return]


def _flag(body: dict[str, Any], name: str, default: bool) -> bool:
    value = body.get(name, default)
    if type(value) is not bool:
        raise invalid(name, f"must be true or false, not {shown(value)}")
    return value


class Redistributions(BankView):
    @documented("List redistributions", serializers.RedistributionPage, params=(CURSOR, LIMIT))
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Newest first."""
        query = read_query(request, CURSOR, LIMIT)
        rows = await records.newest(query["limit"] + 1, query["cursor"])
        more = len(rows) > query["limit"]
        rows = rows[: query["limit"]]
        return answer(listed(request, list(map(documents.summary, rows)), rows[-1].pk if more else None))

    @documented(
        "Plan a redistribution",
        serializers.RedistributionDetailSerializer,
        body={"application/json": serializers.PLAN_SCHEMA},
        errors=(409, 503),
    )
    async def post(self, request: HttpRequest) -> HttpResponse:
        """From the traffic that the nodes remember. With `dry_run` false the plan is carried out at once.

        With `wait_s` a window that is too thin is waited for as long as traffic comes, else it is refused.
        """
        read_query(request)
        body = mapping(read_json(request), frozenset(("dry_run", *_PLAN)))
        dry_run = _flag(body, "dry_run", True)
        actor = actor_of(request)
        row = await redistributions().plan(options_of(body), actor)
        await audit.record(actor, "redistribution-plan", {"id": row.key, "moves": row.total}, row.status)
        if not dry_run and row.status == PLANNED:
            await redistributions().apply(row, actor)
        return answer(documents.detail(row))


class RedistributionDetail(BankView):
    @documented("A redistribution", serializers.RedistributionDetailSerializer, errors=(404,))
    async def get(self, request: HttpRequest, redistribution: str) -> HttpResponse:
        """Its figures before, predicted and observed, how far it is, its moves."""
        read_query(request)
        row = await records.find(redistribution)
        if row.status in (PLANNING, PLANNED):
            await gatherer().gather()
        return answer(documents.detail(row))


class RedistributionCommand(BankView):
    @documented("Steer a redistribution", serializers.RedistributionSerializer, errors=(404, 409))
    async def post(self, request: HttpRequest, redistribution: str, command: str) -> HttpResponse:
        """`apply` a plan; `pause`, `resume`, `abort` what runs; `rollback` begins one that takes it back."""
        read_query(request)
        no_body(request, read_bytes(request))
        row = await records.find(redistribution)
        if command == "rollback":
            row = await redistributions().rollback(row, actor_of(request))
        else:
            await redistributions().steer(row, command, actor_of(request))
        return answer(documents.summary(row))


class RedistributionMoves(BankView):
    @documented("Moves and their reasons", serializers.MovePage, params=(CURSOR, LIMIT), errors=(404,))
    async def get(self, request: HttpRequest, redistribution: str) -> HttpResponse:
        """In the order they are made."""
        query = read_query(request, CURSOR, LIMIT)
        rows = documents.moves(await records.find(redistribution))
        first = query["cursor"] or 0
        last = first + query["limit"]
        return answer(listed(request, rows[first:last], last if last < len(rows) else None))


class RedistributionMove(BankView):
    @documented("Why an account moves", serializers.ReasonSerializer, errors=(404,))
    async def get(self, request: HttpRequest, redistribution: str, account: int) -> HttpResponse:
        """Its partners at both ends, what the move saves, the load that goes with it, what became of it."""
        read_query(request)
        return answer(await reason(await records.find(redistribution), account))


class RedistributionLevels(BankView):
    @documented("What the partitioner did", serializers.LevelsSerializer, errors=(404,))
    async def get(self, request: HttpRequest, redistribution: str) -> HttpResponse:
        """Levels, passes, moves with their gains, qualities; and the part of the hypergraph that is shown."""
        read_query(request)
        row = await records.find(redistribution)
        plan = records.unpacked(row.plan)
        events = records.unpacked(row.events) or []
        return answer(
            {
                "method": plan["method"] if plan else None,
                "events": events,
                "snapshot": plan.get("snapshot") if plan else None,
                "course": plan.get("course", []) if plan else [],
            }
        )


class ShardMap(BankView):
    @documented("The shard map", serializers.ShardMapSerializer, params=(CELLS,))
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Who owns which account, how busy each was of late, and which are on their way."""
        query = read_query(request, CELLS)
        await gatherer().gather()
        return answer(await documents.shard_map(query["cells"]))


class AccessStats(BankView):
    @documented("What the traffic says", serializers.AccessStatsSerializer)
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Of the transactions and reads that the nodes remember, fading with age."""
        read_query(request)
        await gatherer().gather()
        return answer({**await gatherer().stats(), "history": await gatherer().history()})


class Automatic(BankView):
    @documented("The automatic trigger", serializers.TriggerSerializer)
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Its settings and what it thinks."""
        read_query(request)
        return answer(trigger_document(await records.trigger()))

    @documented(
        "Set the automatic trigger",
        serializers.TriggerSerializer,
        body={"application/json": serializers.TRIGGER_SCHEMA},
    )
    async def post(self, request: HttpRequest) -> HttpResponse:
        """What is left out stays as it is."""
        read_query(request)
        body = mapping(read_json(request), frozenset(("on", *_TRIGGER)))
        settings = await records.trigger()
        settings.on = _flag(body, "on", settings.on)
        for name, (kind, least, most) in _TRIGGER.items():
            if name in body:
                setattr(settings, name, _number(body[name], name, kind, least, most))
        if settings.low_pct > settings.high_pct:
            raise invalid("low_pct", "must not be above high_pct")
        await records.save_trigger(settings)
        await audit.record(actor_of(request), "redistribution-automatic", body, "ok")
        trigger().start()
        return answer(trigger_document(settings))


def trigger_document(settings: Any) -> dict[str, Any]:
    """The trigger's settings and state."""
    return {
        "on": settings.on,
        **{name: getattr(settings, name) for name in _TRIGGER},
        "armed": trigger().armed,
        "said": trigger().said,
    }
