"""Idempotency keys, refusals, and outcomes that are unknown at first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.site.fakes import FakeBank, Site, until

TRANSFER = {"sender": 1, "receiver": 2, "amount": 3}
URL = "/api/transactions/"


async def test_a_key_gives_the_same_answer_and_moves_money_once(site: Site, bank: FakeBank) -> None:
    first = await site.post(URL, TRANSFER, headers={"Idempotency-Key": "k1"})
    again = await site.post(URL, TRANSFER, headers={"Idempotency-Key": "k1"})
    assert first.status == again.status == 200
    assert first.body == again.body
    assert first.headers["session-position"] == again.headers["session-position"]
    assert bank.balances[1] == 7
    assert not bank.reserved


async def test_the_same_legs_in_other_words_are_the_same_request(site: Site, bank: FakeBank) -> None:
    first = await site.post(URL, TRANSFER, headers={"Idempotency-Key": "k1"})
    again = await site.post(URL, {"legs": [[1, -3], [2, 3]]}, headers={"Idempotency-Key": "k1"})
    assert first.body == again.body
    assert len(bank.submitted) == 1


async def test_a_key_with_another_body_is_refused(site: Site, bank: FakeBank) -> None:
    await site.post(URL, TRANSFER, headers={"Idempotency-Key": "k1"})
    answer = await site.post(URL, {**TRANSFER, "amount": 4}, headers={"Idempotency-Key": "k1"})
    assert (answer.status, answer.json["field"]) == (422, "Idempotency-Key")
    assert len(bank.submitted) == 1


async def test_the_same_key_at_the_same_time_runs_once(site: Site, bank: FakeBank) -> None:
    bank.gate = asyncio.Event()
    requests = [
        asyncio.create_task(site.post(URL, TRANSFER, headers={"Idempotency-Key": "k1"})) for _ in range(5)
    ]
    await until(lambda: bank.submitted)
    other = await site.post(URL, {**TRANSFER, "amount": 4}, headers={"Idempotency-Key": "k1"})
    assert other.status == 422
    bank.gate.set()
    answers = await asyncio.gather(*requests)
    assert {answer.body for answer in answers} == {answers[0].body}
    assert len(bank.submitted) == 1


@pytest.mark.parametrize("key", ["", "x" * 201, "ä"])
async def test_a_bad_key_is_refused(site: Site, bank: FakeBank, key: str) -> None:
    answer = await site.post(URL, TRANSFER, headers={"Idempotency-Key": key})
    assert (answer.status, answer.json["field"]) == (400, "Idempotency-Key")
    assert not bank.submitted


async def test_a_refusal_frees_the_key(site: Site, bank: FakeBank) -> None:
    bank.verdicts = ["refused:unavailable"]
    refused = await site.post(URL, TRANSFER, headers={"Idempotency-Key": "k1"})
    assert (refused.status, refused.json["reason"]) == (503, "unavailable")
    assert refused.headers["retry-after"] == "1"
    again = await site.post(URL, TRANSFER, headers={"Idempotency-Key": "k1"})
    assert (again.status, again.json["outcome"]) == (200, "committed")
    assert again.json["id"] != refused.json["id"]


async def test_overload_says_when_to_come_back(site: Site, bank: FakeBank) -> None:
    bank.verdicts = ["refused:overloaded"]
    answer = await site.post(URL, TRANSFER)
    assert (answer.status, answer.json["code"]) == (503, "overloaded")
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("verdict", "outcome", "reason"),
    [("unknown", "committed", None), ("lost", "aborted", "coordinator_timeout")],
)
async def test_an_unknown_outcome_is_resolved_when_asked_for(
    site: Site, bank: FakeBank, verdict: str, outcome: str, reason: str | None
) -> None:
    bank.verdicts = [verdict]
    answer = await site.post(URL, TRANSFER, headers={"Idempotency-Key": "k1"})
    assert (answer.status, answer.json["outcome"]) == (202, "unknown")
    asked = await site.get(answer.headers["location"])
    assert (asked.json["outcome"], asked.json["reason"]) == (outcome, reason)
    again = await site.post(URL, TRANSFER, headers={"Idempotency-Key": "k1"})
    assert (again.status, again.json["outcome"], again.json["id"]) == (200, outcome, answer.json["id"])
    assert len(bank.submitted) == 1


async def test_a_repeated_key_resolves_what_was_unknown(site: Site, bank: FakeBank) -> None:
    bank.verdicts = ["unknown"]
    await site.post(URL, TRANSFER, headers={"Idempotency-Key": "k1"})
    again = await site.post(URL, TRANSFER, headers={"Idempotency-Key": "k1"})
    assert again.json["outcome"] == "committed"
    assert again.json["accounts"]["1"] == {"version": 1, "balance": 7}
    third = await site.post(URL, TRANSFER, headers={"Idempotency-Key": "k1"})
    assert third.body == again.body
    assert bank.balances[1] == 7


async def test_the_bank_must_not_forget_an_outcome_before_it_is_stored(
    site: Site, bank: FakeBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number below the transaction's stays open until its answer is on the disk."""
    from bankweb.ledger import records

    held: list[set[int]] = []
    end = records.end

    def looking(ended: list[Any]) -> list[None]:
        held.append({tx_id.number for tx_id in bank.reserved})
        return end(ended)

    monkeypatch.setattr(records, "end", looking)
    await site.post(URL, TRANSFER, headers={"Idempotency-Key": "k1"})
    assert min(held[0]) < bank.submitted[0][0].number
    assert not bank.reserved


async def test_what_is_unknown_is_settled_without_being_asked(
    site: Site, bank: FakeBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bankweb.ledger import doubts
    from bankweb.ledger.models import Kept

    monkeypatch.setattr(doubts, "FIRST_WAIT_S", 0.0)
    bank.verdicts = ["unknown", "lost"]
    first = await site.post(URL, TRANSFER, headers={"Idempotency-Key": "k1"})
    batch = await site.post("/api/transactions/batch/", [TRANSFER])
    assert first.json["outcome"] == batch.json["results"][0]["outcome"] == "unknown"
    await asyncio.wait_for(asyncio.gather(*doubts._tasks), 10)
    rows = {row.tx: row.outcome async for row in Kept.objects.all()}
    assert rows == {first.json["id"]: "committed", batch.json["results"][0]["id"]: "aborted"}
    again = await site.post(URL, TRANSFER, headers={"Idempotency-Key": "k1"})
    assert (again.status, again.json["outcome"]) == (200, "committed")


async def test_a_claim_left_by_a_crash_is_settled_by_the_bank(
    site: Site, bank: FakeBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The site died between the submission and the answer: the transfer had been committed."""
    from bankweb.ledger import sending
    from bankweb.store import StoreError

    async def dies(*args: Any) -> None:
        raise StoreError("the process was killed here")

    with monkeypatch.context() as patch:
        patch.setattr(sending, "_conclude", dies)
        assert (await site.post(URL, TRANSFER, headers={"Idempotency-Key": "k1"})).status == 503
    young = await site.post(URL, TRANSFER, headers={"Idempotency-Key": "k1"})
    assert (young.status, young.headers["retry-after"]) == (409, "1")
    monkeypatch.setattr(sending, "STILL_RUNNING_S", -60.0)
    again = await site.post(URL, TRANSFER, headers={"Idempotency-Key": "k1"})
    assert (again.status, again.json["outcome"]) == (200, "committed")
    assert bank.balances[1] == 7
    assert len(bank.submitted) == 1


async def test_a_caller_that_goes_away_does_not_stop_the_transfer(site: Site, bank: FakeBank) -> None:
    from channels.testing import HttpCommunicator

    bank.gate = asyncio.Event()
    headers = [
        (b"host", b"localhost"),
        (b"authorization", b"Token the-token"),
        (b"content-type", b"application/json"),
        (b"idempotency-key", b"k1"),
    ]
    body = b'{"sender":1,"receiver":2,"amount":3}'
    leaving = HttpCommunicator(site.application, "POST", URL, body, headers)
    await leaving.send_input({"type": "http.request", "body": body})
    await until(lambda: bank.submitted)
    await leaving.send_input({"type": "http.disconnect"})
    await leaving.wait(5)
    bank.gate.set()
    again = await site.post(URL, TRANSFER, headers={"Idempotency-Key": "k1"})
    assert (again.status, again.json["outcome"]) == (200, "committed")
    assert len(bank.submitted) == 1
