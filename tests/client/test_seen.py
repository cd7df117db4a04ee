"""What a caller has seen, for reads of its own writes."""

from __future__ import annotations

import pytest

from consensus.client import seen as seen_module
from consensus.client.seen import Seen


def test_the_highest_version_counts() -> None:
    seen = Seen()
    seen.note({"7": {"version": 3, "balance": 1}, 8: {"version": 1, "balance": 2}})
    seen.note_versions([(7, 2), (8, 4)])
    assert seen.versions([8, 7, 9]) == (4, 3, 0)
    seen.clear()
    assert seen.versions([7]) == (0,)


def test_what_was_seen_longest_ago_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_module, "SEEN_MAX", 2)
    seen = Seen()
    seen.note_versions([(1, 1), (2, 1), (1, 5), (3, 1)])
    assert seen.versions([1, 2, 3]) == (5, 0, 1)
