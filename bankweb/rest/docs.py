"""The OpenAPI document and the page to browse it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.negotiation import DefaultContentNegotiation


class Schema(SpectacularAPIView):
    """As YAML, or as JSON for who asks for it (``Accept`` or ``?format=json``)."""

    renderer_classes = (OpenApiYamlRenderer, OpenApiJsonRenderer)
    content_negotiation_class = DefaultContentNegotiation


class Docs(SpectacularSwaggerSplitView):
    """Swagger UI, from this site's own files. It sets styles from script, so its page may."""

    url_name = "api-schema"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response: HttpResponse = super().dispatch(request, *args, **kwargs)
        response.csp = {"style-src": "'self' 'unsafe-inline'"}
        return response
