"""A recording on its page: found, played, stepped, sought, and opened again at its address."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.browser.test_consensus import act, another_leader
from tests.browser.test_frame import COPIES, pasted
from tests.browser.test_pages import grave
from tests.browser.test_shell import send

Visit = Callable[..., Visitor]


def test_what_was_seen_live_is_found_in_the_recording(visit: Visit, axe: str) -> None:
    visitor = visit()
    page = visitor.live()
    send(page, "711", "712")
    page.get_by_role("link", name="Recordings", exact=True).click()
    page.get_by_role("row").filter(has_text="live").first.get_by_role("link").first.click()
    opened(page)
    told = page.locator("[data-told]")
    slider = page.get_by_role("slider", name="Time", exact=True)
    slider.focus()
    page.keyboard.press("End")
    expect(told).to_contain_text("712")
    expect(page.locator("[data-nodes] tr")).to_have_count(9)
    at = page.locator("[data-at]")
    here = at.inner_text()
    expect(page).to_have_url(re.compile(r"[?&]t=\d+&q=\d+"))
    address = page.url
    page.get_by_role("button", name="One event back").click()
    expect(at).not_to_have_text(here)
    there = at.inner_text()
    expect(page).not_to_have_url(address)
    page.reload()
    opened(page)
    expect(at).to_have_text(there)
    slider.focus()
    page.keyboard.press("Home")
    expect(at).not_to_have_text(there)
    at_start = at.inner_text()
    page.get_by_role("button", name="Play", exact=True).click()
    expect(at).not_to_have_text(at_start)
    page.get_by_role("button", name="Pause", exact=True).click()
    assert grave(page, axe) == []
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    assert grave(page, axe) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def opened(page: Page) -> None:
    """A recording is on view."""
    page.locator("body[data-replay-ready]").wait_for()


def test_a_live_page_looks_back_over_what_was_recorded_and_comes_back_to_live(visit: Visit) -> None:
    visitor = visit()
    page = visitor.live()
    send(page, "713", "714")
    page.reload()
    page.locator("#live[data-link=live]").wait_for()
    held = page.locator("#held")
    expect(held).to_be_hidden()
    watermark = page.locator("[data-cluster='1'] [data-f=watermark]")
    expect(watermark).not_to_have_text("0")
    now = watermark.inner_text()
    # Before this page was opened: only the recording knows of that time.
    page.get_by_role("slider", name="Time", exact=True).focus()
    page.keyboard.press("Home")
    expect(held).to_contain_text("View paused, bank running")
    expect(watermark).not_to_have_text(now)
    page.keyboard.press("End")
    page.keyboard.press(",")
    expect(held).to_contain_text("at event")
    expect(page.locator("[data-feed-list]")).to_contain_text("714")
    where = page.locator("[data-live=where]").inner_text()
    # The link opens the moment in the recording, on the same page.
    link = page.get_by_role("link", name="Link to this moment").get_attribute("href")
    assert link is not None and "recording=live-" in link
    page.goto(link)
    opened(page)
    expect(page.locator("[data-live=where]")).to_have_text(where)
    expect(page.locator("#live")).to_contain_text("REPLAY")
    expect(watermark).not_to_have_text("0")
    expect(page.get_by_role("button", name="Send transfer")).to_have_count(0)
    page.keyboard.press("[")
    page.keyboard.press("l")
    page.locator("#live[data-link=live]").wait_for()
    expect(page).not_to_have_url(re.compile("t="))


def test_recordings_are_saved_downloaded_uploaded_played_and_deleted(visit: Visit, tmp_path: Path) -> None:
    page = visit().live("/recordings/")
    page.get_by_role("button", name="Save the run of now").click()
    row = page.get_by_role("row").filter(has_text="saved").first
    name = row.get_attribute("data-row")
    assert name is not None
    with page.expect_download() as download:
        row.get_by_role("link", name=f"Download {name}").click()
    file = tmp_path / "run.ndjson.gz"
    download.value.save_as(file)
    page.get_by_label("Take in a file").set_input_files(file)
    page.get_by_role("button", name="Upload").click()
    opened(page)
    expect(page.locator("[data-node]")).to_have_count(9)
    page.goto("/recordings/")
    page.get_by_role("row").filter(has_text=name).first.get_by_text("Delete", exact=True).click()
    page.get_by_role("button", name="For good").click()
    expect(page.locator(f"[data-row='{name}']")).to_have_count(0)


def test_a_moment_is_taken_elsewhere_as_a_picture_a_trace_and_a_test_set(
    visit: Visit, axe: str, tmp_path: Path
) -> None:
    page = visit().live()
    send(page, "715", "716")
    link = page.get_by_role("link", name="Link to this moment").get_attribute("href")
    assert link is not None
    page.goto(link)
    opened(page)
    assert grave(page, axe) == []

    def kept(name: str) -> bytes:
        file = tmp_path / "kept"
        with page.expect_download() as download:
            page.get_by_role("button", name=name).click()
        download.value.save_as(file)
        return file.read_bytes()

    picture = kept("Picture of this page")
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = (int.from_bytes(picture[at : at + 4], "big") for at in (16, 20))
    assert width > 1_000 and height > 500
    # Not one colour only: what is drawn is more than the ground.
    assert len(picture) > 50_000
    page.get_by_label("Of it").select_option(label="the minute before this moment")
    assert json.loads(kept("Export"))["traceEvents"]
    page.locator("select[name=format]").select_option("testset")
    page.get_by_label("Of it").select_option(label="the whole recording")
    assert b"(715, 716, 1)" in kept("Export")


def test_a_recording_is_reached_and_left_by_its_links(visit: Visit, tmp_path: Path) -> None:
    visitor = visit(permissions=COPIES)
    another_leader(visitor, 2)
    act(visitor, "/api/transactions/", sender=719, receiver=720, amount=1)
    page = visitor.live("/recordings/")
    runs = page.get_by_role("row").filter(has=page.get_by_role("button", name=re.compile("^Save live")))
    live = runs.first
    name = str(live.get_attribute("data-row"))
    live.get_by_role("button", name=f"Save {name}").click()
    expect(page.get_by_role("row").filter(has_text="saved").first).to_be_visible()
    page.get_by_role("link", name=f"Play {name}").first.click()
    opened(page)
    expect(page.locator("[data-node]")).to_have_count(9)

    shown = page.get_by_role("region", name="Recording on view")
    with page.expect_download() as download:
        shown.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.startswith(name)
    shown.get_by_role("link", name="All recordings").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Recordings")
    page.goto(f"/?recording={name}")
    opened(page)
    cluster = page.get_by_role("link", name="Cluster 3", exact=True)
    cluster.click()
    opened(page)
    expect(page.locator("main h1")).to_have_text("Consensus of cluster 3")
    page.goto(f"/?recording={name}")
    opened(page)
    shown.get_by_role("link", name="Its page").click()
    opened(page)
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)

    page.get_by_role("slider", name="Time", exact=True).focus()
    page.keyboard.press("End")
    told = page.locator("[data-told]")
    led = told.locator("li").filter(has_text="leads cluster").first
    level = page.get_by_label("Told").first
    level.select_option("paper")
    expect(led).to_contain_text("[Lamport, Paxos Made Simple")
    level.select_option("plain")
    expect(led).not_to_contain_text("[Lamport")
    page.get_by_label("Of it").select_option(label="the whole recording")
    page.locator("select[name=format]").select_option("testset")
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("[data-export-said]")).to_have_text(re.compile(r"Copied, [\d,]+ lines\."))
    assert pasted(page).startswith("Set Number,")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    assert download.value.suggested_filename.endswith(".csv")
    at = page.locator("[data-at]").inner_text()
    page.get_by_role("link", name="This moment on the Cluster page").click()
    opened(page)
    expect(page.locator("[data-live=where]")).to_have_text(f"at {at}")
    page.goto(f"/recordings/{name}/")
    with page.expect_download():
        page.locator(".page-head").get_by_role("link", name="download").click()
    page.locator(".page-head").get_by_role("link", name="all recordings").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Recordings")


def test_a_replay_on_the_cluster_page_is_told_and_taken_along(visit: Visit) -> None:
    visitor = visit(permissions=COPIES)
    page = visitor.live()
    send(page, "717", "718")
    page.goto(str(page.get_by_role("link", name="Link to this moment").get_attribute("href")))
    opened(page)
    page.get_by_label("Of it").select_option(label="ten seconds around this moment")
    page.locator("select[name=format]").select_option("testset")
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("[data-export-said]")).to_contain_text("Copied")
    assert "(717, 718, 1)" in pasted(page)
