"""Addresses of the pages."""

from __future__ import annotations

from django.urls import path

from bankweb.identity import pages
from bankweb.identity.gate import open_to_all

urlpatterns = [
    path("sign-in/", open_to_all(pages.sign_in), name="sign-in"),
    path("sign-out/", pages.sign_out, name="sign-out"),
]
