"""Which controls the tests have seen on the pages, and which they have used.

``controls.js`` runs in every page and tells. What one process was told goes to a file; the tests run in
two, so ``scripts/check_controls.py`` puts the files together and says what nobody used.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from playwright.sync_api import BrowserContext

SCRIPT = Path(__file__).with_name("controls.js")
FOLDER = "BROWSER_CONTROLS"
"""Environment variable: where the files go. Without it nothing is watched."""


class Controls:
    """Of this process. Its sets hold controls as ``controls.js`` names them."""

    def __init__(self) -> None:
        self.folder = os.environ.get(FOLDER)
        self.told: dict[str, set[str]] = {"seen": set(), "used": set()}

    def watch(self, context: BrowserContext) -> None:
        """Before the first page of a context is opened."""
        if self.folder is None:
            return
        context.expose_binding("tellOfControl", lambda _source, told, key: self.told[told].add(key))
        context.add_init_script(path=SCRIPT)

    def write(self) -> None:
        """Leave what was told until now in the folder."""
        if self.folder is None or not self.told["seen"]:
            return
        folder = Path(self.folder)
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({told: sorted(keys) for told, keys in self.told.items()}, indent=1)
        (folder / f"{os.getpid()}.json").write_text(text, encoding="utf-8")
