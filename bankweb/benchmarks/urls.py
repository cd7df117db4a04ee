"""Addresses of the pages."""

from __future__ import annotations

from django.urls import path

from bankweb.benchmarks import pages

urlpatterns = [
    path("benchmarks/", pages.benchmarks, name="benchmarks"),
    path("benchmarks/compare/", pages.compare, name="compare"),
    path("benchmarks/<int:benchmark>/", pages.benchmark, name="benchmark"),
    path("benchmarks/<int:benchmark>/cancel/", pages.cancel, name="benchmark-cancel"),
]
