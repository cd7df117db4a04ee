"""Addresses of the pages."""

from __future__ import annotations

from django.urls import path

from bankweb.orchestration import pages

urlpatterns = [
    path("nodes/<int:node>/<str:action>/", pages.node_action, name="node-action"),
    path("links/", pages.link_fault, name="link-fault"),
    path("heal/", pages.heal, name="heal"),
    path("reset/", pages.reset, name="reset"),
]
