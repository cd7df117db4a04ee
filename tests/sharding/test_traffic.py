"""What nodes remember of their traffic, and the window that is gathered from them."""

from __future__ import annotations

import numpy as np
import pytest

from consensus.messages.client import ReadItem
from consensus.messages.entries import Item
from consensus.node import access as access_module
from consensus.node.access import Access, Ring
from consensus.sharding import traffic as traffic_module
from consensus.sharding.traffic import Sample, Traffic


def transfer(number: int, payer: int, payee: int) -> Item:
    return Item(number, (payer, -1, payee, 1))


def test_a_ring_hands_out_what_is_left_of_it() -> None:
    ring = Ring("I", 8)
    ring.add(range(5))
    assert ring.since(0, 100) == (0, np.arange(5, dtype="<u4").tobytes())
    ring.add(range(5, 13))
    assert ring.position == 13
    assert ring.since(0, 100) == (5, np.arange(5, 13, dtype="<u4").tobytes())
    assert ring.since(7, 3) == (7, np.arange(7, 10, dtype="<u4").tobytes())
    assert ring.since(13, 100) == (13, b"")
    ring.add([-1, 1 << 32, 13])
    assert ring.since(13, 100) == (13, np.array([13], dtype="<u4").tobytes())


def gather(traffic: Traffic, node: int, access: Access, limit: int = 100) -> int:
    rounds = 0
    more = True
    while more:
        cursors = {"pairs": 0, "sets": 0, "reads": 0, **traffic.cursors(node)}
        more = traffic.add(node, access.document(**cursors, limit=limit))
        rounds += 1
    return rounds


def test_everything_arrives_once_whole_and_from_every_node() -> None:
    first, second, traffic = Access(), Access(), Traffic(9)
    first.submitted([transfer(i, 1 + i % 3, 4) for i in range(30)], 1_000_000)
    first.submitted([Item(31, (1, -2, 2, 1, 9, 1)), Item(32, (1, -2, 200, 1, 9, 1))], 1_100_000)
    first.read([ReadItem(1, (5, 6)), ReadItem(2, (99,))], 1_200_000)
    second.submitted([transfer(1, 8, 9), transfer(2, 8, -9), transfer(3, 8, 77)], 1_000_000)
    assert gather(traffic, 1, first, limit=7) > 1
    gather(traffic, 4, second)
    gather(traffic, 1, first)
    seen = traffic.window(first.started_ms, half_life_s=1e9)
    assert (seen.count, seen.vertices, traffic.missed) == (32, 9, 0)
    nets = [sorted(seen.accounts[a:b] + 1) for a, b in zip(seen.start[:-1], seen.start[1:], strict=True)]
    assert nets.count([1, 2, 9]) == 1 and nets.count([8, 9]) == 1 and nets.count([1, 4]) == 10
    assert list(seen.reads) == [0, 0, 0, 0, 1, 1, 0, 0, 0]


def test_a_node_that_started_anew_is_read_from_its_beginning() -> None:
    traffic = Traffic(9)
    old, new = Access(), Access()
    old.submitted([transfer(i, 1, 2) for i in range(5)], 1)
    new.submitted([transfer(i, 3, 4) for i in range(2)], 1)
    new.started_ms = old.started_ms + 1
    gather(traffic, 1, old)
    gather(traffic, 1, new)
    assert traffic.window(new.started_ms, 1e9).count == 7
    assert traffic.missed == 0


def test_what_was_forgotten_in_between_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_module, "PAIRS", 8)
    traffic, access = Traffic(9), Access()
    access.submitted([transfer(i, 1, 2) for i in range(20)], 1)
    gather(traffic, 1, access)
    assert (traffic.window(access.started_ms, 1e9).count, traffic.missed) == (8, 12)


def test_old_traffic_fades_by_half_lives() -> None:
    traffic, access = Traffic(9), Access()
    access.submitted([transfer(i, 1, 2) for i in range(2_000)], 1)
    gather(traffic, 1, access, limit=8_192)
    now_ms = access.started_ms + 60_000
    assert 900 < traffic.window(now_ms, half_life_s=60).count < 1_100
    assert 400 < traffic.window(now_ms, half_life_s=30).count < 600
    assert traffic.recent(now_ms, 50).sum() == 0
    assert list(traffic.recent(now_ms, 70)[:3]) == [2_000, 2_000, 0]
    assert traffic.since(now_ms, 70).count == 2_000
    assert traffic.since(now_ms, 70, until_s=1).count == 2_000
    assert traffic.since(now_ms, 5, until_s=70).count == traffic.since(now_ms, 5).count == 0


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic_module, "KEPT", 50)
    monkeypatch.setattr(traffic_module, "CHUNK", 20)
    traffic, access = Traffic(9), Access()
    for round_ in range(70):
        access.submitted([transfer(i, 1 + round_ % 8, 9) for i in range(3)], 1)
        gather(traffic, 1, access)
    seen = traffic.since(access.started_ms, 1e6)
    assert 50 - 20 < seen.count <= 50
    assert len(traffic._sets.chunks()) <= 4, "answers of three entries were put together"
    assert list(seen.accounts[-6:] + 1) == [6, 9] * 3, "the newest are kept"


@pytest.mark.parametrize("payee", [4 << 32 | 3, -1])
def test_a_payee_that_cannot_be_is_left_out(payee: int) -> None:
    traffic, access = Traffic(9), Access()
    access.submitted([transfer(0, 1, payee), transfer(1, 2, 3)], 1)
    gather(traffic, 1, access)
    seen = traffic.window(access.started_ms, 1e9)
    assert list(seen.accounts + 1) == [2, 3], "and no other account is charged with it"


def test_shares_and_loads_of_a_sample() -> None:
    traffic, access = Traffic(4), Access()
    access.submitted([transfer(0, 1, 2), transfer(1, 1, 3), Item(2, (1, -2, 2, 1, 4, 1))], 1)
    access.read([ReadItem(1, (4,))], 1)
    gather(traffic, 1, access)
    seen = traffic.window(access.started_ms, 1e9)
    part = np.array([0, 0, 1, 1], dtype=np.int32)
    assert seen.cross_shard_pct(part) == pytest.approx(200 / 3)
    assert list(seen.load(part, 2)) == [5, 3]


def test_partners_of_an_account() -> None:
    start = np.array([0, 2, 4, 7, 9], dtype=np.int64)
    accounts = np.array([0, 1, 1, 2, 0, 1, 3, 2, 3], dtype=np.int32)
    seen = Sample(4, start, accounts, np.zeros(4, dtype=np.int64))
    assert seen.partners(1, 9) == [(0, 2), (2, 1), (3, 1)]
    assert seen.partners(1, 1) == [(0, 2)]


def test_history_by_age_and_place() -> None:
    traffic, access = Traffic(4), Access()
    access.submitted([transfer(0, 1, 2), transfer(1, 1, 4)], 1)
    gather(traffic, 1, access)
    rows = traffic.history(access.started_ms + 3_000, bucket_s=2.0, buckets=3, bins=2)
    assert rows.tolist() == [[0, 0], [3, 1], [0, 0]]
