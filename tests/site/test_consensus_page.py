"""The page of one Paxos group: live, and of a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.site.fakes import Site

TRACE = (Path(__file__).parent.parent / "data" / "traces" / "consensus.ndjson").read_bytes()


@pytest.fixture
async def browser(site: Site) -> Site:
    await site.sign_in()
    return site


async def test_the_page_of_a_cluster_is_live(browser: Site) -> None:
    page = await browser.get("/consensus/2/", token=None)
    assert page.status == 200
    assert 'data-page="consensus"' in page.text
    assert 'data-consensus="2"' in page.text
    assert 'data-live="/ws/live/"' in page.text
    assert "data-replay=" not in page.text
    assert "data-replays" in page.text, "it shows moments of recordings, too"
    assert 'data-moment="/consensus/2/"' in page.text


@pytest.mark.parametrize("path", ["/consensus/99/", "/consensus/0/", "/consensus/x/"])
async def test_there_is_no_page_of_a_cluster_that_is_not_there(browser: Site, path: str) -> None:
    assert (await browser.get(path, token=None)).status == 404


async def test_without_a_number_it_is_the_first_cluster(browser: Site) -> None:
    answer = await browser.get("/consensus/", token=None)
    assert (answer.status, answer.headers["location"]) == (302, "/consensus/1/")


async def test_it_is_linked_from_the_navigation_and_from_each_cluster(browser: Site) -> None:
    page = (await browser.get("/", token=None)).text
    assert 'href="/consensus/"' in page
    assert 'href="/consensus/1/"' in page
    assert 'href="/consensus/2/"' in page
    assert "Go to Consensus" in page


async def test_a_recording_is_shown_in_place_of_the_bank(
    browser: Site, tmp_path: Path, settings: Any
) -> None:
    settings.BANK_DATA = tmp_path / "data"
    kind = {"content-type": "application/x-ndjson"}
    told = (await browser.post("/api/recordings/", TRACE, headers=kind)).json
    address = f"/consensus/3/?recording={told['id']}&t={told['end']}&slot=41"
    page = await browser.get(address, token=None)
    assert page.status == 200
    assert f'data-replay="/api/recordings/{told["id"]}/"' in page.text
    assert 'data-live="/ws/live/"' not in page.text
    assert f'href="/consensus/1/?recording={told["id"]}"' in page.text
    assert (await browser.get("/consensus/1/?recording=nothing", token=None)).status == 404
    assert (await browser.get(f"/consensus/4/?recording={told['id']}", token=None)).status == 404


async def test_who_is_not_signed_in_is_sent_away(site: Site) -> None:
    answer = await site.get("/consensus/1/", token=None)
    assert answer.status in (302, 401, 403)
