"""Templates as text: mistakes that a browser forgives without a word."""

from __future__ import annotations

import re
from pathlib import Path

TEMPLATES = Path(__file__).parents[2] / "templates"
ESCAPED = re.compile(r"<[^>]*=\\[\"']")


def test_no_attribute_has_an_escaped_quote() -> None:
    """HTML knows no escape: the quote becomes part of the value, and a stylesheet is not loaded."""
    found = [
        f"{path.name}:{number}"
        for path in sorted(TEMPLATES.rglob("*.html"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if ESCAPED.search(line)
    ]
    assert found == []
