"""The checker passes what is correct, finds what was planted, and agrees with the search."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.checker import version_order
from consensus.checker.history import Event, HistoryError, Position, Seen, parse, read, write
from consensus.checker.judge import judge
from consensus.checker.linearizability import linearizable
from consensus.cli import check_history_command
from tests.checker.histories import genesis, ok, paired, serial

MOVE = [(0, -5), (1, 5)]
COMMITTED = ok("t1", 10, 20, MOVE, {0: (1, 95), 1: (1, 105)})


def kinds(events: list[Event]) -> set[str]:
    return {anomaly.kind for anomaly in judge(paired(events)).anomalies}


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.1, 0.5]), st.integers(2, 6), st.integers(0, 200))
@settings(deadline=None)
def test_correct_executions_pass(seed: int, unknown: float, accounts: int, width: int) -> None:
    events = serial(Random(seed), 60, accounts, unknown=unknown, width=width)
    assert judge(paired(events)).anomalies == []


@given(st.integers(0, 2**32), st.integers(0, 60), st.booleans(), st.sampled_from([0.0, 0.3]))
@settings(deadline=None, max_examples=200)
def test_both_checkers_agree_on_short_histories(seed: int, width: int, spoil: bool, unknown: float) -> None:
    random = Random(seed)
    events = serial(random, 8, 3, unknown=unknown, width=width)
    if spoil:
        at = random.choice([at for at, event in enumerate(events) if event.op != "genesis"])
        event = events[at]
        if event.type == "ok" and random.random() < 0.7:
            account = random.choice(list(event.accounts))
            old = event.accounts[account]
            step = random.choice([(-1, 0), (1, 0), (0, 7)])
            changed = event.accounts | {account: Seen(old.version + step[0], old.balance + step[1])}
            events[at] = msgspec.structs.replace(event, accounts=changed)
        else:
            for one in range(len(events)):
                if events[one].id == event.id:
                    events[one] = msgspec.structs.replace(events[one], t_ns=events[one].t_ns + 35)
    history = paired(events)
    found, right = version_order.check(history), linearizable(history)
    if found:
        assert not right
    elif not unknown:
        assert right


PLANTED = {
    "lost update": (
        "lost_update",
        [*COMMITTED, *ok("t2", 12, 22, [(0, -3), (2, 3)], {0: (1, 97), 2: (1, 103)})],
    ),
    "stale read": ("cycle", [*COMMITTED, *ok("r", 30, 40, [], {0: (0, 100)})]),
    "torn read": ("cycle", [*COMMITTED, *ok("r", 11, 19, [], {0: (0, 100), 1: (1, 105)})]),
    "real time": (
        "cycle",
        [
            *ok("t1", 10, 20, MOVE, {0: (2, 85), 1: (1, 105)}),
            *ok("t2", 30, 40, [(0, -10), (2, 10)], {0: (1, 90), 2: (1, 110)}),
        ],
    ),
    "lost acknowledgement": (
        "cycle",
        [*COMMITTED, *ok("r", 30, 40, [], {1: (0, 100)}), *ok("q", 50, 60, [], {0: (0, 100)})],
    ),
    "doubled acknowledgement": (
        "doubled_acknowledgement",
        [*COMMITTED, Event("t1", "ok", "transfer", "t1", 25, accounts={0: Seen(2, 90), 1: Seen(2, 110)})],
    ),
    "shared position": (
        "shared_position",
        [
            msgspec.structs.replace(event, positions=[Position(1, 1, 0)] if event.type == "ok" else [])
            for event in [*COMMITTED, *ok("t2", 30, 40, MOVE, {0: (2, 90), 1: (2, 110)})]
        ],
    ),
    "money created": (
        "money_created",
        [Event("a", "invoke", "audit", "a", 10), Event("a", "ok", "audit", "a", 20, total=301)],
    ),
    "money lost": (
        "money_lost",
        [Event("a", "invoke", "audit", "a", 10), Event("a", "ok", "audit", "a", 20, total=299)],
    ),
    "aborted read": (
        "aborted_read",
        [
            Event("t1", "invoke", "transfer", "t1", 10, legs=MOVE),
            Event("t1", "fail", "transfer", "t1", 20, reason="lock_timeout"),
            *ok("r", 30, 40, [], {0: (1, 95)}),
        ],
    ),
    "an unknown read twice": (
        "aborted_read",
        [
            Event("t1", "invoke", "transfer", "t1", 10, legs=MOVE),
            *ok("r", 30, 40, [], {0: (1, 95)}),
            *ok("q", 50, 60, [], {0: (2, 90)}),
        ],
    ),
    "an unknown seen before it began": (
        "cycle",
        [*ok("r", 1, 5, [], {0: (1, 95)}), Event("t1", "invoke", "transfer", "t1", 10, legs=MOVE)],
    ),
    "wrong balance": ("wrong_balance", [*COMMITTED, *ok("r", 30, 40, [], {0: (1, 96)})]),
    "overdraft": ("impossible_value", ok("t1", 10, 20, [(0, -101), (1, 101)], {0: (1, -1), 1: (1, 201)})),
    "wrong abort": (
        "wrong_abort",
        [
            Event("t1", "invoke", "transfer", "t1", 10, legs=MOVE),
            Event(
                "t1", "fail", "transfer", "t1", 20, accounts={0: Seen(0, 100)}, reason="insufficient_funds"
            ),
        ],
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_anomaly_is_found(name: str) -> None:
    kind, events = PLANTED[name]
    assert kind in kinds([genesis(3), *events])


def test_the_same_history_without_the_plant_passes() -> None:
    reads = ok("r", 30, 40, [], {0: (1, 95), 1: (1, 105)})
    early = ok("e", 11, 19, [], {0: (0, 100), 1: (0, 100)})
    again = Event("t1", "ok", "transfer", "t1", 25, accounts=COMMITTED[1].accounts)
    assert kinds([genesis(3), *COMMITTED, *reads, *early, again]) == set()


def test_the_smallest_cycle_names_both_reasons() -> None:
    (cycle,) = judge(paired([genesis(3), *COMMITTED, *ok("r", 30, 40, [], {0: (0, 100)})])).anomalies
    assert len(cycle.evidence) == 2
    assert any("real time" in line for line in cycle.evidence)
    assert any("the versions of account 0" in line for line in cycle.evidence)


def test_a_long_history_with_one_stale_read() -> None:
    events = serial(Random(7), 10_000, 300, unknown=0.001)
    assert kinds(events) == set()
    last = max(event.t_ns for event in events)
    account = next(event for event in events if event.op == "transfer" and event.type == "ok").accounts
    stale = {next(iter(account)): Seen(0, 100)}
    verdict = judge(
        paired(
            [
                *events,
                Event("late", "invoke", "read", "late", last + 1),
                Event("late", "ok", "read", "late", last + 2, accounts=stale),
            ]
        )
    )
    assert [anomaly.kind for anomaly in verdict.anomalies] == ["cycle"]
    assert len(verdict.anomalies[0].evidence) == 2


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "line 1"),
        ([b"{"], "line 1"),
        ([b'{"process":"a","type":"invoke","op":"read","id":"r","t_ns":1}'], "genesis"),
    ],
)
def test_what_is_no_history_is_refused_with_its_line(lines: list[bytes], says: str) -> None:
    with pytest.raises(HistoryError, match=says):
        parse(lines)


@pytest.mark.parametrize(
    "events",
    [
        [Event("a", "ok", "read", "r", 1)],
        [Event("a", "invoke", "read", "r", 5), Event("a", "ok", "read", "r", 4)],
        [Event("a", "invoke", "read", "r", 5), Event("b", "invoke", "read", "r", 6)],
        [Event("a", "invoke", "read", "r", 5), Event("a", "invoke", "read", "q", 6)],
        [Event("a", "invoke", "transfer", "t", 5, legs=[(9, 1), (0, -1)])],
        [Event("a", "invoke", "transfer", "t", 5, legs=MOVE), Event("a", "ok", "transfer", "t", 6)],
    ],
)
def test_contradicting_lines_are_refused(events: list[Event]) -> None:
    with pytest.raises(HistoryError, match=f"line {len(events) + 1}"):
        paired([genesis(3), *events])


def test_the_command_ends_with_the_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    write(good, [genesis(3), *COMMITTED])
    write(bad, [genesis(3), *PLANTED["stale read"][1]])
    assert len(read(good).operations) == 1
    assert check_history_command.main(Namespace(file=good, json=True)) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "ok"
    assert check_history_command.main(Namespace(file=bad, json=False)) == 1
    assert "before the next because of real time" in capsys.readouterr().out
    assert check_history_command.main(Namespace(file=tmp_path / "none", json=False)) == 2
