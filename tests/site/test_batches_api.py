"""Batches of transactions through the ASGI stack."""

from __future__ import annotations

from typing import Any

import pytest

from tests.site.fakes import FakeBank, Site

TRANSFER = {"sender": 1, "receiver": 2, "amount": 3}
URL = "/api/transactions/"


async def test_batch_results_come_in_order(site: Site, bank: FakeBank) -> None:
    items = [{"sender": n, "receiver": n + 1, "amount": 12 if n == 3 else 1} for n in range(1, 25)]
    answer = await site.post("/api/transactions/batch/", items)
    assert answer.status == 200
    results = answer.json["results"]
    assert [str(n) in result["accounts"] for n, result in enumerate(results, 1)] == [True] * 24
    assert results[2]["reason"] == "insufficient_funds"
    one = await site.get(f"{URL}{results[7]['id']}/")
    assert (one.json["outcome"], one.json["source"], one.json["id"]) == (
        "committed",
        "batch",
        results[7]["id"],
    )


async def test_a_batch_may_be_named_items(site: Site) -> None:
    answer = await site.post("/api/transactions/batch/", {"items": [TRANSFER]})
    assert answer.json["results"][0]["outcome"] == "committed"


async def test_items_may_lie_in_one_cluster_or_across(site: Site) -> None:
    items = [TRANSFER, {**TRANSFER, "receiver": 60}, TRANSFER]
    results = (await site.post("/api/transactions/batch/", items)).json["results"]
    assert [result["outcome"] for result in results] == ["committed"] * 3
    assert [result["kind"] for result in results] == ["intra", "cross", "intra"]
    assert [position["cluster"] for position in results[1]["positions"]] == [1, 2]
    assert (await site.get(f"{URL}{results[1]['id']}/")).json["kind"] == "cross"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "items"),
        ({}, "items"),
        ({"items": 5}, "items"),
        ({"items": [TRANSFER], "x": 1}, "x"),
        ([TRANSFER] * 10_001, "items"),
        ([TRANSFER, {**TRANSFER, "amount": 0}], "items[1].amount"),
        ([TRANSFER, 5], "items[1]"),
        ([TRANSFER, {**TRANSFER, "x": 0}], "items[1].x"),
        ([{"legs": [[1, 1], [2, 1]]}], "items[0].legs"),
    ],
    ids=range(9),
)
async def test_a_bad_batch_is_refused_whole(site: Site, bank: FakeBank, body: Any, field: str) -> None:
    answer = await site.post("/api/transactions/batch/", body)
    assert (answer.status, answer.json["field"]) == (400, field)
    assert not bank.submitted


async def test_a_batch_under_a_key_runs_once(site: Site, bank: FakeBank) -> None:
    items = [{"sender": n, "receiver": n + 1, "amount": 1} for n in range(1, 10)]
    first = await site.post("/api/transactions/batch/", items, headers={"Idempotency-Key": "b"})
    again = await site.post("/api/transactions/batch/", items, headers={"Idempotency-Key": "b"})
    assert first.status == 200
    assert first.body == again.body
    assert len(bank.submitted) == 9
    assert not bank.reserved
    other = await site.post("/api/transactions/batch/", items[1:], headers={"Idempotency-Key": "b"})
    assert other.status == 422
    single = await site.post(URL, TRANSFER, headers={"Idempotency-Key": "b"})
    assert single.status == 422


async def test_a_repeated_batch_tells_what_became_of_the_unknown(site: Site, bank: FakeBank) -> None:
    bank.verdicts = ["commit", "unknown", "lost"]
    items = [TRANSFER] * 3
    first = await site.post("/api/transactions/batch/", items, headers={"Idempotency-Key": "b"})
    assert [r["outcome"] for r in first.json["results"]] == ["committed", "unknown", "unknown"]
    again = await site.post("/api/transactions/batch/", items, headers={"Idempotency-Key": "b"})
    results = again.json["results"]
    assert [r["outcome"] for r in results] == ["committed", "committed", "aborted"]
    assert [r["id"] for r in results] == [r["id"] for r in first.json["results"]]
    assert results[0] == first.json["results"][0]
    third = await site.post("/api/transactions/batch/", items, headers={"Idempotency-Key": "b"})
    assert third.body == again.body
    assert len(bank.submitted) == 3


async def test_a_batch_cut_off_by_a_crash_is_settled_by_the_bank(
    site: Site, bank: FakeBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bankweb.ledger import sending
    from bankweb.store import StoreError

    async def dies(*args: Any) -> None:
        raise StoreError("the process was killed here")

    items = [TRANSFER] * 3
    with monkeypatch.context() as patch:
        patch.setattr(sending, "_conclude_batch", dies)
        assert (
            await site.post("/api/transactions/batch/", items, headers={"Idempotency-Key": "b"})
        ).status == 503
    monkeypatch.setattr(sending, "STILL_RUNNING_S", -60.0)
    again = await site.post("/api/transactions/batch/", items, headers={"Idempotency-Key": "b"})
    assert [r["outcome"] for r in again.json["results"]] == ["committed"] * 3
    assert (len(bank.submitted), bank.balances[1]) == (3, 1)


async def test_ten_thousand_transfers_in_one_batch(site: Site, bank: FakeBank) -> None:
    items = [{"sender": 1 + n % 29, "receiver": 30, "amount": 1} for n in range(10_000)]
    answer = await site.post("/api/transactions/batch/", items)
    results = answer.json["results"]
    assert len(results) == 10_000
    assert sum(result["outcome"] == "committed" for result in results) == 29 * 10
    assert bank.balances[30] == 300
    assert (await site.get(f"{URL}{results[9_999]['id']}/")).json["id"] == results[9_999]["id"]
