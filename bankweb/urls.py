"""Addresses of the site. Each app owns its own."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from bankweb import errors
from bankweb.rest.docs import Docs, Schema

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/", include("bankweb.ledger.api_urls")),
    path("api/", include("bankweb.orchestration.api_urls")),
    path("api/", include("bankweb.testsets.api_urls")),
    path("api/", include("bankweb.redistribution.api_urls")),
    path("api/", include("bankweb.benchmarks.api_urls")),
    path("api/", include("bankweb.observatory.api_urls")),
    path("api/", include("bankweb.lab.api_urls")),
    path("api/schema/", Schema.as_view(), name="api-schema"),
    path("api/docs/", Docs.as_view(), name="api-docs"),
    path("", include("bankweb.observatory.urls")),
    path("", include("bankweb.ledger.urls")),
    path("", include("bankweb.orchestration.urls")),
    path("", include("bankweb.testsets.urls")),
    path("", include("bankweb.redistribution.urls")),
    path("", include("bankweb.benchmarks.urls")),
    path("", include("bankweb.lab.urls")),
    path("", include("bankweb.identity.urls")),
    path("admin/", admin.site.urls),
]

handler400 = errors.bad_request
handler403 = errors.forbidden
handler404 = errors.not_found
handler500 = errors.internal
