"""Test sets over REST and on their pages: files, order, states, what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from bankweb.orchestration.experiments import SCENARIO, Experiment, experiments
from tests.site.fake_bench import FakeBench
from tests.site.fakes import Answer, Site, until

CSV = 'Set Number,Transactions,Live Nodes\n1,"(1, 2, 3)",[n1]\n2,(1),[n1]\n7,(2),[n1]\n'
SMALL = {"clusters": 1, "nodes": 1, "accounts": 60}
FRAGMENT = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def bench() -> Iterator[type[FakeBench]]:
    FakeBench.opened = []
    yield FakeBench
    FakeBench.gate = None
    FakeBench.refuses = ""


async def added(site: Site, content: str = CSV, **more: Any) -> int:
    answer = await site.post("/api/testsets/", {"content": content, **SMALL, **more})
    assert answer.status == 200, answer.text
    number: int = answer.json["id"]
    return number


async def run_next(site: Site, run: int) -> dict[str, Any]:
    answer = await site.post(f"/api/testsets/{run}/next/")
    assert answer.status == 200, answer.text
    return await settled(site, run)


async def settled(site: Site, run: int) -> dict[str, Any]:
    from bankweb.testsets.runs import runs

    await until(lambda: not runs().get(run).busy)
    body: dict[str, Any] = (await site.get(f"/api/testsets/{run}/")).json
    return body


async def test_sets_run_one_by_one_and_may_be_skipped(site: Site, bench: type[FakeBench]) -> None:
    run = await added(site, name="mine.csv")
    assert bench.opened == [], "nothing is run before Next"
    body = await run_next(site, run)
    assert (body["state"], body["next"], body["sets_over"], body["bank"]) == ("ready", 2, 1, True)
    assert body["sets"][0]["commands"][0]["outcome"] == "committed"
    assert (await site.post(f"/api/testsets/{run}/skip/")).json["next"] == 7
    body = await run_next(site, run)
    assert (body["next"], body["skipped"], [each["set"] for each in body["sets"]]) == (None, [2], [1, 7])
    assert [each.ran for each in bench.opened] == [[1, 7]], "one bank for all of them"
    for action in ("next", "skip"):
        refused = await site.post(f"/api/testsets/{run}/{action}/")
        assert (refused.status, refused.json["code"]) == (409, "conflict")
    [listed] = (await site.get("/api/testsets/")).json["results"]
    assert (listed["name"], listed["sets_total"]) == ("mine.csv", 3)


async def test_one_set_at_a_time_and_one_bank(site: Site, bench: type[FakeBench]) -> None:
    first, second = await added(site), await added(site)
    bench.gate = asyncio.Event()
    await site.post(f"/api/testsets/{first}/next/")
    await until(lambda: bool(bench.opened))
    for path in (f"{first}/next/", f"{first}/skip/", f"{second}/next/"):
        assert (await site.post(f"/api/testsets/{path}")).status == 409, path
    busy = (await site.get(f"/api/testsets/{first}/")).json
    assert (busy["state"], busy["commands_over"], busy["commands_total"]) == ("running", 1, 1)
    assert (await site.get(f"/api/testsets/{first}/print/")).status == 409
    bench.gate.set()
    await settled(site, first)
    await run_next(site, second)
    assert [each.closed for each in bench.opened] == [True, False]
    printed = await site.get(f"/api/testsets/{first}/print/")
    assert (printed.status, "no bank" in printed.json["detail"]) == (409, True)


async def test_print_reshard_moves_accounts_and_prints_which(site: Site, bench: type[FakeBench]) -> None:
    run = await added(site)
    assert (await site.post(f"/api/testsets/{run}/reshard/")).status == 409, "there is no bank yet"
    assert (await run_next(site, run))["resharded"] is None
    bench.gate = asyncio.Event()
    begun = (await site.post(f"/api/testsets/{run}/reshard/")).json
    assert begun["state"] == "resharding"
    assert (await site.post(f"/api/testsets/{run}/next/")).status == 409
    bench.gate.set()
    body = await settled(site, run)
    assert body["state"] == "ready"
    assert "2 of 2 accounts moved" in body["resharded"] and "(2007, c1, c2)" in body["resharded"]
    await site.sign_in()
    assert "(2007, c1, c2)" in (await site.get(f"/testsets/{run}/", token=None)).text
    bench.opened[0].teller.unplannable = "the partitioner said no"
    await site.post(f"/api/testsets/{run}/reshard/")
    body = await settled(site, run)
    assert (body["state"], body["error"]) == ("failed", "the partitioner said no")
    assert (await run_next(site, run))["resharded"] is None, "the next set begins with a bank as it was"


async def test_what_is_printed(site: Site) -> None:
    run = await added(site)
    await run_next(site, run)

    async def said(query: str) -> str:
        answer = await site.get(f"/api/testsets/{run}/print/?{query}")
        assert answer.status == 200, answer.text
        text: str = answer.json["text"]
        return text

    assert "PrintBalance(5) → n1 : 8, n2 : 10; n2 is failed" in await said("function=printbalance&argument=5")
    ranged = await said("function=printbalance&argument=1..6")
    assert "min 8, max 12, total 60, count 6" in ranged
    assert "set 1:\nPerformance: 5 per second" in await said("function=performance")
    wrong = await site.get(f"/api/testsets/{run}/print/?function=printbalance&argument=99")
    assert (wrong.status, wrong.json["field"]) == (400, "argument")
    assert "there is no account 99" in wrong.json["detail"]


async def test_a_bank_that_does_not_start_is_told_and_may_be_tried_again(
    site: Site, bench: type[FakeBench]
) -> None:
    run = await added(site)
    bench.refuses = "node 1 ended with status 3"
    body = await run_next(site, run)
    assert (body["state"], body["error"], body["next"]) == ("failed", "node 1 ended with status 3", 1)
    bench.refuses = ""
    body = await run_next(site, run)
    assert (body["state"], body["error"], body["next"]) == ("ready", None, 2)


@pytest.mark.parametrize(
    ("body", "field", "text"),
    [
        ({"content": CSV.replace("(1, 2, 3)", "(1, x, 3)")}, "content", "line 2, column 8"),
        ({"content": CSV.replace("[n1]", "[n9]", 1)}, "content", "there is no node n9"),
        ({"content": ""}, "content", "empty"),
        ({"content": "Set Number,Transactions,Live Nodes\n"}, "content", "no set"),
        ({"content": 5}, "content", "must be text"),
        ({"content": CSV, "file": "x.csv"}, "file", "either file or content"),
        ({"file": "../manage.py"}, "file", "must be one of course-testcases.csv"),
        ({"content": CSV, "clusters": 9, "nodes": 9}, "nodes", "25 at most"),
        ({"content": CSV, "accounts": 10**9}, "accounts", "must be 1.."),
        ({"content": CSV, "more": 1}, "more", "unknown"),
    ],
)
async def test_what_is_not_taken_in(site: Site, body: dict[str, Any], field: str, text: str) -> None:
    answer = await site.post("/api/testsets/", {**(SMALL if "content" in body else {}), **body})
    assert (answer.status, answer.json["field"]) == (400, field), answer.text
    assert text in answer.json["detail"]
    assert (await site.get("/api/testsets/")).json["results"] == []


async def test_the_oldest_runs_go(site: Site) -> None:
    numbers = [await added(site) for _ in range(21)]
    assert (await site.get(f"/api/testsets/{numbers[0]}/")).status == 404
    assert (await site.get(f"/api/testsets/{numbers[1]}/")).status == 200


# --- pages ----------------------------------------------------------------


async def upload(site: Site, content: str, **fields: Any) -> Answer:
    page = await site.get("/testsets/", token=None)
    secret = page.text.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    values = {"csrfmiddlewaretoken": secret, "balance": 10, **SMALL, **fields}
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in values.items()
    ]
    parts.append(
        '--x\r\nContent-Disposition: form-data; name="file"; filename="mine.csv"\r\n'
        f"Content-Type: text/csv\r\n\r\n{content}\r\n--x--\r\n"
    )
    headers = {"content-type": "multipart/form-data; boundary=x"}
    return await site.request("POST", "/testsets/", "".join(parts).encode(), headers, token=None)


async def test_the_page_lists_files_and_takes_one_up(site: Site) -> None:
    await site.sign_in()
    page = (await site.get("/testsets/", token=None)).text
    for name in ("course-testcases.csv", "one-node.csv", "five-clusters-of-five.csv"):
        assert name in page
    opened = await site.form("/testsets/", shipped="one-node.csv")
    assert opened.status == 302
    page = (await site.get(opened.headers["location"], token=None)).text
    assert "Next: set 1" in page
    assert "1 cluster of 1, 9000 accounts" in page
    uploaded = await upload(site, CSV)
    assert uploaded.status == 302
    assert "mine.csv" in (await site.get(uploaded.headers["location"], token=None)).text


async def test_a_malformed_upload_says_where(site: Site) -> None:
    await site.sign_in()
    answer = await upload(site, CSV.replace("(1, 2, 3)", "(1, x, 3)"))
    assert answer.status == 422
    assert "line 2, column 8" in answer.text
    sizes = await upload(site, CSV, clusters=25, nodes=25)
    assert (sizes.status, "25 at most" in sizes.text) == (422, True)
    wrong = await site.form("/testsets/", shipped="none.csv")
    assert (wrong.status, "must be one of course-testcases.csv" in wrong.text) == (422, True)


async def test_next_skip_and_print_on_the_page(site: Site, bench: type[FakeBench]) -> None:
    await site.sign_in()
    run = await added(site)
    bench.gate = asyncio.Event()
    begun = await site.form(f"/testsets/{run}/next/", headers=FRAGMENT)
    assert (begun.status, "<html" in begun.text) == (200, False)
    assert 'hx-trigger="every 400ms"' in begun.text, "asks again while a set runs"
    refused = await site.form(f"/testsets/{run}/next/", headers=FRAGMENT)
    assert "under way" in refused.text
    bench.gate.set()
    await settled(site, run)
    page = (await site.get(f"/testsets/{run}/", token=None)).text
    assert "every 400ms" not in page
    for text in ("(1, 2, 3)", "n1 : 7", "ballot (2,2)", "a note of it", "Next: set 2", "mean 2.0 ms"):
        assert text in page, text
    printed = await site.get(
        f"/testsets/{run}/print/?function=printbalance&argument=5", token=None, headers=FRAGMENT
    )
    assert "PrintBalance(5) → n1 : 8" in printed.text
    whole = await site.get(f"/testsets/{run}/print/?function=printbalance&argument=99", token=None)
    assert "there is no account 99" in whole.text
    assert "<html" in whole.text
    skipped = await site.form(f"/testsets/{run}/skip/")
    assert skipped.status == 302
    assert "skipped" in (await site.get(f"/testsets/{run}/", token=None)).text
    assert (await site.get("/testsets/99/", token=None)).status == 404


async def test_on_the_bank_on_show_it_has_that_to_itself_until_it_is_given_back(
    site: Site, bench: type[FakeBench]
) -> None:
    answer = await site.post("/api/testsets/", {"content": CSV, "bank": "shown", "name": "mine.csv"})
    run = answer.json["id"]
    assert (answer.json["on_show"], answer.json["clusters"], answer.json["accounts"]) == (True, 2, 60)
    story = Experiment(SCENARIO, "Kill the leader", "/lab/7/")
    experiments().take(story)
    refused = await site.post(f"/api/testsets/{run}/next/")
    assert (refused.status, "Kill the leader" in refused.json["detail"]) == (409, True)
    experiments().give(story)
    body = await run_next(site, run)
    assert (body["state"], body["bank"]) == ("ready", True)
    assert [one.path for one in experiments().holders] == [f"/testsets/{run}/"], (
        "prints are of it as it was left"
    )
    await run_next(site, run)
    await site.sign_in()
    assert "Give the bank back" in (await site.get(f"/testsets/{run}/", token=None)).text
    answer = await site.post(f"/api/testsets/{run}/release/")
    assert (answer.status, answer.json["bank"]) == (200, False)
    assert experiments().holders == []
    assert [each.closed for each in bench.opened] == [True]


async def test_one_that_cannot_begin_gives_the_bank_back(site: Site, bench: type[FakeBench]) -> None:
    run = (await site.post("/api/testsets/", {"content": CSV, "bank": "shown"})).json["id"]
    bench.refuses = "no room"
    body = await run_next(site, run)
    assert (body["state"], body["error"]) == ("failed", "no room")
    assert experiments().holders == []


@pytest.mark.parametrize("more", [{"bank": "public"}, {"bank": "shown", "accounts": 90}])
async def test_a_bank_that_is_none_or_has_sizes_of_its_own(site: Site, more: dict[str, Any]) -> None:
    answer = await site.post("/api/testsets/", {"content": CSV, **more})
    assert (answer.status, answer.json["field"]) == (400, "bank")
