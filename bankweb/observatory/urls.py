"""Addresses of the pages."""

from __future__ import annotations

from django.urls import path

from bankweb.observatory import pages

urlpatterns = [
    path("", pages.cluster, name="cluster"),
    path("help/", pages.help_page, name="help"),
]
