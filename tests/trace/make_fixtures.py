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
    # Those who follow tell of it before the leader does: their messages leave first.
    story.wait(900)
    story.say("paxos.leader", 1, b=[6, 2], leader=2, w=9)
    story.say("paxos.ballot", 2, b=[6, 2], why="heartbeat_timeout", since_ms=120.5)
    story.say("paxos.leader", 2, b=[6, 2], leader=2, w=9, quorum=[1, 2])
    return story.events


def experiments() -> list[dict[str, Any]]:
    """Ambient transfers, one that somebody sends, and two experiments that share the bank for a while."""
    story = Story()
    story.say("ambient", mode="on", rate=10)
    story.transfer("6b656570-1", 1, 1, [1, 1], (21, 700))
    for slot in range(2, 28):
        story.transfer(f"616d6269-{slot}", slot, 1, [1, 1], (2950 + slot, 2951 + slot))
    load = {"what": "benchmark", "title": "communities", "path": "/benchmarks/4/"}
    move = {"what": "redistribution", "title": "Redistribution ab12", "path": "/redistributions/ab12/"}
    story.say("experiment", phase="begin", **load)
    story.say("ambient", mode="silent", rate=10, why="communities")
    story.wait(400)
    story.say("experiment", phase="begin", **move)
    story.say("experiment", phase="begin", **load)
    story.say("experiment", phase="end", **load)
    story.say("experiment", phase="end", **move)
    story.say("experiment", phase="end", **move)
    story.say("ambient", mode="on", rate=10)
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


def heat() -> list[dict[str, Any]]:
    """Accounts in use over more than a minute: late windows, more busy accounts than are kept, a reset."""
    story, dice = Story(), random.Random(8)
    for step in range(40):
        for node in (1, 4, 7):
            first = 30 * (node // 3)
            bins = sorted(dice.sample(range(first, first + 30), 6))
            busiest = sorted(dice.sample(range(100 * first + 1, 100 * first + 3_001), 10 if step % 8 else 30))
            top = [[account, 40 - place // 2] for place, account in enumerate(busiest)]
            uses = {str(number): dice.randint(1, 500) for number in bins}
            story.say("agg", node, window=2000, heat=uses, topk=top)
            story.wait(3)
        story.transfer(f"ab-{step}", step + 1, 1, [1, 1], (7, 8))
        story.wait(1_980)
        if step % 13 == 12:
            story.now -= 4_000_000
            story.say("agg", 2, window=2000, heat={"3": 5})
            story.now -= 20_000_000
            story.say("agg", 2, window=2000, heat={"3": 700}, topk=[[301, 700]])
            story.now += 24_000_000
    story.incarnation = 2
    story.say("agg", 4, window=2000, heat={"89": 1}, topk=[[9_000, 1]])
    return story.events


class Wires:
    """Messages of cluster 1 in a story: sent by one node, received by another a while later."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.count = 0

    def message(self, m: str, sender: int, to: int, ms: float = 0.3, **fields: Any) -> None:
        """``ms`` negative: the receiver's clock is behind; it tells before the sender does."""
        self.count += 1
        told = {"mid": f"c.{self.count}", "m": m, "bytes": 40, "to": to, **fields}
        ends = [("msg.send", sender, 0.0), ("msg.recv", to, ms)]
        for kind, teller, after in sorted(ends, key=lambda end: end[2]):
            self.story.wait(after)
            self.story.say(kind, teller, **told)
            self.story.events[-1]["n"] = sender
            self.story.wait(-after)
        self.story.wait(abs(ms))

    def slot(self, slot: int, leader: int, ballot: list[int], to: tuple[int, ...]) -> None:
        """A slot as a leader and the followers ``to`` tell of it; any other hears nothing."""
        story = self.story
        story.say("paxos.accepted", leader, s=slot, b=ballot)
        for node in to:
            self.message("accept", leader, node, s=slot, b=ballot, w=slot - 1)
            story.say("paxos.accepted", node, s=slot, b=ballot)
            self.message("accepted", node, leader, -0.2, s=slot, b=ballot)
        if to:
            story.say("paxos.chosen", leader, s=slot, b=ballot)
            story.say("paxos.applied", leader, s=slot, has=["transfer"], count=1)
        for node in to:
            self.message("commit", leader, node, s=slot, b=ballot, w=slot)
            story.say("paxos.chosen", node, s=slot, b=ballot)
            story.say("paxos.applied", node, s=slot, has=["transfer"], count=1)


def consensus() -> list[dict[str, Any]]:
    """Slots with their messages, one that its leader leaves behind and the next proposes again; then many."""
    story = Story()
    wires = Wires(story)
    for node in (1, 2, 3):
        story.say("paxos.ballot", node, b=[1, 1])
        story.say("paxos.leader", node, b=[1, 1], leader=1, w=0)
    for slot in (1, 2):
        wires.slot(slot, 1, [1, 1], (2, 3))
        story.wait(100)
    story.say("tx.apply", 2, tx="cc-1", s=2, outcome="committed")
    story.say("tx.lock", 3, tx="cc-2", s=2, accounts=[7])
    story.say("paxos.accepted", 1, s=3, b=[1, 1])
    wires.message("accept", 1, 2, s=3, b=[1, 1])
    story.say("paxos.accepted", 2, s=3, b=[1, 1])
    story.say("msg.drop", 1, mid="", to=3, m="accept", bytes=40, s=3, b=[1, 1], why="cut")
    story.say("node.fail", 1)
    story.wait(140)
    story.say("timer.fire", 2, name="election", since_ms=140.5, silent=1)
    wires.message("prevote", 2, 3, b=[2, 2], w=2)
    wires.message("prevote", 3, 2, b=[2, 2], granted=True)
    story.say("paxos.ballot", 2, b=[2, 2], why="heartbeat_timeout", since_ms=141.5, silent=1)
    story.say("paxos.ballot", 3, b=[1, 3])
    wires.message("prepare", 2, 3, b=[2, 2], w=2)
    story.say("paxos.ballot", 3, b=[2, 2])
    wires.message("promise", 3, 2, b=[2, 2], w=2, again=[3])
    story.say("paxos.leader", 2, b=[2, 2], leader=2, w=2, quorum=[2, 3], again=[3])
    wires.message("newview", 2, 3, b=[2, 2], w=2, first=3, last=3)
    story.say("paxos.leader", 3, b=[2, 2], leader=2, w=2)
    wires.slot(3, 2, [2, 2], (3,))
    wires.message("heartbeat", 2, 3, b=[2, 2])
    wires.message("tx.prepare", 2, 4, tx="cc-2")
    story.say("paxos.leader", 1, b=[2, 2], leader=0, w=2)
    story.say("paxos.applied", 99, s=3)
    story.window(3, {"role": "follower", "state": "up", "ballot": [2, 2], "watermark": 3, "applied": 3})
    for slot in range(4, 64):
        wires.slot(slot, 2, [2, 2], (3,))
        story.window(2, {"role": "leader", "state": "up", "watermark": slot, "applied": slot})
        story.wait(200)
    story.say("paxos.accepted", 3, s=9, b=[2, 2])
    story.say("paxos.accepted", 3, s=63, b=[2, 1])
    story.window(1, {"role": "follower", "state": "up", "ballot": [2, 2], "watermark": 60, "applied": 40})
    for number in range(3, 30):
        story.say("paxos.ballot", 3, b=[number, 3], why="heartbeat_timeout")
    story.say("paxos.ballot", 1, b=[1, 1])
    return story.events


def moves() -> list[dict[str, Any]]:
    """Timers, epochs of the map, plans that move accounts, the partitioner's work."""
    story = Story()
    for number in range(12):
        story.say("timer.set", 1, name=f"timer {number}", due=story.now + 5_000)
        story.wait(1)
    story.say("timer.fire", 1, name="timer 3")
    story.say("timer.cancel", 1, name="timer 4")
    story.say("timer.fire", 99, name="election")
    story.say("hg.snapshot", plan="p1")
    for level in (3, 2, 1):
        story.say("hg.level", plan="p1", level=level)
        story.say("hg.moves", plan="p1", moves=[[level, 1, 2, 5], [level + 10, 2, 1, 4]])
        story.say("hg.quality", plan="p1", km1=100 * level, imbalance=0.01 * level)
    story.say("hg.level", plan="p2", level=4, vertices=120, trial=True)
    story.say("hg.moves", plan="p2", moves=[[1, 1, 2, 3]], count=200, trial=True)
    story.say("mig.plan", plan="p1")
    story.say("mig.start", plan="p1", batch=1)
    story.say("mig.chunk", plan="p1", batch=1)
    story.say("mig.chunk", plan="p1", batch=1)
    story.say("mig.flip", plan="p1", batch=1)
    story.say("map.epoch", epoch=3)
    story.say("map.epoch", epoch=2)
    for batch, last in ((7, "mig.done"), (8, "mig.abort"), (9, "")):
        told = {"plan": "p1", "batch": batch, "part": batch, "to": 2, "accounts": [2007, 2000 + batch]}
        for kind in ("mig.start", "mig.flip" if last == "mig.done" else "", last):
            if kind:
                story.say(kind, 1, **told)
    for batch in range(40):
        story.say("mig.start", 4, plan="p1", batch=batch, to=1, accounts=list(range(batch, batch + 70)))
    story.say("mig.done", plan="p1")
    story.say("mig.chunk", plan="p1", batch=2)
    for number in range(2, 14):
        story.say("mig.plan", plan=f"p{number}")
    story.say("mig.abort", plan="p13", why="participant_unavailable")
    owners(story)
    return story.events


def owners(story: Story) -> None:
    """Accounts change their owners: there and back; late words; what only the site knows; a reset."""
    story.say("map.moved", rows=[40, 2, 1, 41, 3, 4, 5_001, 1, 2])
    out = {"plan": "p14", "batch": 50, "part": 1, "to": 2, "accounts": [50, 51]}
    back = {"plan": "p14", "batch": 51, "part": 2, "to": 1, "accounts": [50]}
    story.say("mig.start", 1, **out)
    story.say("mig.flip", 1, **out, epochs=[1, 1])
    story.say("mig.start", 4, **back)
    # The destination of the second move tells before its source does, and before that of the first.
    story.say("map.epoch", 1, epoch=4, accounts=[50], epochs=[2])
    story.say("map.epoch", 4, epoch=4, accounts=[50, 51], epochs=[1, 1])
    story.say("mig.flip", 4, **back, epochs=[2])
    story.say("mig.done", 1, **out)
    story.say("map.moved", rows=[40, 3, 2, 41, 1, 3, 50, 2, 1])
    # As the version before told it.
    story.say("mig.flip", 7, plan="p15", batch=52, to=2, accounts=[41, 7_000])
    story.say("map.epoch", 4, epoch=6, accounts=[41, 7_000])
    story.wait(1)
    story.incarnation = 2
    story.say("mig.start", 1, plan="p16", batch=1, to=3, accounts=[60])
    story.say("mig.flip", 1, plan="p16", batch=1, to=3, accounts=[60], epochs=[1])
    story.say("map.moved", inc=1, rows=[61, 2, 9])


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
    for make in (failover, faults, traffic, experiments, consensus, moves, heat):
        write(make.__name__, make())
