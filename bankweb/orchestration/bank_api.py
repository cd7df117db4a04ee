"""REST: views, performance, links, faults, reset."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from django.http import HttpRequest, HttpResponse

from bankweb.identity.audit import actor_of
from bankweb.orchestration import actions, processes, serializers
from bankweb.orchestration.bank import topology
from bankweb.orchestration.experiments import experiments
from bankweb.orchestration.forms import DELAY_MS_MAX, directions
from bankweb.orchestration.hub import hub
from bankweb.orchestration.nodes import best_node, cluster_row, state_of
from bankweb.rest.cursors import listed
from bankweb.rest.fields import INT64_MAX, integer, mapping, no_body, read_query, required
from bankweb.rest.parsers import read_bytes, read_json
from bankweb.rest.problems import Problem, invalid, shown
from bankweb.rest.schema import documented
from bankweb.rest.views import BankView, answer
from consensus.topology import Cluster

_LINK: Final = frozenset(("from", "to", "both", "cut", "delay_ms", "loss"))


class Views(BankView):
    @documented("NEW-VIEWs of every cluster (PrintView)", serializers.ViewsPage)
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Every NEW-VIEW since the incarnation began (the last 1,000), and where each node stands."""
        read_query(request)
        await processes.refresh()
        rows = await asyncio.gather(*(_cluster_views(cluster) for cluster in topology().clusters))
        return answer(listed(request, list(rows)))


async def _cluster_views(cluster: Cluster) -> dict[str, Any]:
    row = cluster_row(cluster)
    try:
        body = await hub().call(best_node(cluster.id), "views")
    except Problem:
        body = {"views": []}
    return {
        "cluster": cluster.id,
        "leader": row["leader"],
        "views": body["views"],
        "nodes": [
            {
                "node": node["id"],
                "state": node["state"],
                "role": node["role"],
                "ballot": node["ballot"],
                "next_slot": max(node["proposed"], node["watermark"]) + 1,
            }
            for node in row["nodes"]
        ],
    }


class ExperimentsNow(BankView):
    @documented("What has the bank on show to itself", serializers.ExperimentsSerializer)
    async def get(self, request: HttpRequest) -> HttpResponse:
        """One experiment at a time; a benchmark and a redistribution may share the bank."""
        read_query(request)
        return answer(experiments().row())


class Performance(BankView):
    @documented("Throughput and latency (Performance)", serializers.PerformanceSerializer)
    async def get(self, request: HttpRequest) -> HttpResponse:
        """What the leaders measured, from a request's arrival to its reply, and the counters of all nodes."""
        read_query(request)
        await processes.refresh()
        asked = [node for node in hub().connected() if state_of(node) != "paused"]
        told = await asyncio.gather(*(_counters(node) for node in asked))
        counters: dict[str, float] = {}
        for one in told:
            for name, value in (one or {}).items():
                counters[name] = counters.get(name, 0) + value
        clusters = await asyncio.gather(*(_cluster_latency(cluster) for cluster in topology().clusters))
        silent = [node for node, one in zip(asked, told, strict=True) if one is None]
        missing = sorted({*topology().nodes} - {*asked} | {*silent})
        return answer({"clusters": list(clusters), "counters": counters, "unreachable": missing})


class PerformanceReset(BankView):
    @documented("Set the counters to zero", serializers.DoneSerializer, errors=(409, 413, 503))
    async def post(self, request: HttpRequest) -> HttpResponse:
        """Those of every node that is connected."""
        read_query(request)
        no_body(request, read_bytes(request))
        return answer({"result": await actions.reset_counters(actor_of(request))})


async def _counters(node: int) -> dict[str, float] | None:
    try:
        body = await hub().call(node, "counters")
    except Problem:
        return None
    return {name: value for name, value in body.items() if isinstance(value, int | float)}


async def _cluster_latency(cluster: Cluster) -> dict[str, Any]:
    row = cluster_row(cluster)
    try:
        figures = await hub().call(best_node(cluster.id), "latency")
    except Problem as problem:
        figures = {"error": problem.detail}
    return {"cluster": cluster.id, "leader": row["leader"], **figures}


class Links(BankView):
    @documented(
        "Cut, delay or lose what one node sends to another",
        serializers.DoneSerializer,
        body={"application/json": serializers.LINK_SCHEMA},
        errors=(409, 503),
    )
    async def post(self, request: HttpRequest) -> HttpResponse:
        """`cut` false, `delay_ms` 0 and `loss` 0 (the defaults) end what there was."""
        read_query(request)
        fields = mapping(read_json(request), _LINK)
        ends = []
        for name in ("from", "to"):
            node = integer(required(fields, name), name, 1, INT64_MAX)
            if node not in topology().nodes:
                raise invalid(name, f"there is no node {node}")
            ends.append(node)
        if ends[0] == ends[1]:
            raise invalid("to", "must be another node than `from`")
        wanted = directions(
            *ends,
            both=_flag(fields, "both"),
            cut=_flag(fields, "cut"),
            delay_ms=_number(fields, "delay_ms", DELAY_MS_MAX),
            loss=_number(fields, "loss", 1),
        )
        return answer({"result": await actions.set_link(actor_of(request), wanted)})


def _flag(fields: dict[str, Any], name: str) -> bool:
    value = fields.get(name, False)
    if type(value) is not bool:
        raise invalid(name, f"must be true or false, not {shown(value)}")
    return value


def _number(fields: dict[str, Any], name: str, most: float) -> float:
    value = fields.get(name, 0)
    if type(value) not in (int, float) or not 0 <= value <= most:
        raise invalid(name, f"must be a number 0..{most}, not {shown(value)}")
    return float(value)


class Heal(BankView):
    @documented("End every fault", serializers.DoneSerializer, errors=(409, 413, 503))
    async def post(self, request: HttpRequest) -> HttpResponse:
        """Links are healed, failed nodes recovered, paused ones resumed, killed ones started."""
        read_query(request)
        no_body(request, read_bytes(request))
        return answer({"result": await actions.heal(actor_of(request))})


class Reset(BankView):
    @documented("Begin anew", serializers.ResetSerializer, errors=(409, 413, 503))
    async def post(self, request: HttpRequest) -> HttpResponse:
        """A new incarnation: every account has its initial balance, logs and sessions are empty.

        Answers when every running node confirmed; killed ones join when they come back.
        """
        read_query(request)
        no_body(request, read_bytes(request))
        result = await actions.reset(actor_of(request))
        incarnation = max(int(view.status.get("incarnation") or 0) for view in hub().nodes.values())
        return answer({"result": result, "incarnation": incarnation})
