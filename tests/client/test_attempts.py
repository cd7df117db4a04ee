"""Which aborts are tried again, with which age, and until when."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.client.attempts import submit_until
from consensus.client.results import TxResult
from consensus.messages.client import Outcome, Status
from consensus.types import Ballot, TxId

LEGS = (1, -1, 3001, 1)


class Scripted:
    """A client whose attempts end as the script says; its last line holds for all further ones."""

    def __init__(self, *script: str) -> None:
        self.script = list(script)
        self.asked: list[dict[str, Any]] = []

    async def submit(self, legs: tuple[int, ...], **options: Any) -> TxResult:
        assert legs == LEGS
        self.asked.append(options)
        reason = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        stored = Outcome(0 if reason == "committed" else int(Status[reason.upper()]), 1, 0, Ballot(1, 1), ())
        outcome = "committed" if reason == "committed" else "aborted"
        return TxResult(TxId(bytes(16), len(self.asked)), outcome, reason, (1, 2), legs, stored, 0, 0.5)


async def run(client: Scripted, deadline_s: float = 5.0) -> TxResult:
    return await submit_until(client, LEGS, deadline_s)  # type: ignore[arg-type]


async def test_what_was_in_the_way_is_tried_again_with_the_age_of_the_first() -> None:
    client = Scripted("lock_conflict", "lock_timeout", "participant_unavailable", "committed")
    result = await run(client)
    assert (result.outcome, result.id.number) == ("committed", 4)
    assert len({options["age_us"] for options in client.asked}) == 1
    assert client.asked[0]["age_us"] > 0
    left = [options["deadline_s"] for options in client.asked]
    assert left == sorted(left, reverse=True)
    assert len(set(left)) == 4
    assert result.latency_ms > 0.5, "of all attempts, pauses included"


@pytest.mark.parametrize("reason", ["insufficient_funds", "unknown_account", "invalid", "committed"])
async def test_what_lies_in_the_transaction_is_not(reason: str) -> None:
    client = Scripted(reason)
    assert (await run(client)).reason == reason
    assert len(client.asked) == 1


async def test_the_deadline_ends_it_with_the_last_abort() -> None:
    client = Scripted("lock_conflict")
    result = await run(client, deadline_s=0.05)
    assert (result.outcome, result.reason) == ("aborted", "lock_conflict")
    assert 2 <= len(client.asked) <= 5
