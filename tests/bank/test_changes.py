"""Rows to look at again: a copy kept by them alone never differs from the table."""

from __future__ import annotations

import random

import pytest

from consensus.bank.changes import Changes


@pytest.mark.parametrize("seed", range(20))
def test_a_copy_stays_equal(seed: int) -> None:
    draw = random.Random(seed)
    table: dict[int, int] = {}
    copy: dict[int, int] = {}
    changes: Changes[int] = Changes()
    for step in range(600):
        key = draw.randrange(12)
        if key not in table:
            table[key] = step
            changes.put(key)
        elif draw.random() < 0.3:
            table[key] = step
            changes.update(key)
        else:
            del table[key]
            changes.drop(key)
        assert not changes.born & changes.changed
        if draw.random() < 0.1:
            for taken in changes.take():
                assert taken in table or taken in copy, "a row that came and went is nobody's business"
                if taken in table:
                    copy[taken] = table[taken]
                else:
                    del copy[taken]
            assert copy == table
            assert list(changes.take()) == []


def test_what_came_and_went_is_not_looked_at() -> None:
    changes: Changes[str] = Changes()
    changes.put("a")
    changes.drop("a")
    assert list(changes.take()) == []
    changes.put("b")
    assert list(changes.take()) == ["b"]
    changes.drop("b")
    changes.put("b")
    assert list(changes.take()) == ["b"], "it may be another row now"
