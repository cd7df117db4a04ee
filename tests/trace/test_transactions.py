"""The transactions of a recording, from its events alone."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.trace import transactions
from consensus.trace.transactions import Row, Rows

NODES = {1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 2, 7: 3}
KEPT = "6b656570" + "0" * 24 + "-1"


def _event(kind: str, node: int, tx: str = KEPT, **fields: Any) -> dict[str, Any]:
    return {"k": f"tx.{kind}", "ts": 1_000 + node, "q": node, "n": node, "tx": tx, **fields}


def rows(events: list[dict[str, Any]], nodes: dict[int, int]) -> tuple[list[Row], int]:
    made = Rows(nodes)
    half = len(events) // 2
    made.take(events[:half])
    made.take(events[half:])
    return made.since(0), made.left_out


def test_a_row_tells_parties_outcome_and_who_coordinated() -> None:
    events = [
        _event("submit", 7, **{"from": 11, "to": 22}, amt=5),
        _event("submit", 4, **{"from": 11, "to": 22}, amt=5, legs=[11, -5, 22, 3, 33, 2]),
        _event("lock", 4, s=3, accounts=[11]),
        _event("vote", 1, yes=True),
        _event("decide", 4, outcome="committed"),
        _event("apply", 1, s=9, outcome="committed"),
        _event("reply", 4, outcome="committed", ms=2.5),
    ]
    (row,), left_out = rows(events, NODES)
    assert left_out == 0
    assert row.accounts == {11, 22, 33}
    assert row.told() == {
        "id": KEPT, "ts": 1_001, "q": 1, "from": 11, "to": 22, "amt": 5, "outcome": "committed", "why": "",
        "ms": 2.5, "parties": 3, "clusters": [2, 1], "kept": True, "ambient": False,
    }  # fmt: skip


def test_without_a_decision_the_one_that_was_asked_last_and_worked_comes_first() -> None:
    asked = [_event("submit", node, **{"from": 1, "to": 2}, amt=1) for node in (1, 4, 7)]
    assert rows(asked, NODES)[0][0].clusters == [3], "nobody did more than refuse"
    worked = [*asked, _event("lock", 2), _event("lock", 5)]
    (row,), _ = rows(worked, NODES)
    assert row.clusters == [2, 1]
    assert row.about["outcome"] == "unknown"
    assert (row.about["ts"], row.about["q"]) == (1_001, 1), "the earliest, whichever was told first"
    (alone,), _ = rows([_event("apply", 5, s=1, outcome="aborted", why="insufficient_funds")], NODES)
    assert (alone.clusters, alone.about["why"]) == ([2], "insufficient_funds")


def test_what_cannot_be_an_account_is_none() -> None:
    (row,), _ = rows([_event("lock", 1, accounts=[1, [2], "3", None])], NODES)
    assert row.accounts == {1}
    assert rows([_event("lock", 99)], NODES)[0][0].clusters == []


def test_the_oldest_are_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "ROWS_MAX", 3)
    found, left_out = rows([_event("lock", 1, f"aa-{number}") for number in range(5)], NODES)
    assert [row.about["id"] for row in found] == ["aa-2", "aa-3", "aa-4"]
    assert left_out == 2
