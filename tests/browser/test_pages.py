"""Every page, light and dark, wide and narrow: no error, nothing foreign, nothing cut off, accessible."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor

Visit = Callable[..., Visitor]
PAGES = {
    "cluster": "/",
    "node": "/#node-1",
    "consensus": "/consensus/1/",
    "transactions": "/transactions/",
    "shards": "/shards/",
    "redistributions": "/redistributions/",
    "benchmarks": "/benchmarks/",
    "testsets": "/testsets/",
    "help": "/help/",
    "reset": "/reset/",
    "lab": "/lab/",
    "report": "/report/",
    "recordings": "/recordings/",
}

TWICE = (
    "[...document.querySelectorAll('[id]')].map(({ id }) => id).filter((id, i, all) => all.indexOf(id) < i)"
)
"""Ids that stand on a page more than once: labels and links would mean the first of them."""

DOTS = """() => {
  const dots = document.querySelector("[data-particles]");
  const copy = new OffscreenCanvas(dots.width, dots.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(dots, 0, 0);
  return copy.getImageData(0, 0, dots.width, dots.height).data.some(Boolean);
}"""
"""Whether a dot is drawn. Read from a copy: browsers warn of a page whose own canvas is read repeatedly."""


def grave(page: Page, axe: str) -> list[str]:
    """What axe-core finds serious or worse, once the colours a change of theme fades through have arrived."""
    page.evaluate(axe)
    # Not wait_for_function: what it asks again is evaluated in a way that the pages' policy forbids.
    page.evaluate(
        "Promise.allSettled("
        "document.getAnimations().filter((a) => a instanceof CSSTransition).map((a) => a.finished))"
    )
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{item['id']}: {node['target']} {node['failureSummary']}"
        for item in found["violations"]
        if item["impact"] in ("serious", "critical")
        for node in item["nodes"]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_accessible(visit: Visit, axe: str, name: str, width: int, theme: str) -> None:
    page = visit(width=width, theme=theme).live(PAGES[name])
    expect(page.locator("main h1")).to_have_count(1)
    if name in ("cluster", "node"):
        page.locator("[data-chart=latency] canvas").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(TWICE) == []
    assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") is (theme == "dark")
    assert grave(page, axe) == []


def test_the_sign_in_page_is_accessible(browser: object, site: str, axe: str) -> None:
    visitor = Visitor(browser, site)  # type: ignore[arg-type]
    visitor.page.goto("/sign-in/")
    expect(visitor.page.get_by_label("Token")).to_be_visible()
    assert grave(visitor.page, axe) == []
    assert visitor.faults == []
    visitor.close()


def test_an_unknown_address_has_a_page(visit: Visit) -> None:
    visitor = visit()
    answer = visitor.page.goto("/nothing/here/")
    assert answer is not None and answer.status == 404
    expect(visitor.page.get_by_role("heading", level=1)).to_be_visible()
    visitor.page.get_by_role("link", name="Go to the cluster").click()
    expect(visitor.page.locator("#stage")).to_be_visible()
    # The browser itself reports an answer of 404 for a page as an error.
    visitor.faults[:] = [fault for fault in visitor.faults if "404" not in fault]


def test_the_canvas_has_a_label_and_a_table_beside_it(visit: Visit) -> None:
    page = visit().live()
    expect(page.get_by_role("img", name="Messages moving between the nodes")).to_be_visible()
    page.get_by_text("Message rates as a table").click()
    expect(page.locator("[data-rates]")).to_contain_text(re.compile(r"n\d → n\d"))


def test_reduced_motion_shows_rates_in_place_of_dots(visit: Visit) -> None:
    page = visit(reduced_motion="reduce").live()
    expect(page.locator(".stage-links text", has_text="/s").first).to_be_visible()
    assert not page.evaluate(DOTS)


def test_dots_move_along_the_links(visit: Visit) -> None:
    page = visit().live()
    page.wait_for_function(DOTS)
