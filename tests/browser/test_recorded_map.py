"""Who owned which account: the map of a recording follows its clock; a held live map does, too."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.browser.test_pages import grave
from tests.browser.test_recordings import opened

Visit = Callable[..., Visitor]
T0 = 1_790_000_000_000_000
BATCH = {"n": 1, "cl": 1, "inc": 1, "plan": "p", "batch": 1, "to": 2, "accounts": [7, 8]}
EVENTS = (
    {"k": "map.moved", "inc": 1, "rows": [100, 1, 1]},
    {"k": "mig.start", **BATCH},
    {"k": "mig.flip", **BATCH, "epochs": [1, 1]},
    {"k": "map.epoch", "n": 4, "cl": 2, "inc": 1, "epoch": 1, "accounts": [7, 8], "epochs": [1, 1]},
    {"k": "agg", "n": 4, "inc": 1, "window": 2000, "heat": {"5": 40, "82": 5}, "topk": [[8, 40], [110, 5]]},
)
COLOUR = """(canvas, account) => {
  const columns = Math.ceil(Math.sqrt(120 * 10 / 6));
  const size = canvas.width / columns;
  const [x, y] = [(account - 1) % columns, Math.floor((account - 1) / columns)];
  const copy = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, -Math.round((x + 0.5) * size), -Math.round((y + 0.5) * size));
  return [...copy.getImageData(0, 0, 1, 1).data].join();
}"""


def recorded(file: Path) -> Path:
    """A recording of a bank of 120 accounts: one has moved before it, two move during it, a second apart."""
    clusters = [
        {"id": 1, "nodes": [1, 2, 3], "first": 1, "last": 60},
        {"id": 2, "nodes": [4, 5, 6], "first": 61, "last": 120},
    ]
    head = {"v": 1, "run": "moves", "src": "replay", "sha": "", "seed": 0, "t0": T0, "truncated": False}
    lines = [{**head, "topology": {"clusters": clusters}, "sampling": None}]
    lines += [{"q": q, "ts": T0 + q * 1_000_000, **event} for q, event in enumerate(EVENTS, 1)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return file


def test_accounts_move_on_the_map_of_a_recording(visit: Visit, axe: str, tmp_path: Path) -> None:
    page = visit().live("/recordings/")
    page.get_by_label("Take in a file").set_input_files(recorded(tmp_path / "moves.ndjson"))
    page.get_by_role("button", name="Upload").click()
    opened(page)
    name = re.findall("recording=([^&]+)", page.url)[0]
    page.goto(f"/recordings/{name}/?t={T0}")
    opened(page)
    canvas = page.locator("[data-map=canvas]")

    def shows(away: int, moving: int, c1: int, c2: int) -> None:
        words = rf"120 accounts at this moment: C1 {c1}, C2 {c2}\. {away} away .* {moving} on their way"
        expect(canvas).to_have_attribute("aria-label", re.compile(words))

    def colour(account: int) -> str:
        return str(canvas.evaluate(COLOUR, account))

    shows(away=0, moving=0, c1=60, c2=60)
    first, second = colour(7), colour(110)
    assert first != second
    on = page.get_by_role("button", name="One event on")
    on.click()
    shows(away=1, moving=0, c1=61, c2=59)
    on.click()
    shows(away=1, moving=2, c1=61, c2=59)
    assert colour(7) not in (first, second), "hatched"
    expect(page.get_by_role("region", name="On the move")).to_contain_text("leaving 2")
    on.click()
    shows(away=3, moving=0, c1=59, c2=61)
    assert (colour(7), colour(8), colour(9)) == (second, second, first)
    canvas.focus()
    for _ in range(7):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#map-cursor")).to_have_text("Account 7: C2, whose first home is C1.")
    page.get_by_text("3 away from their first home").click()
    expect(page.locator("[data-map=away] tr")).to_have_text(
        [re.compile(words) for words in ("^7C1C2", "^8", "^100C2C1")]
    )
    assert grave(page, axe) == []
    expect(page).to_have_url(re.compile(r"[?&]q=3(&|$)"))
    page.reload()
    opened(page)
    shows(away=3, moving=0, c1=59, c2=61)
    page.get_by_role("button", name="One event back").click()
    shows(away=1, moving=2, c1=61, c2=59)
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    assert grave(page, axe) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    busy(page)
    held(page)


def busy(page: Page) -> None:
    """How busy accounts were is told once it is known."""
    history = page.get_by_role("img", name="Accesses by time and account")
    expect(history).to_be_hidden()
    page.get_by_role("slider", name="Time").press("End")
    expect(history).to_have_attribute("aria-label", re.compile(r"Brightest: 40 accesses in 2 s"))
    expect(page.locator("[data-map=hottest]")).to_contain_text("8 (40), 110 (5)")
    canvas = page.locator("[data-map=canvas]")
    for _ in range(8):
        canvas.press("ArrowRight")
    said = "Account 8: C2, whose first home is C1, 40 accesses to the 2 accounts around it in the last 10 s."
    expect(page.locator("#map-cursor")).to_have_text(said)


def held(page: Page) -> None:
    """The live map shows the moment on view while it is held, and the newest afterwards."""
    page.goto("/shards/")
    page.locator("#live[data-link=live]").wait_for()
    legend = page.locator("[data-map=legend]")
    expect(legend).to_contain_text("the stronger the colour, the busier")
    page.keyboard.press("Space")
    expect(legend).to_contain_text("C1 3,000, C2 3,000, C3 3,000; at the moment on view")
    page.keyboard.press("l")
    expect(legend).to_contain_text("the stronger the colour, the busier")
