"""From a load to a better placement with nothing but clicks, on a bank of its own: its accounts move."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.bank import running_bank
from tests.browser.conftest import Visitor
from tests.browser.test_consensus import act, ask, leader_of
from tests.browser.test_frame import toggled
from tests.browser.test_pages import grave

WAIT_MS = 60_000


@pytest.fixture(scope="module")
def small_bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("redistribution") / "bank"
    with running_bank(folder, "--accounts", "240", "--balance", "1000") as url:
        yield url


@pytest.fixture
def other_bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One on which nothing has moved."""
    folder = tmp_path_factory.mktemp("redistribution") / "other"
    with running_bank(folder, "--accounts", "240", "--balance", "1000") as url:
        yield url


@pytest.mark.timeout(300)
def test_learn_and_move(browser: Browser, small_bank: str, axe: str) -> None:
    visitor = Visitor(browser, small_bank, viewport={"width": 1280, "height": 900})
    _learns_and_moves(visitor, axe, everything=False)


@pytest.mark.controls
@pytest.mark.timeout(300)
def test_everything_about_a_redistribution(browser: Browser, other_bank: str, axe: str) -> None:
    visitor = Visitor(browser, other_bank, viewport={"width": 1280, "height": 900})
    _learns_and_moves(visitor, axe, everything=True)


def _learns_and_moves(visitor: Visitor, axe: str, *, everything: bool) -> None:
    """``everything``: also what is rarely wanted, so that no control is left out."""
    page = visitor.sign_in()
    page.goto("/transactions/")
    page.get_by_role("link", name="Send a transfer").click()
    expect(page).to_have_url(re.compile("#id_sender$"))
    page.get_by_role("link", name="Redistribution", exact=True).click()
    expect(page.locator("#traffic")).to_contain_text("Nobody trades at the moment")
    page.get_by_role("button", name="Make a plan").click()
    expect(page.locator("#state")).to_contain_text("too thin", timeout=WAIT_MS)
    assert grave(page, axe) == []

    page.get_by_role("link", name="Redistribution", exact=True).click()
    page.get_by_role("button", name="Start the “communities” load").click()
    page.get_by_role("link", name="Watch the load").click()
    expect(page.locator("#bench-state")).to_contain_text("operations in", timeout=WAIT_MS)
    expect(page.locator("[data-course=rate] canvas")).to_be_visible()
    page.goto("/redistributions/")
    # Some thousand transactions: fewer would be refused as too thin.
    expect(page.locator("#traffic .big").nth(2)).to_have_text(
        re.compile(r"([4-9]|\d\d+),\d{3}"), timeout=WAIT_MS
    )

    page.get_by_role("button", name="Make a plan").click()
    go = page.get_by_role("button", name="Redistribute", exact=True)
    go.wait_for(timeout=WAIT_MS)
    expect(page.locator("#state .figures")).to_contain_text("predicted")
    expect(page.get_by_role("row", name="shares").first).to_contain_text("transactions with C")
    expect(page.locator("[data-graph=text]")).to_contain_text("ties cross clusters")
    go.click()
    expect(page.locator("#state .tag").first).to_have_text("done", timeout=WAIT_MS)
    expect(page.locator("[data-share-text]")).to_contain_text("across clusters. Before")
    expect(page.locator("#state .figures")).to_contain_text("Throughput")
    page.get_by_role("row", name="shares").first.get_by_role("link").click()
    expect(page.locator("#why h2")).to_have_text(re.compile(r"Why account \d+ moved"))
    expect(page.locator("#why")).to_contain_text("need no two-phase commit")
    expect(page.locator("#why")).to_contain_text("out of service for")
    share = page.locator("#state .figures tbody tr").nth(2).locator("td").first.inner_text()
    assert float(share.split()[0]) < 30
    expect(page.locator("[data-graph=text]")).to_contain_text("After")
    course = page.locator("[data-course]")
    expect(course).to_have_attribute(
        "aria-label", re.compile(r"^After [1-9]\d* moves \d{1,2}\.\d % of what was cut")
    )
    page.get_by_role("button", name="Play the moves").click()
    assert grave(page, axe) == []

    if everything:
        _ask_why_and_read_the_charts(page)
        _take_back_in_steps(visitor)

    page.get_by_role("link", name="Shards", exact=True).click()
    expect(page.get_by_role("heading", name="On the move")).to_be_visible()
    canvas = page.locator("[data-map=canvas]")
    expect(canvas).to_have_attribute("aria-label", re.compile("Map of 240 accounts"))
    canvas.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#map-cursor")).to_contain_text("accesses in the last 10 s")
    expect(page.locator("#shard-tables")).to_contain_text("accounts moved")
    assert grave(page, axe) == []

    if everything:
        _redistribute_within_bounds(visitor)
    page.goto("/redistributions/")
    marks = {"Acts above, % across": "97", "Again after below, %": "96", "Or above, % uneven load": "500"}
    for label, value in {**marks, "Window, seconds": "45"}.items():
        page.get_by_label(label).fill(value)
    page.get_by_role("button", name="Turn on").click()
    page.get_by_label("Again after below, %").fill("95")
    page.get_by_role("button", name="Save").click()
    for label, value in {**marks, "Again after below, %": "95", "Window, seconds": "45"}.items():
        expect(page.get_by_label(label)).to_have_value(re.compile(rf"{value}(\.0)?"))
    page.get_by_role("button", name="Turn off").click()
    expect(page.get_by_role("button", name="Turn on")).to_be_visible()
    page.get_by_role("button", name="Stop the load").click()
    expect(page.get_by_role("button", name="Start the")).to_be_visible(timeout=WAIT_MS)
    visitor.close()
    assert visitor.faults == []


def _ask_why_and_read_the_charts(page: Page) -> None:
    """Of a redistribution that is done: why an account moved, where that leads, and both charts."""
    address = page.url.partition("?")[0]
    toggled(page.locator("[data-share]"), lines=5)
    toggled(page.locator("[data-course]"), lines=3)
    why = page.locator("#why")
    moved = page.locator(".moves-wrap tbody td a").nth(1).inner_text()
    why.get_by_label("Account").fill(moved)
    why.get_by_role("button", name="Why?").click()
    expect(why.locator("h2")).to_have_text(re.compile(f"Why account {moved} moved"))
    partner = why.locator(".why-partners a").first
    account = partner.inner_text()
    partner.click()
    expect(page).to_have_url(re.compile(rf"/transactions/\?account={account}"))
    page.goto(f"{address}?account={moved}#why")
    why.get_by_role("link", name="the moment").click()
    expect(page.locator("#held")).to_contain_text("View paused, bank running")
    page.goto(address)


def _take_back_in_steps(visitor: Visitor) -> None:
    """A redistribution is taken back, held, let go on, and stopped; its why leads to what it undoes."""
    page = visitor.page
    done = page.url
    leaders = [leader_of(visitor, cluster) for cluster in (1, 2, 3)]

    def cut() -> None:
        """What is on its way between the clusters stays there."""
        for one, other in itertools.combinations(leaders, 2):
            act(visitor, "/api/links/", **{"from": one, "to": other, "both": True, "cut": True})

    cut()
    page.get_by_role("button", name="Take it back").click()
    expect(page.locator(".page-head")).to_contain_text("takes back")
    back = page.url
    page.get_by_role("link", name="Shard map").click()
    page.locator("[data-moves=ends] a").first.click()
    expect(page).to_have_url(re.compile(rf"{re.escape(back)}\?account=\d+#why"))
    page.locator("#why").get_by_role("link").first.click()
    expect(page).to_have_url(re.compile(re.escape(done)))
    page.goto("/redistributions/")
    page.get_by_role("link", name="One is under way").click()
    expect(page).to_have_url(back)
    tag = page.locator("#state .tag").first
    page.locator("#state").get_by_role("button", name="Pause").click()
    act(visitor, "/api/faults/heal/")
    expect(tag).to_have_text("paused", timeout=WAIT_MS)
    cut()
    page.get_by_role("button", name="Resume").click()
    expect(tag).to_have_text("running", timeout=WAIT_MS)
    page.get_by_role("button", name="Stop here").click()
    act(visitor, "/api/faults/heal/")
    expect(tag).to_have_text("aborted", timeout=WAIT_MS)
    page.locator(".page-head").get_by_role("link").click()
    expect(page).to_have_url(done)


def _redistribute_within_bounds(visitor: Visitor) -> None:
    """Plan and move at once, within bounds. Whether so few moves are worth it is the planner's to say."""
    page = visitor.page
    page.goto("/redistributions/")
    page.get_by_label("Accounts moved, at most").fill("40")
    page.get_by_label("Price of a move").fill("0.5")
    page.get_by_role("button", name="Plan and redistribute").click()
    expect(page.locator("#state .tag").first).to_have_text(re.compile("done|refused"), timeout=WAIT_MS)
    told = ask(visitor, f"/api{urlsplit(page.url).path}")
    assert told["options"] == {"max_moves": 40, "price": 0.5, "wait_s": 60.0}
    assert told["progress"]["total"] <= 40
    page.goto("/redistributions/")
    page.get_by_role("link", name=told["id"][:8]).click()
    expect(page.locator(".page-head .mono").first).to_have_text(told["id"][:8])


@pytest.mark.timeout(240)
def test_benchmarks_are_run_watched_and_compared(browser: Browser, small_bank: str, axe: str) -> None:
    visitor = Visitor(browser, small_bank, viewport={"width": 390, "height": 844}, color_scheme="dark")
    page = visitor.sign_in()
    page.goto("/benchmarks/")
    page.get_by_label("Preset").select_option("high-throughput")
    page.get_by_text("All parameters").click()
    page.get_by_label("Operations", exact=True).fill("400")
    page.get_by_label("Accounts", exact=True).fill("60")
    page.get_by_label("Nodes in each").fill("1")
    page.get_by_label("Warm-up, seconds").fill("0")
    page.get_by_label("Zipf exponent").fill("1")
    with page.expect_response("**/benchmarks/") as refused:
        page.get_by_role("button", name="Run", exact=True).click()
    assert refused.value.status == 422
    expect(page.get_by_role("alert")).to_contain_text("goes with distribution zipf")
    visitor.faults[:] = [fault for fault in visitor.faults if "422" not in fault]
    page.get_by_label("Accounts drawn").select_option("zipf")
    page.get_by_label("Name").fill("from the page")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(r"Benchmark \d+"))
    expect(page.locator("#bench-state")).to_contain_text("money conserved", timeout=WAIT_MS)
    expect(page.locator("#bench-state")).to_contain_text("replicas agree")
    assert grave(page, axe) == []
    chart = page.get_by_role("img", name=re.compile("^Operations per second"))
    chart.focus()
    page.keyboard.press("End")
    expect(chart).to_have_attribute("aria-label", re.compile(r"at [\d.]+ s: per second [\d,]+\."))
    page.get_by_text("The same as a table").click()
    expect(page.locator("[data-course-rows] tr").first).to_be_visible()
    with page.expect_download() as picture:
        page.get_by_role("button", name="Latency as a PNG").click()
    assert picture.value.suggested_filename.endswith("latency.png")
    assert Path(picture.value.path()).read_bytes().startswith(b"\x89PNG")
    with page.expect_download() as report:
        page.get_by_role("link", name="Report (HTML)").click()
    assert "from the page" in Path(report.value.path()).read_text()
    page.get_by_role("link", name="Curves").click()
    expect(page.locator("[data-plot=distribution] .main-svg").first).to_be_visible(timeout=WAIT_MS)
    expect(page.locator("[data-plot-text]")).to_be_visible()
    assert grave(page, axe) == []
    page.goto("/benchmarks/")
    expect(page.get_by_role("row", name="from the page")).to_contain_text("done")
    assert grave(page, axe) == []
    _choose_while_one_runs(page)
    visitor.close()
    assert visitor.faults == []


def _choose_while_one_runs(page: Page) -> None:
    """The list is fetched again and again while a run is on its way; what is ticked and focused stays."""
    page.get_by_label("Preset").select_option("high-throughput")
    page.get_by_text("All parameters").click()
    page.get_by_label("Or seconds").fill("60")
    page.get_by_label("Accounts", exact=True).fill("60")
    page.get_by_label("Nodes in each").fill("1")
    page.get_by_label("Name").fill("a long one")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator("[data-course-rows] tr").first).to_be_attached(timeout=WAIT_MS)
    watched = page.url
    page.goto("/benchmarks/")
    box = page.get_by_role("row", name="from the page").get_by_role("checkbox")
    box.check()
    box.focus()
    for _ in range(2):
        with page.expect_response("**/benchmarks/"):
            pass
    expect(box).to_be_checked()
    expect(box).to_be_focused()
    page.goto(watched)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#bench-state")).to_contain_text("cancelled", timeout=WAIT_MS)
    page.goto("/benchmarks/")
    expect(page.locator("#runs[hx-get]")).to_have_count(0)
