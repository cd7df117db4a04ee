"""The OpenAPI schema: errors of every endpoint, in one place."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers

from bankweb.orchestration.bank import topology
from bankweb.rest.fields import Param
from bankweb.rest.problems import CONTENT_TYPE, KINDS

View = TypeVar("View", bound=Callable[..., Any])


class ProblemSerializer(serializers.Serializer):
    """An RFC 9457 problem document."""

    type = serializers.CharField(help_text="Where the help page explains it.")
    code = serializers.ChoiceField(choices=sorted(KINDS), help_text="What it is, for programs.")
    title = serializers.CharField(help_text="What it is, the same for each of its kind.")
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="What is wrong with this request, and what to do.")
    field = serializers.CharField(required=False, help_text="The field to blame.")
    reason = serializers.CharField(required=False, help_text="Why the bank refused.")


# Reachable at any endpoint: a broken query or header, no token.
_ALWAYS: Final = (400, 401)


class BankSchema(AutoSchema):
    """Groups operations by the first part of their path, and names them by method and path."""

    def get_operation_id(self) -> str:
        parts = [part.strip("{}") for part in self.path.removeprefix("/api/").split("/") if part]
        return "_".join((self.method.lower(), *parts))

    def get_tags(self) -> list[str]:
        return [re.sub(r"^/api/", "", self.path).split("/")[0]]


ACCOUNT: Final = "x-account"
"""Marks an integer that is an account; :func:`finish` puts in how many there are."""


def finish(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Spectacular's postprocessing: bodies are required where there are any, accounts have an upper bound."""
    for operations in result["paths"].values():
        for operation in operations.values():
            if "requestBody" in operation:
                operation["requestBody"]["required"] = True
                operation["requestBody"] = _bounded(operation["requestBody"])
    return result


def _bounded(part: Any) -> Any:
    if isinstance(part, list):
        return [_bounded(item) for item in part]
    if not isinstance(part, dict):
        return part
    bounded = {name: _bounded(value) for name, value in part.items() if name != ACCOUNT}
    return {**bounded, "maximum": topology().accounts} if ACCOUNT in part else bounded


def optional(properties: dict[str, Any]) -> dict[str, Any]:
    """Properties of a body of which each may be left out or null, which means the same."""
    return {
        name: {**said, "nullable": True, **({"enum": [*said["enum"], None]} if "enum" in said else {})}
        for name, said in properties.items()
    }


def documented(
    summary: str,
    ok: Any,
    *,
    body: Any = None,
    params: Sequence[Param | OpenApiParameter] = (),
    errors: Sequence[int] = (),
    more: dict[int, Any] | None = None,
) -> Callable[[View], View]:
    """Describe a handler for the schema.

    Args:
        summary: one sentence; the handler's docstring says the rest.
        ok: serializer of the 200 answer, or a dict as ``extend_schema(responses=…)`` takes it.
        body: serializer of the request body; None for none.
        params: query parameters and headers.
        errors: statuses of problem documents besides 400 and 401.
        more: further answers that are no problems, by status.
    """
    statuses = {*_ALWAYS, *errors, *((413, 415) if body is not None else ())}
    responses: dict[Any, Any] = {**(ok if isinstance(ok, dict) else {200: ok}), **(more or {})}
    for status in sorted(statuses):
        titles = "; ".join(kind.title for kind in KINDS.values() if kind.status == status)
        responses[status, CONTENT_TYPE] = OpenApiResponse(ProblemSerializer, titles)
    parameters = [param.documented() if isinstance(param, Param) else param for param in params]
    return extend_schema(summary=summary, request=body, responses=responses, parameters=parameters)
