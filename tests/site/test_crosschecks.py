"""Checks across clusters: what is reported as broken, and what is not."""

from __future__ import annotations

from typing import Any

from tests.site.fakes import FakeWorker, Site

Workers = dict[int, FakeWorker]
TX = f"{'ab' * 16}-7"


def ended(workers: Workers, participant: dict[str, Any], coordinator: dict[str, Any] | None) -> None:
    """Cluster 2 took part in a transaction that cluster 1 coordinates."""
    row = {"tx": TX, "coordinator": 1, **participant}
    known = [] if coordinator is None else [{"tx": TX, **coordinator}]
    workers[4].answers["ends"] = {"applied": 1, "finished": [row], "known": []}
    workers[1].answers["ends"] = lambda txs=(): {"applied": 1, "finished": [], "known": known if txs else []}


async def twice(check: Any) -> Any:
    await check.look()
    return await check.look()


async def test_ends_that_differ_are_told_once_they_last(site: Site, workers: Workers) -> None:
    from bankweb.observatory.crosschecks import Atomic

    ended(workers, {"number": 3, "commit": False}, {"number": None, "commit": True})
    check = Atomic()
    assert (await check.look())["ok"], "the participant may have applied it meanwhile"
    verdict = await check.look()
    assert (verdict["name"], verdict["ok"]) == ("2PC atomic", False)
    assert verdict["detail"] == f"{TX} aborted in cluster 2, committed in cluster 1"
    ended(workers, {"number": 3, "commit": True}, {"number": 3, "commit": False})
    assert not (await twice(Atomic()))["ok"]


async def test_ends_that_agree_and_what_cannot_be_compared(site: Site, workers: Workers) -> None:
    from bankweb.observatory.crosschecks import Atomic

    assert await twice(Atomic()) is None, "nobody answered"
    ended(workers, {"number": 3, "commit": True}, None)
    assert await twice(Atomic()) is None, "its client has settled it: the coordinator forgot"
    ended(workers, {"number": 3, "commit": True}, {"number": None, "commit": True})
    assert (await twice(Atomic()))["detail"] == "1 transactions ended alike in all their clusters"
    ended(workers, {"number": 3, "commit": False}, {"number": 5, "commit": True})
    assert (await twice(Atomic()))["ok"], "a later attempt is under way"


async def test_locks_that_stay_are_told_unless_a_cluster_has_no_leader(site: Site, workers: Workers) -> None:
    from bankweb.observatory.crosschecks import HELD_S, Locks

    now = 0.0
    check = Locks(lambda: now)
    assert await check.look() is None
    for leader in (1, 4):
        workers[leader].answers["locks"] = {"locks": [], "waiting": []}
    assert (await check.look())["detail"] == "none is held"
    workers[4].answers["locks"] = {"locks": [{"account": 33, "tx": TX, "coordinator": 1}], "waiting": []}
    assert (await check.look())["ok"]
    now += HELD_S + 1
    verdict = await check.look()
    assert (verdict["ok"], TX in verdict["detail"]) == (False, True)
    await workers[1].close()
    verdict = await check.look()
    assert verdict["ok"] and "1 wait for a coordinator without a leader" in verdict["detail"]
