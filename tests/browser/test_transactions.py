"""The list of transactions, its filter and its pages; and what the page of one offers to take along."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.browser.test_consensus import act
from tests.browser.test_frame import COPIES, pasted
from tests.browser.test_shell import send

pytestmark = pytest.mark.controls
Visit = Callable[..., Visitor]
MORE_THAN_A_PAGE = 51


def test_the_list_goes_back_page_by_page_and_its_filter_is_taken_off(visit: Visit) -> None:
    visitor = visit()
    for _ in range(MORE_THAN_A_PAGE):
        act(visitor, "/api/transactions/", sender=751, receiver=752, amount=1)
    page = visitor.live("/transactions/?account=751")
    rows = page.locator("table.transactions tbody tr")
    newest = rows.first.inner_text()
    page.get_by_role("link", name="Older transactions").click()
    expect(rows).to_have_count(MORE_THAN_A_PAGE - 50)
    expect(rows.first).not_to_have_text(newest)
    page.get_by_label("Account", exact=True).fill("8999")
    page.get_by_role("button", name="Filter").click()
    page.get_by_role("link", name="Show all").click()
    expect(page.get_by_label("Account", exact=True)).to_have_value("")
    expect(rows.first).to_be_visible()


def test_an_outcome_leads_to_its_slot(visit: Visit) -> None:
    page = visit().live("/transactions/")
    send(page, "757", "758")
    link = page.locator("[data-result-slot] a")
    slot = int(link.inner_text())
    link.click()
    expect(page.locator("[data-slot=title]")).to_have_text(f"Slot {slot:,}")


def test_a_transaction_is_copied_as_a_command_and_leads_to_its_slot(visit: Visit) -> None:
    visitor = visit(permissions=COPIES)
    told = act(visitor, "/api/transactions/", sender=753, receiver=754, amount=3)
    page = visitor.live(f"/transactions/{told['id']}/")
    for name, words in (("curl", "curl -X POST"), ("Python", "import "), ("Shell", "753")):
        figure = page.locator("figure.snippet").filter(has=page.get_by_text(name, exact=True))
        button = figure.get_by_role("button")
        button.click()
        expect(button).to_have_text("Copied")
        assert words in pasted(page)
        assert pasted(page) == figure.locator("pre").text_content()
    slot = told["positions"][0]["slot"]
    page.get_by_role("link", name=str(slot), exact=True).click()
    expect(page.locator("[data-slot=title]")).to_have_text(f"Slot {slot:,}")
    expect(page).to_have_url(re.compile(rf"/consensus/1/\?slot={slot}"))
    page.locator("[data-slot=tx] a").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("from account")
    page.locator("main").get_by_role("link", name="Transactions").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Transactions")
