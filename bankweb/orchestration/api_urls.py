"""Addresses below ``/api/``."""

from __future__ import annotations

from django.urls import path

from bankweb.identity.gate import open_to_all
from bankweb.orchestration import bank_api, health, nodes_api

urlpatterns = [
    path("clusters/", nodes_api.Clusters.as_view(), name="api-clusters"),
    path("nodes/", nodes_api.Nodes.as_view(), name="api-nodes"),
    path("nodes/<int:node>/", nodes_api.NodeDetail.as_view(), name="api-node"),
    path("nodes/<int:node>/db/", nodes_api.NodeDatabase.as_view(), name="api-node-db"),
    path("nodes/<int:node>/log/", nodes_api.NodeLog.as_view(), name="api-node-log"),
    path("nodes/<int:node>/locks/", nodes_api.NodeLocks.as_view(), name="api-node-locks"),
    path("nodes/<int:node>/wal/", nodes_api.NodeWal.as_view(), name="api-node-wal"),
    path("nodes/<int:node>/export/", nodes_api.NodeExport.as_view(), name="api-node-export"),
    *(
        path(f"nodes/<int:node>/{action}/", view.as_view(), name=f"api-node-{action}")
        for action, view in nodes_api.NODE_ACTIONS.items()
    ),
    path("experiments/", bank_api.ExperimentsNow.as_view(), name="api-experiments"),
    path("views/", bank_api.Views.as_view(), name="api-views"),
    path("performance/", bank_api.Performance.as_view(), name="api-performance"),
    path("performance/reset/", bank_api.PerformanceReset.as_view(), name="api-performance-reset"),
    path("links/", bank_api.Links.as_view(), name="api-links"),
    path("faults/heal/", bank_api.Heal.as_view(), name="api-heal"),
    path("reset/", bank_api.Reset.as_view(), name="api-reset"),
    path("health/live/", open_to_all(health.Live.as_view()), name="api-live"),
    path("health/ready/", open_to_all(health.Ready.as_view()), name="api-ready"),
    path("metrics/", health.Metrics.as_view(), name="api-metrics"),
]
