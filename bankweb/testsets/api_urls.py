"""Addresses below ``/api/``."""

from __future__ import annotations

from django.urls import path

from bankweb.testsets import api

urlpatterns = [
    path("testsets/", api.Testsets.as_view(), name="api-testsets"),
    path("testsets/<int:run>/", api.TestsetDetail.as_view(), name="api-testset"),
    path("testsets/<int:run>/next/", api.TestsetNext.as_view(), name="api-testset-next"),
    path("testsets/<int:run>/skip/", api.TestsetSkip.as_view(), name="api-testset-skip"),
    path("testsets/<int:run>/reshard/", api.TestsetReshard.as_view(), name="api-testset-reshard"),
    path("testsets/<int:run>/release/", api.TestsetRelease.as_view(), name="api-testset-release"),
    path("testsets/<int:run>/print/", api.TestsetPrint.as_view(), name="api-testset-print"),
]
