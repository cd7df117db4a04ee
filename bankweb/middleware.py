"""Django's middlewares, run on the event loop.

Under ASGI Django moves each hook of a middleware that is not written async to a thread, twice a
request for each. The hooks used here do no input or output of their own (sessions and users are read
later, on demand), so a change of thread costs more than they do: at 300 requests a second, and with
nine workers on the same two cores, too much. :class:`Inline` calls them where they are, and leaves out
those that only browsers need when a program asks.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from whitenoise.middleware import WhiteNoiseMiddleware

Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]


def is_program(request: HttpRequest) -> bool:
    """Whether the request is of REST and carries a token (right or wrong): it has no use for cookies."""
    return request.path_info.startswith("/api/") and request.META.get("HTTP_AUTHORIZATION", "").startswith(
        "Token "
    )


class Inline:
    """Mix-in over a ``MiddlewareMixin`` class: its hooks run on the loop."""

    for_browsers = True
    """Left out when a program asks."""

    async def __acall__(self, request: HttpRequest) -> Any:
        if self.for_browsers and is_program(request):
            return await self.get_response(request)
        before = getattr(self, "process_request", None)
        after = getattr(self, "process_response", None)
        response = before(request) if before else None
        if response is None:
            response = await self.get_response(request)
        return after(request, response) if after else response


class Sessions(Inline, SessionMiddleware):
    """Only saving a session writes to the database, and that is seldom: it goes to a thread."""

    async def __acall__(self, request: HttpRequest) -> Any:
        if is_program(request):
            return await self.get_response(request)
        self.process_request(request)
        response = await self.get_response(request)
        if request.session.modified or settings.SESSION_SAVE_EVERY_REQUEST:
            return await sync_to_async(self.process_response)(request, response)
        if not request.session.accessed:
            return response
        return self.process_response(request, response)


class Common(Inline, CommonMiddleware):
    for_browsers = False


class Authentication(Inline, AuthenticationMiddleware):
    pass


class Csrf(Inline, CsrfViewMiddleware):
    async def process_view(self, request: HttpRequest, callback: Any, args: Any, kwargs: Any) -> Any:
        return super().process_view(request, callback, args, kwargs)


class Messages(Inline, MessageMiddleware):
    """Messages live in a cookie (settings.MESSAGE_STORAGE)."""


class StaticFiles(WhiteNoiseMiddleware):
    """WhiteNoise without its file iterator, which Django would drain in a thread."""

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: Handler) -> None:
        super().__init__(get_response)
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        static_file = self.files.get(request.path_info)
        if static_file is None:
            return await self.get_response(request)
        found = static_file.get_response(request.method, request.META)
        response = HttpResponse(status=int(found.status))
        if found.file is not None:
            with found.file:
                response.content = found.file.read()
        del response["Content-Type"]
        for name, value in found.headers:
            response[name] = value
        return response


class Nonce:
    """A number used once, made when it is first written down."""

    __slots__ = ("_text",)

    def __init__(self) -> None:
        self._text = ""

    @property
    def used(self) -> bool:
        return bool(self._text)

    def __str__(self) -> str:
        self._text = self._text or secrets.token_urlsafe(16)
        return self._text


class SecureHeaders:
    """Headers that keep a page from loading, or being loaded by, anything foreign.

    A view may set ``response.csp`` to a dict of directives that replace the default ones.
    ``request.csp_nonce`` is the nonce of inline scripts, made when a template asks for it.
    """

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: Handler) -> None:
        assert iscoroutinefunction(get_response)
        self.get_response = get_response
        self._hsts = getattr(settings, "SECURE_HSTS_SECONDS", 0)
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        nonce = Nonce()
        request.csp_nonce = nonce
        response = await self.get_response(request)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Referrer-Policy", "same-origin")
        response.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        response.headers.setdefault("X-Frame-Options", "DENY")
        response.headers.setdefault(
            "Content-Security-Policy", self._policy(nonce, getattr(response, "csp", {}))
        )
        if self._hsts and request.is_secure():
            response.headers.setdefault("Strict-Transport-Security", f"max-age={self._hsts}")
        return response

    @staticmethod
    def _policy(nonce: Nonce, changes: dict[str, str]) -> str:
        directives = {
            "default-src": "'self'",
            "script-src": f"'self' 'nonce-{nonce}'" if nonce.used else "'self'",
            "img-src": "'self' data:",
            "object-src": "'none'",
            "base-uri": "'none'",
            "form-action": "'self'",
            "frame-ancestors": "'none'",
            **changes,
        }
        return "; ".join(f"{name} {value}" for name, value in directives.items())
