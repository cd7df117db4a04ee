"""Benchmarks of the site without a bank: files to replay, what they exclude, rows of an earlier process."""

from __future__ import annotations

import datetime
import html
import json
import os
import shlex
import sys
from typing import Any

import pytest

from bankweb.orchestration.experiments import SCENARIO, Experiment, experiments
from tests.site.fakes import Site, until

CSV = "time,from,to,amount\n0,1,2,5\n0.5,3,4,6\n"
SCRIPT = """
import json, sys
from pathlib import Path
at = sys.argv.index("--replay") + 1 if "--replay" in sys.argv else 0
print(json.dumps({"throughput_tps": 5.0, "file": Path(sys.argv[at]).read_text() if at else None}))
"""


@pytest.fixture(autouse=True)
def bench(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that a run starts says what it was told."""
    from bankweb.benchmarks.service import Benchmarks

    real = Benchmarks.options
    monkeypatch.setattr(
        Benchmarks, "command", lambda self, row: [sys.executable, "-c", SCRIPT, *real(self, row)[1:]]
    )


async def ended(site: Site, key: int) -> Any:
    from bankweb.benchmarks.service import benchmarks

    await until(lambda: benchmarks().running is None and not benchmarks().waiting)
    return (await site.get(f"/api/benchmarks/{key}/")).json


async def test_a_file_is_replayed_and_can_be_again(site: Site) -> None:
    answer = await site.post("/api/benchmarks/", {"replay": CSV, "clients": 4})
    assert answer.status == 200, answer.text
    name = answer.json["parameters"]["replay"]
    body = await ended(site, answer.json["id"])
    assert (body["status"], body["result"]["file"]) == ("done", CSV)
    assert body["name"] == "replay, clients 4"
    again = await site.post("/api/benchmarks/", {"replay": name})
    assert again.json["parameters"]["replay"] == name
    assert (await ended(site, again.json["id"]))["result"]["file"] == CSV


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"replay": "time,from\n1,2\n"}, "replay", "the file has no column to, amount"),
        ({"replay": CSV + "x,1,2,3\n"}, "replay", "the file, line 4"),
        ({"replay": 5}, "replay", "must be the text of a CSV file"),
        ({"replay": "0123456789abcdef.csv"}, "replay", "there is no file"),
        ({"replay": CSV, "preset": "default"}, "preset", "the file to replay says"),
        ({"replay": CSV, "rate": 5.0}, "rate", "the file to replay says"),
        ({"replay": CSV, "sweep": True}, "sweep", "the file to replay says"),
    ],
)
async def test_what_cannot_be_replayed(site: Site, body: dict[str, Any], field: str, words: str) -> None:
    answer = await site.post("/api/benchmarks/", body)
    assert answer.status == 400
    assert answer.json["detail"].startswith(f"{field}: ")
    assert words in answer.json["detail"]


async def test_a_file_comes_by_the_form(site: Site) -> None:
    await site.sign_in()
    page = await site.get("/benchmarks/", token=None)
    secret = page.text.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    fields = {"csrfmiddlewaretoken": secret, "bank": "private", "preset": ""}
    parts = [f'--x\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
    head = '--x\r\nContent-Disposition: form-data; name="replay"; filename="t.csv"\r\nContent-Type: text/csv'
    body = "".join(parts) + f"{head}\r\n\r\n{CSV}\r\n--x--\r\n"
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = await site.request("POST", "/benchmarks/", body.encode(), headers, token=None)
    assert answer.status == 302, answer.text
    listed = (await site.get("/api/benchmarks/")).json["results"]
    assert (await ended(site, listed[0]["id"]))["result"]["file"] == CSV


async def test_files_nobody_names_go(site: Site) -> None:
    from bankweb.benchmarks import replays

    named = await site.post("/api/benchmarks/", {"replay": CSV})
    await ended(site, named.json["id"])
    fresh, old = replays.path("a" * 16 + ".csv"), replays.path("b" * 16 + ".csv")
    kept = replays.path(named.json["parameters"]["replay"])
    for file in (fresh, old):
        file.write_text(CSV)
    for file in (old, kept):
        os.utime(file, (1.0, 1.0))
    other = await site.post("/api/benchmarks/", {"replay": CSV + "1,5,6,7\n"})
    await ended(site, other.json["id"])
    assert (kept.exists(), fresh.exists(), old.exists()) == (True, True, False)


async def test_only_runs_of_an_earlier_process_are_failed(site: Site) -> None:
    from bankweb.benchmarks.models import Benchmark
    from bankweb.benchmarks.records import records
    from bankweb.runs.records import FAILED, QUEUED, STARTED

    rows = []
    for seconds in (-1, 1):
        created = STARTED + datetime.timedelta(seconds=seconds)
        row = Benchmark(created=created, actor="a", name="x", bank="private", status=QUEUED, parameters={})
        await records.add(row)
        rows.append(row.pk)
    await records.fail_unfinished()
    found = [(await records.find(key)).status for key in rows]
    assert found == [FAILED, QUEUED]


async def test_the_list_has_figures_without_reading_results(site: Site) -> None:
    from bankweb.benchmarks.models import Benchmark
    from bankweb.benchmarks.records import records
    from bankweb.runs.records import DONE, now

    result = {"throughput_tps": 12.5, "latency_ms": {"p99": 3.25}, "timeline": "large"}
    for found in (result, None):
        row = Benchmark(
            created=now(), actor="a", name="x", bank="private", status=DONE, parameters={}, result=found
        )
        await records.add(row)
    listed = (await site.get("/api/benchmarks/")).json["results"]
    assert [(each["throughput_tps"], each["p99_ms"]) for each in listed] == [(None, None), (12.5, 3.25)]
    (_, older) = await records.newest(2)
    assert older.get_deferred_fields() == {"course", "result"}
    one = (await site.get(f"/api/benchmarks/{older.pk}/")).json
    assert (one["throughput_tps"], one["p99_ms"], one["result"]) == (12.5, 3.25, result)
    await site.sign_in()
    page = await site.get("/benchmarks/compare/", token=None)
    assert page.text.count('name="run"') == 1


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that a run starts goes on until it is told to stop."""
    from bankweb.benchmarks.service import Benchmarks

    monkeypatch.setattr(
        Benchmarks, "command", lambda self, row: [sys.executable, "-c", "import signal; signal.pause()"]
    )


async def test_a_page_says_how_to_run_it_again(site: Site, endless: None) -> None:
    asked = {"preset": "smallbank", "duration": 2.5, "clusters": 2, "name": "it's mine"}
    row = (await site.post("/api/benchmarks/", asked)).json
    await site.sign_in()
    page = html.unescape((await site.get(f"/benchmarks/{row['id']}/", token=None)).text)
    assert "python manage.py bench --preset smallbank --duration 2.5 --clusters 2" in page
    curl = page[page.index("curl -X POST") : page.index("</code>", page.index("curl -X POST"))]
    words = shlex.split(curl.replace("\\\n", ""))
    body = json.loads(words[-1])
    assert body == {"preset": "smallbank", "duration": 2.5, "clusters": 2, "bank": "private"}
    again = await site.post("/api/benchmarks/", body)
    assert again.json["parameters"] == row["parameters"]
    for one in (row, again.json):
        assert (await site.request("DELETE", f"/api/benchmarks/{one['id']}/")).status == 200
    for one in (row, again.json):
        assert (await ended(site, one["id"]))["status"] == "cancelled"


async def test_another_engine_runs_right_after_the_bank(site: Site) -> None:
    from bankweb.benchmarks.records import records

    await site.sign_in()
    answer = await site.form("/benchmarks/", preset="read-only", engine="etcd", bank="private", clients="7")
    assert answer.status == 302, answer.text
    other, first = await records.newest(2)
    assert first.parameters == {"preset": "read-only", "clients": 7}
    assert other.parameters == {"preset": "read-only", "clients": 7, "engine": "etcd"}
    assert (answer.headers["location"], other.name) == (
        f"/benchmarks/{other.pk}/",
        "etcd, read-only, clients 7",
    )
    for row in (first, other):
        await ended(site, row.pk)
    rows = await records.found([other.pk])
    assert "file" in rows[0].result  # the process was started with what the service says
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bankweb.benchmarks.pages.KINDS", ())
        await records.change(rows[0], result={"by_kind": {}, "latency_ms": {}, "parameters": {}})
        page = await site.get(f"/benchmarks/{other.pk}/", token=None)
    assert f'href="/benchmarks/{first.pk}/"' in page.text
    assert f"?run={first.pk}&amp;run={other.pk}" in page.text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"engine": "postgres", "bank": "shown"}, "engine"),
        ({"engine": "etcd", "generators": 2}, "generators"),
        ({"engine": "mysql"}, "engine"),
    ],
)
async def test_what_goes_with_the_bank_only_is_refused(site: Site, body: dict[str, Any], field: str) -> None:
    answer = await site.post("/api/benchmarks/", body)
    assert (answer.status, answer.json["field"]) == (400, field)


def test_mixes_run_on_other_engines_too() -> None:
    from bankweb.benchmarks.api import parameters_of

    found = parameters_of({"engine": "postgres", "preset": "smallbank", "mix": "ycsb-f"})
    assert (found["engine"], found["mix"]) == ("postgres", "ycsb-f")


async def test_on_the_bank_on_show_they_wait_for_it(site: Site) -> None:
    from bankweb.benchmarks.service import benchmarks

    story = Experiment(SCENARIO, "Kill the leader", "/lab/7/")
    experiments().take(story)
    keys = []
    for preset in ("default", "stress"):
        answer = await site.post("/api/benchmarks/", {"preset": preset, "bank": "shown"})
        assert answer.status == 200, answer.text
        keys.append(answer.json["id"])
    await until(lambda: experiments().waiting)
    assert [one.path for one in experiments().waiting] == [f"/benchmarks/{keys[0]}/"]
    await site.sign_in()
    assert "waits for the bank on show: <a" in (await site.get(f"/benchmarks/{keys[0]}/", token=None)).text
    assert (await site.request("DELETE", f"/api/benchmarks/{keys[0]}/")).json["status"] == "cancelled"
    await until(lambda: [one.path for one in experiments().waiting] == [f"/benchmarks/{keys[1]}/"])
    assert benchmarks().running is None
    experiments().give(story)
    assert (await ended(site, keys[1]))["status"] == "done"
    assert experiments().row() == {"running": [], "waiting": []}
