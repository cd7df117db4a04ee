"""Addresses below ``/api/``."""

from __future__ import annotations

from django.urls import path

from bankweb.lab import api

urlpatterns = [
    path("scenarios/", api.ScenarioList.as_view(), name="api-scenarios"),
    path("verdicts/", api.VerdictList.as_view(), name="api-verdicts"),
    path("verdicts/<int:verdict>/", api.VerdictDetail.as_view(), name="api-verdict"),
    path("verdicts/<int:verdict>/report.html", api.ReportHtml.as_view(), name="api-report-html"),
]
