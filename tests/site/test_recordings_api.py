"""Recordings over REST: always on, saved, uploaded; a seek gives what the pages folded live."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from consensus.trace.fold import begin, fold_all
from tests.site.fakes import FakeWorker, Site

TRACE = (Path(__file__).parent.parent / "data" / "traces" / "failover.ndjson").read_bytes()
Workers = dict[int, FakeWorker]


@pytest.fixture
async def recorded(site: Site, tmp_path: Path, settings: Any) -> AsyncIterator[str]:
    """The id of the live recording of a site whose data folder is its own."""
    from bankweb.observatory.live import live

    settings.BANK_DATA = tmp_path / "data"
    hub = live()
    await hub.record()
    yield hub.run
    await hub.close()


async def test_what_was_folded_live_is_found_by_a_seek(site: Site, recorded: str) -> None:
    from bankweb.observatory.live import live

    hub = live()
    states = []
    for number in range(1, 30):
        hub.happened(
            {"k": "node.down" if number % 2 else "node.up", "n": 1 + number % 6, "ts": 10**16 + number}
        )
        states.append(hub.state)
    await hub.close()
    for state in states:
        told = (await site.get(f"/api/recordings/{recorded}/state?t={state['ts']}")).json
        assert told["state"] == json.loads(json.dumps(state))
    events = (await site.get(f"/api/recordings/{recorded}/events?kinds=node.down&limit=4")).json
    assert [event["k"] for event in events["events"]] == ["node.down"] * 4
    rest = (await site.get(f"/api/recordings/{recorded}/events?after={events['next']}&kinds=node.down")).json
    assert len(rest["events"]) == 11 and rest["next"] is None


async def test_a_slow_disk_makes_a_gap_and_the_state_is_right_after_it(
    site: Site, recorded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bankweb.observatory import recordings
    from bankweb.observatory.live import live

    hub = live()
    await hub.close()
    monkeypatch.setattr(recordings, "QUEUE_BATCHES_MAX", 3)
    hub.recording = slow = recordings.AlwaysOn({**hub.header, "run": "live-slow"})
    for number in range(1, 8):
        hub.happened({"k": "node.down", "n": 1 if number < 4 else 2, "ts": 10**16 + number})
    first = hub.state["q"]
    slow._queue.get_nowait(), slow._queue.get_nowait()
    hub.happened({"k": "node.up", "n": 1, "ts": 10**16 + 20})
    slow.begin(hub.state)
    await hub.close()
    told = (await site.get("/api/recordings/live-slow/events?kinds=gap")).json["events"]
    assert [(gap["from"], gap["to"]) for gap in told] == [(first - 3, first)]
    state = (await site.get("/api/recordings/live-slow/state")).json["state"]
    assert state["nodes"]["2"]["up"] == "down", "that was lost, and the keyframe after the gap has it"
    assert state == json.loads(json.dumps(hub.state))


async def test_a_recording_goes_down_and_up_again(site: Site, recorded: str) -> None:
    sent = await site.post("/api/recordings/", TRACE, headers={"content-type": "application/x-ndjson"})
    assert sent.status == 200, sent.text
    name = sent.json["id"]
    down = await site.get(f"/api/recordings/{name}/download/")
    head, *events = [json.loads(line) for line in TRACE.splitlines()]
    lines = [json.loads(line) for line in gzip.decompress(down.body).splitlines()]
    assert lines == [head, *events]
    again = await site.post("/api/recordings/", down.body, headers={"content-type": "application/gzip"})
    assert again.json["id"] != name and again.json["last"] == events[-1]["q"]
    state = (await site.get(f"/api/recordings/{name}/state")).json["state"]
    assert state == fold_all(begin(head), events)
    listed = (await site.get("/api/recordings/")).json["results"]
    assert {name, again.json["id"]} <= {row["id"] for row in listed}
    assert (await site.request("DELETE", f"/api/recordings/{name}/")).status == 200
    assert (await site.get(f"/api/recordings/{name}/")).status == 404


async def test_the_live_recording_is_saved_and_not_deleted(site: Site, recorded: str) -> None:
    from bankweb.observatory.live import live

    live().happened({"k": "mark", "text": "here"})
    await live().close()
    saved = (await site.post("/api/recordings/", {"id": recorded})).json
    assert saved["saved"] and saved["run"] == recorded
    found = (await site.get(f"/api/recordings/{saved['id']}/events")).json["events"]
    assert [event["text"] for event in found if event["k"] == "mark"] == ["here"]
    assert (await site.request("DELETE", f"/api/recordings/{recorded}/")).status == 409


async def test_an_upload_that_is_none_names_line_and_field(site: Site, recorded: str) -> None:
    lines = TRACE.splitlines()
    wrong = {
        b"": "line 1: there is none",
        b'{"v":2}': "line 1: v: must be 1",
        lines[0] + b"\n{": "line 2: not JSON",
        lines[0] + b'\n{"k":"node.up","q":1,"ts":1}': "line 2: n: missing in node.up",
        lines[0] + b"\n" + lines[1] + b"\n" + lines[1]: "line 3: q: must be an integer above 1",
        gzip.compress(TRACE)[:-30]: "the gzip data ends too early",
    }
    for body, sentence in wrong.items():
        sent = await site.post("/api/recordings/", body, headers={"content-type": "application/gzip"})
        assert (sent.status, sentence in sent.json["detail"]) == (400, True), sent.json
    for name in ("..", "nothing", "a%2F..%2Fb"):
        assert (await site.get(f"/api/recordings/{name}/state")).status == 404


async def test_an_upload_larger_than_other_bodies_goes_to_disk_and_down_again(
    site: Site, recorded: str, settings: Any
) -> None:
    settings.BODY_BYTES_MAX = settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 4_000
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 4_000
    assert len(TRACE) > 4_000
    kind = {"content-type": "application/x-ndjson"}
    sent = await site.post("/api/recordings/", TRACE, headers=kind)
    assert sent.status == 200, sent.text
    down = await site.get(f"/api/recordings/{sent.json['id']}/download/")
    assert [json.loads(line) for line in gzip.decompress(down.body).splitlines()][1:] == [
        json.loads(line) for line in TRACE.splitlines()[1:]
    ]
    other = await site.post("/api/transactions/batch/", b" " * 20_000)
    assert other.status == 413
    settings.UPLOAD_BYTES_MAX = 20_000
    refused = await site.post("/api/recordings/", TRACE + b"\n" * 20_000, headers=kind)
    assert (refused.status, refused.json["detail"]) == (413, "a body may have 20000 bytes")


async def test_what_is_not_kept_leaves_nothing_behind(
    site: Site, recorded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bankweb.observatory import recordings

    kind = {"content-type": "application/x-ndjson"}
    assert (await site.post("/api/recordings/", TRACE[:-40] + b"\n", headers=kind)).status == 400
    monkeypatch.setattr(recordings, "SAVED_BYTES_MAX", 100)
    full = await site.post("/api/recordings/", TRACE, headers=kind)
    assert (full.status, "delete some first" in full.json["detail"]) == (409, True)
    assert [path.name for path in (tmp_path / "data" / "recordings").iterdir()] == [recorded]


async def test_the_span_of_a_recording_is_read_anew_only_when_it_has_grown(
    site: Site, recorded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bankweb.observatory.live import live
    from consensus.trace.reader import Recording

    read: list[int] = []
    span = Recording.span
    monkeypatch.setattr(Recording, "span", lambda self: read.append(1) or span(self))
    live().happened({"k": "mark", "text": "one"})
    await live().close()
    before = (await site.get(f"/api/recordings/{recorded}/")).json
    assert (await site.get(f"/api/recordings/{recorded}/")).json == before
    assert len(read) == 1
    sent = await site.post("/api/recordings/", TRACE, headers={"content-type": "application/x-ndjson"})
    assert {row["id"] for row in (await site.get("/api/recordings/")).json["results"]} == {
        recorded,
        sent.json["id"],
    }
    assert len(read) == 2


async def test_a_stretch_is_exported_in_the_forms_of_other_programs(site: Site, recorded: str) -> None:
    kind = {"content-type": "application/x-ndjson"}
    lines = [json.loads(line) for line in TRACE.splitlines()]
    kept = [{**line, "tx": f"6b656570-{line['tx']}"} if "tx" in line else line for line in lines]
    name = (await site.post("/api/recordings/", b"\n".join(map(_encoded, kept)), headers=kind)).json["id"]
    address = f"/api/recordings/{name}/export"
    chrome = await site.get(address)
    assert chrome.headers["content-disposition"] == f'attachment; filename="{name}.trace.json"'
    whole = chrome.json["traceEvents"]
    middle = (lines[1]["ts"] + lines[-1]["ts"]) // 2
    part = (await site.get(f"{address}?from={middle}")).json["traceEvents"]
    assert 0 < len(part) < len(whole)
    leads = [row["name"] for row in part if row.get("cat") == "leader"]
    assert leads, "who led before the stretch began is known"
    shell = await site.get(f"{address}?format=shell&to={lines[-1]['ts']}")
    sent = [line for line in lines if line.get("k") == "tx.submit"]
    assert len([line for line in shell.text.splitlines() if line.startswith("send ")]) == len(sent) > 0
    assert (await site.get(f"{address}?format=shiviz")).text.count("\n") > 10
    assert (await site.get(f"{address}?format=testset")).text.startswith("Set Number,Transactions,Live Nodes")
    nothing = await site.get(f"{address}?format=rest&to={lines[0]['t0'] - 1}")
    assert (nothing.status, "nothing to copy" in nothing.json["detail"]) == (409, True)
    assert (await site.get(f"{address}?format=pdf")).status == 400
    assert (await site.get("/api/recordings/nothing/export")).status == 404


def _encoded(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(("name", "status"), [({}, 400), ([], 400), (0, 400), (False, 400), ("", 404)])
async def test_an_id_that_is_none_saves_nothing(site: Site, name: object, status: int) -> None:
    answer = await site.post("/api/recordings/", {"id": name})
    assert answer.status == status, answer.text


async def test_transactions_of_a_recording_are_listed_filtered_and_followed(
    site: Site, recorded: str
) -> None:
    sent = await site.post("/api/recordings/", TRACE, headers={"content-type": "application/x-ndjson"})
    base = f"/api/recordings/{sent.json['id']}/transactions"
    told = (await site.get(base)).json
    assert [row["id"] for row in told["transactions"]] == ["aa-5", "aa-4", "aa-3", "aa-2", "aa-1"]
    assert (told["next"], told["left_out"]) == (None, 0)
    first = (await site.get(f"{base}?limit=2")).json
    rest = (await site.get(f"{base}?limit=3&before={first['next']}")).json
    assert [row["id"] for row in rest["transactions"]] == ["aa-3", "aa-2", "aa-1"] and rest["next"] is None
    aborted = (await site.get(f"{base}?outcome=aborted")).json["transactions"]
    assert [(row["id"], row["why"]) for row in aborted] == [("aa-4", "insufficient_funds")]
    touching = (await site.get(f"{base}?account=1001&ambient=false")).json["transactions"]
    assert [row["id"] for row in touching] == ["aa-4", "aa-1"]
    assert (await site.get(f"{base}?outcome=lost")).status == 400
    steps = (await site.get(f"{base}/aa-1")).json
    assert steps["clusters"] == [{"id": 1, "nodes": [1, 2, 3]}]
    assert [step["k"] for step in steps["steps"]] == ["tx.submit", *["tx.apply"] * 3, "tx.reply"]
    assert (steps["from"], steps["to"], steps["outcome"]) == (1001, 1101, "committed")
    # An id that begins another one is another transaction.
    assert (await site.get(f"{base}/aa")).status == 404
    assert (await site.get("/api/recordings/nothing/transactions")).status == 404


async def test_the_list_of_a_run_that_goes_on_grows(site: Site, recorded: str) -> None:
    from bankweb.observatory.live import live

    base = f"/api/recordings/{recorded}/transactions"

    async def listed(count: int) -> list[dict[str, Any]]:
        for _ in range(200):
            found: list[dict[str, Any]] = (await site.get(base)).json["transactions"]
            if len(found) == count:
                return found
        raise AssertionError(found)

    asked = {"k": "tx.submit", "n": 1, "inc": 1, "from": 1, "to": 2, "amt": 3}
    live().happened({**asked, "tx": "aa-1"})
    # The recorder's thread begins its file in its own time.
    for _ in range(200):
        if (await site.get(base)).status == 200:
            break
    (first,) = await listed(1)
    assert (first["id"], first["outcome"]) == ("aa-1", "unknown")
    live().happened({"k": "tx.apply", "n": 1, "inc": 1, "tx": "aa-1", "s": 4, "outcome": "committed"})
    live().happened({**asked, "tx": "aa-2"})
    second, first = await listed(2)
    assert (second["id"], first["outcome"]) == ("aa-2", "committed")
    assert [step["k"] for step in (await site.get(f"{base}/aa-1")).json["steps"]] == ["tx.submit", "tx.apply"]
