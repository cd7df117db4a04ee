"""Fixtures of the storage tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.storage.test_journal import Shelf


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Shelf]:
    shelf = Shelf(tmp_path / "journal")
    shelf.create()
    yield shelf
    shelf.files.gate.set()
    for journal in shelf.opened:
        journal.close()
