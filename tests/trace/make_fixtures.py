"""Writes the shared trace fixtures: ``python tests/trace/make_fixtures.py``.

``<name>.ndjson`` is a recording; ``<name>.states.json`` holds ``[q, state]`` pairs, the fold up to several
order numbers. ``test_fold.py`` and ``tests/web/reducer.test.mjs`` check both folds against them; a change of
the fold shows as a difference in the files, to be read before it is committed.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from consensus.trace.events import Numbering, header, hist_index, validate
from consensus.trace.fold import begin, fold

FOLDER = Path(__file__).parent.parent / "data" / "traces"
T0 = 1_750_000_000_000_000
TOPOLOGY = {
    "clusters": [
        {"id": number, "nodes": [3 * number - 2, 3 * number - 1, 3 * number], "first": 3000 * number - 2999,
         "last": 3000 * number}
        for number in (1, 2, 3)
    ]
}  # fmt: skip
STATES = 8
"""States written per fixture."""


class Story:
    """Collects events on a clock of its own."""

    def __init__(self) -> None:
        self.now = T0
        self.events: list[dict[str, Any]] = []
        self.sequence: dict[int, int] = {}
        self.incarnation = 1

    def say(self, kind: str, node: int = 0, **fields: Any) -> None:
        event: dict[str, Any] = {"k": kind, "ts": self.now, **fields}
        if node:
            self.sequence[node] = self.sequence.get(node, 0) + 1
            event |= {"n": node, "inc": self.incarnation, "ns": self.sequence[node], "cl": (node + 2) // 3}
        self.events.append(validate(event))

    def wait(self, ms: float) -> None:
        self.now += int(ms * 1000)

    def window(self, node: int, status: dict[str, Any], **parts: Any) -> None:
        self.say("agg", node, window=100, nodes={str(node): status}, **parts)

    def transfer(self, tx: str, slot: int, leader: int, ballot: list[int], accounts: tuple[int, int]) -> None:
        sender, receiver = accounts
        self.say("tx.submit", leader, tx=tx, **{"from": sender, "to": receiver}, amt=1)
        for node in range(leader, leader + 3):
            self.wait(0.4)
            self.say("paxos.accepted", node, s=slot, b=ballot, count=1)
        self.say("paxos.chosen", leader, s=slot, b=ballot)
        for node in range(leader, leader + 3):
            self.wait(0.3)
            self.say("paxos.applied", node, s=slot)
            self.say("tx.apply", node, tx=tx, s=slot, outcome="committed", why="")
        self.say("tx.reply", leader, tx=tx, outcome="committed", why="", ms=2.25, s=slot, b=ballot)


def failover() -> list[dict[str, Any]]:
    """Nine nodes come up, transfers, the first leader fails, node 2 takes over, node 1 recovers."""
    story = Story()
    for node in range(1, 10):
        story.say("node.up", node)
        leader = 3 * ((node + 2) // 3) - 2
        story.say("paxos.leader", node, b=[1, leader], leader=leader, w=0)
    for slot in range(1, 4):
        story.wait(40)
        story.transfer(f"aa-{slot}", slot, 1, [1, 1], (1000 + slot, 1100 + slot))
    story.say("ctl", actor="viewer", cmd="fail", args={"node": 1}, result="ok")
    story.say("node.fail", 1)
    story.wait(150)
    story.say("timer.fire", 2, name="election")
    story.say("paxos.ballot", 2, b=[2, 2], since_ms=150.5)
    story.say("paxos.ballot", 3, b=[2, 2])
    story.wait(2)
    for node in (2, 3):
        story.say("paxos.leader", node, b=[2, 2], leader=2, w=3)
    story.say("tx.submit", 2, tx="aa-4", **{"from": 1001, "to": 1002}, amt=500)
    story.say("tx.apply", 2, tx="aa-4", s=5, outcome="aborted", why="insufficient_funds", b=[2, 2])
    story.say("tx.apply", 3, tx="aa-5", s=6, outcome="committed", **{"from": 7, "to": 8}, amt=3)
    story.say("tx.reply", 2, tx="aa-4", outcome="aborted", why="insufficient_funds", ms=1.5)
    story.wait(300)
    story.say("node.recover", 1)
    story.say("paxos.leader", 1, b=[2, 2], leader=2, w=4)
    story.window(2, {"role": "leader", "state": "up", "ballot": [2, 2], "leader": 2, "watermark": 5,
                     "applied": 5, "proposed": 5, "lag": 0, "queue": 0, "in_flight": 0})  # fmt: skip
    return story.events


def faults() -> list[dict[str, Any]]:
    """Cuts, delays, a pause, a kill, gaps, checks, a late status of a stopped node, a reset."""
    story = Story()
    for node in (1, 2, 3):
        story.say("node.up", node)
    story.say("paxos.leader", 1, b=[1, 1], leader=1, w=0)
    story.say("link.cut", a=1, b=2, delay=0, loss=0)
    story.say("link.cut", a=1, b=2, delay=0, loss=0)
    story.say("link.cut", a=2, b=1, delay=40, loss=0)
    story.say("link.heal", a=1, b=2)
    story.say("link.heal", a=1, b=3)
    story.say("node.pause", 3)
    story.window(3, {"role": "follower", "state": "up", "applied": 7, "watermark": 7})
    story.say("agg", window=100, nodes={"3": {"role": "follower", "state": "up", "applied": 8}})
    story.say("node.down", 2, why="killed by a person")
    story.window(2, {"role": "leader", "state": "up", "ballot": [9, 2]})
    story.say("gap", **{"from": 10, "to": 14})
    story.say("check", name="total", ok=True)
    story.say("check", name="total", ok=True, detail="90,000")
    story.say("check", name="replicas", ok=False, detail="n2 differs at slot 5")
    story.say("mark", text="before the reset")
    story.say("paxos.applied", 99, s=4)
    story.incarnation = 2
    story.say("paxos.leader", 1, b=[1, 1], leader=1, w=0)
    story.incarnation = 1
    story.say("paxos.leader", 3, b=[5, 3], leader=3, w=9)
    story.say("hg.quality", plan="p", km1=3, imbalance=0.02)
    return story.events


def traffic() -> list[dict[str, Any]]:
    """Four minutes of windows from three leaders: more than the bounded lists keep, and late ones."""
    story, dice = Story(), random.Random(7)
    slots = {1: 0, 4: 0, 7: 0}
    for step in range(240):
        for leader in slots:
            slots[leader] += 1
            hist: dict[str, int] = {}
            for _ in range(3):
                bucket = str(hist_index(dice.uniform(50, 40_000)))
                hist[bucket] = hist.get(bucket, 0) + 1
            links = {
                f"{leader}>{leader + far}": {"accept": 1, "heartbeat": dice.randint(2, 5)} for far in (1, 2)
            }
            status = {"role": "leader", "state": "up", "ballot": [1, leader], "queue": dice.randint(0, 4),
                      "watermark": slots[leader], "applied": slots[leader]}  # fmt: skip
            story.window(leader, status, links=links, hist=hist, tx={"committed": 3, "aborted": step % 2})
        if step % 2:
            story.transfer(f"bb-{step}", slots[1], 1, [1, 1], (step + 1, step + 2))
        story.wait(1000)
        if step % 50 == 49:
            story.now -= 3_000_000
            story.say("agg", 4, window=100, tx={"reads": 2})
            story.now -= 20_000_000
            story.say("agg", 4, window=100, tx={"reads": 5})
            story.now += 23_000_000
    return story.events


def write(name: str, events: list[dict[str, Any]]) -> None:
    """Number and write ``events`` and the states they lead to."""
    numbering = Numbering()
    first = header(run=f"fixture-{name}", source="live", t0=T0, topology=TOPOLOGY)
    lines: list[dict[str, Any]] = [first]
    states: list[list[Any]] = []
    state = begin(first)
    every = max(1, len(events) // STATES)
    for count, event in enumerate(events, 1):
        numbered = numbering.number(event)
        state = fold(state, numbered)
        lines.append(numbered)
        if count % every == 0 or count == len(events):
            states.append([state["q"], state])
            lines.append({"q": state["q"], "ts": state["ts"], "state": state})
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines if "state" not in line)
    (FOLDER / f"{name}.ndjson").write_text(text, encoding="utf-8")
    rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in states)
    (FOLDER / f"{name}.states.json").write_text(f"[\n{rows}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    for make in (failover, faults, traffic):
        write(make.__name__, make())
