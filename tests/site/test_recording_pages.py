"""Pages of recordings: the list, one on view, a link to a moment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.site.fakes import Site

TRACE = (Path(__file__).parent.parent / "data" / "traces" / "failover.ndjson").read_bytes()


async def test_a_recording_is_listed_and_played(site: Site, tmp_path: Path, settings: Any) -> None:
    settings.BANK_DATA = tmp_path / "data"
    empty = await site.get("/recordings/")
    assert "as soon as a node has connected" in empty.text
    sent = await site.post("/api/recordings/", TRACE, headers={"content-type": "application/x-ndjson"})
    told = sent.json
    listed = await site.get("/recordings/")
    assert f'href="/recordings/{told["id"]}/"' in listed.text
    page = await site.get(f"/recordings/{told['id']}/?t={told['end']}")
    assert page.status == 200
    assert f'data-replay="/api/recordings/{told["id"]}/"' in page.text
    assert "data-live=" not in page.text.split("</head>")[1].split(">")[0], "nothing live on it"
    assert (await site.get("/recordings/nothing/")).status == 404
    assert (await site.get(f"/recordings/{told['id']}/?t=x")).status == 200


async def test_the_cluster_page_shows_a_recording_with_its_own_nodes(
    site: Site, tmp_path: Path, settings: Any
) -> None:
    settings.BANK_DATA = tmp_path / "data"
    lines = TRACE.splitlines()
    head = json.loads(lines[0])
    head["src"] = "sim"
    head["topology"]["clusters"] = [{"id": 1, "nodes": [1, 2, 3, 44], "first": 1, "last": 12}]
    body = b"\n".join([json.dumps(head).encode(), *lines[1:], b""])
    sent = await site.post("/api/recordings/", body, headers={"content-type": "application/x-ndjson"})
    page = await site.get(f"/?recording={sent.json['id']}&t=1")
    assert page.status == 200, page.text
    assert f'data-replay="/api/recordings/{sent.json["id"]}/"' in page.text
    assert 'data-node="44"' in page.text and 'data-node="5"' not in page.text
    assert "SIM" in page.text and "4 nodes in 1 cluster" in page.text
    for live_only in ('data-live="/ws', "Send transfer", "Ambient traffic", "/nodes/44/fail/"):
        assert live_only not in page.text, live_only
    assert (await site.get("/?recording=nothing")).status == 404


async def test_a_run_is_saved_and_a_saved_one_deleted_from_the_list(
    site: Site, tmp_path: Path, settings: Any
) -> None:
    from bankweb.observatory.live import live

    settings.BANK_DATA = tmp_path / "data"
    await live().record()
    await live().close()
    await site.sign_in()
    saved = await site.form(f"/recordings/{live().run}/save/")
    assert (saved.status, saved.headers["location"]) == (302, "/recordings/")
    listed = await site.get("/recordings/", token=None)
    assert "it stays until it is deleted" in listed.text
    name = listed.text.split('data-row="')[1].split('"')[0]
    assert f'action="/recordings/{live().run}/save/"' in listed.text
    await site.form(f"/recordings/{name}/delete/")
    assert f'data-row="{name}"' not in (await site.get("/recordings/", token=None)).text
    await site.form(f"/recordings/{live().run}/delete/")
    assert "the ring lets runs go by itself" in (await site.get("/recordings/", token=None)).text
    assert (await site.get(f"/recordings/{name}/save/", token=None)).status == 405
