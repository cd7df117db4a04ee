"""The one place that decides who gets in. Everything is closed unless its view says otherwise.

A request is let in with the token in its ``Authorization`` header or with a session. A page asked for
with ``?token=…`` opens a session and is asked for again without it. Views that anyone may see are
marked with :func:`open_to_all`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from asgiref.sync import markcoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from bankweb.identity import sign_in, tokens
from bankweb.middleware import Handler
from bankweb.rest.problems import Problem, to_response


def open_to_all(view: Callable[..., Any]) -> Callable[..., Any]:
    """Let everyone see ``view``.

    Django's own mark (``login_not_required``) does not do: DRF puts it on each of its views.
    """
    view.is_open_to_all = True
    return view


class Gate:
    """Sets ``request.actor``: the name of who asks, "" for nobody."""

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        request.actor = ""
        token = tokens.from_header(request.META.get("HTTP_AUTHORIZATION", ""))
        if token is not None:
            if tokens.is_token(token):
                _enter(request, sign_in.HOLDER)
                # A foreign page cannot make a browser send this header, so there is nothing to forge.
                request._dont_enforce_csrf_checks = True
        elif "token" in request.GET and request.method == "GET" and not is_api(request):
            if await sign_in.sign_in(request, request.GET["token"]):
                return redirect(_without_token(request))
        else:
            user = await sign_in.signed_in_user(request)
            if user is not None:
                _enter(request, user)
        return await self.get_response(request)

    async def process_view(
        self, request: HttpRequest, view: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        if request.actor or getattr(view, "is_open_to_all", False):
            return None
        if is_api(request):
            given = "HTTP_AUTHORIZATION" in request.META
            detail = (
                "the token is not the one of this bank"
                if given
                else "send the bank's token in the header `Authorization: Token …`"
            )
            return to_response(Problem("unauthenticated", detail, headers={"WWW-Authenticate": "Token"}))
        response = redirect(f"{reverse('sign-in')}?{urlencode({'next': request.get_full_path()})}")
        if request.headers.get("HX-Request"):
            # A redirect would be followed unseen and its page put into a fragment's place.
            response = HttpResponse(status=401, headers={"HX-Redirect": reverse("sign-in")})
        return response


def is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def _enter(request: HttpRequest, user: Any) -> None:
    request.user = user
    request.actor = user.username


def _without_token(request: HttpRequest) -> str:
    """The same address on this site, without the token."""
    query = request.GET.copy()
    del query["token"]
    # A path that begins with two slashes would name another host.
    path = "/" + request.path.lstrip("/")
    return f"{path}?{query.urlencode()}" if query else path
