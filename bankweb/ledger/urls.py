"""Addresses of the pages."""

from __future__ import annotations

from django.urls import path

from bankweb.ledger import pages

urlpatterns = [
    path("ambient/", pages.ambient_switch, name="ambient"),
    path("transactions/", pages.transactions, name="transactions"),
    path("transactions/<str:tx_id>/", pages.transaction, name="transaction"),
]
