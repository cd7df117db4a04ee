"""Two methods at once are heard of one after the other."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from consensus.sharding.abreast import Abreast
from consensus.sharding.refine import Observer


def test_the_second_is_told_after_the_first_however_fast_it_is() -> None:
    told: list[Any] = []
    go = threading.Event()

    def work(tell: Observer | None) -> str:
        go.wait()
        assert tell is not None
        tell({"first": 1})
        return "done"

    with Abreast(work, told.append, told.append) as both:
        assert both.second is not None
        both.second({"second": 1})
        assert told == []
        go.set()
        both.join()
        both.second({"second": 2})
    assert told == [{"first": 1}, "done", {"second": 1}, {"second": 2}]


def test_nobody_asks_and_nobody_is_told() -> None:
    ended: list[bool] = []
    with Abreast(lambda tell: tell is None, ended.append, None) as both:
        assert both.second is None
        both.join()
    assert ended == [True]


def test_what_goes_wrong_in_the_thread_is_raised() -> None:
    def work(_tell: Observer | None) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), Abreast(work, lambda _: None, None) as both:
        both.join()
