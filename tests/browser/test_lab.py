"""The lab: a simulated run is started, judged and played; a real bank is broken, and found whole."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.browser.test_pages import grave

Visit = Callable[..., Visitor]


def test_a_simulated_run_is_judged_and_played_in_the_same_viewer(visit: Visit, axe: str) -> None:
    visitor = visit()
    page = visitor.live("/lab/")
    form = page.locator("form", has=page.get_by_role("button", name="Simulate"))
    form.get_by_label("Trouble").select_option("leader-crashes")
    form.get_by_label("Seed", exact=True).fill("7")
    form.get_by_label("Steps under faults").fill("1500")
    form.get_by_role("button", name="Simulate").click()
    state = page.locator("#verdict-state")
    expect(state.locator(".tag").first).to_have_text("ok", timeout=60_000)
    expect(state.get_by_role("row", name="crashes")).to_be_visible()
    assert grave(page, axe) == []
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    assert grave(page, axe) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_role("link", name="Play it").click()
    page.locator("body[data-replay-ready]").wait_for()
    page.get_by_role("slider", name="Time").focus()
    page.keyboard.press("End")
    expect(page.locator("[data-nodes] tr")).to_have_count(9)


def test_a_schedule_that_is_none_is_explained_at_its_field(visit: Visit) -> None:
    visitor = visit()
    page = visitor.live("/lab/")
    page.get_by_text("A fault schedule of your own").click()
    page.get_by_label("Faults instead of the seed's own (JSON)").fill('[{"at_us": 5, "kind": "flood"}]')
    page.get_by_role("button", name="Simulate").click()
    expect(page.get_by_role("alert")).to_contain_text("unknown kind 'flood'")
    (refused,) = visitor.faults
    assert "422" in refused, "the browser notes the status of the page itself"
    visitor.faults.clear()


def test_a_real_bank_is_broken_and_judged(visit: Visit, axe: str) -> None:
    page = visit().live("/lab/")
    form = page.locator("form", has=page.get_by_role("button", name="Start"))
    form.get_by_label("Seconds").fill("6")
    for kind in ("partition", "clock", "disk", "pause"):
        form.get_by_label(kind).uncheck()
    form.get_by_role("button", name="Start").click()
    state = page.locator("#verdict-state")
    expect(state.get_by_text("operations in")).to_be_visible(timeout=60_000)
    expect(state.get_by_text("money conserved")).to_be_visible(timeout=90_000)
    expect(state.locator(".tag").first).to_have_text("ok")
    expect(state.locator("svg.timeline rect").first).to_be_visible()
    assert grave(page, axe) == []


def test_a_card_on_the_first_page_tells_a_story_and_leads_to_the_next(visit: Visit, axe: str) -> None:
    page = visit().live("/")
    page.get_by_role("button", name="Run First transfer").click()
    state = page.locator("#verdict-state")
    expect(state.locator(".tag").first).to_have_text("ok", timeout=60_000)
    expect(state.get_by_text("n1: 12, n2: 12, n3: 12")).to_be_visible()
    assert grave(page, axe) == []
    state.get_by_role("button", name="Next: Across clusters").click()
    expect(page.get_by_role("heading", name="Across clusters")).to_be_visible()
    expect(state.locator(".tag").first).to_have_text("ok", timeout=60_000)
