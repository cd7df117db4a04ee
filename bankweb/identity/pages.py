"""Signing in with the bank's token, and out again."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST

from bankweb.identity import sign_in as signing


@require_http_methods(["GET", "HEAD", "POST"])
async def sign_in(request: HttpRequest) -> HttpResponse:
    """``/sign-in/``: the form (field ``token``, hidden ``next``). Template ``sign_in.html``.

    Context:
        error: what was wrong with the token, "" at first (then status 403).
        next: path to go to afterwards.
    """
    target = _local_path(request, request.POST.get("next") or request.GET.get("next") or "/")
    if request.method == "POST":
        if await signing.sign_in(request, request.POST.get("token", "").strip()):
            return redirect(target)
        context = {"error": "This is not the token of this bank.", "next": target}
        return render(request, "sign_in.html", context, status=403)
    return render(request, "sign_in.html", {"error": "", "next": target})


@require_POST
async def sign_out(request: HttpRequest) -> HttpResponse:
    """``/sign-out/``: ends the session and goes to ``sign-in``. No fields."""
    await signing.sign_out(request)
    return redirect("sign-in")


def _local_path(request: HttpRequest, path: str) -> str:
    """``path`` if it stays on this site, else ``/``."""
    hosts = {request.get_host()}
    return path if url_has_allowed_host_and_scheme(path, hosts, require_https=request.is_secure()) else "/"
