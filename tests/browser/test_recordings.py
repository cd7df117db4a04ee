"""A recording on its page: found, played, stepped, sought, and opened again at its address."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.browser.test_pages import grave
from tests.browser.test_shell import send

Visit = Callable[..., Visitor]


def test_what_was_seen_live_is_found_in_the_recording(visit: Visit, axe: str) -> None:
    visitor = visit()
    page = visitor.live()
    send(page, "711", "712")
    page.get_by_role("link", name="Recordings", exact=True).click()
    page.get_by_role("row").filter(has_text="live").first.get_by_role("link").first.click()
    page.locator("[data-recording][data-ready]").wait_for()
    told = page.locator("[data-told]")
    page.get_by_role("slider", name="Time").focus()
    page.keyboard.press("End")
    expect(told).to_contain_text("712")
    expect(page.locator("[data-nodes] tr")).to_have_count(9)
    at = page.locator("[data-at]")
    here = at.inner_text()
    page.get_by_role("button", name="Event back").click()
    expect(at).not_to_have_text(here)
    there = at.inner_text()
    page.keyboard.press("Escape")
    page.reload()
    page.locator("[data-recording][data-ready]").wait_for()
    expect(at).to_have_text(there)
    page.get_by_role("slider", name="Time").focus()
    page.keyboard.press("Home")
    expect(at).not_to_have_text(there)
    at_start = at.inner_text()
    page.get_by_role("button", name="Play").click()
    expect(at).not_to_have_text(at_start)
    page.get_by_role("button", name="Pause", exact=True).click()
    assert "t=" in page.url and "speed=" in page.url
    assert grave(page, axe) == []
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    assert grave(page, axe) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
