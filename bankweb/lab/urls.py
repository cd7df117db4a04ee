"""Addresses of the pages."""

from __future__ import annotations

from django.urls import path

from bankweb.lab import pages

urlpatterns = [
    path("lab/", pages.lab, name="lab"),
    path("lab/verify/", pages.verify, name="lab-verify"),
    path("lab/scenarios/<slug:name>/", pages.tell, name="scenario"),
    path("report/", pages.report, name="report"),
    path("lab/<int:verdict>/", pages.verdict, name="verdict"),
    path("lab/<int:verdict>/cancel/", pages.cancel, name="verdict-cancel"),
    path("lab/<int:verdict>/seeds/<int:seed>/", pages.again, name="verdict-again"),
]
