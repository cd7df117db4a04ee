"""One bank, one site and one browser for all tests; pages that notice what must not happen on them."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.bank import ROOT, chromium, running_bank
from tests.browser.controls import Controls

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
WAIT_MS = 15_000
expect.set_options(timeout=WAIT_MS)
CONTROLS = Controls()
FAILED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


def pytest_sessionfinish() -> None:
    CONTROLS.write()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the bank that all tests share."""
    return tmp_path_factory.mktemp("browser") / "bank"


@pytest.fixture(scope="session")
def site(data_folder: Path) -> Iterator[str]:
    """URL of a running site, token included. ``BROWSER_TEST_URL`` names one that runs already."""
    given = os.environ.get("BROWSER_TEST_URL")
    if given:
        yield given
        return
    with running_bank(data_folder) as url:
        yield url


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


class Visitor:
    """Somebody at a browser of a certain width and theme, signed in by the address with the token."""

    def __init__(self, browser: Browser, site: str, **options: object) -> None:
        self.site = site
        parts = urlsplit(site)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.faults: list[str] = []
        self.context: BrowserContext = browser.new_context(base_url=self.origin, **options)  # type: ignore[arg-type]
        self.context.set_default_timeout(WAIT_MS)
        CONTROLS.watch(self.context)
        self.page = self.context.new_page()
        self._watch(self.page)

    def _watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.faults.append(f"script error: {error}"))
        page.on(
            "console",
            lambda said: (
                self.faults.append(f"{said.type}: {said.text}") if said.type in ("error", "warning") else None
            ),
        )
        page.on("request", lambda request: self._origin(request.url))
        page.on("websocket", lambda socket: self._origin(socket.url.replace("ws", "http", 1)))

    def _origin(self, url: str) -> None:
        if not url.startswith((self.origin + "/", "data:", "blob:")):
            self.faults.append(f"off-origin request: {url}")

    def sign_in(self) -> Page:
        """Open the address that runbank prints, and wait until the page is live."""
        self.page.goto(self.site)
        return self.page

    def live(self, path: str = "/") -> Page:
        """Open a page (signed in before) and wait for its live state."""
        self.page.goto(path)
        self.page.locator("#live[data-link=live]").wait_for()
        return self.page

    def heal(self) -> None:
        """End every fault of the bank."""
        token = self.site.partition("?token=")[2]
        done = self.context.request.post("/api/faults/heal/", headers={"Authorization": f"Token {token}"})
        assert done.ok, done.text()

    def close(self) -> None:
        """Leave, once the page has told of the controls that stand on it now."""
        if CONTROLS.folder is not None and not self.page.is_closed():
            self.page.evaluate("window.lookForControls?.()")
        self.context.close()


@pytest.fixture
def visit(request: pytest.FixtureRequest, browser: Browser, site: str) -> Iterator[object]:
    """``visit(width=1280, theme="light", **options)``: a signed-in :class:`Visitor`, checked at the end.

    A test that fails leaves its faults behind: they are healed, so that it is the only one to fail.
    """
    visitors: list[Visitor] = []

    def make(width: int = 1280, theme: str = "light", **options: object) -> Visitor:
        height = 900 if width > 500 else 844
        options = {"viewport": {"width": width, "height": height}, "color_scheme": theme, **options}
        visitor = Visitor(browser, site, **options)
        visitors.append(visitor)
        visitor.sign_in()
        return visitor

    yield make
    if request.node.stash.get(FAILED, False):
        visitors[0].heal()
    faults = [fault for visitor in visitors for fault in visitor.faults]
    for visitor in visitors:
        visitor.close()
    assert faults == []


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core; ``make setup`` installs it."""
    return AXE.read_text(encoding="utf-8")
