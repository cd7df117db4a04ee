"""Cases of the report form on real banks; what came to something else is told."""

from __future__ import annotations

import msgspec

from consensus.report import htmlfile
from consensus.report.cases import CASES, Case, Filled
from consensus.report.runner import fill

BY_NUMBER = {case.number: case for case in CASES}


async def filled(case: Case) -> Filled:
    told: list[str] = []
    found = await fill(case, told.append)
    assert len(told) == 1
    return found


def test_there_are_fifteen() -> None:
    assert list(BY_NUMBER) == list(range(1, 16))


async def test_a_leader_fails_and_another_takes_over() -> None:
    found = await filled(BY_NUMBER[3])
    assert found.ok, found.wrong
    assert any(view["cluster"] == 3 for view in found.sets[0]["views"])


async def test_a_leader_that_should_have_changed_and_did_not_is_told() -> None:
    found = await filled(msgspec.structs.replace(BY_NUMBER[4], new_leaders=(2,)))
    assert found.wrong == ["cluster 2 elected no new leader"]


async def test_a_benchmark_and_printreshard_after_it() -> None:
    found = await filled(msgspec.structs.replace(BY_NUMBER[11], reshard=True))
    assert found.ok, found.wrong
    assert found.benches[0]["committed"] + found.benches[0]["reads"] == 200
    assert found.reshard is not None and found.reshard["status"] in ("done", "refused")
    document = {"cases": [msgspec.to_builtins(found)], "passed": 1, "commit": "", "machine": {}}
    assert "PrintReshard" in htmlfile.text(document)
