"""The frame around every page: each entry, button and key of it, and the way out and in again."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Visitor
from tests.browser.test_shell import send

pytestmark = pytest.mark.controls
Visit = Callable[..., Visitor]
COPIES = ["clipboard-read", "clipboard-write"]
ENTRIES = {
    "Cluster": ("c", "Cluster"),
    "Consensus": ("x", "Consensus of cluster 1"),
    "Transactions": ("t", "Transactions"),
    "Shards": ("m", "Shards"),
    "Redistribution": ("r", "Redistribution"),
    "Benchmarks": ("b", "Benchmarks"),
    "Test sets": ("s", "Test sets"),
    "Lab": ("", "Lab"),
    "Recordings": ("v", "Recordings"),
    "Help": ("h", "Help"),
}


def pasted(page: Page) -> str:
    """What the clipboard holds; the visitor needs ``permissions=COPIES``."""
    return str(page.evaluate("navigator.clipboard.readText()"))


def toggled(chart: Locator, lines: int) -> None:
    """Each line is hidden by a click on its name, and shown by another; the plot tells its moment."""
    names = chart.locator(".u-series:not(:first-child)")
    expect(names).to_have_count(lines)
    chart.locator(".u-over").click()
    expect(chart.locator(".u-series:first-child .u-value")).not_to_have_text("–")
    for name in names.all():
        name.locator("th").click()
        expect(name).to_have_class(re.compile("u-off"))
        name.locator("th").click()
        expect(name).not_to_have_class(re.compile("u-off"))


def test_each_entry_and_its_keys_lead_to_its_page(visit: Visit) -> None:
    page = visit().live()
    heading = page.locator("main h1")
    entries = page.get_by_role("navigation", name="Pages")
    for name, (_, words) in ENTRIES.items():
        entries.get_by_role("link", name=name, exact=True).click()
        expect(heading).to_have_text(words)
        expect(entries.get_by_role("link", name=name, exact=True)).to_have_attribute("aria-current", "page")
    page.get_by_role("link", name="Paxos Bank").click()
    for key, words in reversed(ENTRIES.values()):
        if key:
            page.locator("#live[data-link=live]").wait_for()
            page.keyboard.press("g")
            page.keyboard.press(key)
            expect(heading).to_have_text(words)


def test_keys_and_buttons_move_the_view_and_tell_of_themselves(visit: Visit) -> None:
    visitor = visit()
    page = visitor.live()
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()

    send(page, "731", "732")
    page.locator("#main").focus()
    held, where = page.locator("#held"), page.locator("[data-live=where]")
    page.keyboard.press("Space")
    expect(held).to_be_visible()
    at = where.inner_text()
    page.keyboard.press(",")
    expect(where).not_to_have_text(at)
    page.keyboard.press(".")
    expect(where).to_have_text(at)
    page.keyboard.press("L")
    expect(held).to_be_hidden()

    page = visitor.live("/help/")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(held).to_contain_text("View paused, bank running")
    page.locator("#live").get_by_role("button").click()
    expect(held).to_be_hidden()
    page.get_by_role("button", name="Keyboard shortcuts").click()
    shortcuts = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(shortcuts).to_contain_text("Election before, next election")
    shortcuts.get_by_role("button", name="Close").click()
    expect(shortcuts).to_be_hidden()


def test_outcomes_are_told_in_toasts_that_can_be_dismissed(visit: Visit) -> None:
    page = visit().live()
    page.get_by_role("button", name="Break a link").click()
    page.get_by_role("dialog").get_by_role("button", name="Heal").click()
    toast = page.locator(".toast")
    expect(toast).to_have_count(1)
    toast.get_by_role("button", name="Dismiss").click()
    expect(toast).to_have_count(0)


def test_signing_out_ends_the_session_and_the_token_begins_another(visit: Visit) -> None:
    visitor = visit()
    page = visitor.live("/help/")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/sign-in/"))
    page.goto("/help/")
    expect(page).to_have_url(re.compile("/sign-in/"))
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("This is not the token of this bank.")
    page.get_by_label("Token").fill(visitor.site.partition("?token=")[2])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Help")
    # The browser itself reports the answer 403 as an error.
    visitor.faults[:] = [fault for fault in visitor.faults if "403" not in fault]


def test_why_leads_from_what_is_to_the_moment(visit: Visit) -> None:
    page = visit().live()
    dialog = page.get_by_role("dialog")
    send(page, "733", "734")
    page.locator("[data-result-slot] a").click()
    page.locator("[data-panel=slot] [data-why]").click()
    expect(dialog.get_by_role("heading", level=2)).to_have_text(
        re.compile(r"^Why is slot [\d,]+ of cluster 1 as it is")
    )
    expect(dialog.locator("[data-why-links]")).to_contain_text("and so a majority")
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()
    page.locator("[data-panel=slot] [data-why]").click()
    dialog.locator("[data-why-links] a").first.click()
    page.locator("body[data-replay-ready]").wait_for()
    expect(page).to_have_url(re.compile(r"/consensus/1/\?recording=live-.*&t=\d+"))

    page.get_by_role("link", name="To the live bank").click()
    page.locator("#live[data-link=live]").wait_for()
    page.locator("[data-node='7']").click()
    page.get_by_role("button", name="Why is n7 as it is?").click()
    link = dialog.locator("[data-why-links] a").first
    told = link.inner_text()
    link.click()
    page.locator("body[data-replay-ready]").wait_for()
    expect(page.locator("[data-time=clock]")).to_contain_text(told)
