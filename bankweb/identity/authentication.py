"""The gate's decision, as DRF and the OpenAPI schema want to hear it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request


class BankAuthentication(BaseAuthentication):
    """Takes over who the gate let in (:mod:`bankweb.identity.gate`)."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        user = getattr(request._request, "user", None)
        return (user, None) if getattr(request._request, "actor", "") else None

    def authenticate_header(self, request: Request) -> str:
        return "Token"


class BankAuthenticationScheme(OpenApiAuthenticationExtension):
    target_class = BankAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token <the bank's token>`; the start of the bank prints it.",
        }
