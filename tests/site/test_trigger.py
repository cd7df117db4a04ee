"""The automatic trigger acts in the second high window, then not before low water and the cool-down."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from bankweb.redistribution import records, trigger
from bankweb.redistribution.models import Trigger

SETTINGS = Trigger(on=True, high_pct=30, low_pct=20, load_high_pct=60, cooldown_s=100)


def seen(share: float, load: float = 5.0, count: int = 5_000) -> dict[str, Any]:
    return {
        "cross_shard_pct": share,
        "load_imbalance_pct": load,
        "account_imbalance_pct": 0.0,
        "window": count,
    }


class Service:
    """Keeps what it was asked for; every plan ends as ``status``."""

    def __init__(self, status: str) -> None:
        self.carrying = self.planning = None
        self.status = status
        self.locked: list[set[int]] = []
        self.applied = 0

    async def plan(self, options: dict[str, Any], actor: str, origin: str, locked: set[int]) -> Any:
        assert (options, actor, origin) == ({}, "automatic", "automatic")
        self.locked.append(locked)
        return SimpleNamespace(key="ab" * 16, status=self.status, reason="no structure")

    async def apply(self, row: Any, actor: str) -> None:
        self.applied += 1


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(trigger, "time", clock)

    async def recently_moved(since: datetime.datetime) -> set[int]:
        assert records.now() - since >= datetime.timedelta(seconds=SETTINGS.cooldown_s)
        return {7, 8}

    monkeypatch.setattr(records, "recently_moved", recently_moved)
    return clock


def served(monkeypatch: pytest.MonkeyPatch, status: str) -> Service:
    service = Service(status)
    monkeypatch.setattr(trigger, "redistributions", lambda: service)
    return service


async def looks(automatic: trigger.AutomaticTrigger, *windows: dict[str, Any] | None) -> None:
    for window in windows:
        await automatic.look(SETTINGS, window)


async def test_acts_in_the_second_high_window_and_again_after_low_water(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, automatic = served(monkeypatch, records.PLANNED), trigger.AutomaticTrigger()
    await looks(automatic, seen(40), seen(25), seen(40), None, seen(40), seen(99, count=999), seen(40))
    assert service.applied == 0, "never two in a row that can be judged"
    await looks(automatic, seen(40))
    assert (service.applied, service.locked) == (1, [{7, 8}]), "what moved of late stays where it is"

    clock.now_s += SETTINGS.cooldown_s
    await looks(automatic, seen(40), seen(40), seen(22), seen(40), seen(40))
    assert service.applied == 1, "the share was not below low water in between"
    await looks(automatic, seen(19), seen(40), seen(40))
    assert service.applied == 2
    await looks(automatic, seen(19), seen(40), seen(40))
    assert service.applied == 2, "armed, and in its cool-down"
    clock.now_s += SETTINGS.cooldown_s
    await looks(automatic, seen(40))
    assert service.applied == 3


async def test_load_alone_triggers_and_a_refused_plan_is_not_asked_for_again_at_once(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, automatic = served(monkeypatch, records.REFUSED), trigger.AutomaticTrigger()
    await looks(automatic, *[seen(10, load=70)] * 6)
    assert (len(service.locked), service.applied) == (1, 0)
    clock.now_s += SETTINGS.cooldown_s
    await looks(automatic, seen(10, load=70))
    assert (len(service.locked), service.applied) == (2, 0)


async def test_waits_while_another_is_under_way(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    service, automatic = served(monkeypatch, records.PLANNED), trigger.AutomaticTrigger()
    service.planning = object()  # type: ignore[assignment]
    await looks(automatic, *[seen(40)] * 4)
    assert service.locked == []
    service.planning = None
    await looks(automatic, seen(40))
    assert service.applied == 1


async def test_the_cool_down_outlives_the_site(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    ago = datetime.timedelta(seconds=30)
    last: list[Any] = [SimpleNamespace(created=records.now() - ago, started=None)]

    async def settings() -> Trigger:
        return SETTINGS

    async def newest() -> Any:
        return last[0]

    monkeypatch.setattr(records, "trigger", settings)
    monkeypatch.setattr(records, "newest_automatic", newest)
    monkeypatch.setattr(trigger.AutomaticTrigger, "start", lambda self: None)
    service = Service(records.PLANNED)
    monkeypatch.setattr(trigger, "redistributions", lambda: service)
    one = trigger.AutomaticTrigger()
    await one.begin()
    for _ in range(2):
        await one.look(SETTINGS, seen(40))
    assert not service.locked, "70 s of the cool-down are left"
    clock.now_s += 71
    await one.look(SETTINGS, seen(40))
    assert len(service.locked) == 1
    last[0].started = records.now()
    other = trigger.AutomaticTrigger()
    await other.begin()
    assert not other.armed, "it acted, and the share has not been low since"
