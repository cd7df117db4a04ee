"""Errors as RFC 9457 problem documents, the only form in which REST says no.

A document has ``type`` (a part of the help page), ``code``, ``title``, ``status``, ``detail``, and where a
field is to blame ``field`` (``amount``, ``items[3].sender``, a query parameter, a header).
"""

from __future__ import annotations

import logging
from typing import Any, Final, NamedTuple

import msgspec
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.db import Error as DatabaseError
from django.http import Http404, HttpResponse
from rest_framework import exceptions

from bankweb.store import StoreError, StoreOverloadedError

_log = logging.getLogger(__name__)

CONTENT_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 1
SHOWN_MAX: Final = 80
"""Characters of a wrong value that an error repeats."""


class Kind(NamedTuple):
    """What a code means: HTTP status, and a title that never varies."""

    status: int
    title: str


KINDS: Final[dict[str, Kind]] = {
    "malformed": Kind(400, "The body is not JSON"),
    "invalid": Kind(400, "A field is not acceptable"),
    "bad_request": Kind(400, "The request is not acceptable"),
    "unauthenticated": Kind(401, "Not signed in"),
    "forbidden": Kind(403, "Not allowed"),
    "not_found": Kind(404, "There is no such thing"),
    "method_not_allowed": Kind(405, "The address does not take this method"),
    "conflict": Kind(409, "It cannot be done at the moment"),
    "too_large": Kind(413, "The body is too large"),
    "unsupported_media_type": Kind(415, "The body has another content type than application/json"),
    "key_reused": Kind(422, "The Idempotency-Key belongs to another request"),
    "internal": Kind(500, "The site failed"),
    "unsupported": Kind(501, "This bank cannot do that"),
    "overloaded": Kind(503, "The bank is overloaded"),
    "refused": Kind(503, "The bank refused; nothing was done"),
    "unavailable": Kind(503, "Not reachable at the moment"),
}


class Problem(Exception):
    """Raise it anywhere below a REST view.

    Args:
        code: a key of ``KINDS``.
        detail: what is wrong and what to do, one sentence.
        field: the field to blame, "" if none is.
        headers: added to the answer.
        extra: further members of the document.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        field: str = "",
        headers: dict[str, str] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field
        self.headers = headers or {}
        self.extra = extra or {}

    @property
    def status(self) -> int:
        return KINDS[self.code].status

    def document(self) -> dict[str, Any]:
        body = {
            "type": f"/help/#problem-{self.code}",
            "code": self.code,
            "title": KINDS[self.code].title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.field:
            body["field"] = self.field
        return body | self.extra


def invalid(field: str, detail: str) -> Problem:
    """A field is not acceptable."""
    return Problem("invalid", f"{field}: {detail}", field)


def shown(value: Any) -> str:
    """A value from outside, short and in plain ASCII, to be repeated in an error."""
    try:
        text = ascii(value)
    except (RecursionError, ValueError):
        # Far too deep, or an integer too long to print.
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= SHOWN_MAX else f"{text[: SHOWN_MAX - 1]}…"


def to_response(problem: Problem) -> HttpResponse:
    response = HttpResponse(msgspec.json.encode(problem.document()), CONTENT_TYPE, problem.status)
    if problem.status == 503:
        response["Retry-After"] = str(RETRY_AFTER_S)
    for name, value in problem.headers.items():
        response[name] = value
    # Django would log each answer of 5xx as an error; a busy bank is none of the site's.
    response._has_been_logged = True
    return response


def from_exception(error: Exception) -> Problem:
    """The problem that an exception stands for; ``internal``, and a log line, if it was not foreseen."""
    match error:
        case Problem():
            return error
        case exceptions.MethodNotAllowed():
            return Problem("method_not_allowed", str(error.detail))
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return Problem("unauthenticated", str(error.detail), headers={"WWW-Authenticate": "Token"})
        case exceptions.PermissionDenied() | PermissionDenied():
            return Problem("forbidden", str(error) or "this user may not do that")
        case exceptions.NotFound() | Http404():
            return Problem("not_found", "nothing is known under this address")
        case exceptions.UnsupportedMediaType():
            return Problem("unsupported_media_type", "send the body as application/json")
        case SuspiciousOperation() | BadRequest() | exceptions.ParseError():
            return Problem("bad_request", str(error)[:300] or "the request is not acceptable")
        case StoreOverloadedError():
            return Problem("overloaded", str(error))
        case StoreError():
            return Problem("unavailable", str(error))
        case DatabaseError():
            _log.error("the site's database: %s", error)
            return Problem("unavailable", f"the site's database does not answer: {error}")
    _log.error("unforeseen", exc_info=error)
    return Problem("internal", "the site's log tells more; nothing is known of whether it was done")


def handle(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """DRF's ``EXCEPTION_HANDLER``, for views that are not :class:`bankweb.rest.views.BankView`."""
    return to_response(from_exception(error))
