"""When a window of traffic will be one that a plan can be made of, and who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from bankweb.redistribution import observing
from bankweb.redistribution.observing import Outlook, outlook
from consensus.sharding.traffic import Sample
from tests.site.fakes import Site, until

ACCOUNTS = 3_000
THIN = Outlook(500, 6_000, 12.5, False)
HOPELESS = Outlook(500, 6_000, None, False)
ENOUGH = Outlook(6_100, 6_000, 0.0, True)


def window(transactions: int, seed: int = 1) -> Sample:
    """Of transfers between accounts drawn alike."""
    ends = np.random.default_rng(seed).integers(0, ACCOUNTS, 2 * transactions).astype(np.int32)
    return Sample(ACCOUNTS, np.arange(transactions + 1) * 2, ends, np.zeros(ACCOUNTS, dtype=np.int64))


@pytest.mark.parametrize("transactions", [300, 1_000, 3_000, 5_000])
def test_accounts_that_were_not_seen_yet_are_counted_in(transactions: int) -> None:
    found = outlook(window(transactions), 1_000.0)
    assert not found.enough
    assert 0.9 * 2 * ACCOUNTS < found.needed <= 2 * ACCOUNTS


def test_the_time_left_is_that_of_a_window_that_forgets() -> None:
    found = outlook(window(3_000), 100.0)
    assert found.eta_s is not None
    # 3,000 more would come in 30 s; meanwhile a third of what there is has faded
    assert 55 < found.eta_s < 75
    life_s = 60 / np.log(2)
    then = 100 * life_s - (100 * life_s - 3_000) * np.exp(-found.eta_s / life_s)
    assert then == pytest.approx(found.needed, rel=0.01)


def test_traffic_that_is_too_slow_never_gets_there() -> None:
    assert outlook(window(500), 60.0).eta_s is None
    assert outlook(window(0), 0.0) == Outlook(0, 0, None, False)


def test_a_window_that_has_only_begun_is_not_enough() -> None:
    few = np.repeat(np.arange(8, dtype=np.int32), 16)  # somebody's few accounts, then the first of many
    ends = np.concatenate((few, np.arange(100, 140, dtype=np.int32)))
    zeros = np.zeros(ACCOUNTS, dtype=np.int64)
    assert not outlook(Sample(ACCOUNTS, np.arange(len(ends) // 2 + 1) * 2, ends, zeros), 500.0).enough
    assert outlook(Sample(ACCOUNTS, np.arange(len(few) // 2 + 1) * 2, few, zeros), 500.0).enough


def test_enough_is_what_the_planner_takes_for_enough() -> None:
    found = outlook(window(6_200), 1_000.0)
    assert (found.enough, found.eta_s) == (True, 0.0)


class Traffic:
    """Says ``now`` whenever somebody looks."""

    def __init__(self) -> None:
        self.now = THIN
        self.looks = 0

    async def look(self) -> tuple[Outlook, Sample]:
        self.looks += 1
        return self.now, window(1)


@pytest.fixture
async def traffic(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Traffic]:
    from bankweb.redistribution import service

    async def plan(*_: Any) -> tuple[dict[str, Any], list[Any]]:
        figures = {
            "cross_shard_pct": 1.0,
            "load_imbalance_pct": 0.0,
            "account_imbalance_pct": 0.0,
            "window": 1,
        }
        made = {"status": "refused", "reason": "no structure", "id": "", "moves": [], "table": []}
        return {**made, "before": figures, "predicted": figures}, []

    async def warm() -> bool:
        return True

    standing = Traffic()
    monkeypatch.setattr(observing, "LOOK_S", 0.001)
    monkeypatch.setattr(observing, "outlook_now", standing.look)
    monkeypatch.setattr(service, "make_plan", plan)
    monkeypatch.setattr(service, "is_warm", warm)
    service.redistributions.cache_clear()
    yield standing
    await service.redistributions().close()
    service.redistributions.cache_clear()


async def test_a_plan_waits_for_a_window_that_can_tell(site: Site, traffic: Traffic) -> None:
    asked = asyncio.create_task(site.post("/api/redistributions/", {"wait_s": 60}))
    await until(lambda: traffic.looks > 2)
    (row,) = (await site.get("/api/redistributions/")).json["results"]
    assert row["status"] == "planning"
    assert row["observing"] == {"transactions": 500, "needed": 6_000, "eta_s": 12.5}
    page = await site.get(f"/redistributions/{row['id']}/")
    assert "500 of about 6,000 transactions seen" in page.text
    assert "Stop here" in page.text

    traffic.now = ENOUGH
    answer = (await asked).json
    assert (answer["status"], answer["reason"], answer["observing"]) == ("refused", "no structure", None)


async def test_it_does_not_wait_for_what_will_not_come(site: Site, traffic: Traffic) -> None:
    traffic.now = HOPELESS
    assert (await site.post("/api/redistributions/", {"wait_s": 60})).json["status"] == "refused"
    assert traffic.looks == 1


async def test_a_load_that_has_ended_nothing_yet_is_waited_for(
    site: Site, traffic: Traffic, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bankweb.benchmarks.models import Benchmark
    from bankweb.benchmarks.service import SHOWN, benchmarks

    row = Benchmark(bank=SHOWN)
    monkeypatch.setattr(benchmarks(), "running", row)
    traffic.now = ENOUGH  # of what was there before
    asked = asyncio.create_task(site.post("/api/redistributions/", {"wait_s": 60}))
    await until(lambda: traffic.looks > 2)
    assert not asked.done()
    (told,) = (await site.get("/api/redistributions/")).json["results"]
    assert told["observing"]["eta_s"] is None, "the rate of before says nothing"
    row.progress = {"ended": 3}
    traffic.now = HOPELESS  # so far, by the rate
    seen = traffic.looks
    await until(lambda: traffic.looks > seen + 2)
    assert not asked.done()
    traffic.now = ENOUGH
    assert (await asked).json["status"] == "refused"


async def test_who_does_not_wait_is_answered_at_once(site: Site, traffic: Traffic) -> None:
    assert (await site.post("/api/redistributions/", {})).json["status"] == "refused"
    assert traffic.looks == 0


async def test_waiting_can_be_stopped(site: Site, traffic: Traffic) -> None:
    asked = asyncio.create_task(site.post("/api/redistributions/", {"wait_s": 60, "dry_run": False}))
    await until(lambda: traffic.looks > 0)
    (row,) = (await site.get("/api/redistributions/")).json["results"]
    assert (await site.post(f"/api/redistributions/{row['id']}/abort/")).status == 200
    answer = (await asked).json
    assert answer["status"] == "aborted"
    assert "nothing moved" in answer["reason"]
    assert (await site.post(f"/api/redistributions/{row['id']}/abort/")).status == 409
    page = await site.get(f"/redistributions/{row['id']}/")
    assert "There is no plan" in page.text
