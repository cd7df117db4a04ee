"""Steps of kept transactions: heard from workers, told over REST, stored beside the transaction."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.types import KEPT_PREFIX
from tests.site.fakes import FakeBank, FakeWorker, Site, until

Workers = dict[int, FakeWorker]


@pytest.fixture
async def kept(site: Site, bank: FakeBank, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a kept transfer across both clusters."""
    from bankweb.ledger import steps

    monkeypatch.setattr(steps, "QUIET_S", 0.05)
    bank.session = KEPT_PREFIX + bytes(range(12))
    sent = await site.post("/api/transactions/", {"sender": 1, "receiver": 33, "amount": 3})
    return str(sent.json["id"])


def _step(kind: str, node: int, ts: int, tx: str, **fields: Any) -> dict[str, Any]:
    return {"k": kind, "n": node, "ns": ts, "ts": ts, "tx": tx, **fields}


async def test_steps_are_told_by_time_and_stored(site: Site, workers: Workers, kept: str) -> None:
    from bankweb.ledger import steps

    empty = (await site.get(f"/api/transactions/{kept}/steps/")).json
    assert (empty["steps"], empty["settled"]) == ([], False)
    assert empty["clusters"] == [{"id": 1, "nodes": [1, 2, 3]}, {"id": 2, "nodes": [4, 5, 6]}]
    lock = _step("tx.lock", 4, 30, kept, s=9, accounts=[33])
    submit = _step("tx.submit", 1, 20, kept, **{"from": 1, "to": 33}, amt=3, keep=True)
    await workers[4].report(
        lock, _step("tx.lock", 4, 31, "ab" * 16 + "-1"), {"k": "tx.lock", "tx": kept, "ts": 1}
    )
    await workers[1].report(submit)

    async def told() -> dict[str, Any]:
        return dict((await site.get(f"/api/transactions/{kept}/steps/")).json)

    while not (body := await told())["settled"]:
        pass
    assert body["steps"] == [submit, lock]
    await steps.close()
    assert await told() == body, "the same from the database"


async def test_late_steps_are_added(site: Site, workers: Workers, kept: str) -> None:
    first = _step("tx.submit", 1, 20, kept, **{"from": 1, "to": 33}, amt=3)
    await workers[1].report(first)
    while not (await site.get(f"/api/transactions/{kept}/steps/")).json["settled"]:
        pass
    late = _step("tx.apply", 5, 90, kept, s=4, outcome="committed")
    await workers[5].report(late)
    from bankweb.ledger.steps import steps

    await until(lambda: steps()._held[kept].is_stored and len(steps()._held[kept].events) == 2)
    body = (await site.get(f"/api/transactions/{kept}/steps/")).json
    assert (body["steps"], body["settled"]) == ([first, late], True)


async def test_one_transaction_and_all_of_them_are_bounded(
    site: Site, workers: Workers, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bankweb.ledger import steps

    monkeypatch.setattr(steps, "STEPS_MAX", 3)
    monkeypatch.setattr(steps, "HELD_MAX", 2)
    for number in range(5):
        await workers[1].report(_step("tx.lock", 1, number, kept))
    held = steps.steps()._held
    await until(lambda: kept in held and len(held[kept].events) == 3)
    for number in range(3):
        await workers[1].report(_step("tx.lock", 1, number, f"{kept}{number}"))
    await until(lambda: f"{kept}2" in held)
    assert list(held) == [f"{kept}1", f"{kept}2"]


async def test_steps_of_what_is_not_known_here(site: Site) -> None:
    assert (await site.get("/api/transactions/nonsense/steps/")).status == 404
