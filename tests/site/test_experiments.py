"""One experiment at a time on the bank on show: turns, guests, and what pages are told."""

from __future__ import annotations

import asyncio

import pytest

from bankweb.orchestration.experiments import (
    BENCHMARK,
    REDISTRIBUTION,
    SCENARIO,
    TESTSET,
    Experiment,
    Experiments,
    experiments,
)
from bankweb.rest.problems import Problem
from tests.site.fakes import Site

LOAD = Experiment(BENCHMARK, "communities", "/benchmarks/4/")
OTHER_LOAD = Experiment(BENCHMARK, "stress", "/benchmarks/5/")
MOVE = Experiment(REDISTRIBUTION, "Redistribution ab12", "/redistributions/ab12/")
STORY = Experiment(SCENARIO, "Kill the leader", "/lab/7/")
SET = Experiment(TESTSET, "course.csv", "/testsets/1/")


async def test_who_takes_a_bank_that_is_taken_is_told_by_whom(site: Site) -> None:
    here = Experiments()
    here.take(STORY)
    with pytest.raises(Problem, match=r"Kill the leader has the bank on show \(/lab/7/\)"):
        here.take(SET)
    here.give(STORY)
    here.take(SET)
    assert here.holders == [SET]


async def test_a_redistribution_shares_the_bank_with_its_load_and_with_nothing_else(site: Site) -> None:
    here = Experiments()
    here.take(LOAD)
    here.take(MOVE)
    assert here.holders == [LOAD, MOVE]
    for another in (OTHER_LOAD, MOVE._replace(path="/redistributions/cd/"), STORY):
        with pytest.raises(Problem):
            here.take(another)


async def test_turns_come_in_order_and_a_cancelled_one_leaves_the_queue(site: Site) -> None:
    here, ran = Experiments(), []

    async def run(wanted: Experiment, over: asyncio.Event) -> None:
        async with here.turn(wanted):
            ran.append(wanted)
            await over.wait()

    over = [asyncio.Event() for _ in range(3)]
    first, second, third = (
        asyncio.create_task(run(*one)) for one in zip((STORY, SET, OTHER_LOAD), over, strict=True)
    )
    await asyncio.sleep(0)
    assert (ran, here.waiting) == ([STORY], [SET, OTHER_LOAD])
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    over[0].set()
    await first
    await asyncio.sleep(0)
    assert ran == [STORY, OTHER_LOAD]
    over[2].set()
    await third
    assert here.row() == {"running": [], "waiting": []}


async def test_one_whose_turn_comes_as_it_is_cancelled_gives_the_bank_on(site: Site) -> None:
    here = Experiments()
    here.take(STORY)

    async def run() -> None:
        async with here.turn(SET):
            raise AssertionError("it was cancelled")

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    here.give(STORY)
    assert here.holders == [SET]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert here.holders == []


async def test_pages_have_a_banner_and_rest_says_who(site: Site) -> None:
    await site.sign_in()
    assert 'id="experiments"' in (await site.get("/help/", token=None)).text
    experiments().take(STORY)
    page = (await site.get("/help/", token=None)).text
    assert '<a href="/lab/7/">Kill the leader</a>' in page
    answer = await site.get("/api/experiments/")
    assert answer.json == {"running": [STORY._asdict()], "waiting": []}
