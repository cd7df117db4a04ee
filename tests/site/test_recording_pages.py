"""Pages of recordings: the list, one on view, a link to a moment."""

from __future__ import annotations

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
    assert f'data-recording="/api/recordings/{told["id"]}/"' in page.text
    assert f'data-to="{told["end"]}"' in page.text
    assert "data-live=" not in page.text.split("</head>")[1].split(">")[0], "nothing live on it"
    assert (await site.get("/recordings/nothing/")).status == 404
    assert (await site.get(f"/recordings/{told['id']}/?t=x")).status == 200
