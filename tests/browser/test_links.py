"""Links of the Cluster page: chosen by pointer and by keyboard, cut, delayed, healed."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.browser.test_pages import grave

Visit = Callable[..., Visitor]


def test_a_link_is_cut_by_pointer_delayed_by_keyboard_and_healed(visit: Visit, axe: str) -> None:
    page = visit().live()
    link = page.locator("[data-link='4-5']")
    dialog = page.get_by_role("dialog", name="A link between nodes")
    page.locator("[data-link='4-5'] .link-hit").click()
    expect(dialog.locator("[data-link-now]")).to_have_text("Nothing is wrong with it.")
    assert grave(page, axe) == []
    dialog.get_by_role("button", name="Cut").click()
    expect(dialog).to_be_hidden()
    expect(page.locator("#faults")).to_contain_text("n4 → n5 cut")
    expect(page.locator("#faults")).to_contain_text("n5 → n4 cut")
    expect(link).to_have_attribute("aria-label", "Link n4 to n5: cut")
    link.focus()
    page.keyboard.press("Enter")
    expect(dialog.locator("[data-link-now]")).to_contain_text("n4 → n5 cut")
    dialog.get_by_label("and back").uncheck()
    dialog.get_by_role("button", name="Delay").click()
    expect(page.locator("#faults")).to_contain_text("n4 → n5 delayed by 200 ms")
    page.get_by_role("button", name="Break a link").click()
    dialog.get_by_label("and back").check()
    dialog.get_by_role("button", name="Heal").click()
    expect(page.locator("#faults")).to_be_hidden()
    expect(link).to_have_attribute("aria-label", "Link n4 to n5")
