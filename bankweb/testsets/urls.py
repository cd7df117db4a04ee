"""Addresses of the pages."""

from __future__ import annotations

from django.urls import path

from bankweb.testsets import pages

urlpatterns = [
    path("testsets/", pages.testsets, name="testsets"),
    path("testsets/<int:run>/", pages.testset, name="testset"),
    path("testsets/<int:run>/next/", pages.next_set, name="testset-next"),
    path("testsets/<int:run>/skip/", pages.skip_set, name="testset-skip"),
    path("testsets/<int:run>/reshard/", pages.reshard, name="testset-reshard"),
    path("testsets/<int:run>/release/", pages.release, name="testset-release"),
    path("testsets/<int:run>/print/", pages.print_text, name="testset-print"),
]
