"""Who gets in: closed by default, the token, sessions, CSRF, headers."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.site.fakes import FakeBank, FakeWorker, Site

OPEN = {"/api/health/live/", "/api/health/ready/", "/sign-in/"}


def _addresses() -> list[str]:
    """Every address of the site, with an example for each parameter."""
    from django.urls import get_resolver

    found = []

    def walk(patterns: list[Any], prefix: str) -> None:
        for pattern in patterns:
            path = prefix + str(pattern.pattern)
            if hasattr(pattern, "url_patterns"):
                if path != "admin/":
                    walk(pattern.url_patterns, path)
            else:
                found.append("/" + re.sub(r"<(int|str|slug):\w+>", "1", path))

    walk(get_resolver().url_patterns, "")
    return [*found, "/admin/"]


async def test_every_address_is_closed_unless_listed(site: Site) -> None:
    addresses = _addresses()
    assert len(addresses) > 35
    for path in addresses:
        for method in ("GET", "POST"):
            answer = await site.request(method, path, token=None)
            if path in OPEN:
                assert answer.status not in (401, 302), path
            elif path.startswith("/api/"):
                assert answer.status == 401, path
                assert answer.headers["www-authenticate"] == "Token"
                assert answer.headers["content-type"] == "application/problem+json"
            else:
                assert answer.status == 302, path
                assert answer.headers["location"].startswith("/sign-in/?next="), path


async def test_a_wrong_token_is_refused_even_with_a_session(site: Site) -> None:
    await site.sign_in()
    for token in ("wrong", "the-toke", "the-token2", "ä"):
        answer = await site.get("/api/nodes/", token=token)
        assert answer.status == 401
        assert "not the one of this bank" in answer.json["detail"]
    other = await site.get("/api/nodes/", token=None, headers={"authorization": "Bearer the-token"})
    assert other.status == 200  # not a token; the session counts


async def test_the_token_in_the_address_opens_a_session_and_goes_away(site: Site) -> None:
    answer = await site.get("/transactions/?token=the-token&outcome=aborted", token=None)
    assert (answer.status, answer.headers["location"]) == (302, "/transactions/?outcome=aborted")
    [session] = [cookie for cookie in answer.cookies if cookie.startswith("bank_session_")]
    assert "HttpOnly" in session
    assert "SameSite=Lax" in session
    page = await site.get("/transactions/?outcome=aborted", token=None)
    assert page.status == 200


@pytest.mark.parametrize("path", ["/?token=wrong", "/?token="])
async def test_a_wrong_token_in_the_address_opens_nothing(site: Site, path: str) -> None:
    answer = await site.get(path, token=None)
    assert answer.headers["location"].startswith("/sign-in/")
    assert not [cookie for cookie in answer.cookies if cookie.startswith("bank_session_")]


async def test_a_token_in_an_api_address_is_no_credential(site: Site) -> None:
    assert (await site.get("/api/nodes/?token=the-token", token=None)).status == 401


async def test_the_redirect_after_the_token_stays_on_this_site(site: Site) -> None:
    answer = await site.get("//evil.example/?token=the-token", token=None)
    assert not answer.headers.get("location", "/").startswith("//")


async def test_sign_in_form(site: Site) -> None:
    kind = {"content-type": "application/x-www-form-urlencoded"}

    async def send(token: str, target: str) -> Any:
        page = await site.get("/sign-in/", token=None)
        secret = page.text.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
        body = f"csrfmiddlewaretoken={secret}&token={token}&next={target}".encode()
        return await site.request("POST", "/sign-in/", body, kind, token=None)

    wrong = await send("nope", "/transactions/")
    assert wrong.status == 403
    assert "not the token" in wrong.text
    away = await send("the-token", "https://evil.example/")
    assert away.headers["location"] == "/"
    right = await send("the-token", "/transactions/")
    assert (right.status, right.headers["location"]) == (302, "/transactions/")
    assert (await site.get("/", token=None)).status == 200


async def test_sign_out_ends_the_session(site: Site) -> None:
    await site.sign_in()
    answer = await site.form("/sign-out/")
    assert answer.headers["location"] == "/sign-in/"
    assert (await site.get("/", token=None)).status == 302


async def test_a_session_needs_the_csrf_token_to_change_anything(site: Site, bank: FakeBank) -> None:
    await site.sign_in()
    transfer = {"sender": 1, "receiver": 2, "amount": 1}
    refused = await site.post("/api/transactions/", transfer, token=None)
    assert refused.status == 403
    assert refused.headers["content-type"] == "application/problem+json"
    body = b"sender=1&receiver=2&amount=1"
    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert (await site.request("POST", "/transactions/", body, kind, token=None)).status == 403
    assert (await site.request("POST", "/reset/", b"", kind, token=None)).status == 403
    assert not bank.submitted
    page = await site.get("/reset/", token=None)
    secret = page.text.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    taken = await site.post("/api/transactions/", transfer, token=None, headers={"X-CSRFToken": secret})
    assert taken.status == 200


async def test_secure_headers_on_every_kind_of_answer(site: Site) -> None:
    await site.sign_in()
    for path in ("/", "/api/nodes/", "/api/nope/", "/nope/", "/static/css/base.css", "/api/transactions/x/"):
        answer = await site.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy, path
        assert "unsafe" not in policy, path
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "same-origin"


async def test_the_nonce_is_new_each_time_and_matches_the_page(site: Site) -> None:
    seen = set()
    for _ in range(2):
        answer = await site.get("/help/")
        [nonce] = set(re.findall(r'nonce="([^"]+)"', answer.text))
        assert f"'nonce-{nonce}'" in answer.headers["content-security-policy"]
        seen.add(nonce)
    assert len(seen) == 2


async def test_a_foreign_host_name_is_refused(site: Site) -> None:
    for path in ("/", "/api/nodes/", "/api/health/live/"):
        answer = await site.get(path, headers={"host": "evil.example"})
        assert answer.status == 400, path


async def test_static_files_need_no_sign_in(site: Site) -> None:
    answer = await site.get("/static/css/base.css", token=None)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/css")
    same = await site.get(
        "/static/css/base.css", token=None, headers={"if-modified-since": answer.headers["last-modified"]}
    )
    assert (same.status, same.body) == (304, b"")
    assert (await site.get("/static/../manage.py", token=None)).status in (302, 404)


async def test_a_fragment_asks_the_whole_page_to_sign_in(site: Site) -> None:
    answer = await site.get("/", token=None, headers={"HX-Request": "true"})
    assert (answer.status, answer.headers["hx-redirect"]) == (401, "/sign-in/")


async def test_the_audit_log_is_for_reading(site: Site, workers: dict[int, FakeWorker]) -> None:
    await site.post("/api/nodes/2/fail/")
    await site.sign_in()
    page = await site.get("/admin/identity/action/", token=None)
    assert page.status == 200
    assert "fail" in page.text
    assert (await site.get("/admin/identity/action/add/", token=None)).status == 403


async def test_programs_pass_without_what_browsers_need(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Django's way makes two tasks and a thread's turn for each request; both ways end with a signal."""
    from django.core.handlers.asgi import ASGIHandler
    from django.core.signals import request_finished

    ways: list[str] = []
    ended: list[object] = []
    handle = ASGIHandler.handle

    async def watched(self: ASGIHandler, scope: dict[str, object], receive: object, send: object) -> None:
        ways.append(str(scope["path"]))
        await handle(self, scope, receive, send)

    def finished(sender: object, **_: object) -> None:
        ended.append(sender)

    monkeypatch.setattr(ASGIHandler, "handle", watched)
    request_finished.connect(finished)
    try:
        assert (await site.get("/api/clusters/")).status == 200
        assert (await site.post("/api/transactions/", {})).status == 400
        assert (await site.get("/api/clusters/", token="wrong")).status == 401
        assert (ways, len(ended)) == ([], 3)
        await site.sign_in()
        assert (await site.get("/api/clusters/", token=None)).status == 200
        assert ways == ["/", "/api/clusters/"]
    finally:
        request_finished.disconnect(finished)
