"""Test sets on their page: a shipped file and an upload, set by set, by mouse and keyboard."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.browser.test_pages import grave

Visit = Callable[..., Visitor]
CSV = """Set Number,Transactions,Live Nodes
1,"(1, 31, 3)","[n1, n2]"
,"(31, 2, 20)",
,(31),
2,F(n1),"[n1, n2]"
,"(1, 2, 1)",
"""


def test_sets_run_one_by_one_on_a_private_bank(visit: Visit, axe: str) -> None:
    visitor = visit()
    page = visitor.live("/testsets/")
    page.get_by_label("File", exact=True).set_input_files(
        {"name": "mine.csv", "mimeType": "text/csv", "buffer": CSV.replace("31, 3", "31, x").encode()}
    )
    page.get_by_label("Clusters", exact=True).fill("2")
    page.get_by_label("Nodes in each").fill("1")
    page.get_by_label("Accounts", exact=True).fill("60")
    with page.expect_response("**/testsets/") as refused:
        page.get_by_role("button", name="Upload").click()
    assert refused.value.status == 422
    expect(page.get_by_role("alert")).to_contain_text("line 2, column 12")
    # The browser itself reports an answer of 422 for a page as an error.
    visitor.faults[:] = [fault for fault in visitor.faults if "422" not in fault]

    page.get_by_label("File", exact=True).set_input_files(
        {"name": "mine.csv", "mimeType": "text/csv", "buffer": CSV.encode()}
    )
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("mine.csv")
    page.locator("#next-set").focus()
    page.keyboard.press("Enter")
    first = page.locator("#set-1")
    expect(first).to_contain_text("insufficient_funds")
    expect(first.get_by_role("row", name="1 n1 : 7", exact=True)).to_be_visible()
    expect(first.get_by_role("row", name="31 n2 : 13", exact=True)).to_be_visible()
    expect(page.locator("#next-set")).to_be_focused()

    page.get_by_label("Account, range or node").fill("1..60")
    page.get_by_role("button", name="PrintBalance").click()
    expect(page.locator("#printed")).to_contain_text("min 7, max 13, total 600, count 60")
    page.get_by_role("button", name="PrintDB").click()
    expect(page.locator("#printed")).to_contain_text("n2 at slot")
    page.get_by_role("button", name="PrintReshard").click()
    # Three transactions say nothing of who belongs together.
    expect(page.locator(".printed").first).to_contain_text("PrintReshard: nothing moved", timeout=60_000)
    assert grave(page, axe) == []

    page.get_by_role("button", name="Skip").click()
    expect(page.locator("#set-2")).to_contain_text("skipped")
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    page.keyboard.press("g")
    page.keyboard.press("s")
    expect(page.get_by_role("link", name="Run 1")).to_be_visible()


def test_a_run_fits_a_phone_in_the_dark(visit: Visit, axe: str) -> None:
    page = visit(width=390, theme="dark").live("/testsets/")
    page.get_by_role("button", name="Open one-node.csv").click()
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#set-1")).to_contain_text("committed")
    page.get_by_role("button", name="PrintView").click()
    expect(page.locator("#printed")).to_contain_text("c1 led by")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert grave(page, axe) == []


def test_a_file_runs_on_the_bank_on_show_and_gives_it_back(visit: Visit) -> None:
    page = visit().live("/testsets/")
    page.get_by_label("File", exact=True).set_input_files(
        {"name": "shown.csv", "mimeType": "text/csv", "buffer": CSV.encode()}
    )
    balance = page.get_by_label("Balance at first")
    balance.fill("0")
    assert balance.evaluate("field => field.checkValidity()")
    balance.fill("7")
    page.get_by_label("Bank", exact=True).select_option("shown")
    page.get_by_role("button", name="Upload").click()
    expect(page.locator(".page-head")).to_contain_text("on the bank on show")
    page.locator("main").get_by_role("link", name="Test sets").click()
    page.get_by_role("link", name=re.compile(r"^Run \d+$")).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("shown.csv")

    page.goto("/testsets/")
    page.get_by_role("button", name=re.compile("^On this bank.*course-testcases")).click()
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#set-1")).to_contain_text("committed", timeout=60_000)
    taken = page.get_by_role("region", name="Experiment on this bank")
    expect(taken).to_contain_text("course-testcases.csv")
    printed = page.locator("#printed")
    page.get_by_label("Account, range or node").fill("n1")
    page.get_by_role("button", name="PrintLog").click()
    expect(printed).to_contain_text("printlog n1")
    page.get_by_role("button", name="PrintView").click()
    expect(printed).to_contain_text("led by")
    page.get_by_role("button", name="Performance").click()
    expect(printed).to_contain_text("ms")
    page.get_by_role("button", name="Give the bank back").click()
    expect(taken).to_be_hidden()
    page.goto("/testsets/")
    page.get_by_role("link", name="The course's report form").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Report")
