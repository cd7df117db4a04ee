"""Make the pictures in docs/images from a running bank, with some transfers and one change of leader."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser, Page  # noqa: E402

from tests.browser.bank import chromium, running_bank  # noqa: E402

IMAGES = ROOT / "docs" / "images"
WIDE = {"width": 1280, "height": 900}
WAIT_MS = 30_000
ROUNDS = 60
ROUND_MS = 300
"""Twenty seconds of a few transfers each, so that charts and feeds have something to show."""
PICTURES = (
    ("cluster-light", "/", "light", WIDE),
    ("cluster-dark", "/", "dark", WIDE),
    ("transactions-light", "/transactions", "light", WIDE),
)


def busy(page: Page, base: str, token: str) -> None:
    """Give the pages something to show."""
    headers = {"Authorization": f"Token {token}"}
    post = page.context.request.post
    for number in range(ROUNDS):
        if number == ROUNDS // 2:
            assert post(f"{base}/api/nodes/4/fail/", headers=headers).ok
        for first in (0, 3000, 6000):
            body = {"sender": first + 21 + number, "receiver": first + 700 + number, "amount": 1 + number % 3}
            assert post(f"{base}/api/transactions/", data=body, headers=headers).ok
        page.wait_for_timeout(ROUND_MS)


def take(browser: Browser, url: str) -> None:
    """Sign in and take each picture."""
    parts = urlsplit(url)
    base = f"{parts.scheme}://{parts.netloc}"
    for number, (name, path, scheme, size) in enumerate(PICTURES):
        context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.goto(url)
        if number == 0:
            busy(page, base, url.partition("?token=")[2])
        page.goto(f"{base}{path}")
        page.locator("#live[data-link=live]").wait_for()
        page.wait_for_timeout(1_500)  # a few frames of live data, for the charts
        page.screenshot(path=IMAGES / f"{name}.png")
        print(IMAGES / f"{name}.png")
        context.close()


def main() -> None:
    """Make them all."""
    IMAGES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_bank(Path(folder) / "bank") as url,
        chromium() as browser,
    ):
        take(browser, url)


if __name__ == "__main__":
    main()
