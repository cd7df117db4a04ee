"""What of heavy traffic is told although the sample does not hold it, and that the rest is counted."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.messages.client import Item, Outcome, Refusal, Refused, Replies, Status, Submit
from consensus.net.lamport import LamportClock
from consensus.node.access import Access
from consensus.node.heat import Heat
from consensus.node.late import ANSWERS_MIN
from consensus.node.sampling import CLASS_PER_S
from consensus.node.telemetry import Telemetry
from consensus.trace.events import hist_index
from consensus.types import Ballot, TxId

SESSION = b"a client's name."


class Desk:
    """A watched node under heavy traffic; keeps what the watcher is to be told."""

    def __init__(self) -> None:
        self.applied = 0
        self.telemetry = Telemetry(
            1, 1, (2, 3), LamportClock(), dict, dict, lambda level: None, lambda: self.applied,
            lambda: 0, lambda below, slots: None, Heat(Access, 9),
        )  # fmt: skip
        self.telemetry.watch(self, 1.0, 1)  # type: ignore[arg-type]
        (self._watch,) = self.telemetry._watches.values()

    def send(self, data: bytes) -> None:
        """Nobody reads: what waits is looked at."""

    @property
    def dropped(self) -> int:
        return self._watch.dropped

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self._watch.events if event["k"] == kind]

    def close(self) -> None:
        self.telemetry.forget(self)  # type: ignore[arg-type]


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    from consensus.node import sampling

    monkeypatch.setattr(sampling.time, "monotonic_ns", lambda: 5_000_000_000)
    found = Desk()
    found.telemetry.record([])
    found.applied = 1_000_000
    found.telemetry.record([])
    found.telemetry._watches[found].events.clear()  # type: ignore[index]
    return found


async def test_aborts_and_timeouts_do_not_crowd_each_other_out(desk: Desk) -> None:
    for number in range(3 * CLASS_PER_S):
        fields = {"tx": str(TxId(SESSION, number)), "s": number, "outcome": "aborted"}
        desk.telemetry.record([("tx.apply", {**fields, "why": "insufficient_funds"})])  # type: ignore[list-item]
    assert len(desk.events("tx.apply")) == CLASS_PER_S
    assert desk.dropped == 2 * CLASS_PER_S
    fields = {"tx": str(TxId(SESSION, 9_999)), "s": 1, "outcome": "aborted", "why": "lock_timeout"}
    desk.telemetry.record([("tx.apply", fields)])  # type: ignore[list-item]
    assert desk.events("tx.apply")[-1]["why"] == "lock_timeout"
    desk.close()


async def test_answers_later_than_99_of_100_are_told_of(desk: Desk) -> None:
    for _ in range(ANSWERS_MIN):
        desk.telemetry.latency(hist_index(1_000))
    numbers = list(range(1, 2 * CLASS_PER_S + 1))
    desk.telemetry.submitted(Submit(SESSION, 0, [Item(n, (1, -5, 2, 5)) for n in numbers]), 10_000)
    outcome = Outcome(Status.COMMITTED, 7, 0, Ballot(1, 1), ())
    desk.telemetry.replied(Replies(SESSION, numbers[:1], [outcome], 0), 10_900)
    assert not desk.events("tx.reply")
    desk.telemetry.replied(Replies(SESSION, numbers[1:], [outcome] * (len(numbers) - 1), 0), 60_000)
    told = desk.events("tx.reply")
    assert len(told) == CLASS_PER_S
    assert (told[0]["tx"], told[0]["ms"], told[0]["outcome"]) == (str(TxId(SESSION, 2)), 50.0, "committed")
    assert desk.dropped == CLASS_PER_S - 1
    desk.close()


async def test_transactions_that_meet_a_move_are_told_of(desk: Desk) -> None:
    desk.telemetry.refused(Refused(SESSION, [1, 2], Refusal.OVERLOADED))
    assert not desk.events("tx.reply")
    desk.telemetry.refused(Refused(SESSION, [3, 4], Refusal.MIGRATING))
    assert [(event["tx"], event["outcome"], event["why"]) for event in desk.events("tx.reply")] == [
        (str(TxId(SESSION, number)), "refused", "migrating") for number in (3, 4)
    ]
    desk.close()
