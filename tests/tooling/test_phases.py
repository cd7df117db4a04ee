"""The table of the course's phases names what is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`((?:consensus|tests)/[\w/.]+)`")


def missing(text: str) -> list[str]:
    return [path for path in NAMED.findall(text) if not (ROOT / path).exists()]


def test_every_path_exists() -> None:
    text = (ROOT / "docs" / "phases.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if re.match(r"\| \d\. ", line)]
    assert len(rows) == 9
    for row in rows:
        code, page, command, tests = (cell.strip() for cell in row.split("|")[2:6])
        assert NAMED.search(code) and page and command and NAMED.search(tests), row
    assert missing(text) == []
    assert missing("`consensus/nowhere.py`") == ["consensus/nowhere.py"]
