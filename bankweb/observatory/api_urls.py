"""Addresses below ``/api/``."""

from __future__ import annotations

from django.urls import path

from bankweb.observatory import api

urlpatterns = [
    path("recordings/", api.RecordingList.as_view(), name="api-recordings"),
    path("recordings/<str:recording>/", api.RecordingDetail.as_view(), name="api-recording"),
    path("recordings/<str:recording>/events", api.RecordingEvents.as_view(), name="api-recording-events"),
    path("recordings/<str:recording>/state", api.RecordingState.as_view(), name="api-recording-state"),
    path(
        "recordings/<str:recording>/transactions",
        api.RecordingTransactions.as_view(),
        name="api-recording-transactions",
    ),
    path(
        "recordings/<str:recording>/transactions/<str:tx_id>",
        api.RecordingTransaction.as_view(),
        name="api-recording-transaction",
    ),
    path(
        "recordings/<str:recording>/download/",
        api.RecordingDownload.as_view(),
        name="api-recording-download",
    ),
    path("recordings/<str:recording>/export", api.RecordingExport.as_view(), name="api-recording-export"),
]
