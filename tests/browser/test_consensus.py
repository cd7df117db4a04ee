"""The page of one Paxos group: a slot from accepted to applied, an election, causes, keys, a recording."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page, expect

from consensus.trace.events import Numbering, header
from tests.browser.conftest import Visitor
from tests.browser.test_pages import grave
from tests.browser.test_shell import send

Visit = Callable[..., Visitor]
STEPS_MAX = 400


def headers(visitor: Visitor) -> dict[str, str]:
    return {"Authorization": f"Token {visitor.site.partition('?token=')[2]}"}


def ask(visitor: Visitor, path: str) -> Any:
    answer = visitor.context.request.get(path, headers=headers(visitor))
    assert answer.ok, answer.text()
    return answer.json()


def act(visitor: Visitor, path: str, **body: Any) -> Any:
    answer = visitor.context.request.post(path, headers=headers(visitor), data=body)
    assert answer.ok, answer.text()
    return answer.json()


def leader_of(visitor: Visitor, cluster: int) -> int:
    """The node that leads a cluster, by what its nodes say of themselves."""
    nodes = [node for node in ask(visitor, "/api/nodes/")["results"] if node["cluster"] == cluster]
    return next(node["id"] for node in nodes if node["role"] == "leader" and node["state"] == "up")


def another_leader(visitor: Visitor, cluster: int) -> None:
    """Fail the leader of a cluster until the others have elected one of themselves."""
    page = visitor.live()
    old = str(page.locator(f"[data-cluster='{cluster}'] [data-lead]").get_attribute("data-node"))
    act(visitor, f"/api/nodes/{old}/fail/")
    expect(page.locator(f"[data-cluster='{cluster}'] [data-lead]:not([data-node='{old}'])")).to_have_count(1)
    act(visitor, f"/api/nodes/{old}/recover/")


def row_of(page: Page, slot: int) -> Locator:
    """A slot in the table beside the grid."""
    number = page.get_by_role("rowheader", name=f"{slot:,}", exact=True)
    return page.locator("[data-grid=rows] tr").filter(has=number)


def test_a_slot_is_accepted_then_chosen_then_applied(visit: Visit) -> None:
    visitor = visit()
    page = visitor.live("/consensus/1/")
    page.get_by_text("The grid as a table").click()
    leader = leader_of(visitor, 1)
    told = act(visitor, "/api/transactions/", sender=221, receiver=222, amount=1)
    slot = told["positions"][0]["slot"]
    ballot = told["positions"][0]["ballot"]
    row = row_of(page, slot)
    cells = row.locator("td")
    for index in (1, 2, 3):
        expect(cells.nth(index)).to_have_text(re.compile(rf"■ applied \({ballot[0]},{ballot[1]}\)"))
    expect(cells.nth(0)).to_have_text("transfer; 1 transaction")

    page.get_by_role("button", name="Pause", exact=True).click()
    heads = page.locator("[data-grid=head] th").all_inner_texts()
    own = cells.nth(heads.index(f"n{leader}") - 1)
    assert stepped(page, row, own, ",") == ["applied", "chosen", "accepted", ""]
    assert stepped(page, row, own, ".")[:4] == ["", "accepted", "chosen", "applied"]

    page.get_by_role("button", name="jump to live").click()
    act(visitor, "/api/transactions/", sender=223, receiver=224, amount=1)
    canvas = page.locator("[data-grid=canvas]")
    canvas.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("[data-slot=title]")).to_have_text(re.compile(r"^Slot [\d,]+$"))
    expect(page.locator("[data-spacetime=title]")).to_have_text(re.compile(r"^Messages of slot [\d,]+$"))


def stepped(page: Page, row: Locator, cell: Locator, key: str) -> list[str]:
    """What the leader has of the slot, step by step, until nobody has proposed it or it is applied."""
    where = page.locator("[data-live=where]")
    seen: list[str] = []
    for _ in range(STEPS_MAX):
        is_there = row.count() == 1 and row.locator("td").first.inner_text() != "nobody has proposed it yet"
        words = cell.inner_text().split() if is_there else []
        state = words[1] if len(words) > 1 and words[1] != "promised" else ""
        if not seen or seen[-1] != state:
            seen.append(state)
        if state == ("" if key == "," else "applied"):
            return seen
        before = where.inner_text()
        page.keyboard.press(key)
        expect(where).not_to_have_text(before)
    raise AssertionError(f"{STEPS_MAX} steps, and the slot was {seen}")


def test_an_election_tells_who_stood_why_and_what_led_to_what(visit: Visit, axe: str) -> None:
    visitor = visit()
    page = visitor.live("/consensus/3/")
    leader = leader_of(visitor, 3)
    act(visitor, "/api/transactions/", sender=6221, receiver=6222, amount=1)
    act(visitor, f"/api/nodes/{leader}/kill/")
    newest = page.locator("[data-views=list] > li").first
    expect(newest).to_have_attribute("data-end", "leads", timeout=30_000)
    expect(newest).to_contain_text(
        re.compile(rf"stood for election .*: no heartbeat from n{leader} for [\d.]+ ms")
    )
    expect(newest).to_contain_text(
        re.compile(r"leads cluster 3 with ballot \(\d+,\d\), promised by n\d, n\d")
    )
    expect(page.locator("[data-head=leader]")).to_have_text(re.compile(r"n\d leads, ballot"))
    page.get_by_text("The grid as a table").click()
    expect(page.locator("[data-grid=rows]")).to_contain_text("new view")

    newest.get_by_role("button").click()
    title = page.locator("[data-spacetime=title]")
    expect(title).to_have_text(re.compile(r"Messages of ballot \(\d+,\d\)"))
    picture = page.locator("[data-spacetime=frame] svg")
    expect(picture.locator(".st-promise")).not_to_have_count(0)
    expect(picture.locator(".st-newview")).not_to_have_count(0)
    page.locator("[data-spacetime=frame]").focus()
    page.keyboard.press("End")
    said = page.locator("[data-spacetime=said]")
    expect(said).to_contain_text(re.compile(r"NEW-VIEW.*Led to by [1-9]\d* other messages"))
    expect(picture.locator("[data-cone=past].st-promise")).not_to_have_count(0)
    page.keyboard.press("Escape")
    expect(picture).not_to_have_attribute("data-lit", re.compile(""))
    picture.locator(".st-promise").first.hover()
    expect(picture.locator("[data-cone=self]")).to_have_count(1)
    page.get_by_text("NEW-VIEWs in the log").click()
    expect(page.locator("[data-viewlog=rows] tr")).not_to_have_count(0)
    page.get_by_text("The messages as a table").click()
    expect(page.locator("[data-spacetime=rows]")).to_contain_text("Promise")
    assert grave(page, axe) == []

    page.locator("[data-panel=slot] [data-why]").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Told").select_option("paper")
    dialog.get_by_role("button", name="Close").click()
    expect(newest).to_contain_text("[Lamport, Paxos Made Simple")
    act(visitor, f"/api/nodes/{leader}/restart/")
    expect(page.locator("[data-head=leader]")).to_have_text(re.compile(r"n\d leads, ballot"))


def test_the_cursor_goes_by_keys_and_stands_in_the_address(visit: Visit) -> None:
    visitor = visit()
    page = visitor.live("/consensus/2/")
    slots = [
        act(visitor, "/api/transactions/", sender=3221 + n, receiver=3300, amount=1)["positions"][0]["slot"]
        for n in range(3)
    ]
    page.get_by_text("The grid as a table").click()
    expect(row_of(page, slots[-1])).to_contain_text("transfer; 1 transaction")
    page.get_by_role("button", name="Pause", exact=True).click()
    canvas = page.get_by_role("img", name=re.compile("arrow keys move the cursor"))
    canvas.focus()
    said = page.locator("[data-grid=cursor]")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    expect(said).to_have_text(re.compile(r"^Slot \d+ on n4: "))
    newest = int(said.inner_text().split()[1])
    page.keyboard.press("ArrowDown")
    expect(said).to_have_text(re.compile(rf"^Slot {newest} on n5: applied, ballot \(\d+,\d\)"))
    page.keyboard.press("ArrowLeft")
    title = page.locator("[data-slot=title]")
    expect(title).to_have_text(f"Slot {newest - 1:,}")
    expect(page).to_have_url(re.compile(rf"slot={newest - 1}\b"))
    expect(page.locator("[data-slot=rows] tr")).to_have_count(3)
    page.keyboard.press("Escape")
    expect(page).not_to_have_url(re.compile("slot="))


def test_the_same_moment_is_found_in_the_recording(visit: Visit, axe: str) -> None:
    visitor = visit()
    page = visitor.live("/consensus/1/")
    page.get_by_text("The grid as a table").click()
    told = act(visitor, "/api/transactions/", sender=231, receiver=232, amount=1)
    slot = told["positions"][0]["slot"]
    expect(row_of(page, slot)).to_contain_text("applied")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page).to_have_url(re.compile(r"recording=live-.*&t=\d+&q=\d+"))
    page.goto(f"{page.url}&slot={slot}")
    page.locator("body[data-replay-ready]").wait_for()
    expect(page.locator("[data-slot=title]")).to_have_text(f"Slot {slot:,}")
    expect(page.locator("[data-slot=rows]")).to_contain_text("■ applied")
    link = page.locator(f"[data-slot=tx] a[href='/transactions/{told['id']}/']")
    expect(link).to_have_count(1)
    # One to each follower and back; more where a loaded machine let the leader send it again.
    expect(page.locator("[data-spacetime=frame] svg .st-accept").nth(1)).to_be_attached()
    expect(page.locator("[data-spacetime=frame] svg .st-accepted").nth(1)).to_be_attached()
    assert grave(page, axe) == []
    page.get_by_role("link", name="C2", exact=True).click()
    page.locator("body[data-replay-ready]").wait_for()
    expect(page).to_have_url(re.compile(r"/consensus/2/\?recording=live-.*&t=\d+"))
    expect(page.locator("main h1")).to_have_text("Consensus of cluster 2")


def fast() -> bytes:
    """A recording of twenty seconds of 400 slots a second, of which some were recorded one by one."""
    start, numbering = 1_750_000_000_000_000, Numbering()
    topology = {"clusters": [{"id": 1, "nodes": [1, 2, 3], "first": 1, "last": 30}]}
    lines = [header(run="fast", source="sim", t0=start, topology=topology)]
    for quarter in range(80):
        ts, slot = start + quarter * 250_000, 100 * quarter
        lines.extend(
            {"k": "paxos.accepted", "ts": ts, "n": node, "inc": 1, "s": number + 1, "b": [1, 1]}
            for number in (slot, slot + 40, slot + 80)
            for node in (1, 2, 3)
        )
        status = {"role": "follower", "state": "up", "ballot": [1, 1], "watermark": slot + 100}
        nodes = {str(node): {**status, "applied": slot + 100 - node} for node in (1, 2, 3)}
        lines.append({"k": "agg", "ts": ts + 1, "n": 0, "inc": 1, "window": 50, "nodes": nodes})
    numbered = [lines[0], *(numbering.number(event) for event in lines[1:])]
    return "".join(json.dumps(line) + "\n" for line in numbered).encode()


def test_too_many_slots_are_a_strip_until_the_view_stands_still(visit: Visit, axe: str) -> None:
    visitor = visit()
    answer = visitor.context.request.post(
        "/api/recordings/",
        headers={**headers(visitor), "Content-Type": "application/x-ndjson"},
        data=fast(),
    )
    told = answer.json()
    page = visitor.page
    page.goto(f"/consensus/1/?recording={told['id']}&t={told['start'] + 5_000_000}")
    page.locator("body[data-replay-ready]").wait_for()
    busy = page.get_by_text("Too many slots a second to tell them apart")
    expect(page.locator("[data-head=rate]")).to_contain_text("400 slots/s")
    expect(busy).to_be_hidden()
    grid = page.get_by_role("img", name=re.compile("slots .* on 3 replicas, newest right"))
    expect(grid).to_be_visible()
    page.get_by_text("The grid as a table").click()
    expect(page.locator("[data-grid=rows]")).to_contain_text("accepted (1,1)")
    page.get_by_role("button", name="Play", exact=True).click()
    expect(busy).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("as a strip; hold the view"))).to_be_visible()
    page.get_by_role("button", name="Hold the view").click()
    expect(busy).to_be_hidden()
    expect(grid).to_be_visible()
    assert grave(page, axe) == []

    address = page.url
    shown = page.get_by_role("region", name="Recording on view")
    with page.expect_download() as download:
        shown.get_by_role("link", name="Download").click()
    assert told["id"] in download.value.suggested_filename
    shown.get_by_role("link", name="All recordings").click()
    expect(page.locator(f"[data-row='{told['id']}']")).to_be_visible()
    page.goto(address)
    shown.get_by_role("link", name="Its page").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(told["id"])
    page.goto(address)
    # Nobody stood for election in it.
    page.get_by_role("link", name="To the nodes").click()
    expect(page.locator("#stage")).to_be_visible()


def test_it_is_reached_by_key_and_from_the_cluster(visit: Visit) -> None:
    page = visit().live()
    page.keyboard.press("g")
    page.keyboard.press("x")
    expect(page.locator("main h1")).to_have_text("Consensus of cluster 1")
    page = visit().live()
    page.get_by_role("link", name="Cluster 2", exact=True).click()
    expect(page.locator("main h1")).to_have_text("Consensus of cluster 2")


def test_the_slot_of_a_transfer_is_a_click_away(visit: Visit) -> None:
    page = visit().live()
    send(page, "241", "242")
    link = page.locator("[data-result-slot] a")
    slot = int(link.inner_text())
    link.click()
    expect(page.locator("[data-slot=title]")).to_have_text(f"Slot {slot:,}")
    expect(page.locator("[data-slot=holds]")).to_have_text("transfer; 1 transaction")
    expect(page.locator("[data-slot=rows] tr").filter(has_text="■ applied")).to_have_count(3)
    expect(page.locator("[data-spacetime=title]")).to_have_text(f"Messages of slot {slot:,}")
    expect(page.locator("[data-spacetime=frame] svg .st-accepted")).not_to_have_count(0)


def test_what_is_shown_is_chosen_by_its_buttons(visit: Visit) -> None:
    visitor = visit()
    page = visitor.live("/consensus/2/")
    act(visitor, "/api/transactions/", sender=3231, receiver=3232, amount=1)
    title = page.locator("[data-spacetime=title]")
    expect(title).to_have_text(re.compile("the newest$"))
    page.get_by_role("button", name="Last moment").click()
    expect(title).to_have_text("Messages of the last moment")
    expect(page).to_have_url(re.compile("show=last"))
    page.get_by_role("button", name="Newest slot").click()
    expect(title).to_have_text(re.compile("the newest$"))
    page.get_by_role("link", name="C3", exact=True).click()
    expect(page.locator("main h1")).to_have_text("Consensus of cluster 3")
