"""A bank that is never still: ambient traffic with its switch."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.browser.test_pages import grave

Visit = Callable[..., Visitor]


def test_ambient_traffic_is_labelled_and_has_a_switch(visit: Visit) -> None:
    page = visit().live()
    switch = page.get_by_role("switch", name="Ambient traffic")
    expect(switch).to_have_attribute("aria-checked", "false")
    switch.click()
    expect(page.locator("#ambient")).to_have_attribute("data-mode", "on")
    expect(page.locator("[data-ambient]")).to_have_text("10 transfers/s")
    page.get_by_role("button", name="Transfers").click()
    expect(page.locator("[data-feed-list] .tag", has_text="ambient").first).to_be_visible()
    page.get_by_role("button", name="All", exact=True).click()
    expect(page.locator("[data-feed-list] .tag", has_text="ambient")).to_have_count(0)
    page.get_by_role("switch", name="Ambient traffic").click()
    expect(page.locator("#ambient")).to_have_attribute("data-mode", "off")
    expect(page.locator(".toast").last).to_contain_text("off, and stays off")
    page.reload()
    expect(page.get_by_role("switch", name="Ambient traffic")).to_have_attribute("aria-checked", "false")


def test_a_scenario_on_this_bank_is_watched_proved_and_looked_up_again(visit: Visit, axe: str) -> None:
    page = visit().live()
    page.get_by_label("Kill the leader on this bank").click()
    page.get_by_role("button", name="Reset this bank and run Kill the leader").click()
    banner = page.get_by_role("region", name="Experiment on this bank")
    verdict = banner.get_by_role("link", name="Kill the leader").get_attribute("href")
    assert verdict is not None
    page.get_by_role("link", name="Watch it on the Cluster page").click()
    feed = page.locator("[data-feed-list]")
    expect(feed).to_contain_text("Kill the leader has the bank to itself")
    expect(feed).to_contain_text("Kill the leader is over", timeout=60_000)
    expect(banner).to_be_hidden()
    page.goto(verdict)
    state = page.locator("#verdict-state")
    expect(state.locator(".tag").first).to_have_text("ok")
    assert grave(page, axe) == []
    state.get_by_role("link", name="the moment").nth(1).click()
    page.locator("[data-replay-ready]").wait_for()
    expect(page.locator("[data-told]")).to_contain_text("The leader's process is killed.")


def test_why_is_told_at_three_levels_with_the_words_explained(visit: Visit, axe: str) -> None:
    page = visit().live()
    leader = page.locator(".node[data-lead]").first
    node = leader.get_attribute("data-node")
    leader.click()
    page.get_by_role("button", name=f"Why is n{node} as it is?").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", level=2)).to_have_text(re.compile(f"^Why does n{node} lead cluster"))
    links = dialog.locator("[data-why-links] li")
    expect(links.first).to_contain_text(f"n{node} leads cluster")
    dialog.get_by_label("Told").select_option("paper")
    expect(links.first).to_contain_text("[Lamport, Paxos Made Simple")
    term = dialog.locator(".term[tabindex]").first
    term.focus()
    tip = page.get_by_role("tooltip")
    expect(tip).to_be_visible()
    expect(term).to_have_attribute("aria-describedby", "term-tip")
    assert grave(page, axe) == []
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    page.reload()
    expect(page.locator("[data-level]").first).to_have_value("paper")
    page.get_by_label("Told").first.select_option("plain")
