"""The benchmark pages: each field of the form arrives in the run; what buttons and links of a run do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Visitor
from tests.browser.test_consensus import ask
from tests.browser.test_frame import COPIES, pasted, toggled

pytestmark = pytest.mark.controls
Visit = Callable[..., Visitor]
OVER_MS = 90_000
TYPED = {
    "Operations": ("transactions", 300),
    "Clients": ("clients", 6),
    "Connections": ("connections", 3),
    "Load generators": ("generators", 2),
    "Rate per second": ("rate", 600.0),
    "Across clusters, %": ("cross_shard", 10.0),
    "Zipf exponent": ("skewness", 1.1),
    "Greatest amount": ("amount", 5),
    "Warm-up, seconds": ("warmup", 0.0),
    "Seed": ("seed", 9),
    "Clusters": ("clusters", 2),
    "Nodes in each": ("nodes", 1),
    "Accounts": ("accounts", 60),
    "Balance at first": ("balance", 5_000),
}
CHOSEN = {
    "Preset": ("preset", "smallbank"),
    "Operations are": ("mix", "smallbank"),
    "Accounts drawn": ("distribution", "zipf"),
    "Reads are": ("consistency", "eventual"),
}
SMALL = {"Clusters": 1, "Nodes in each": 1, "Accounts": 60}


def form(page: Page, **typed: object) -> None:
    """Open the form, with no preset, and fill fields by their labels."""
    page.goto("/benchmarks/")
    page.get_by_text("All parameters").click()
    page.get_by_label("Preset").select_option("")
    for label, value in typed.items():
        page.get_by_label(label, exact=True).fill(str(value))


def run(page: Page) -> str:
    """Send the form; the address of the run's page."""
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(r"Benchmark \d+"))
    return page.url


def over(page: Page) -> Locator:
    """The state of the run on view, once it has its result."""
    state = page.locator("#bench-state")
    expect(state).to_contain_text("money conserved", timeout=OVER_MS)
    return state


def parameters(visitor: Visitor) -> dict[str, Any]:
    """Of the run on view."""
    number = re.search(r"/benchmarks/(\d+)/", visitor.page.url)
    assert number is not None
    return dict(ask(visitor, f"/api/benchmarks/{number[1]}/")["parameters"])


def kept(page: Page, path: Path, act: Locator) -> bytes:
    """What a control gives to keep."""
    with page.expect_download() as download:
        act.click()
    download.value.save_as(path)
    return path.read_bytes()


def test_every_field_arrives_in_the_run_and_its_results_are_taken_along(visit: Visit, tmp_path: Path) -> None:
    visitor = visit(permissions=COPIES)
    page = visitor.live()
    form(page, **{label: value for label, (_, value) in TYPED.items()})
    for label, (_, value) in CHOSEN.items():
        page.get_by_label(label, exact=True).select_option(value)
    page.get_by_label("Name").fill("every field")
    run(page)
    expect(page.locator(".page-head")).to_contain_text("every field")
    assert parameters(visitor) == dict((*TYPED.values(), *CHOSEN.values()))

    page.get_by_text("Run it again from outside").click()
    for name, words in (("curl", '"transactions": 300'), ("Python", "'zipf'"), ("Shell", "--skewness 1.1")):
        page.locator("figure.snippet").filter(has=page.get_by_text(name, exact=True)).get_by_role(
            "button"
        ).click()
        expect(page.get_by_role("button", name="Copied").last).to_be_visible()
        assert words in pasted(page)
    state = over(page)
    file = tmp_path / "kept"
    assert kept(page, file, state.get_by_role("link", name="CSV")).splitlines()[0].startswith(b"section")
    assert json.loads(kept(page, file, state.get_by_role("link", name="JSON")))["parameters"]["seed"] == 9
    assert b"every field" in kept(page, file, state.get_by_role("link", name="Report (HTML)"))
    for name, label, lines in (("rate", "Operations per second", 1), ("latency", "Latency", 2)):
        picture = kept(page, file, page.get_by_role("button", name=f"{label} as a PNG"))
        assert picture.startswith(b"\x89PNG")
        chart = page.locator(f"[data-course={name}]")
        chart.focus()
        page.keyboard.press("Home")
        expect(chart).to_have_attribute("aria-label", re.compile(r" at [\d.]+ s: "))
        toggled(chart, lines)


def test_curves_of_runs_are_laid_over_each_other(visit: Visit, tmp_path: Path) -> None:
    visitor = visit()
    page = visitor.live()
    for name, sweeps in (("a curve", True), ("a short one", False)):
        form(page, **SMALL, **{"Clients": 4, "Or seconds": 0.5, "Warm-up, seconds": 0, "Reads, %": 10})
        page.get_by_label("Name").fill(name)
        if sweeps:
            page.get_by_label("Then sweep the rate, for a curve").check()
        address = run(page)
        assert parameters(visitor)["read_only"] == 10.0
    over(page)
    page.goto("/benchmarks/")
    page.get_by_role("link", name="a short one").click()
    expect(page).to_have_url(address)
    page.goto("/benchmarks/")
    for name in ("a curve", "a short one"):
        page.get_by_role("row", name=name).get_by_role("checkbox").check()
    page.get_by_role("button", name="Compare").click()
    distribution, sweep = page.locator("[data-plot=distribution]"), page.locator("[data-plot=sweep]")
    expect(distribution.locator(".scatterlayer .trace")).to_have_count(2)
    expect(sweep.locator(".scatterlayer .trace")).to_have_count(1)
    for plot in (distribution, sweep):
        for tool in plot.locator(".modebar-btn").all():
            if tool.get_attribute("data-title") != "Download plot as a PNG":
                tool.click()
        tool = plot.locator("[data-title='Download plot as a PNG']")
        assert kept(page, tmp_path / "plot", tool).startswith(b"\x89PNG")
    page.locator(".choices").get_by_label("a curve").uncheck()
    page.locator("main").get_by_role("button", name="Compare").click()
    expect(page.locator("[data-plot=distribution] .scatterlayer .trace")).to_have_count(1)
    expect(page.locator("[data-plot-text]")).to_be_visible()
    page.get_by_role("link", name=re.compile(r"^Run \d+$")).click()
    expect(page).to_have_url(address)
    page.get_by_role("link", name="Curves").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Compare benchmarks")


def test_the_same_load_goes_to_another_system_and_to_the_bank_on_show(visit: Visit) -> None:
    visitor = visit()
    page = visitor.live()
    form(page, **{"Or seconds": 60, **SMALL})
    page.get_by_label("On", exact=True).select_option("etcd")
    there = run(page)
    assert parameters(visitor)["engine"] == "etcd"
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#bench-state")).to_contain_text("cancelled", timeout=OVER_MS)
    page.get_by_role("link", name="The same load on the other system").click()
    expect(page).not_to_have_url(there)
    assert "engine" not in parameters(visitor)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#bench-state")).to_contain_text("cancelled", timeout=OVER_MS)
    page.get_by_role("link", name="Compare both").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Compare benchmarks")

    form(page, **{"Or seconds": 60, "Clients": 4})
    page.get_by_label("Bank", exact=True).select_option("shown")
    here = run(page)
    taken = page.get_by_role("region", name="Experiment on this bank")
    page.goto("/")
    taken.get_by_role("link").click()
    expect(page).to_have_url(here)
    page.get_by_role("button", name="Cancel").click()
    expect(taken).to_be_hidden()


def test_a_file_is_replayed(visit: Visit) -> None:
    page = visit().live()
    form(page, **SMALL, **{"Warm-up, seconds": 0})
    page.get_by_label("Replay a file").set_input_files(
        {"name": "mine.csv", "mimeType": "text/csv", "buffer": b"time,from,to,amount\n0,1,2,3\n0.1,2,3,4\n"}
    )
    run(page)
    state = over(page)
    expect(state.locator(".facts div").filter(has_text="Committed")).to_contain_text("2")
    expect(state.get_by_text("2", exact=True).first).to_be_visible()
