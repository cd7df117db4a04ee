"""Pages that little happens on: what each of their buttons and links does."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.browser.test_consensus import act, ask

pytestmark = pytest.mark.controls
Visit = Callable[..., Visitor]


def test_the_help_page_leads_on(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    for name, address in (
        ("Send a transfer", "/#transfer"),
        ("Consensus", "/consensus/"),
        ("browsable documentation", "/api/docs/"),
        ("Reset the bank", "/reset/"),
    ):
        page.goto("/help/")
        page.locator("main").get_by_role("link", name=name).click()
        expect(page).to_have_url(re.compile(re.escape(address)))
        expect(page.locator("h1, h2").first).to_be_attached()
    page.goto("/help/")
    with page.expect_download() as schema:
        page.get_by_role("link", name="OpenAPI schema").click()
    assert schema.value.suggested_filename


def test_reset_asks_first_and_then_begins_anew(visit: Visit) -> None:
    visitor = visit()
    page = visitor.live("/help/")
    act(visitor, "/api/transactions/", sender=761, receiver=762, amount=2)
    assert ask(visitor, "/api/accounts/762/")["balance"] > 10
    page.get_by_role("link", name="Reset the bank").click()
    page.get_by_role("link", name="Keep the bank as it is").click()
    expect(page.locator("#stage")).to_be_visible()
    assert ask(visitor, "/api/accounts/762/")["balance"] > 10
    page.goto("/reset/")
    page.get_by_role("button", name="Reset everything").click()
    expect(page.locator("#stage")).to_be_visible()
    expect(page.locator(".toast")).to_have_count(1)
    expect(page.locator("#toasts > .toast")).to_contain_text("begins anew")
    assert ask(visitor, "/api/accounts/762/")["balance"] == 10


def test_the_shard_map_is_pointed_at_and_its_accounts_lead_to_their_transactions(visit: Visit) -> None:
    visitor = visit()
    page = visitor.live("/shards/")
    tables = page.locator("#shard-tables")
    start = tables.get_by_role("link", name="Start a load")
    # Nobody has used any account for ten seconds.
    start.click(timeout=30_000)
    expect(page.get_by_role("heading", level=1)).to_have_text("Redistribution")
    page.goto("/shards/")
    page.locator("main").get_by_role("link", name="Redistribute").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Redistribution")
    for _ in range(3):
        act(visitor, "/api/transactions/", sender=763, receiver=764, amount=1)
    page.goto("/shards/")
    tables.get_by_role("link", name="763").click()
    expect(page).to_have_url(re.compile(r"/transactions/\?account=763"))
    expect(page.locator("table.transactions tbody tr")).not_to_have_count(0)
    page.goto("/shards/")
    canvas = page.locator("[data-map=canvas]")
    expect(canvas).to_have_attribute("aria-label", re.compile(r"^Map of [\d,]+ accounts"))
    canvas.focus()
    page.keyboard.press("ArrowRight")
    cursor = page.locator("#map-cursor")
    by_key = cursor.inner_text()
    canvas.click(position={"x": 3, "y": 3})
    expect(page).to_have_url(re.compile(r"/transactions/\?account=1$"))
    assert "accesses in the last 10 s" in by_key
