"""Addresses of the pages."""

from __future__ import annotations

from django.urls import path

from bankweb.observatory import pages, recording_pages

urlpatterns = [
    path("", pages.cluster, name="cluster"),
    path("consensus/", pages.consensus_first, name="consensus-first"),
    path("consensus/<int:cluster>/", pages.consensus, name="consensus"),
    path("recordings/", recording_pages.recording_list, name="recordings"),
    path("recordings/<str:recording>/", recording_pages.recording, name="recording"),
    path("recordings/<str:recording>/save/", recording_pages.save, name="recording-save"),
    path("recordings/<str:recording>/delete/", recording_pages.delete, name="recording-delete"),
    path("help/", pages.help_page, name="help"),
]
