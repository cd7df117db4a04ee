"""Addresses below ``/api/``."""

from __future__ import annotations

from django.urls import path, re_path

from bankweb.redistribution import api

KEY = r"(?P<key>[0-9a-f]{32})"

urlpatterns = [
    path("redistributions/", api.Redistributions.as_view(), name="api-redistributions"),
    path("redistributions/automatic/", api.Automatic.as_view(), name="api-automatic"),
    re_path(rf"^redistributions/{KEY}/$", api.RedistributionDetail.as_view(), name="api-redistribution"),
    re_path(
        rf"^redistributions/{KEY}/(?P<command>apply|pause|resume|abort|rollback)/$",
        api.RedistributionCommand.as_view(),
        name="api-redistribution-command",
    ),
    re_path(
        rf"^redistributions/{KEY}/moves/$", api.RedistributionMoves.as_view(), name="api-redistribution-moves"
    ),
    re_path(
        rf"^redistributions/{KEY}/levels/$",
        api.RedistributionLevels.as_view(),
        name="api-redistribution-levels",
    ),
    path("shard-map/", api.ShardMap.as_view(), name="api-shard-map"),
    path("access-stats/", api.AccessStats.as_view(), name="api-access-stats"),
]
