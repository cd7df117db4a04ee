"""From a load to a better placement with nothing but clicks, on a bank of its own: its accounts move."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.bank import running_bank
from tests.browser.conftest import Visitor
from tests.browser.test_pages import grave

WAIT_MS = 60_000


@pytest.fixture(scope="module")
def small_bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("redistribution") / "bank"
    with running_bank(folder, "--accounts", "240", "--balance", "1000") as url:
        yield url


@pytest.mark.timeout(240)
def test_learn_and_move(browser: Browser, small_bank: str, axe: str) -> None:
    visitor = Visitor(browser, small_bank, viewport={"width": 1280, "height": 900})
    page = visitor.sign_in()
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

    page.get_by_role("link", name="Redistribution", exact=True).click()
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_role("button", name="Turn off")).to_be_visible()
    page.get_by_role("button", name="Turn off").click()
    page.get_by_role("button", name="Stop the load").click()
    expect(page.get_by_role("button", name="Start the")).to_be_visible(timeout=WAIT_MS)
    visitor.context.close()
    assert visitor.faults == []


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
    visitor.context.close()
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
