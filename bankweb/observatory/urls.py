"""Addresses of the pages."""

from __future__ import annotations

from django.urls import path

from bankweb.observatory import pages, recording_pages

urlpatterns = [
    path("", pages.cluster, name="cluster"),
    path("recordings/", recording_pages.recording_list, name="recordings"),
    path("recordings/<str:recording>/", recording_pages.recording, name="recording"),
    path("help/", pages.help_page, name="help"),
]
