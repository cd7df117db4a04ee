"""Verdicts: every field of the lab's forms arrives in the run, and each button of a verdict does its own."""

from __future__ import annotations

import datetime
import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Page, expect

from consensus.simulation.run import report, run_seed
from consensus.simulation.schedule import load
from tests.browser.conftest import Visitor
from tests.browser.test_consensus import ask
from tests.browser.test_frame import COPIES, pasted
from tests.sim.find_regression import FOLDER, MUTATIONS

pytestmark = pytest.mark.controls
Visit = Callable[..., Visitor]
OVER_MS = 60_000
SCHEDULE = [{"at_us": 20_000, "kind": "crash", "node": 2, "for_us": 300_000}]


def verdict_of(visitor: Visitor) -> dict[str, Any]:
    """The one on view, by REST."""
    number = re.search(r"/lab/(\d+)/", visitor.page.url)
    assert number is not None
    return dict(ask(visitor, f"/api/verdicts/{number[1]}/"))


def stored(folder: Path, **fields: Any) -> int:
    """A verdict of an earlier day, as the site keeps them; its number."""
    row = {
        "created": str(datetime.datetime.now(datetime.UTC).replace(tzinfo=None)),
        "actor": "bank",
        "status": "done",
        "error": "",
        "progress": {},
        "recording": "",
        **fields,
    }
    values = [json.dumps(value) if isinstance(value, dict) else value for value in row.values()]
    marks = ", ".join("?" * len(row))
    with closing(sqlite3.connect(folder / "site.sqlite3", timeout=10)) as database, database:
        done = database.execute(f"INSERT INTO lab_verdict ({', '.join(row)}) VALUES ({marks})", values)
    assert done.lastrowid is not None
    return done.lastrowid


def copied(page: Page, name: str) -> str:
    """What the button of a snippet leaves in the clipboard."""
    figure = page.locator("figure.snippet").filter(has=page.get_by_text(name, exact=True))
    figure.get_by_role("button").click()
    expect(figure.get_by_role("button")).to_have_text("Copied")
    return pasted(page)


def test_seeds_are_simulated_under_a_schedule_of_ones_own(visit: Visit) -> None:
    visitor = visit(permissions=COPIES)
    page = visitor.live("/lab/")
    form = page.locator("form", has=page.get_by_role("button", name="Simulate"))
    form.get_by_text("What the troubles are").click()
    expect(form.locator(".lab-about dd").first).to_be_visible()
    form.get_by_label("Trouble").select_option("partitions")
    form.get_by_label("Seed", exact=True).fill("3")
    form.get_by_label("To seed").fill("4")
    form.get_by_label("Steps under faults").fill("200")
    form.get_by_role("button", name="Simulate").click()
    state = page.locator("#verdict-state")
    expect(state.locator(".tag").first).to_have_text("ok", timeout=OVER_MS)
    expect(state).to_contain_text("2 runs")
    found = verdict_of(visitor)["parameters"]
    assert (found["seed"], found["last"], found["steps"], found["scenario"]) == (3, 4, 200, "partitions")
    assert "--seeds 3..4" in copied(page, "Shell")
    assert '"last": 4' in copied(page, "curl")

    state.get_by_role("link", name="Back to the lab").click()
    page.get_by_text("A fault schedule of your own").click()
    page.get_by_label("Faults instead of the seed's own (JSON)").fill(json.dumps(SCHEDULE))
    form.get_by_label("Steps under faults").fill("300")
    form.get_by_role("button", name="Simulate").click()
    expect(state.locator(".tag").first).to_have_text("ok", timeout=OVER_MS)
    state.get_by_text("The same as a table").click()
    expect(state.get_by_role("row", name="crash n2")).to_be_visible()
    page.goto("/lab/")
    row = page.locator("#verdicts tbody tr").first
    row.get_by_role("link", name="play").click()
    page.locator("body[data-replay-ready]").wait_for()
    page.goto("/lab/")
    row.get_by_role("link").first.click()
    expect(state.get_by_role("link", name="Play it")).to_be_visible()


def test_a_verification_is_what_its_form_says_and_can_be_cancelled(visit: Visit) -> None:
    visitor = visit()
    page = visitor.live("/lab/")
    form = page.locator("form", has=page.get_by_role("button", name="Start"))
    form.get_by_label("Seconds").fill("60")
    form.get_by_label("Clients").fill("3")
    form.get_by_label("Seed").fill("11")
    boxes = form.get_by_role("checkbox")
    kinds = [str(box.get_attribute("value")) for box in boxes.all()]
    for box in boxes.all():
        box.uncheck()
    form.get_by_label(kinds[-1], exact=True).check()
    form.get_by_role("button", name="Start").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#verdict-state .tag").first).to_have_text("cancelled", timeout=OVER_MS)
    found = verdict_of(visitor)["parameters"]
    assert (found["duration"], found["clients"], found["seed"]) == (60, 3, 11)
    assert found["faults"] == kinds[-1:]


def test_stories_are_told_from_the_lab_as_well(visit: Visit) -> None:
    page = visit().live("/lab/")
    page.get_by_role("button", name="Run Lose a majority").click()
    state = page.locator("#verdict-state")
    expect(state.get_by_role("heading", name="Lose a majority")).to_be_visible()
    state.get_by_role("button", name="Cancel").click()
    expect(state.locator(".tag").first).to_have_text("cancelled", timeout=OVER_MS)
    page.goto("/lab/")
    page.get_by_label("First transfer on this bank").click()
    page.get_by_role("button", name="Reset this bank and run First transfer").click()
    expect(page.get_by_role("link", name="Watch it on the Cluster page")).to_be_visible()
    expect(state.locator(".tag").first).to_have_text("ok", timeout=OVER_MS)


def test_a_seed_that_failed_is_kept_as_a_test_and_run_again(
    visit: Visit, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What once went wrong, with the rule taken away that mended it: a healthy core has no failures to show.
    replay = load(FOLDER / "merged_values_are_chosen.json")
    assert replay.seed is not None and replay.steps is not None
    MUTATIONS[replay.finds](monkeypatch)
    run = run_seed(replay.seed, replay.steps, replay.schedule, small=False)
    monkeypatch.undo()
    visitor = visit(permissions=COPIES)
    number = stored(
        data_folder,
        kind="simulation",
        name="a rule is gone",
        parameters={"seed": replay.seed, "last": replay.seed + 1, "steps": replay.steps, "scenario": ""},
        result=msgspec.to_builtins(report([run])),
    )
    page = visitor.live(f"/lab/{number}/")
    state = page.locator("#verdict-state")
    expect(state.get_by_role("heading", level=2).nth(1)).to_contain_text(replay.invariant)
    state.get_by_text("The same as a table").click()
    expect(state.get_by_role("table").first).to_contain_text(replay.schedule[0].kind)
    state.get_by_text("Copy as test").click()
    kept = json.loads(copied(page, "schedule.json"))
    assert kept["invariant"] == replay.invariant and len(kept["schedule"]) == len(replay.schedule)
    state.get_by_role("button", name="Run and play it").click()
    expect(page).not_to_have_url(re.compile(f"/lab/{number}/"))
    expect(state.get_by_role("link", name="Play it")).to_be_visible(timeout=OVER_MS)
    assert verdict_of(visitor)["parameters"]["seed"] == replay.seed


def test_the_form_of_the_course_is_begun_and_what_was_filled_in_is_taken_along(
    visit: Visit, data_folder: Path
) -> None:
    visitor = visit()
    page = visitor.live("/report/")
    page.get_by_role("button", name="Fill it in").click()
    expect(page.locator(".page-head")).to_contain_text("report")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#verdict-state .tag").first).to_have_text("cancelled", timeout=OVER_MS)
    page.goto("/report/")
    page.get_by_role("link", name="The last one: cancelled").click()
    expect(page.locator("#verdict-state .tag").first).to_have_text("cancelled")
    case = {
        "case": 1, "title": "Within a shard", "ok": True, "wrong": [], "inputs": [], "sets": [],
        "benches": [], "reshard": None, "seconds": 2.5,
    }  # fmt: skip
    number = stored(
        data_folder,
        kind="report",
        name="the course's form",
        parameters={},
        result={"cases": [case], "passed": 1, "commit": "", "machine": {}},
    )
    page.goto("/report/")
    with page.expect_download() as download:
        page.get_by_role("link", name="As a file (HTML)").click()
    assert "Within a shard" in Path(download.value.path()).read_text(encoding="utf-8")
    page.goto(f"/lab/{number}/")
    with page.expect_download() as download:
        page.get_by_role("link", name="The form (HTML)").click()
    assert download.value.suggested_filename == f"report-{number}.html"
    page.goto("/report/")
    page.get_by_role("button", name="Fill it in again").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#verdict-state .tag").first).to_have_text("cancelled", timeout=OVER_MS)
