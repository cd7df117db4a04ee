"""Gate, link faults, latencies, sampling, logs: each on its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from consensus.messages.client import Outcome, Refusal, Refused, Replies, Submit
from consensus.messages.entries import Item
from consensus.node import sampling
from consensus.node.faults import DELAYED_BYTES_MAX, Faults, LinkFault
from consensus.node.gate import Gate
from consensus.node.latency import Latencies
from consensus.node.sampling import CLASS_PER_S, KEPT_EVENTS_PER_S, KeptLimit
from consensus.paxos.context import in_sample
from consensus.types import Ballot


def test_the_gate_lets_out_in_order_what_is_synced() -> None:
    gate = Gate()
    for after, name in ((1, b"a"), (2, b"b"), (2, b"c"), (4, b"d")):
        gate.hold(after, (2, 3), name)
    assert list(gate.release(0)) == []
    assert [data for _, _, data in gate.release(2)] == [b"a", b"b", b"c"]
    assert len(gate) == 1
    assert list(gate.release(9)) == [(4, (2, 3), b"d")]


def test_a_message_that_waits_for_less_is_not_kept_behind_others() -> None:
    gate = Gate()
    gate.hold(5, (2,), b"late")
    gate.hold(3, (2,), b"first")
    gate.hold(3, (2,), b"second")
    assert [data for _, _, data in gate.release(3)] == [b"first", b"second"]
    gate.clear()
    assert list(gate.release(9)) == []


def test_link_faults() -> None:
    faults = Faults()
    assert faults.fate(2, 10) == ("", 0.0)
    faults.set_link(2, LinkFault(cut=True, delay_ms=5))
    assert faults.fate(2, 10) == ("cut", 0.0)
    assert faults.fate(3, 10) == ("", 0.0)
    faults.set_link(2, LinkFault(delay_ms=5))
    assert faults.fate(2, 10) == ("", 0.005)
    faults.delayed_bytes = DELAYED_BYTES_MAX
    assert faults.fate(2, 10) == ("delay", 0.0)
    faults.set_link(2, LinkFault(loss=1.0))
    assert faults.fate(2, 10) == ("loss", 0.0)
    faults.set_link(2, LinkFault(loss=0.5))
    fates = [faults.fate(2, 10)[0] for _ in range(2_000)]
    assert 800 < fates.count("loss") < 1_200
    faults.set_link(2, LinkFault())
    assert faults.links == {}


def submit(*numbers: int) -> Submit:
    return Submit(b"s" * 16, 0, [Item(number, (1, -1, 2, 1)) for number in numbers])


def replies(*numbers: int) -> Replies:
    return Replies(b"s" * 16, list(numbers), [Outcome(0, 1, 0, Ballot(1, 1), ())] * len(numbers))


def test_one_transaction_per_connection_is_followed_to_its_answer() -> None:
    latencies = Latencies()
    latencies.submitted(7, submit(1, 2), 1_000)
    latencies.submitted(7, submit(3), 5_000)
    latencies.submitted(8, submit(1), 1_000)
    assert latencies.replied(7, replies(2, 3), 9_000) == -1
    assert latencies.replied(7, replies(1), 1_900) == 13
    assert latencies.replied(7, replies(1), 1_900) == -1
    latencies.forget(8)
    assert latencies.replied(8, replies(1), 2_000) == -1
    latencies.submitted(7, submit(4), 10_000)
    assert latencies.replied(7, replies(4), 10_100) == 0
    figures = latencies.figures()
    assert (figures["count"], figures["mean"]) == (2, 0.5)
    assert figures["p50"] == 0.1
    assert 0.9 <= figures["p99"] <= 0.9 * 1.2
    assert Latencies().figures() == {"count": 0, "mean": None, "p50": None, "p95": None, "p99": None}


def test_who_is_refused_is_followed_no_longer() -> None:
    """After a redistribution nearly every connection had followed somebody who was answered elsewhere."""
    latencies = Latencies()
    latencies.submitted(7, submit(1), 1_000)
    latencies.refused(7, Refused(b"s" * 16, [2, 3], Refusal.WRONG_OWNER))
    latencies.submitted(7, submit(4), 1_500)
    assert latencies.replied(7, replies(4), 1_600) == -1, "the first is still followed"
    latencies.refused(7, Refused(b"s" * 16, [3, 1], Refusal.WRONG_OWNER))
    latencies.refused(7, Refused(b"s" * 16, [1], Refusal.WRONG_OWNER))
    latencies.submitted(7, submit(5), 2_000)
    assert latencies.replied(7, replies(5), 2_100) == 0


def test_all_transactions_are_recorded_in_light_traffic_and_a_share_in_heavy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 5_000_000_000
    monkeypatch.setattr(sampling.time, "monotonic_ns", lambda: now)
    session = b"a client's name."
    applied, told = 0, []
    sampler = sampling.Sampler(lambda: applied, told.append)
    sampler.roll()

    def run(count: int) -> list[int]:
        """Transactions are applied, one by one: those in the sample as it stands then."""
        nonlocal applied
        taken = []
        for number in range(count):
            if in_sample(session, number, sampler.every):
                taken.append(number)
            applied += 1
            sampler.roll()
        return taken

    assert run(40) == list(range(40)) and sampler.takes_all()
    first = run(4_000)
    assert 20 <= len(first) <= 250, "the second in which a load begins is not recorded whole"
    now += 1_000_000_000
    sampler.roll()
    taken = run(4_000)
    assert 10 <= len(taken) <= 60
    assert not sampler.takes_all() and told[-1] == sampler.every
    now += 1_000_000_000
    sampler.roll()
    assert run(4_000) == taken, "the same rate: the same ones"
    name = session.hex()
    assert [n for n in range(4_000) if sampler.holds(f"{name}-{n}")] == taken
    for _ in range(2):
        now += 1_000_000_000
        sampler.roll()
    assert run(40) == list(range(40)), "light again"


def test_of_each_class_so_many_a_second_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 5_000_000_000
    monkeypatch.setattr(sampling.time, "monotonic_ns", lambda: now)
    classes = sampling.Classes()
    for name in ("abort", "timeout"):
        assert [classes.takes(name) for _ in range(CLASS_PER_S + 5)] == [True] * CLASS_PER_S + [False] * 5
    now += 1_000_000_000
    assert classes.takes("abort")


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"outcome": "committed"}, ""),
        ({}, ""),
        ({"outcome": "aborted", "why": "insufficient_funds"}, "abort"),
        ({"outcome": "aborted", "why": "lock_timeout"}, "timeout"),
        ({"outcome": "aborted", "why": "coordinator_timeout"}, "timeout"),
    ],
)
def test_a_flood_of_aborts_leaves_room_for_timeouts(fields: dict[str, str], name: str) -> None:
    assert sampling.class_of(fields) == name


def test_of_too_many_kept_transactions_whole_ones_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 5_000_000_000
    monkeypatch.setattr(sampling.time, "monotonic_ns", lambda: now)
    limit, other = KeptLimit(), KeptLimit()
    names = [f"tx-{number}" for number in range(2 * KEPT_EVENTS_PER_S)]
    for one in (limit, other):
        assert all(one.takes(name) for name in names for _ in range(2)), "the first second"
    now += 1_000_000_000
    taken = [name for name in names if limit.takes(name)]
    assert 0.15 * len(names) < len(taken) < 0.35 * len(names)
    assert all(limit.takes(name) for name in taken)
    assert [name for name in names if other.takes(name)] == taken
    now += 5_000_000_000
    assert all(limit.takes(name) for name in names[:KEPT_EVENTS_PER_S]), "traffic is light again"


def test_logs_are_json_lines_on_stderr() -> None:
    code = """
import logging
from consensus.node import logs
logs.configure(4)
logging.getLogger("bank").warning("%d of %s", 3, b"five")
logging.getLogger("bank").debug("unseen")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("bank").exception("broken")
import sys
assert "rich" not in sys.modules and "twisted" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = map(json.loads, done.stderr.splitlines())
    assert done.stdout == ""
    assert (first["node"], first["level"], first["logger"]) == (4, "warning", "bank")
    assert first["event"] == "3 of b'five'"
    assert "ZeroDivisionError" in second["exception"]
