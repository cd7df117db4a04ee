"""Answers to what no view could answer: problem documents under ``/api/``, pages elsewhere.

Templates ``403.html``, ``404.html`` and ``500.html`` are given ``reason``, a sentence.
"""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import requires_csrf_token

from bankweb.identity.gate import is_api
from bankweb.rest.problems import KINDS, Problem, to_response

_PAGES: Final = (403, 404, 500)


def _answer(request: HttpRequest, code: str, detail: str) -> HttpResponse:
    if is_api(request):
        return to_response(Problem(code, detail))
    status = KINDS[code].status
    if status not in _PAGES:
        return HttpResponse(detail, "text/plain; charset=utf-8", status)
    return render(request, f"{status}.html", {"reason": detail}, status=status)


def bad_request(request: HttpRequest, exception: Any = None) -> HttpResponse:
    return _answer(request, "bad_request", "the request is not acceptable")


def forbidden(request: HttpRequest, exception: Any = None) -> HttpResponse:
    return _answer(request, "forbidden", "this user may not do that")


def not_found(request: HttpRequest, exception: Any = None) -> HttpResponse:
    # The resolver's own exception holds a dict of patterns, not a sentence.
    said = (
        str(exception.args[0]) if exception and exception.args and isinstance(exception.args[0], str) else ""
    )
    return _answer(request, "not_found", said or "nothing is known under this address")


def internal(request: HttpRequest) -> HttpResponse:
    return _answer(request, "internal", "the site's log tells more")


@requires_csrf_token
def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's ``CSRF_FAILURE_VIEW``."""
    return _answer(request, "forbidden", f"the form came without its token, load the page again ({reason})")
