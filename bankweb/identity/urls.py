"""Addresses of the pages."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.urls import path

from bankweb.identity import pages

urlpatterns = [
    path("sign-in/", login_not_required(pages.sign_in), name="sign-in"),
    path("sign-out/", pages.sign_out, name="sign-out"),
]
