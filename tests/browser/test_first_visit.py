"""A first visit, by what stands on the pages: a transfer, a killed leader, a benchmark, the election."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.browser.test_transfer import fill

Visit = Callable[..., Visitor]


def test_a_first_visit(visit: Visit) -> None:
    page = visit().live()
    # Send a transfer and follow it.
    fill(page, "2101", "5101")
    page.get_by_role("button", name="Send transfer").click()
    result = page.locator("[data-result=committed]")
    result.get_by_role("link", name="Details").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("1 from account 2101 to 5101")
    expect(
        page.get_by_role("img", name=re.compile("lanes|waterfall|step", re.IGNORECASE)).first
    ).to_be_visible()

    # Kill a leader and see why the bank went on.
    page.get_by_role("link", name="Cluster", exact=True).click()
    page.locator("#live[data-link=live]").wait_for()
    cluster = page.locator("[data-cluster='1']")
    leader = cluster.locator("[data-node][data-lead]")
    old = str(leader.get_attribute("data-node"))
    leader.click()
    page.locator(f"#node-{old}").get_by_role("button", name="Kill").click()
    new = cluster.locator(f"[data-node][data-lead]:not([data-node='{old}'])")
    expect(new).to_have_count(1)
    number = str(new.get_attribute("data-node"))
    feed = page.locator("[data-feed-list]")
    expect(feed).to_contain_text(re.compile(rf"n{number} stood for election with ballot \(\d+,{number}\)"))
    led = feed.locator("[data-kind='paxos.leader']").first
    expect(led).to_contain_text(f"n{number} leads")
    fill(page, "2102", "2103")
    page.get_by_role("button", name="Send transfer").click()
    expect(page.locator("[data-result=committed]")).to_contain_text(re.compile(rf"\(\d+,{number}\)"))

    # Start a benchmark and watch it.
    page.get_by_role("link", name="Benchmarks", exact=True).click()
    page.get_by_text("All parameters").click()
    page.get_by_label("Operations", exact=True).fill("2000")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator("#bench-state")).to_contain_text("money conserved", timeout=90_000)
    expect(page.locator("#bench-state")).to_contain_text("replicas agree")

    # Come back to the moment of the election by its link.
    page.get_by_role("link", name="Cluster", exact=True).click()
    page.locator("#live[data-link=live]").wait_for()
    expect(cluster.locator(f"[data-node='{number}'][data-lead]")).to_have_count(1)
    page.get_by_role("button", name="Election before").click()
    expect(page.locator("#held")).to_contain_text("View paused, bank running")
    # On a loaded machine other clusters may have had elections since; they are in the feed as well.
    elected = page.locator("[data-feed-list] [data-kind='paxos.leader']").filter(has_text=f"n{number} leads")
    expect(elected.first).to_be_visible()
    link = page.get_by_role("link", name="Link to this moment").get_attribute("href")
    assert link is not None
    page.goto(link)
    page.locator("body[data-replay-ready]").wait_for()
    expect(page.locator("#live")).to_contain_text("REPLAY")
    expect(cluster.locator(f"[data-node='{number}'][data-lead]")).to_have_count(1)
    expect(page.locator("[data-feed-list]")).to_contain_text(f"n{number} leads")

    # Everything as it was, for whoever comes next.
    page.goto(f"/#node-{old}")
    page.locator("#live[data-link=live]").wait_for()
    page.locator(f"#node-{old}").get_by_role("button", name="Restart").click()
    expect(page.locator(f"[data-node='{old}']")).to_have_attribute("data-state", "up", timeout=30_000)
