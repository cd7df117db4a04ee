"""Transfers by form: previewed, decided, listed; refused when wrong; without script as well."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor

Visit = Callable[..., Visitor]


def fill(page: Page, sender: str, receiver: str, amount: str = "1") -> None:
    page.get_by_label("From account").fill(sender)
    page.get_by_label("To account").fill(receiver)
    page.get_by_label("Amount").fill(amount)


def test_a_transfer_shows_its_outcome_with_slot_and_ballot(visit: Visit) -> None:
    page = visit().live()
    fill(page, "101", "102")
    expect(page.locator("[data-preview]")).to_contain_text("Both in cluster 1: one Paxos group decides")
    page.get_by_role("button", name="Send transfer").click()
    result = page.locator("[data-result=committed]")
    expect(result.locator("[data-result-slot]")).to_have_text(re.compile(r"^\s*\d+\s*$"))
    expect(result.locator("[data-result-ballot]")).to_have_text(re.compile(r"^\s*\(\d+,\d+\)\s*$"))
    slot = result.locator("[data-result-slot]").inner_text().strip()
    expect(page.locator("[data-feed-list]")).to_contain_text(f"committed in slot {slot}")


def test_enter_sends_and_the_list_grows_by_itself(visit: Visit) -> None:
    page = visit().live("/transactions/")
    fill(page, "201", "202", "2")
    page.get_by_label("Amount").press("Enter")
    row = page.locator("table.transactions tbody tr").first
    expect(row).to_contain_text("201")
    expect(row).to_contain_text("committed")
    row.get_by_role("link", name=re.compile("Details")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("2 from account 201 to 202")
    expect(page.locator("pre").first).to_contain_text("curl")
    expect(page.get_by_text("Index in slot")).to_be_visible()


def test_too_much_money_aborts_and_says_why(visit: Visit) -> None:
    page = visit().live()
    fill(page, "301", "302", "1000000")
    page.get_by_role("button", name="Send transfer").click()
    result = page.locator("[data-result=aborted]")
    expect(result).to_contain_text("insufficient_funds")
    expect(result.locator("[data-result-slot]")).to_be_visible()


def test_a_wrong_form_says_what_is_wrong_and_changes_nothing(visit: Visit) -> None:
    visitor = visit()
    page = visitor.live()
    fill(page, "401", "401")
    expect(page.locator("[data-preview]")).to_have_text("Sender and receiver are the same account.")
    page.get_by_role("button", name="Send transfer").click()
    expect(page.locator(".errors").first).to_be_visible()
    expect(page.locator("[data-result]")).to_have_count(0)
    expect(page.get_by_label("From account")).to_have_value("401")
    # The browser itself reports the answer 422 as an error.
    visitor.faults[:] = [fault for fault in visitor.faults if "422" not in fault]


def test_the_list_can_be_filtered(visit: Visit) -> None:
    page = visit().live("/transactions/")
    fill(page, "501", "502")
    page.get_by_role("button", name="Send transfer").click()
    page.locator("[data-result=committed]").wait_for()
    page.get_by_label("Account", exact=True).fill("502")
    page.get_by_role("button", name="Filter").click()
    rows = page.locator("table.transactions tbody tr")
    expect(rows).to_have_count(1)
    page.get_by_label("Outcome").select_option("aborted")
    expect(page.get_by_text("No kept transaction fits this filter.")).to_be_visible()


def test_everything_works_without_script(visit: Visit) -> None:
    page = visit(java_script_enabled=False).page
    fill(page, "601", "602")
    page.get_by_role("button", name="Send transfer").click()
    expect(page.locator("[data-result=committed] [data-result-ballot]")).to_be_visible()
    page.locator("[data-node='9']").click()
    drawer = page.locator("#node-9")
    expect(drawer).to_be_visible()
    drawer.get_by_role("button", name="Fail").click()
    expect(page.get_by_label("Faults in force")).to_contain_text("9")
    page.get_by_role("button", name="Heal everything").click()
    expect(page.get_by_label("Faults in force")).to_be_hidden()
