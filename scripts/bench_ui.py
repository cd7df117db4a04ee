"""``make bench-ui``: what the live pages cost a browser, beside the budgets of the design.

A real bank is loaded for a moment, and what it told is told again to each page, 20,000 events a second in 20
frames, through the page's own websocket. Headless and without a GPU, so a person's browser does better.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser, CDPSession, Page, WebSocketRoute  # noqa: E402

from tests.browser.bank import chromium, running_bank  # noqa: E402

FRAMES_PER_S = 20
EVENTS_PER_S = 20_000
EVENTS_MIN = 100
SETTLE_S = 2.0
PAGES = (
    ("/", "Cluster"),
    ("/consensus/1/", "Consensus"),
    ("/shards/", "Shards"),
    ("/transactions/", "Transactions"),
)
FPS_MIN = 50.0
GAP_P95_MS_MAX = 34.0
SCRIPT_MS_MAX = 4.0
HEAP_GROWTH_PCT_MAX = 20.0
WAIT_MS = 60_000
WATCH = """() => {
  window.__gaps = [];
  let last = performance.now();
  const tick = (now) => {
    if (window.__gaps === null) return;
    window.__gaps.push(now - last);
    last = now;
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}"""


class Row(NamedTuple):
    """A figure; ``least``: the target is a lower bound."""

    page: str
    name: str
    target: float
    value: float
    least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.target if self.least else self.value <= self.target


def told(page: Page, base: str, token: str) -> list[dict[str, Any]]:
    """Events of a loaded bank, as its recording has them."""
    headers = {"Authorization": f"Token {token}"}
    listed = page.context.request.get(f"{base}/api/recordings/", headers=headers).json()["results"]
    run = next(one["id"] for one in listed if one["src"] == "live")
    answer = page.context.request.get(f"{base}/api/recordings/{run}/events", headers=headers)
    events = [event for event in answer.json()["events"] if "q" in event]
    assert len(events) >= EVENTS_MIN, f"only {len(events)} events to tell again"
    return events


class Told:
    """A page's websocket: the site's first key frame, then the same events again and again."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self._events = itertools.cycle(events)
        self._socket: WebSocketRoute | None = None
        self._number = 0
        self._q = 0

    def __call__(self, socket: WebSocketRoute) -> None:
        site = socket.connect_to_server()
        self._socket = None

        def from_site(message: str | bytes) -> None:
            frame = json.loads(message)
            if frame["type"] == "key" and self._socket is None:
                self._q = frame["q"]
                self._socket = socket
                socket.send(message)

        site.on_message(from_site)
        socket.on_message(lambda message: None)

    def tell(self) -> bool:
        """Send one frame, if the page is there."""
        if self._socket is None:
            return False
        now_us = time.time_ns() // 1_000
        count = EVENTS_PER_S // FRAMES_PER_S
        events = []
        for event in itertools.islice(self._events, count):
            self._q += 1
            events.append({**event, "q": self._q, "ts": now_us})
        frame = {"type": "frame", "f": self._number, "events": events, "dropped": 0}
        self._number += 1
        self._socket.send(json.dumps(frame, separators=(",", ":")))
        return True


def run(page: Page, source: Told, seconds: float) -> None:
    """Tell for so long, at the rate of a site."""
    begun = time.monotonic()
    for number in itertools.count():
        due = begun + number / FRAMES_PER_S
        if due - begun >= seconds:
            return
        page.wait_for_timeout(max(0.0, 1e3 * (due - time.monotonic())))
        source.tell()


def metrics(session: CDPSession) -> dict[str, float]:
    found = session.send("Performance.getMetrics")["metrics"]
    return {one["name"]: one["value"] for one in found}


def heap(page: Page, session: CDPSession) -> float:
    """Bytes in use once the frames that came are taken in and what can go is gone."""
    page.wait_for_timeout(SETTLE_S * 1e3)
    session.send("HeapProfiler.collectGarbage")
    return metrics(session)["JSHeapUsedSize"]


def measure(browser: Browser, url: str, path: str, title: str, options: argparse.Namespace) -> list[Row]:
    """Open a page, flood it, look at what it did."""
    parts = urlsplit(url)
    base = f"{parts.scheme}://{parts.netloc}"
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(url)
    source = Told(told(page, base, url.partition("?token=")[2]))
    page.route_web_socket("**/ws/live/", source)
    page.goto(f"{base}{path}")
    page.locator("#live[data-link=live]").wait_for()
    session = context.new_cdp_session(page)
    session.send("Performance.enable")
    run(page, source, SETTLE_S)
    began = heap(page, session)
    page.evaluate(WATCH)
    before = metrics(session)
    run(page, source, options.seconds)
    after = metrics(session)
    gaps = sorted(page.evaluate("window.__gaps.slice(1)"))
    # What is measured with is no part of the page's heap, and would grow there.
    page.evaluate("window.__gaps = null")
    script_ms = 1e3 * (after["ScriptDuration"] - before["ScriptDuration"]) / max(1, len(gaps))
    rows = [
        Row(title, "frames a second", FPS_MIN, 1e3 * len(gaps) / sum(gaps), least=True),
        Row(title, "95th percentile between frames, ms", GAP_P95_MS_MAX, gaps[int(0.95 * len(gaps))]),
        Row(title, "script a frame, ms", SCRIPT_MS_MAX, script_ms),
    ]
    if options.heap:
        run(page, source, options.heap)
        ended = heap(page, session)
        grown = 100 * (ended / began - 1)
        seconds = options.seconds + options.heap
        name = f"heap from {began / 1e6:.1f} to {ended / 1e6:.1f} MB in {seconds:g} s, %"
        rows.append(Row(title, name, HEAP_GROWTH_PCT_MAX, grown))
    context.close()
    return rows


def load(url: str) -> None:
    """Transfers for some seconds, so that there is something to tell."""
    token, base = url.partition("?token=")[2], url.partition("/?")[0]
    command = [sys.executable, "manage.py", "bench", "--site", base, "--token", token]
    command += ["--duration", "4", "--clients", "20", "--cross-shard", "30", "--json"]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> int:
    """Exit status 0 when it was measured; a missed budget is shown."""
    parser = argparse.ArgumentParser(prog="make bench-ui", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each page (10)")
    parser.add_argument(
        "--heap", type=float, default=0.0, help="seconds after which the heap is looked at (none)"
    )
    parser.add_argument(
        "--page", action="append", choices=[title for _, title in PAGES], help="only this one"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, running_bank(Path(folder) / "bank") as url:
        load(url)
        with chromium() as browser:
            for path, title in PAGES:
                if title in (options.page or [title]):
                    rows += measure(browser, url, path, title, options)
    if options.json:
        print(json.dumps({"rows": [{**row._asdict(), "met": row.met} for row in rows]}))
        return 0
    print(f"{EVENTS_PER_S:,} events a second in {FRAMES_PER_S} frames")
    for row in rows:
        bound = f"{'≥' if row.least else '≤'} {row.target:g}"
        missed = "" if row.met else "  missed"
        print(f"{row.page:14}{row.name:42}{bound:>8}{row.value:10.1f}{row.value / row.target:8.2f}{missed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
