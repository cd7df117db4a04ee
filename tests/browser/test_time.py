"""The time bar, on each page that has one: every button, slider, mark and its link move the view there."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.browser.test_consensus import act, another_leader
from tests.browser.test_frame import COPIES, pasted
from tests.browser.test_recordings import opened

pytestmark = pytest.mark.controls
Visit = Callable[..., Visitor]
MARK = """() => {
  const box = document.querySelector(".time-mark.mark-of-election").getBoundingClientRect();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  return [x, y];
}"""
POINTED = "([x, y]) => document.elementFromPoint(x, y).closest('[data-time=marks] [title]:hover')?.title"
"""Words of the mark under the pointer. Marks slide until it is there."""


def walked(page: Page) -> None:
    """Everything on the bar of a held view is used once, and the moment follows."""
    bar = page.get_by_role("region", name="Time", exact=True)
    where = page.locator("[data-live=where]")

    def moved(button: str) -> str:
        before = where.inner_text()
        bar.get_by_role("button", name=button).click()
        expect(where).not_to_have_text(before)
        # What is not at hand is looked up first.
        expect(where).to_have_text(re.compile("^at event"))
        return where.inner_text()

    here = where.inner_text()
    moved("One event back")
    assert moved("One event on") == here
    first = moved("Election before")
    moved("Election before")
    assert moved("Next election") == first
    page.keyboard.press("[")
    expect(where).not_to_have_text(first)
    expect(where).to_have_text(re.compile("^at event"))
    page.keyboard.press("]")
    expect(where).to_have_text(first)

    speed = bar.get_by_role("slider", name="Speed")
    speed.focus()
    page.keyboard.press("End")
    expect(speed).to_have_attribute("aria-valuetext", "16×")
    expect(page).to_have_url(re.compile("speed=100"))
    play = bar.locator("[data-time=play]")
    before = where.inner_text()
    play.click()
    expect(where).not_to_have_text(before)
    play.click()

    bar.get_by_role("slider", name="Time").focus()
    page.keyboard.press("Home")
    expect(where).to_have_text(re.compile("^at event"))
    title = None
    while title is None:
        place = page.evaluate(MARK)
        page.mouse.move(*place)
        title = page.evaluate(POINTED, place)
    page.mouse.click(*place)
    told = re.sub(r" and \d+ more$", "", title.partition(" ")[2])
    expect(where).to_contain_text(told)
    link = bar.get_by_role("link", name="Link to this moment")
    link.click()
    expect(page.locator(".toast").last).to_have_text(re.compile("is in the clipboard"))
    address = str(link.get_attribute("href"))
    assert pasted(page).endswith(address)
    assert re.search(r"recording=.*&t=\d+", address)


def test_the_bar_moves_the_view_on_each_page(visit: Visit) -> None:
    visitor = visit(permissions=COPIES)
    for _ in range(2):
        another_leader(visitor, 3)
    told = act(visitor, "/api/transactions/", sender=741, receiver=742, amount=1)
    for path in ("/consensus/3/", "/shards/", f"/transactions/{told['id']}/", "/"):
        page = visitor.live(path)
        bar = page.get_by_role("region", name="Time", exact=True)
        expect(bar.locator(".mark-of-election").nth(1)).to_be_attached()
        bar.get_by_role("button", name="Pause").click()
        expect(page.locator("#held")).to_be_visible()
        walked(page)
        page.get_by_role("button", name="jump to live").click()
        expect(page.locator("#held")).to_be_hidden()

    address = str(page.get_by_role("link", name="Link to this moment").get_attribute("href"))
    recording = re.search(r"recording=([^&]+)", address)
    assert recording is not None
    page.goto(f"/recordings/{recording[1]}/{address[address.index('?') :]}")
    opened(page)
    walked(page)
