"""What can be done on the Cluster page besides transfers and failures: links, feed, charts, doubts."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.browser.test_consensus import act, another_leader, headers
from tests.browser.test_frame import toggled
from tests.browser.test_transfer import fill

pytestmark = pytest.mark.controls
Visit = Callable[..., Visitor]
PAUSE = """([nodes, headers]) => Promise.all(nodes.map((node) =>
    fetch(`/api/nodes/${node}/pause/`, { method: "POST", headers }).then((answer) => answer.status)))"""


def test_any_link_is_cut_delayed_made_lossy_and_healed_from_the_picker(visit: Visit) -> None:
    page = visit().live()
    faults = page.locator("#faults")
    opener = page.get_by_role("button", name="Break a link")
    dialog = page.get_by_role("dialog", name="A link between nodes")

    opener.click()
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()

    opener.click()
    dialog.get_by_label("From").select_option("8")
    dialog.get_by_label("To").select_option("3")
    dialog.locator("[data-link-delay]").fill("120")
    dialog.get_by_role("button", name="Delay").click()
    expect(faults).to_contain_text("n8 → n3 delayed by 120 ms")
    expect(faults).to_contain_text("n3 → n8 delayed by 120 ms")
    opener.click()
    dialog.locator("[data-link-loss]").fill("35")
    dialog.get_by_label("and back").uncheck()
    dialog.get_by_role("button", name="Lose", exact=True).click()
    expect(faults).to_contain_text(re.compile("n8 → n3 .*35 %"))
    expect(faults).to_contain_text("n3 → n8 delayed by 120 ms")
    page.get_by_role("button", name="Heal everything").click()
    expect(faults).to_be_hidden()


def test_a_failed_node_recovers_from_its_drawer_which_is_closed_by_its_cross(visit: Visit) -> None:
    page = visit().live("/#node-8")
    drawer = page.locator("#node-8")
    drawer.get_by_role("button", name="Fail").click()
    expect(page.locator("[data-node='8']")).to_have_attribute("data-state", "failed")
    drawer.get_by_role("button", name="Recover").click()
    expect(page.locator("[data-node='8']")).to_have_attribute("data-state", "up")
    drawer.get_by_role("link", name="Close").click()
    expect(drawer).to_be_hidden()
    expect(page.locator("[data-node='8']")).to_be_focused()


def test_the_feed_tells_what_is_chosen_at_the_level_that_is_chosen(visit: Visit) -> None:
    visitor = visit()
    another_leader(visitor, 2)
    page = visitor.page
    rows = page.locator("[data-feed-list] > li")
    fill(page, "321", "322", "999999")
    page.get_by_role("button", name="Send transfer").click()
    page.locator("[data-result=aborted]").wait_for()
    page.get_by_role("button", name="Transfers").click()
    expect(rows.first).to_contain_text("321")
    expect(page.locator("[data-feed-list] > li:not([data-kind^='tx.'])")).to_have_count(0)
    rows.first.get_by_role("button", name="Why?").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", level=2)).to_have_text("Why did the transaction abort?")
    page.keyboard.press("Escape")

    page.get_by_role("button", name="System", exact=True).click()
    expect(page.locator("[data-feed-list] > [data-kind^='tx.']")).to_have_count(0)
    elected = page.locator("[data-feed-list] > [data-kind='paxos.leader']")
    plainly = str(elected.first.text_content())
    led = elected.filter(has_text=plainly[len("00:00:00") :].partition(", promised")[0])
    page.get_by_label("Told").first.select_option("course")
    expect(led).not_to_have_text(plainly)
    led.get_by_role("button", name="Why?").click()
    expect(dialog.get_by_role("heading", level=2)).to_have_text(re.compile(r"^Why does n\d lead cluster"))
    dialog.get_by_label("Told").select_option("plain")
    page.keyboard.press("Escape")
    expect(led).to_have_text(plainly)
    page.get_by_role("button", name="All", exact=True).click()
    expect(page.locator("[data-feed-list] > [data-kind^='tx.']").first).to_be_visible()
    # When the run began nobody had sent anything.
    page.get_by_role("button", name="Transfers").click()
    page.get_by_role("slider", name="Time", exact=True).focus()
    page.keyboard.press("Home")
    page.locator("[data-feed-empty]").get_by_role("link", name="Send a transfer").click()
    expect(page).to_have_url(re.compile("#id_sender$"))


def test_lines_of_the_charts_are_hidden_and_shown_by_their_names(visit: Visit) -> None:
    page = visit().live()
    for name in ("throughput", "latency"):
        toggled(page.locator(f"[data-chart={name}]"), lines=2)


def test_what_is_locked_and_what_is_in_doubt_is_told_and_asked_again(visit: Visit) -> None:
    visitor = visit()
    page = visitor.live()
    told = act(visitor, "/api/transactions/", sender=325, receiver=3325, amount=1)
    # Locks are held for milliseconds: that the node still tells of this one is made up, all else is not.
    lock = {"account": 3325, "tx": told["id"], "coordinator": 1}
    page.route("**/api/nodes/5/locks/", lambda route: route.fulfill(json={"node": 5, "locks": [lock]}))
    page.locator("[data-node='5']").click()
    page.get_by_role("button", name="Why is n5 as it is?").click()
    dialog = page.get_by_role("dialog")
    locks = dialog.locator("[data-why-locks]")
    expect(locks).to_contain_text("Account 3325 is locked: its transaction is prepared here")
    locks.get_by_role("button", name="Why?").click()
    expect(dialog.get_by_role("heading", level=2)).to_have_text("Why did the transaction commit?")

    # All of a cluster stand still: whether they took a transfer in, nobody knows before they go on.
    # At one time: were it one after another, those left would hold an election, and nobody would be sent to.
    assert page.evaluate(PAUSE, [[7, 8, 9], headers(visitor)]) == [200, 200, 200]
    page.goto("/transactions/")
    fill(page, "6325", "6326")
    page.get_by_role("button", name="Send transfer").click()
    page.locator("[data-result=unknown]").get_by_role("link", name="Details").click()
    act(visitor, "/api/faults/heal/")
    page.get_by_role("link", name="Ask again").click()
    expect(page.locator("#transaction .page-head")).to_contain_text(re.compile("committed|aborted"))
