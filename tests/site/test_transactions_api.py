"""Single transactions, their list and look-up, through the ASGI stack."""

from __future__ import annotations

from typing import Any

import pytest

from tests.site.fakes import FakeBank, Site

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


async def test_a_body_without_end_is_not_stored(site: Site, settings: Any) -> None:
    """It is given up at the limit, before Django has it."""
    settings.BODY_BYTES_MAX = 100
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 40
        return {"type": "http.request", "body": b" " * 40, "more_body": True}

    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"authorization", b"Token the-token")]
    scope = {"type": "http", "method": "POST", "path": URL, "query_string": b"", "headers": headers}
    await site.application(scope, receive, send)
    assert (sent[0]["status"], taken) == (413, 120)


async def test_unknown_query_parameters_are_refused(site: Site, bank: FakeBank) -> None:
    answer = await site.post(f"{URL}?dry_run=1", TRANSFER)
    assert (answer.status, answer.json["field"]) == (400, "dry_run")
    assert not bank.submitted


async def test_across_clusters(site: Site) -> None:
    answer = await site.post(URL, {**TRANSFER, "receiver": 31}, headers={"Idempotency-Key": "k"})
    assert answer.status == 200
    assert (answer.json["kind"], answer.json["clusters"]) == ("cross", [1, 2])
    assert [position["cluster"] for position in answer.json["positions"]] == [1, 2]
    assert set(answer.json["accounts"]) == {str(TRANSFER["sender"]), "31"}


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
