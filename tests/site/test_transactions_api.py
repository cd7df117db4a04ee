"""POST, batch, list and look-up of transactions through the ASGI stack."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.site.fakes import FakeBank, Site, until

TRANSFER = {"sender": 1, "receiver": 2, "amount": 3}
URL = "/api/transactions/"


async def test_a_transfer_is_committed_with_its_position(site: Site, bank: FakeBank) -> None:
    answer = await site.post(URL, TRANSFER)
    assert answer.status == 200
    body = answer.json
    assert body["outcome"] == "committed"
    assert body["positions"] == [{"cluster": 1, "ballot": [1, 1], "slot": 1, "index": 0}]
    assert body["accounts"] == {"1": {"version": 1, "balance": 7}, "2": {"version": 1, "balance": 13}}
    assert (body["kind"], body["clusters"], body["reason"], body["epoch"]) == ("intra", [1], None, 0)
    assert answer.headers["session-position"] == "1=1,2=1"
    assert bank.balances[1] == 7


async def test_an_abort_is_final_too(site: Site, bank: FakeBank) -> None:
    answer = await site.post(URL, {**TRANSFER, "amount": 11})
    assert answer.status == 200
    assert (answer.json["outcome"], answer.json["reason"]) == ("aborted", "insufficient_funds")
    assert answer.json["accounts"]["1"] == {"version": 0, "balance": 10}


async def test_legs_move_money_between_several_accounts(site: Site, bank: FakeBank) -> None:
    answer = await site.post(URL, {"legs": [[1, -4], [2, 1], [3, 3]]})
    assert answer.json["outcome"] == "committed"
    assert (bank.balances[1], bank.balances[2], bank.balances[3]) == (6, 11, 13)


BAD_BODIES: list[tuple[Any, str]] = [
    ({**TRANSFER, "amount": 0}, "amount"),
    ({**TRANSFER, "amount": -1}, "amount"),
    ({**TRANSFER, "amount": 1.5}, "amount"),
    ({**TRANSFER, "amount": 2.0}, "amount"),
    ({**TRANSFER, "amount": "3"}, "amount"),
    ({**TRANSFER, "amount": True}, "amount"),
    ({**TRANSFER, "amount": None}, "amount"),
    ({**TRANSFER, "amount": 10**15 + 1}, "amount"),
    ({**TRANSFER, "amount": 10**40}, "amount"),
    ({**TRANSFER, "amount": [[[]]]}, "amount"),
    (b'{"sender":1,"receiver":2,"amount":1e400}', "amount"),
    (b'{"sender":1,"receiver":2,"amount":' + b"9" * 5000 + b"}", "amount"),
    ({**TRANSFER, "sender": 0}, "sender"),
    ({**TRANSFER, "sender": -5}, "sender"),
    ({**TRANSFER, "sender": 61}, "sender"),
    ({**TRANSFER, "sender": 10**30}, "sender"),
    ({**TRANSFER, "sender": "1"}, "sender"),
    ({**TRANSFER, "receiver": 61}, "receiver"),
    ({**TRANSFER, "receiver": 1.0}, "receiver"),
    ({**TRANSFER, "receiver": 1}, "receiver"),
    ({"sender": 1, "receiver": 2}, "amount"),
    ({"receiver": 2, "amount": 1}, "sender"),
    ({}, "sender"),
    ({**TRANSFER, "memo": "x"}, "memo"),
    ({**TRANSFER, "legs": [[1, -1], [2, 1]]}, "amount"),
    ({"legs": []}, "legs"),
    ({"legs": [[1, 0]]}, "legs"),
    ({"legs": [[n, 0] for n in range(1, 18)]}, "legs"),
    ({"legs": [[1, -1], [2, 2]]}, "legs"),
    ({"legs": [[1, -1], [1, 1]]}, "legs[1][0]"),
    ({"legs": [[1, -1], [99, 1]]}, "legs[1][0]"),
    ({"legs": [[1, -1], [2, 0.5]]}, "legs[1][1]"),
    ({"legs": [[1, -1], [2, 10**16]]}, "legs[1][1]"),
    ({"legs": [[1, -1], 7]}, "legs[1]"),
    ({"legs": {"1": 2}}, "legs"),
    ([1, 2, 3], "body"),
    (b"null", "body"),
    (b'"text"', "body"),
]


@pytest.mark.parametrize(("body", "field"), BAD_BODIES)
async def test_bad_fields_are_named_and_nothing_is_sent(
    site: Site, bank: FakeBank, body: Any, field: str
) -> None:
    answer = await site.post(URL, body)
    assert answer.status == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert problem["field"] == field
    assert problem["status"] == 400
    assert problem["type"]
    assert problem["title"]
    assert field in problem["detail"]
    assert not bank.submitted


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"nonsense", b'{"sender":NaN}', b'{"a":1}x', b"\xff\xfe", b"[" * 100_000, b'"\\ud800"'],
    ids=range(8),
)
async def test_what_is_not_json_is_refused(site: Site, bank: FakeBank, body: bytes) -> None:
    answer = await site.post(URL, body)
    assert (answer.status, answer.json["code"]) == (400, "malformed")
    assert not bank.submitted


async def test_a_foreign_unknown_field_is_repeated_in_ascii_only(site: Site) -> None:
    answer = await site.post(URL, b'{"sender":1,"receiver":2,"amount":1,"\xc3\xa4\\u0000":1}')
    assert answer.status == 400
    assert answer.json["field"] == "\\xe4\\x00"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
async def test_another_content_type_is_refused(site: Site, kind: str) -> None:
    answer = await site.post(URL, TRANSFER, headers={"content-type": kind})
    assert (answer.status, answer.json["field"]) == (415, "Content-Type")


async def test_a_charset_does_not_disturb(site: Site) -> None:
    answer = await site.post(URL, TRANSFER, headers={"content-type": "application/json; charset=utf-8"})
    assert answer.status == 200


async def test_large_bodies_are_refused_announced_or_not(site: Site, bank: FakeBank, settings: Any) -> None:
    settings.BODY_BYTES_MAX = 100
    body = b" " * 101
    announced = await site.post(URL, body)
    assert (announced.status, announced.json["code"]) == (413, "too_large")
    silent = await site.post(URL, body, headers={"content-length": ""})
    assert (silent.status, silent.json["code"]) == (413, "too_large")
    assert (await site.post(URL, TRANSFER)).status == 200


async def test_unknown_query_parameters_are_refused(site: Site, bank: FakeBank) -> None:
    answer = await site.post(f"{URL}?dry_run=1", TRANSFER)
    assert (answer.status, answer.json["field"]) == (400, "dry_run")
    assert not bank.submitted


async def test_across_clusters_is_not_implemented_yet(site: Site, bank: FakeBank) -> None:
    answer = await site.post(URL, {**TRANSFER, "receiver": 31}, headers={"Idempotency-Key": "k"})
    assert answer.status == 501
    assert "cross-cluster transfers arrive with 2PC" in answer.json["detail"]
    assert answer.json["clusters"] == [1, 2]
    assert not bank.reserved


# --- keys ----------------------------------------------------------------------------------------


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


# --- unknown -------------------------------------------------------------------------------------


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


# --- list and look-up ----------------------------------------------------------------------------


async def test_the_list_pages_by_cursor_newest_first(site: Site) -> None:
    ids = [(await site.post(URL, {**TRANSFER, "amount": 1})).json["id"] for _ in range(5)]
    seen, url = [], f"{URL}?limit=2"
    while url:
        page = (await site.get(url)).json
        seen += [row["id"] for row in page["results"]]
        url = page["next"]
    assert seen == ids[::-1]


async def test_the_list_filters(site: Site) -> None:
    await site.post(URL, TRANSFER)
    await site.post(URL, {"sender": 5, "receiver": 6, "amount": 11})
    aborted = (await site.get(f"{URL}?outcome=aborted")).json["results"]
    assert [(row["sender"], row["outcome"]) for row in aborted] == [(5, "aborted")]
    touching = (await site.get(f"{URL}?account=2")).json["results"]
    assert [row["receiver"] for row in touching] == [2]
    assert (await site.get(f"{URL}?account=22")).json["results"] == []


BAD_QUERIES = (
    "limit=0 limit=1001 limit=x cursor=9999999999999999999 outcome=won a=b account=0 limit=1&limit=2"
)


@pytest.mark.parametrize("query", BAD_QUERIES.split())
async def test_bad_queries_are_refused(site: Site, query: str) -> None:
    answer = await site.get(f"{URL}?{query}")
    assert (answer.status, answer.json["field"]) == (400, query.split("=")[0])


@pytest.mark.parametrize(
    "tx_id", ["x", "00-1", "f" * 32 + "-1", "f" * 32, "f" * 32 + "-" + "9" * 30, "%00", "é"]
)
async def test_an_unknown_id_is_404_and_resolves_nothing(site: Site, bank: FakeBank, tx_id: str) -> None:
    answer = await site.get(f"{URL}{tx_id}/")
    assert answer.status == 404
    assert not bank.stored


async def test_kept_transactions_are_bounded(
    site: Site, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bankweb.ledger import records

    settings.KEPT_TRANSACTIONS_MAX = 3
    monkeypatch.setattr(records, "PRUNE_EVERY", 1)
    for _ in range(6):
        await site.post(URL, {**TRANSFER, "amount": 1})
    assert len((await site.get(URL)).json["results"]) == 3


async def test_keys_are_forgotten_after_a_day(
    site: Site, bank: FakeBank, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bankweb.ledger import records

    monkeypatch.setattr(records, "PRUNE_EVERY", 1)
    await site.post(URL, TRANSFER, headers={"Idempotency-Key": "k1"})
    settings.KEY_HOURS = 0
    await site.post(URL, TRANSFER)
    await site.post(URL, TRANSFER, headers={"Idempotency-Key": "k1"})
    assert len(bank.submitted) == 3


# --- batches -------------------------------------------------------------------------------------


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


async def test_an_item_across_clusters_is_refused_alone(site: Site) -> None:
    items = [TRANSFER, {**TRANSFER, "receiver": 60}, TRANSFER]
    results = (await site.post("/api/transactions/batch/", items)).json["results"]
    assert [result["outcome"] for result in results] == ["committed", "refused", "committed"]
    assert (results[1]["reason"], results[1]["kind"], results[1]["id"]) == ("cross_cluster", "cross", None)
    assert (await site.get(f"{URL}{results[2]['id']}/")).json["outcome"] == "committed"


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
