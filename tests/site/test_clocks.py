"""What the times of a node's events are worth: its clock is asked for, and the shortest round trip counts."""

from __future__ import annotations

from typing import Any

import pytest

from bankweb.orchestration import clocks as module
from bankweb.orchestration.clocks import ROUNDS_KEPT, Clocks, Reading
from tests.site.fakes import Site


class Wire:
    """A node ``ahead_us`` of the site; the way there takes ``there_us``, the way back ``back_us``."""

    def __init__(self) -> None:
        self.now_us = 1_000_000
        self.ahead_us, self.there_us, self.back_us = 700, 100, 300
        self.answers = True

    async def ask(self, node: int, name: str, **_: Any) -> Any:
        assert name == "clock"
        self.now_us += self.there_us
        body = {"wall_us": self.now_us + self.ahead_us}
        self.now_us += self.back_us
        return body if self.answers else None


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    found = Wire()
    monkeypatch.setattr(module, "hub", lambda: found)
    return found


async def test_a_reading_is_right_within_half_the_round_trip(wire: Wire) -> None:
    clocks = Clocks(lambda: wire.now_us)
    assert clocks.reading(1) is None
    await clocks.read(1)
    assert clocks.reading(1) == Reading(600, 200)
    assert abs(600 - wire.ahead_us) <= 200
    assert clocks.reading(2) is None


async def test_the_shortest_round_of_the_last_minute_counts(wire: Wire) -> None:
    clocks = Clocks(lambda: wire.now_us)
    await clocks.read(1)
    wire.there_us, wire.back_us = 10, 30
    await clocks.read(1)
    wire.there_us, wire.back_us = 4_000, 9_000
    await clocks.read(1)
    assert clocks.reading(1) == Reading(690, 20)
    for _ in range(ROUNDS_KEPT):
        await clocks.read(1)
    reading = clocks.reading(1)
    assert reading is not None and reading.within_us == 6_500


async def test_of_a_silent_node_less_and_less_is_known(wire: Wire) -> None:
    clocks = Clocks(lambda: wire.now_us)
    await clocks.read(1)
    wire.there_us = 900
    await clocks.read(1)
    wire.answers = False
    await clocks.read(1)
    reading = clocks.reading(1)
    assert reading is not None and reading.within_us == 600
    await clocks.read(1)
    assert clocks.reading(1) is None
    await clocks.read(1)


async def test_a_node_shows_its_clock_and_its_windows_carry_the_error(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bankweb.observatory.live import live
    from bankweb.orchestration.clocks import clocks

    assert (await site.get("/api/nodes/1/")).json["clock"] is None
    monkeypatch.setattr(clocks(), "reading", lambda node: Reading(-400, 90) if node == 1 else None)
    assert (await site.get("/api/nodes/1/")).json["clock"] == {"offset_ms": -0.4, "within_ms": 0.09}
    taken: list[dict[str, Any]] = []
    monkeypatch.setattr(live(), "_add", taken.append)
    live().heard(1, {}, [{"k": "agg", "n": 1, "ts": 1, "window": 100}, {"k": "mark", "text": "", "ts": 1}], 0)
    live().heard(2, {}, [{"k": "agg", "n": 2, "ts": 1, "window": 100}], 0)
    assert [event.get("err") for event in taken] == [490, None, None]
