"""A transfer across clusters, followed from its form to its waterfall."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Visitor
from tests.browser.test_pages import grave
from tests.browser.test_transfer import fill

Visit = Callable[..., Visitor]


def sent(page: Page, sender: str, receiver: str, amount: str = "1") -> Page:
    """Send a transfer by the form of the Transactions page and open its own page."""
    fill(page, sender, receiver, amount)
    page.get_by_role("button", name="Send transfer").click()
    page.locator("[data-outcome]").get_by_role("link", name="Details").click()
    page.locator("[data-steps-ready]").wait_for()
    return page


def test_a_transfer_across_clusters_is_followed_to_its_waterfall(visit: Visit) -> None:
    page = visit().live("/transactions/")
    fill(page, "801", "3801", "2")
    expect(page.locator("[data-preview]")).to_have_text(
        re.compile(r"^Clusters 1 and 2: two-phase commit, n\d coordinates, n\d takes part\.$")
    )
    sent(page, "801", "3801", "2")
    expect(page.get_by_role("heading", level=1)).to_contain_text("2 from account 801 to 3801")
    picture = page.get_by_role("img", name=re.compile(r"^Waterfall over [\d.,]+ ms and 6 nodes"))
    expect(picture).to_be_visible()
    for phase in ("prepare", "votes", "doubt", "decide", "acks"):
        expect(picture.locator(f".wf-bar.wf-{phase}").first).to_be_attached()
    expect(picture.locator(".wf-bar.wf-locks")).to_have_count(6)
    for message in ("tx-prepare", "tx-vote", "tx-decision", "tx-ack"):
        expect(picture.locator(f".wf-arrow.wf-{message}").first).to_be_attached()
    rows = page.locator("[data-waterfall-rows] tr")
    for words in ("received a prepare", "votes yes", "decided for its group: commit", "applied the commit"):
        expect(rows.filter(has_text=words).first).to_be_attached()
    expect(rows.filter(has_text="applied the commit")).to_have_count(6)
    expect(page.locator("pre").first).to_contain_text('{"sender": 801, "receiver": 3801, "amount": 2}')


def test_steps_are_gone_through_by_key_button_and_click(visit: Visit) -> None:
    page = sent(visit().live("/transactions/"), "802", "3802")
    frame = page.get_by_role("group", name=re.compile("^Waterfall; the arrow keys"))
    said = page.locator("[data-waterfall-step]")
    frame.press("ArrowRight")
    expect(said).to_contain_text(
        re.compile(r"Step 1 of \d+, 0.00 ms: Transfer of 1 from 802 to 3802 arrived")
    )
    page.get_by_role("button", name="Step on").click()
    expect(said).to_contain_text("Step 2 of")
    rows = page.locator("[data-waterfall-rows] tr")
    expect(rows.nth(1)).to_have_attribute("aria-current", "step")
    frame.press("End")
    expect(rows.last).to_have_attribute("aria-current", "step")
    rows.nth(2).click()
    expect(said).to_contain_text("Step 3 of")
    page.get_by_role("button", name="Step back").click()
    expect(said).to_contain_text("Step 2 of")
    # The time bar goes to the moment, and the waterfall stands where the bar does.
    page.get_by_role("button", name="Go there in time").click()
    expect(page.locator("#held")).to_contain_text("View paused, bank running")
    expect(said).to_contain_text("Step 1 of")
    page.keyboard.press("l")
    expect(page.locator("#held")).to_be_hidden()


def flying(page: Page, moment: Locator, place: int) -> list[str]:
    """Kinds of the messages on their way at a place of the slider."""
    moment.fill(str(place))
    drawn = page.locator(".ms-flight").evaluate_all(
        "flights => flights.map(({ classList }) => [...classList])"
    )
    return [name.removeprefix("ms-") for names in drawn for name in names if name != "ms-flight"]


def test_it_is_played_in_slow_motion_beside_the_waterfall(visit: Visit) -> None:
    page = sent(visit().live("/transactions/"), "806", "3806")
    clock = page.locator("[data-microscope-clock]")
    expect(clock).to_have_text(re.compile(r"^0.00 of [\d.]+ ms$"))
    picture = page.get_by_role("img", name=re.compile("^Slow motion at 0.00 of"))
    expect(picture).to_have_attribute("aria-label", re.compile("submit from client to n\\d"))
    said = page.locator("[data-waterfall-step]")
    play = page.get_by_role("button", name="Play in slow motion")
    play.click()
    expect(said).to_have_attribute("aria-live", "off")
    expect(said).not_to_contain_text("Before the first step")
    pause = page.get_by_role("region", name="In slow motion").get_by_role("button", name="Pause")
    pause.click()
    expect(said).to_have_attribute("aria-live", "polite")
    # Each message is on its way at some moment, and so are they one after another.
    moment = page.get_by_role("slider", name="Moment")
    flights = dict.fromkeys(
        kind
        for place in range(0, int(moment.get_attribute("max") or 0) + 1, 5)
        for kind in flying(page, moment, place)
    )
    assert [kind for kind in flights if kind.startswith("tx-")] == [
        "tx-prepare", "tx-vote", "tx-decision", "tx-ack",
    ]  # fmt: skip
    # The two stand at one moment, whoever moves first.
    rows = page.locator("[data-waterfall-rows] tr")
    rows.last.click()
    whole = (clock.text_content() or "").split(" of ")[1]
    expect(clock).to_have_text(f"{whole.removesuffix(' ms')} of {whole}")
    expect(page.locator(".ms-place[data-mark=apply]")).to_have_count(6)
    moment.fill("0")
    expect(clock).to_contain_text("0.00 of")
    expect(page.locator(".ms-place[data-mark]")).to_have_count(0)
    expect(said).to_contain_text("Before the first step")
    expect(page.locator("[data-waterfall-rows] tr[aria-current]")).to_have_count(0)
    page.get_by_role("combobox", name="Speed").select_option("4×")
    play.click()
    expect(said).to_contain_text("applied the commit")


def test_slow_motion_goes_step_by_step_where_motion_is_unwanted(visit: Visit) -> None:
    page = sent(visit(reduced_motion="reduce").live("/transactions/"), "807", "3807")
    page.get_by_role("button", name="Play in slow motion").click()
    expect(page.locator("[data-waterfall-step]")).to_contain_text("Step 1 of")
    expect(page.locator("[data-waterfall-step]")).to_contain_text("received a prepare")


def test_the_same_steps_after_a_reload(visit: Visit) -> None:
    page = sent(visit().live("/transactions/"), "803", "3803")
    rows = page.locator("[data-waterfall-rows] tr")
    expect(rows.filter(has_text="applied the commit")).to_have_count(6)
    count = rows.count()
    page.reload()
    page.locator("[data-steps-ready]").wait_for()
    expect(rows.filter(has_text="applied the commit")).to_have_count(6)
    assert rows.count() >= count


def test_an_abort_shows_who_refused(visit: Visit) -> None:
    page = sent(visit().live("/transactions/"), "804", "3804", "999999")
    expect(page.locator(".wf-mark.wf-no").first).to_be_attached()
    expect(page.locator("[data-waterfall-rows]")).to_contain_text("the sender has not enough money")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_whole_and_accessible(visit: Visit, axe: str, width: int, theme: str) -> None:
    page = sent(visit(width=width, theme=theme).live("/transactions/"), "805", "3805")
    expect(page.locator("main h1")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert grave(page, axe) == []
