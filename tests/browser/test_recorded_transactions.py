"""A transaction of a recording: found in its list, followed by its waterfall, opened again at its address."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from consensus.trace.events import header
from consensus.types import AMBIENT_PREFIX
from tests.browser.conftest import Visitor
from tests.browser.test_pages import grave
from tests.browser.test_recordings import opened
from tests.browser.test_shell import send

Visit = Callable[..., Visitor]
T0 = 1_790_000_000_000_000


def test_a_transaction_of_a_recording_is_found_and_played_in_slow_motion(visit: Visit, axe: str) -> None:
    page = visit().live()
    send(page, "808", "3808")
    send(page, "809", "810")
    page.goto(page.get_by_role("link", name="Link to this moment").get_attribute("href") or "")
    opened(page)
    page.goto(f"/recordings/{re.findall('recording=([^&]+)', page.url)[0]}/")
    opened(page)
    rows = page.locator("[data-recorded-rows] tr")
    row = rows.filter(has_text="3808")
    expect(row).to_contain_text("committed")
    page.get_by_label("Account", exact=True).fill("808")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("[data-recorded-said]")).to_have_text("1 transaction, newest first.")
    row.get_by_role("link", name=re.compile("^Steps of")).click()
    expect(page.get_by_role("heading", name="1 from account 808 to 3808: committed")).to_be_focused()
    followed(page)
    expect(page).to_have_url(re.compile(r"[?&]account=808(&|$)"))
    expect(page).to_have_url(re.compile(r"[?&]tx=6b656570"))
    play_and_go_there(page)
    assert grave(page, axe) == []
    page.reload()
    opened(page)
    followed(page)
    expect(rows).to_have_count(1)
    expect(row).to_have_attribute("aria-current", "true")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    assert grave(page, axe) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("img", name=re.compile("^Waterfall"))).to_have_count(0)
    expect(page).not_to_have_url(re.compile("tx="))
    page.get_by_label("Outcome").select_option("unknown")
    expect(page.locator("[data-recorded-said]")).to_contain_text("fits the filter")


def followed(page: Page) -> None:
    """The waterfall of a transfer across two clusters, as the recording's events alone tell of it."""
    picture = page.get_by_role("img", name=re.compile(r"^Waterfall over [\d.,]+ ms and 6 nodes"))
    expect(picture).to_be_visible()
    for phase in ("prepare", "votes", "doubt", "decide", "acks"):
        expect(picture.locator(f".wf-bar.wf-{phase}").first).to_be_attached()
    applied = page.locator("[data-waterfall-rows] tr").filter(has_text="applied the commit")
    expect(applied).to_have_count(6)


def play_and_go_there(page: Page) -> None:
    said = page.locator("[data-waterfall-step]")
    page.get_by_role("button", name="Play in slow motion").click()
    expect(page.locator("[data-microscope-clock]")).not_to_have_text(re.compile("^0.00 of"))
    page.get_by_role("region", name="In slow motion").get_by_role("button", name="Pause").click()
    page.locator("[data-waterfall-rows] tr").last.click()
    expect(page.locator(".ms-place[data-mark=apply]")).to_have_count(6)
    page.get_by_role("slider", name="Moment").fill("0")
    expect(said).to_contain_text("Before the first step")
    page.get_by_role("combobox", name="Speed").select_option("4×")
    page.get_by_role("group", name=re.compile("^Waterfall; the arrow keys")).press("ArrowRight")
    expect(said).to_contain_text("Step 1 of")
    page.get_by_role("button", name="Step on").click()
    expect(said).to_contain_text("Step 2 of")
    page.get_by_role("button", name="Step back").click()
    expect(said).to_contain_text("Step 1 of")
    # The recording's own clock goes to the moment, and the waterfall stands where it does.
    page.get_by_role("button", name="Go there in time").click()
    expect(said).to_contain_text("Step 1 of")
    page.locator("[data-recorded-rows] tr a").first.click()
    expect(page.locator("[data-at]")).to_contain_text(
        re.compile(r"^event [\d,]+: Transfer of 1 from 808 to 3808")
    )


def many(file: Path) -> Path:
    """A recording of 60 transfers, every tenth of them ambient."""
    nodes = {"id": 1, "nodes": [1, 2, 3], "first": 1, "last": 60}
    lines = [header(run="many", source="replay", t0=T0, topology={"clusters": [nodes]})]
    for number in range(1, 61):
        session = AMBIENT_PREFIX.hex().ljust(32, "0") if number % 10 == 0 else "1" * 32
        told = {"tx": f"{session}-{number}", "n": 1, "cl": 1, "inc": 1, "ts": T0 + 1_000 * number}
        parties = {"from": number, "to": 1 + number % 60, "amt": 1}
        lines.append({"k": "tx.submit", "q": 2 * number - 1, **told, **parties})
        lines.append({"k": "tx.reply", "q": 2 * number, **told, "outcome": "committed", "ms": 1.5})
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return file


def test_a_long_list_goes_on_where_it_ended(visit: Visit, tmp_path: Path) -> None:
    page = visit().live("/recordings/")
    page.get_by_label("Take in a file").set_input_files(many(tmp_path / "many.ndjson"))
    page.get_by_role("button", name="Upload").click()
    opened(page)
    page.goto(f"/recordings/{re.findall('recording=([^&]+)', page.url)[0]}/")
    opened(page)
    rows = page.locator("[data-recorded-rows] tr")
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Older transactions").click()
    expect(rows).to_have_count(60)
    expect(page.get_by_role("button", name="Older transactions")).to_be_hidden()
    page.get_by_label("ambient ones, too").uncheck()
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Older transactions").click()
    expect(rows).to_have_count(54)
    expect(page).to_have_url(re.compile("ambient=0"))
