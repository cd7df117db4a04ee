"""The OpenAPI document and the page to browse it."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response


class Schema(SpectacularAPIView):
    """As YAML, or as JSON for who asks for it (``Accept``)."""

    renderer_classes = (OpenApiYamlRenderer, OpenApiJsonRenderer)
    content_negotiation_class = DefaultContentNegotiation

    def _get_schema_response(self, request: Request) -> Response:
        return Response(_document())


@cache
def _document() -> dict[str, Any]:
    """The schema; it takes a second to make and never changes while the process runs."""
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return document


class Docs(SpectacularSwaggerSplitView):
    """Swagger UI, from this site's own files. It sets styles from script, so its page may."""

    url_name = "api-schema"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response: HttpResponse = super().dispatch(request, *args, **kwargs)
        response.csp = {"style-src": "'self' 'unsafe-inline'"}
        return response
