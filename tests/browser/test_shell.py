"""The frame of every page: hold and step the view, keys, theme, drawer by address, reconnecting."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.conftest import Visitor
from tests.browser.test_transfer import fill

Visit = Callable[..., Visitor]


def send(page: Page, sender: str, receiver: str) -> None:
    fill(page, sender, receiver)
    page.get_by_role("button", name="Send transfer").click()
    page.locator("[data-result=committed]").wait_for()


def test_a_held_view_stands_still_can_be_stepped_and_jumps_to_live(visit: Visit) -> None:
    page = visit().live()
    watermark = page.locator("[data-cluster='1'] [data-f=watermark]")
    send(page, "701", "702")
    expect(watermark).not_to_have_text("0")
    page.get_by_role("button", name="Pause", exact=True).click()
    held = page.get_by_text("View paused, bank running")
    expect(held).to_be_visible()
    before = watermark.inner_text()
    send(page, "703", "704")
    expect(page.locator("[data-live=new]")).not_to_have_text("+0 new")
    assert watermark.inner_text() == before
    where = page.locator("[data-live=where]")
    at = where.inner_text()
    page.get_by_role("button", name="One event on").click()
    expect(where).not_to_have_text(at)
    page.get_by_role("button", name="One event back").click()
    expect(where).to_have_text(at)
    page.get_by_role("button", name="jump to live").click()
    expect(held).to_be_hidden()
    expect(watermark).not_to_have_text(before)


def test_keys_do_what_the_list_says_but_not_while_typing(visit: Visit) -> None:
    page = visit().live()
    page.keyboard.press("Space")
    expect(page.get_by_text("View paused, bank running")).to_be_visible()
    page.keyboard.press("Space")
    expect(page.get_by_text("View paused, bank running")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.get_by_label("From account")).to_be_focused()
    page.keyboard.press("g")
    page.keyboard.press("t")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_hidden()
    # The address lets go of the moment that was held a little after the view does.
    expect(page).to_have_url(re.compile(r"://[^/]+/$"))
    page.locator("#main").focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("t")
    expect(page).to_have_url(re.compile(r"/transactions/$"))
    page.locator("#live[data-link=live]").wait_for()
    page.keyboard.press("g")
    page.keyboard.press("h")
    expect(page).to_have_url(re.compile(r"/help/$"))


def test_a_drawer_opens_by_click_and_address_and_closes_by_escape(visit: Visit) -> None:
    page = visit().live()
    page.locator("[data-node='5']").click()
    expect(page.locator("#node-5")).to_be_visible()
    expect(page.locator("#node-5")).to_be_focused()
    expect(page).to_have_url(re.compile("#node-5$"))
    page.keyboard.press("Escape")
    expect(page.locator("#node-5")).to_be_hidden()
    expect(page.locator("[data-node='5']")).to_be_focused()
    page.goto("/#node-4")
    expect(page.locator("#node-4")).to_be_visible()


def test_on_a_narrow_screen_the_page_stays_where_it_was_under_a_drawer(visit: Visit) -> None:
    page = visit(width=390).live()
    page.locator("[data-node='9']").scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    assert before > 0
    page.locator("[data-node='9']").click()
    expect(page.locator("#node-9")).to_be_visible()
    assert page.evaluate("scrollY") == before


def test_the_theme_can_be_switched_and_stays(visit: Visit) -> None:
    page = visit(theme="dark").live()
    background = "getComputedStyle(document.body.parentElement).backgroundColor"
    dark = page.evaluate(background)
    page.get_by_role("button", name="Theme: system").click()
    light = page.evaluate(background)
    assert light != dark
    page.reload()
    assert page.evaluate(background) == light
    page.get_by_role("button", name="Theme: light").click()
    assert page.evaluate(background) == dark


def test_a_lost_connection_shows_and_is_taken_up_again(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    routes: list[WebSocketRoute] = []
    refusing = False

    def relay(route: WebSocketRoute) -> None:
        if refusing:
            route.close(code=1013)
            return
        routes.append(route)
        route.connect_to_server()

    page.route_web_socket(re.compile("/ws/live/"), relay)
    visitor.live()
    refusing, before = True, len(routes)
    routes[-1].close(code=1001)
    expect(page.locator("#live")).to_have_attribute("data-link", "waiting")
    refusing = False
    expect(page.locator("#live")).to_have_attribute("data-link", "live")
    assert len(routes) == before + 1
