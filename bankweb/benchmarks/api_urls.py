"""Addresses below ``/api/``."""

from __future__ import annotations

from django.urls import path

from bankweb.benchmarks import api

urlpatterns = [
    path("benchmarks/", api.BenchmarkList.as_view(), name="api-benchmarks"),
    path("benchmarks/<int:benchmark>/", api.BenchmarkDetail.as_view(), name="api-benchmark"),
    path("benchmarks/<int:benchmark>/results.csv", api.BenchmarkCsv.as_view(), name="api-benchmark-csv"),
    path("benchmarks/<int:benchmark>/results.json", api.BenchmarkJson.as_view(), name="api-benchmark-json"),
    path("benchmarks/<int:benchmark>/report.html", api.BenchmarkHtml.as_view(), name="api-benchmark-html"),
]
