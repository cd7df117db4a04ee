"""Pages and forms as a browser without script, and as htmx, see them."""

from __future__ import annotations

import re

import pytest

from tests.site.fakes import FakeBank, FakeWorker, Site, until

Workers = dict[int, FakeWorker]
FRAGMENT = {"HX-Request": "true"}


@pytest.fixture
async def browser(site: Site) -> Site:
    await site.sign_in()
    return site


async def _page(site: Site, path: str, status: int = 200) -> str:
    answer = await site.get(path, token=None)
    assert answer.status == status, answer.text[:500]
    return answer.text


async def test_a_transfer_by_form_redirects_to_its_outcome(browser: Site, bank: FakeBank) -> None:
    answer = await browser.form("/transactions/", sender=1, receiver=2, amount=3, next="cluster")
    assert answer.status == 302
    location = answer.headers["location"]
    assert re.fullmatch(r"/\?tx=[0-9a-f]{32}-\d+", location)
    assert bank.balances[1] == 7
    page = await _page(browser, location)
    assert "committed" in page
    assert "slot 1 of cluster 1, ballot (1,1)" in page  # the message left by the form
    page = await _page(browser, location)
    assert "slot 1 of cluster 1, ballot (1,1)" not in page  # shown once
    assert 'data-result="committed"' in page


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"sender": 1, "receiver": 1, "amount": 3}, "another account than the sender"),
        ({"sender": 99, "receiver": 1, "amount": 3}, "Accounts are numbered 1 to 60"),
        ({"sender": 1, "receiver": 2, "amount": 0}, "greater than or equal to 1"),
        ({"sender": 1, "receiver": 2, "amount": "1.5"}, "whole number"),
        ({"sender": 1, "receiver": 2, "amount": 10**16}, "less than or equal to"),
        ({"sender": "", "receiver": 2, "amount": 1}, "required"),
    ],
)
async def test_a_wrong_form_is_shown_again(
    browser: Site, bank: FakeBank, fields: dict[str, object], text: str
) -> None:
    answer = await browser.form("/transactions/", **fields)
    assert answer.status == 422
    assert text in answer.text.replace("&#x27;", "'")
    assert not bank.submitted
    fragment = await browser.form("/transactions/", headers=FRAGMENT, **fields)
    assert fragment.status == 422
    assert "<html" not in fragment.text
    assert text in fragment.text


async def test_the_key_of_a_form_keeps_a_double_click_from_paying_twice(
    browser: Site, bank: FakeBank
) -> None:
    fields = {"sender": 1, "receiver": 2, "amount": 3, "key": "form-1"}
    first = await browser.form("/transactions/", **fields)
    second = await browser.form("/transactions/", **fields)
    assert first.headers["location"] == second.headers["location"]
    assert bank.balances[1] == 7


async def test_the_fragment_carries_the_outcome_and_tells_the_list(browser: Site) -> None:
    answer = await browser.form("/transactions/", headers=FRAGMENT, sender=1, receiver=2, amount=3)
    assert (answer.status, answer.headers["hx-trigger"]) == (200, "transaction-kept")
    assert 'data-result="committed"' in answer.text
    assert "<html" not in answer.text
    listed = await browser.get("/transactions/", token=None, headers=FRAGMENT)
    assert "<html" not in listed.text
    assert "committed" in listed.text


async def test_list_filter_and_paging(browser: Site, bank: FakeBank) -> None:
    for _ in range(51):
        await browser.post("/api/transactions/", {"sender": 5, "receiver": 6, "amount": 11})
    await browser.post("/api/transactions/", {"sender": 1, "receiver": 2, "amount": 1})
    first = await _page(browser, "/transactions/?outcome=aborted")
    [older] = re.findall(r'href="(/transactions/\?[^"]*cursor=[^"]*)"', first)
    second = await _page(browser, older.replace("&amp;", "&"))
    assert len(re.findall(r"/transactions/[0-9a-f]{32}-\d+/", second)) == 1
    assert "cursor=" not in second
    nonsense = await _page(browser, "/transactions/?outcome=won&account=x&cursor=zzz")
    assert len(re.findall(r"/transactions/[0-9a-f]{32}-\d+/", nonsense)) == 50


async def test_one_transaction_with_its_rest_call(browser: Site, bank: FakeBank) -> None:
    sent = await browser.post("/api/transactions/", {"sender": 1, "receiver": 2, "amount": 3})
    page = await _page(browser, f"/transactions/{sent.json['id']}/")
    assert "curl -X POST http://localhost/api/transactions/" in page
    assert "send 1 2 3" in page
    assert "the-token" not in page
    missing = await _page(browser, "/transactions/xyz/", 404)
    assert "no transaction xyz is known here" in missing


async def test_an_unknown_one_becomes_final_on_its_page(browser: Site, bank: FakeBank) -> None:
    bank.verdicts = ["unknown"]
    answer = await browser.form("/transactions/", sender=1, receiver=2, amount=3)
    assert "unknown" in await _page(browser, answer.headers["location"])
    [tx_id] = re.findall(r"tx=(.*)", answer.headers["location"])
    assert 'data-result="committed"' in await _page(browser, f"/?tx={tx_id}") or "committed" in await _page(
        browser, f"/transactions/{tx_id}/"
    )


async def test_a_refused_transfer_says_why(browser: Site, bank: FakeBank) -> None:
    bank.verdicts = ["refused:unavailable"]
    answer = await browser.form("/transactions/", sender=1, receiver=2, amount=3)
    assert answer.status == 422
    assert "nothing was done" in answer.text


async def test_the_cluster_page_shows_every_node(browser: Site, workers: Workers) -> None:
    from bankweb.orchestration.hub import hub

    await until(lambda: all(view.reports for view in hub().nodes.values()))
    page = await _page(browser, "/")
    for node in range(1, 7):
        assert f'data-node="{node}"' in page
    fragment = await browser.get("/", token=None, headers=FRAGMENT)
    assert "<html" not in fragment.text
    assert 'data-role="leader"' in fragment.text


async def test_node_forms_act_and_leave_a_message(browser: Site, workers: Workers) -> None:
    answer = await browser.form("/nodes/1/fail/")
    assert (answer.status, answer.headers["location"]) == (302, "/")
    assert workers[1].heard("fail") == [{}]
    page = await _page(browser, "/")
    assert "Node 1 acts disconnected" in page
    assert 'data-state="failed"' in page
    assert "node 1 failed" in page  # among the faults
    fragment = await browser.form("/nodes/1/recover/", headers=FRAGMENT)
    assert fragment.headers["hx-trigger"] == "nodes-changed"
    assert "<html" not in fragment.text
    refused = await browser.form("/nodes/1/dance/")
    assert refused.status == 302
    assert "cannot be told to dance" in await _page(browser, "/")


async def test_link_heal_and_reset_forms(browser: Site, workers: Workers) -> None:
    await browser.form("/links/", source=1, target=2, cut="on")
    assert workers[1].heard("link") == [{"to": 2, "cut": True, "delay_ms": 0.0, "loss": 0.0}]
    assert "link 1 → 2 cut" in await _page(browser, "/")
    await browser.form("/links/", source=1, target=1)
    assert "another node than the source" in await _page(browser, "/")
    await browser.form("/heal/")
    assert workers[1].heard("heal")
    assert "link 1 → 2 cut" not in (await _page(browser, "/help/"))
    assert "incarnation" in await _page(browser, "/reset/")
    assert not workers[1].heard("reset")
    await browser.form("/reset/")
    assert workers[1].heard("reset")


@pytest.mark.parametrize("path", ["/nodes/1/fail/", "/links/", "/heal/", "/sign-out/"])
async def test_pages_that_act_are_post_only(browser: Site, path: str) -> None:
    assert (await browser.get(path, token=None)).status == 405


async def test_the_api_page_loads_nothing_foreign(browser: Site) -> None:
    page = await _page(browser, "/api/docs/")
    assert not re.findall(r'(?:src|href)="https?://', page)
    [script] = re.findall(r'<script src="(/api/docs/[^"]*)"', page)
    assert "/api/schema/" in await _page(browser, script)
    answer = await browser.get("/api/docs/", token=None)
    assert "style-src 'self' 'unsafe-inline'" in answer.headers["content-security-policy"]
    assert "script-src 'self';" in answer.headers["content-security-policy"]
