"""Ambient traffic: money goes back and forth, its switch lasts, experiments and others come first."""

from __future__ import annotations

from typing import Any

import pytest

from bankweb.ledger.ambient import ACCOUNTS, Ambient, ambient, ranges
from bankweb.orchestration.experiments import SCENARIO, Experiment, experiments
from consensus.types import AMBIENT_PREFIX
from tests.site.fakes import FakeBank, FakeWorker, Site, until

STORY = Experiment(SCENARIO, "Kill the leader", "/lab/7/")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bankweb.ledger.ambient.RATE_TPS", 2_000.0)


async def test_it_is_off_unless_somebody_asks(site: Site, bank: FakeBank) -> None:
    await ambient().begin()
    assert (await site.get("/api/ambient/")).json["mode"] == "off"
    assert bank.submitted == []


async def test_money_goes_back_and_forth_among_few_accounts(
    site: Site, bank: FakeBank, quick: None, settings: Any
) -> None:
    settings.BANK_AMBIENT = "fresh"
    await ambient().begin()
    await until(lambda: len(bank.submitted) > 600, "600 transfers")
    took_part = {account for one in ranges() for account in range(one.first, one.last + 1)}
    touched = {account for _, legs in bank.submitted for account in legs[::2]}
    assert touched <= took_part
    assert len(took_part) <= ACCOUNTS * len(ranges())
    assert len({bank.cluster_of(legs[0]) for _, legs in bank.submitted}) == 2
    assert any(bank.cluster_of(legs[0]) != bank.cluster_of(legs[2]) for _, legs in bank.submitted)
    assert {tx.session[:4] for tx, _ in bank.submitted} == {AMBIENT_PREFIX}
    assert min(bank.balances[account] for account in touched) >= 4
    assert sum(bank.balances.values()) == 600
    aborted = [outcome for outcome in bank.stored.values() if outcome.status]
    assert aborted == []


async def test_the_switch_lasts_over_sites_by_rest_and_by_form(
    site: Site, bank: FakeBank, settings: Any
) -> None:
    settings.BANK_AMBIENT = "fresh"
    await ambient().begin()
    assert (await site.post("/api/ambient/", {"on": False})).json["mode"] == "off"
    next_site = Ambient()
    await next_site.begin()
    assert not next_site.switched_on
    await site.sign_in()
    answer = await site.form("/ambient/", on="1", headers={"hx-request": "true"})
    assert 'aria-checked="true"' in answer.text
    assert ambient().switched_on
    answer = await site.form("/ambient/", on="0")
    assert (answer.status, answer.headers["location"]) == (302, "/")
    assert not ambient().switched_on
    settings.BANK_AMBIENT = "on"
    await next_site.begin()
    assert next_site.switched_on
    await next_site.close()


async def test_a_form_without_its_token_switches_nothing(site: Site) -> None:
    await site.sign_in()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await site.request("POST", "/ambient/", b"on=1", headers, token=None)
    assert answer.status == 403
    assert not ambient().switched_on


@pytest.mark.parametrize("body", [{}, {"on": 1}, {"on": True, "rate": 5}])
async def test_rest_refuses_what_is_no_switch(site: Site, body: dict[str, Any]) -> None:
    assert (await site.post("/api/ambient/", body)).status == 400


async def test_an_experiment_silences_it(site: Site, bank: FakeBank, quick: None, settings: Any) -> None:
    settings.BANK_AMBIENT = "on"
    experiments().take(STORY)
    await ambient().begin()
    await until(lambda: ambient().mode == "silent")
    assert bank.submitted == []
    assert ambient().why == "Kill the leader"
    experiments().give(STORY)
    await until(lambda: bank.submitted)


async def test_it_makes_way_for_others(
    site: Site, workers: dict[int, FakeWorker], bank: FakeBank, quick: None, settings: Any
) -> None:
    settings.BANK_AMBIENT = "on"
    ambient()  # hears from now on
    window = {"k": "agg", "ts": 1, "window": 100, "tx": {"committed": 5_000}}
    await workers[1].report(window)
    await until(lambda: ambient().others_tps() > 0)
    await ambient().begin()
    await until(lambda: ambient().mode == "yielding")
    assert bank.submitted == []


async def test_it_leaves_a_bank_alone_that_does_not_answer(
    site: Site, bank: FakeBank, quick: None, settings: Any
) -> None:
    settings.BANK_AMBIENT = "on"
    bank.verdicts = ["refused:unavailable", "unknown", *["refused:no_majority"] * 100]
    await ambient().begin()
    await until(lambda: ambient().mode == "waiting")
    assert len(bank.submitted) < 100
    told = (await site.get("/api/ambient/")).json
    assert (told["on"], told["mode"], told["why"]) == (True, "waiting", "no cluster answers")
