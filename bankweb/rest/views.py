"""The base of REST views: DRF's, answered on the event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from adrf.views import APIView
from django.http import HttpRequest, HttpResponse

from bankweb.rest.problems import Problem, from_exception, to_response

_encoder = msgspec.json.Encoder()


class BankView(APIView):
    """Handlers are coroutines that take the request and return :func:`answer`.

    Differs from ``adrf.views.APIView`` in that nothing goes through a thread on the way, that each
    error becomes a problem document, and that a request with a session has to carry a CSRF token
    like a form (DRF views are exempt as a rule, :mod:`bankweb.identity.gate` exempts those with a token).
    """

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., Any]:
        view: Any = super().as_view(**initkwargs)
        view.csrf_exempt = False
        return view

    async def async_dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.args = args
        self.kwargs = kwargs
        self.request = self.initialize_request(request, *args, **kwargs)
        self.request.user = request.user
        try:
            handler = getattr(self, (request.method or "").lower(), None)
            if request.method == "OPTIONS" or handler is None:
                raise _method_not_allowed(request, self.allowed_methods)
            self.check_permissions(self.request)
            response: HttpResponse = await handler(request, *args, **kwargs)
        except Exception as error:
            response = to_response(from_exception(error))
        return response


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> HttpResponse:
    """A JSON answer."""
    return raw_answer(_encoder.encode(body), status, headers)


def raw_answer(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> HttpResponse:
    """An answer of JSON that has been encoded already."""
    return HttpResponse(body, "application/json", status, headers=headers)


def _method_not_allowed(request: HttpRequest, allowed: list[str]) -> Problem:
    names = ", ".join(name for name in allowed if name != "OPTIONS")
    detail = f"{request.method} is not taken here; {names} is"
    return Problem("method_not_allowed", detail, headers={"Allow": names})
