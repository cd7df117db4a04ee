"""Make the pictures in docs/images from a running bank that has seen something of everything.

Each page in light and dark, 1,280 and 390 pixels wide, and docs/pages.md, which shows them.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import APIRequestContext, Browser  # noqa: E402

from tests.browser.bank import chromium, running_bank  # noqa: E402

IMAGES = ROOT / "docs" / "images"
FOLDER = "pages"
WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 390, "height": 844}
THEMES = ("light", "dark")
QUALITY = 80
WAIT_MS = 30_000
OVER_S = 180
ROUNDS = 40
ROUND_MS = 300
"""Twelve seconds of a few transfers each, so that charts and feeds have something to show."""
LOAD_S = 50
"""Of communities; after ``SEEN_S`` there is enough to plan by; accounts move while it goes on."""
SEEN_S = 12
NAMED = {"cluster-light": "/", "cluster-dark": "/", "transactions-light": "/transactions/"}
"""Pictures that other pages of the documentation show."""


class Shown(NamedTuple):
    """A page of the site: its name, its address, what it is in a few words."""

    name: str
    path: str
    words: str


class Site:
    """REST of the running site."""

    def __init__(self, url: str, request: APIRequestContext) -> None:
        self.base, _, token = url.partition("/?token=")
        self._request = request
        self._headers = {"Authorization": f"Token {token}"}

    def get(self, path: str) -> Any:
        answer = self._request.get(f"{self.base}/api/{path}", headers=self._headers)
        assert answer.ok, (path, answer.text())
        return answer.json()

    def post(self, path: str, body: Any = None) -> Any:
        answer = self._request.post(
            f"{self.base}/api/{path}", headers=self._headers, data=body, timeout=OVER_S * 1e3
        )
        assert answer.ok, (path, answer.text())
        return answer.json() if answer.text() else None

    def over(self, path: str) -> Any:
        """What stands there once it has come to its end."""
        deadline = time.monotonic() + OVER_S
        while (found := self.get(path))["status"] in ("queued", "planning", "running"):
            assert time.monotonic() < deadline, found
            time.sleep(0.5)
        return found


def busy(site: Site) -> str:
    """Transfers, a failed leader and its return; the id of a transfer across clusters."""
    crossing = ""
    for number in range(ROUNDS):
        if number == ROUNDS // 2:
            site.post("nodes/4/fail/")
        if number == ROUNDS * 3 // 4:
            site.post("nodes/4/recover/")
        for first in (0, 3000, 6000):
            body = {"sender": first + 21 + number, "receiver": first + 700 + number, "amount": 1 + number % 3}
            site.post("transactions/", body)
        crossing = site.post(
            "transactions/", {"sender": 30 + number, "receiver": 7000 + number, "amount": 1}
        )["id"]
        time.sleep(ROUND_MS / 1e3)
    return crossing


def prepared(site: Site) -> list[Shown]:
    """Make something of everything happen; the pages that show it."""
    bench = site.post("benchmarks/", {"preset": "communities", "duration": LOAD_S, "bank": "shown"})
    time.sleep(SEEN_S)
    plan = site.over(f"redistributions/{site.post('redistributions/', {'dry_run': True})['id']}/")
    if plan["status"] == "planned":
        site.post(f"redistributions/{plan['id']}/apply/")
        plan = site.over(f"redistributions/{plan['id']}/")
    bench = site.over(f"benchmarks/{bench['id']}/")
    other = site.post("benchmarks/", {"preset": "high-throughput", "transactions": 40_000, "bank": "private"})
    other = site.over(f"benchmarks/{other['id']}/")
    verdict = site.post("verdicts/", {"kind": "simulation", "seed": 7})
    verdict = site.over(f"verdicts/{verdict['id']}/")
    tests = site.post("testsets/", {"file": "course-testcases.csv"})
    site.post(f"testsets/{tests['id']}/next/")
    crossing = busy(site)
    run = next(one["id"] for one in site.get("recordings/")["results"] if one["src"] == "live")
    return [
        Shown(
            "cluster",
            "/",
            "The Cluster page: nodes, messages, figures, what happened; scenarios and a transfer",
        ),
        Shown(
            "consensus", "/consensus/1/", "Consensus: slots by replica, messages in space and time, ballots"
        ),
        Shown(
            "transactions",
            "/transactions/",
            "Transactions: a form that says what a transfer will touch, and a list",
        ),
        Shown("transaction", f"/transactions/{crossing}/", "A transaction across two clusters, step by step"),
        Shown("shards", "/shards/", "Shards: every account by cluster and heat, and over time"),
        Shown("redistributions", "/redistributions/", "Redistributions: what the traffic asks for"),
        Shown(
            "redistribution",
            f"/redistributions/{plan['id']}/",
            "A redistribution, from the traffic to the moves",
        ),
        Shown("benchmarks", "/benchmarks/", "Benchmarks: every parameter in a form, and the runs"),
        Shown("benchmark", f"/benchmarks/{bench['id']}/", "One benchmark, live and afterwards"),
        Shown(
            "compare",
            f"/benchmarks/compare/?run={bench['id']}&run={other['id']}",
            "Two benchmarks over each other",
        ),
        Shown("testsets", "/testsets/", "Test sets: the course's files and one's own"),
        Shown("testset", f"/testsets/{tests['id']}/", "A test set, command by command"),
        Shown("lab", "/lab/", "The lab: simulations, verification, scenarios"),
        Shown("verdict", f"/lab/{verdict['id']}/", "What came of one simulated run"),
        Shown("report", "/report/", "The course's fifteen cases, filled in"),
        Shown("recordings", "/recordings/", "Recordings: kept, sent and taken in"),
        Shown("recording", f"/recordings/{run}/", "A recording, played and stepped through"),
        Shown(
            "recorded-map",
            f"/recordings/{run}/?t={now_us()}#map",
            "Who owned which account: the map of a recording, at its clock's moment",
        ),
        Shown(
            "recorded-transaction",
            f"/recordings/{run}/?tx={crossing}#steps",
            "A transaction of a recording, from its events alone",
        ),
        Shown("help", "/help/", "Help: what the signs mean, the words, the keys"),
    ]


def now_us() -> int:
    """UTC, microseconds; the end of a run that goes on."""
    return time.time_ns() // 1_000


def take(browser: Browser, url: str) -> list[Shown]:
    """Every page in each theme and width."""
    pages: list[Shown] = []
    for theme in THEMES:
        for size in (WIDE, NARROW):
            context = browser.new_context(viewport=size, color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
            page = context.new_page()
            page.set_default_timeout(WAIT_MS)
            page.goto(url)
            site = Site(url, context.request)
            pages = pages or prepared(site)
            for one in pages:
                page.goto(f"{site.base}{one.path}")
                page.locator("main h1").wait_for()
                page.wait_for_timeout(1_500)  # a few frames of live data, for the charts
                path = IMAGES / FOLDER / f"{one.name}-{theme}-{size['width']}.jpg"
                page.screenshot(path=path, type="jpeg", quality=QUALITY)
                name = f"{one.name}-{theme}"
                if name in NAMED and size is WIDE:
                    page.screenshot(path=IMAGES / f"{name}.png")
                print(path)
            context.close()
    return pages


def tell(pages: list[Shown]) -> None:
    """docs/pages.md, with all of them."""
    lines = [
        "# The pages",
        "",
        "Every page of a running bank, light and dark, 1,280 and 390 pixels wide, by `make screenshots`.",
    ]
    for one in pages:
        lines += ["", f"## {one.words.partition(':')[0]}", "", f"{one.words}.", ""]
        lines += [f"![{one.words}]({picture_of(one, 'light', 1280)})", ""]
        lines += ["| dark | narrow | narrow, dark |", "|---|---|---|"]
        cells = (("dark", 1280), ("light", 390), ("dark", 390))
        row = " | ".join(
            f"![{one.words}; {theme}, {width}]({picture_of(one, theme, width)})" for theme, width in cells
        )
        lines.append(f"| {row} |")
    (ROOT / "docs" / "pages.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def picture_of(one: Shown, theme: str, width: int) -> str:
    return f"images/{FOLDER}/{one.name}-{theme}-{width}.jpg"


def main() -> None:
    """Make them all."""
    (IMAGES / FOLDER).mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_bank(Path(folder) / "bank", "--balance", "100000") as url,
        chromium() as browser,
    ):
        tell(take(browser, url))


if __name__ == "__main__":
    main()
