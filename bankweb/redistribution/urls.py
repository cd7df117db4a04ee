"""Addresses of the pages."""

from __future__ import annotations

from django.urls import path

from bankweb.redistribution import pages
from bankweb.redistribution.api_urls import COMMANDS

ONE = "redistributions/<str:redistribution>/"

urlpatterns = [
    path("shards/", pages.shards, name="shards"),
    path("redistributions/", pages.redistributions, name="redistributions"),
    path(ONE, pages.redistribution, name="redistribution"),
    *(
        path(f"{ONE}{command}/", pages.command, {"command": command}, name=f"redistribution-{command}")
        for command in COMMANDS
    ),
]
