"""REST: is the site alive, is the bank ready, and its figures for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponse
from drf_spectacular.types import OpenApiTypes
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from rest_framework.permissions import AllowAny

from bankweb import store
from bankweb.orchestration import serializers
from bankweb.orchestration.hub import hub
from bankweb.orchestration.nodes import cluster_rows, node_rows
from bankweb.rest.fields import read_query
from bankweb.rest.problems import Problem
from bankweb.rest.schema import documented
from bankweb.rest.views import BankView, answer
from consensus.types import majority

_GAUGES = ("watermark", "applied", "lag", "queue", "in_flight", "sessions", "journal_bytes", "uptime_s")


class Live(BankView):
    permission_classes = (AllowAny,)

    @documented("Is the site alive?", serializers.HealthSerializer)
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Open to everyone; asks nothing else."""
        read_query(request)
        return answer({"status": "ok"})


class Ready(BankView):
    permission_classes = (AllowAny,)

    @documented("Is the bank ready?", serializers.ReadinessSerializer, errors=(503,))
    async def get(self, request: HttpRequest) -> HttpResponse:
        """200 when each cluster has a leader and a majority, and the site's database answers."""
        read_query(request)
        await store.read(_ping)
        rows = cluster_rows()
        clusters = [
            {
                "cluster": row["id"],
                "leader": row["leader"],
                "up": sum(n["state"] == "up" for n in row["nodes"]),
            }
            for row in rows
        ]
        short = [
            str(row["id"])
            for row, told in zip(rows, clusters, strict=True)
            if not row["leader"] or told["up"] < majority(len(row["nodes"]))
        ]
        if short:
            detail = f"no leader with a majority in cluster {', '.join(short)}"
            raise Problem("unavailable", detail, extra={"clusters": clusters})
        return answer({"status": "ready", "clusters": clusters})


def _ping() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


class Metrics(BankView):
    @documented("Figures for Prometheus", {(200, "text/plain"): OpenApiTypes.STR})
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Counters of each node as `bank_…_total{node,cluster}`, its state as gauges, and the site's own."""
        read_query(request)
        return HttpResponse(generate_latest(_registry), CONTENT_TYPE_LATEST)


class _BankCollector(Collector):
    """What the hub knows, as metrics."""

    def collect(self) -> Iterator[Metric]:
        rows = {row["id"]: row for row in node_rows()}
        up = GaugeMetricFamily("bank_node_up", "1: the node takes part.", labels=("node", "cluster"))
        leads = GaugeMetricFamily(
            "bank_node_leads", "1: the node leads its cluster.", labels=("node", "cluster")
        )
        for row in rows.values():
            labels = _labels(row)
            up.add_metric(labels, row["state"] == "up")
            leads.add_metric(labels, row["role"] == "leader" and row["state"] == "up")
        yield up
        yield leads
        for name in _GAUGES:
            gauge = GaugeMetricFamily(f"bank_node_{name}", f"{name} of the node.", labels=("node", "cluster"))
            for row in rows.values():
                gauge.add_metric(_labels(row), row[name])
            yield gauge
        yield from _counters(rows)
        yield CounterMetricFamily(
            "bank_site_bad_frames", "Frames of workers that were refused.", hub().bad_frames
        )


def _counters(rows: dict[int, dict[str, Any]]) -> Iterator[Metric]:
    names = sorted({name for view in hub().nodes.values() for name in view.status.get("counters") or {}})
    for name in names:
        label = name.removesuffix("_total")
        counter = CounterMetricFamily(f"bank_{label}", f"{name} of the node.", labels=("node", "cluster"))
        for node, view in hub().nodes.items():
            value = (view.status.get("counters") or {}).get(name)
            if isinstance(value, int | float):
                counter.add_metric(_labels(rows[node]), value)
        yield counter


def _labels(row: dict[str, Any]) -> tuple[str, str]:
    return str(row["id"]), str(row["cluster"])


_registry = CollectorRegistry()
_registry.register(_BankCollector())
