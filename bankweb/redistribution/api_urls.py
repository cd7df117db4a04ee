"""Addresses below ``/api/``."""

from __future__ import annotations

from django.urls import path

from bankweb.redistribution import api

ONE = "redistributions/<str:redistribution>/"
COMMANDS = ("apply", "pause", "resume", "abort", "rollback")

urlpatterns = [
    path("redistributions/", api.Redistributions.as_view(), name="api-redistributions"),
    path("redistributions/automatic/", api.Automatic.as_view(), name="api-automatic"),
    path(ONE, api.RedistributionDetail.as_view(), name="api-redistribution"),
    path(f"{ONE}moves/", api.RedistributionMoves.as_view(), name="api-redistribution-moves"),
    path(f"{ONE}moves/<int:account>/", api.RedistributionMove.as_view(), name="api-redistribution-move"),
    path(f"{ONE}levels/", api.RedistributionLevels.as_view(), name="api-redistribution-levels"),
    *(
        path(
            f"{ONE}{command}/",
            api.RedistributionCommand.as_view(),
            {"command": command},
            name=f"api-redistribution-{command}",
        )
        for command in COMMANDS
    ),
    path("shard-map/", api.ShardMap.as_view(), name="api-shard-map"),
    path("access-stats/", api.AccessStats.as_view(), name="api-access-stats"),
]
