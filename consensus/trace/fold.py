"""The state a page shows, as a pure function of trace events. Twin of ``static/js/reducer.js``.

``fold(begin(header), e1, e2, …)`` gives the same JSON value here and in the browser, and folding on
from any keyframe gives what folding from the start gives (tests/data/traces holds both to it). So:
no clock, no rounding, no iteration whose order could differ, and every list bounded.

A state is never changed in place: a :class:`consensus.trace.draft.Draft` copies a part of it before the
first write to it in a call, so a batch of events costs one copy of what it touches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from consensus.trace import fold_heat, fold_moves, fold_paxos, fold_tx
from consensus.trace.draft import Draft, State
from consensus.trace.events import KINDS, NODE_STATUS, SCHEMA_VERSION, TraceEvent

FEED_MAX: Final = 100
EXPERIMENTS_MAX: Final = 4
SERIES_MAX: Final = 180
SERIES_US: Final = 1_000_000
"""Width of a bucket of ``series``."""
SERIES_BACK: Final = 5
"""Buckets that a late window may still be added to."""

_NO_BALLOT: Final = [0, 0]
_COUNTS: Final = ("committed", "aborted", "reads", "refused")
_STATUS_FIELDS: Final = tuple(name for name in NODE_STATUS if name not in ("state", "role"))


def empty() -> State:
    """The state before anything is known."""
    return {
        "v": SCHEMA_VERSION,
        "run": "",
        "src": "",
        "q": 0,
        "ts": 0,
        "inc": 0,
        "clusters": {},
        "nodes": {},
        "links": {},
        "cuts": {},
        "series": [],
        "tx": [],
        "feed": [],
        "checks": {},
        "experiments": [],
        "ambient": None,
        "lost": 0,
        "paxos": {},
        "epoch": 0,
        "plans": [],
        "moves": [],
        "owners": {},
        "heat": [],
        "hg": {},
    }


def begin(header: dict[str, Any]) -> State:
    """The state at the start of a recording: its clusters and nodes, nothing known of them yet."""
    state = empty()
    state["run"], state["src"], state["ts"] = header["run"], header["src"], header["t0"]
    for cluster in header["topology"]["clusters"]:
        state["clusters"][str(cluster["id"])] = _cluster(cluster)
        state["paxos"][str(cluster["id"])] = fold_paxos.fresh()
        for node in cluster["nodes"]:
            state["nodes"][str(node)] = _node(node, cluster["id"])
    return state


def fold(state: State, event: TraceEvent) -> State:
    """The state after ``event``. ``state`` itself is left as it is."""
    return fold_all(state, (event,))


def fold_all(state: State, events: Iterable[TraceEvent]) -> State:
    """The state after all of ``events``, in order."""
    # A keyframe of an earlier version may lack what is kept today.
    draft = Draft(state if "heat" in state else {**empty(), **state})
    for event in events:
        _step(draft, event)
    return draft.state


def _cluster(plain: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": plain["id"],
        "nodes": list(plain["nodes"]),
        "first": plain["first"],
        "last": plain["last"],
        "leader": 0,
        "ballot": list(_NO_BALLOT),
        "watermark": 0,
        "elections": 0,
        "election": None,
    }


def _node(node: int, cluster: int) -> dict[str, Any]:
    return {
        "id": node,
        "cluster": cluster,
        "up": "unknown",
        "role": "",
        "ballot": list(_NO_BALLOT),
        "leader": 0,
        "watermark": 0,
        "applied": 0,
        "proposed": 0,
        "checkpoint": 0,
        "lag": 0,
        "queue": 0,
        "in_flight": 0,
        "ts": 0,
        "timers": {},
    }


def _step(draft: Draft, event: TraceEvent) -> None:
    state = draft.state
    state["q"] = max(state["q"], event.get("q", 0))
    state["ts"] = max(state["ts"], event["ts"])
    incarnation = event.get("inc", 0)
    if incarnation > 0:
        if incarnation < state["inc"]:
            return
        if incarnation > state["inc"]:
            _enter(draft, incarnation)
    case = _CASES.get(event["k"])
    if case is not None:
        case(draft, event)


def _enter(draft: Draft, incarnation: int) -> None:
    """A reset: what was known of the incarnation before holds no more."""
    state = draft.state
    if state["inc"] > 0:
        state["clusters"] = {key: _cluster(value) for key, value in state["clusters"].items()}
        state["nodes"] = {
            key: {**_node(value["id"], value["cluster"]), "up": value["up"]}
            for key, value in state["nodes"].items()
        }
        state["tx"], state["moves"], state["owners"], state["epoch"] = [], [], {}, 0
        state["heat"] = []
        state["paxos"] = {key: fold_paxos.fresh() for key in state["clusters"]}
    state["inc"] = incarnation


def _note(draft: Draft, event: TraceEvent) -> None:
    """Put an event into the feed."""
    draft.push("feed", event, FEED_MAX)


# --- cases, one per kind; a kind without one changes nothing but q and ts --------------------------


def _ballot(draft: Draft, event: TraceEvent) -> None:
    fold_paxos.ballot(draft, event)
    node = draft.entry("nodes", str(event["n"]))
    if node is None:
        return
    ballot = list(event["b"])
    node["ballot"] = max(ballot, node["ballot"])
    cluster = draft.entry("clusters", str(node["cluster"]))
    if cluster is None or ballot[1] != event["n"] or ballot < cluster["ballot"]:
        return
    # Who follows the winner may have told of it first: the candidacy is news all the same.
    if ballot > cluster["ballot"]:
        cluster["election"] = {"n": event["n"], "b": ballot, "ts": event["ts"]}
    _note(draft, event)


def _leader(draft: Draft, event: TraceEvent) -> None:
    fold_paxos.leader(draft, event)
    node = draft.entry("nodes", str(event["n"]))
    if node is None:
        return
    ballot = list(event["b"])
    node["leader"] = event["leader"]
    if ballot >= node["ballot"]:
        node["ballot"] = ballot
        node["role"] = "leader" if event["leader"] == event["n"] else "follower"
    if _lead(draft, node["cluster"], event["leader"], ballot):
        _note(draft, event)
    elif event["n"] == event["leader"]:
        _note_leaders_own(draft, event)


def _note_leaders_own(draft: Draft, event: TraceEvent) -> None:
    """A leader tells of itself, after its status or a follower did: it knows more, so its words stay."""
    feed = draft.part("feed")
    for index in range(len(feed) - 1, -1, -1):
        entry = feed[index]
        if entry["k"] == "paxos.leader" and entry["b"] == event["b"] and entry.get("inc") == event.get("inc"):
            feed[index] = {**event, "q": entry.get("q", 0)}
            return
    cluster = draft.state["clusters"].get(str(draft.state["nodes"][str(event["n"])]["cluster"]))
    if cluster is not None and cluster["ballot"] == list(event["b"]):
        _note(draft, event)


def _lead(draft: Draft, number: int, leader: int, ballot: list[int]) -> bool:
    """Take ``leader`` for the leader of a cluster unless a later ballot is known; True when new."""
    cluster = draft.entry("clusters", str(number))
    if cluster is None or leader == 0 or ballot <= cluster["ballot"]:
        return False
    if cluster["ballot"] != _NO_BALLOT:
        cluster["elections"] += 1
    cluster["leader"] = leader
    cluster["ballot"] = ballot
    if cluster["election"] is not None and cluster["election"]["b"] <= ballot:
        cluster["election"] = None
    return True


def _applied(draft: Draft, event: TraceEvent) -> None:
    node = draft.entry("nodes", str(event["n"]))
    if node is not None and event["s"] > node["applied"]:
        node["applied"] = event["s"]
    fold_paxos.applied(draft, event)


def _chosen(draft: Draft, event: TraceEvent) -> None:
    node = draft.entry("nodes", str(event["n"]))
    if node is not None and event["s"] > node["watermark"]:
        node["watermark"] = event["s"]
        _raise_watermark(draft, node["cluster"], event["s"])
    fold_paxos.reached(draft, event["n"], event["s"], "chosen", event["ts"])


def _raise_watermark(draft: Draft, number: int, slot: int) -> None:
    cluster = draft.state["clusters"].get(str(number))
    if cluster is not None and slot > cluster["watermark"]:
        owned = draft.entry("clusters", str(number))
        assert owned is not None
        owned["watermark"] = slot


_UP_AFTER: Final = {
    "node.up": "up",
    "node.recover": "up",
    "node.fail": "failed",
    "node.pause": "paused",
    "node.down": "down",
}

_GONE: Final = ("down", "killed")


def _process(draft: Draft, event: TraceEvent) -> None:
    node = draft.entry("nodes", str(event["n"]))
    if node is None:
        return
    up = _UP_AFTER[event["k"]]
    changed = node["up"] != up
    node["up"] = up
    if up in _GONE:
        node["role"], node["queue"], node["in_flight"] = "", 0, 0
    if changed:
        _note(draft, event)


def _agg(draft: Draft, event: TraceEvent) -> None:
    for link, counts in event.get("links", {}).items():
        draft.part("links")[link] = {"m": counts, "window": event["window"], "ts": event["ts"]}
    for key, status in event.get("nodes", {}).items():
        _status(draft, key, status, event["ts"])
    if event.get("tx") or event.get("hist"):
        _count(draft, event)
    if event.get("heat"):
        fold_heat.used(draft, event)


def _status(draft: Draft, key: str, status: dict[str, Any], ts: int) -> None:
    node = draft.entry("nodes", key)
    if node is None:
        return
    for name in _STATUS_FIELDS:
        if name in status and status[name] is not None:
            node[name] = list(status[name]) if name == "ballot" else status[name]
    # A stopped process sends nothing, so a status that is late must not bring it back: node.up does.
    if "state" in status and node["up"] in ("unknown", "up", "failed"):
        node["up"] = status["state"]
    if "role" in status:
        node["role"] = status["role"] if node["up"] not in _GONE else ""
    node["ts"] = ts
    fold_paxos.status(draft, node, ts)
    _raise_watermark(draft, node["cluster"], node["watermark"])
    if node["role"] == "leader" and node["up"] == "up":
        _lead(draft, node["cluster"], node["id"], node["ballot"])


def _count(draft: Draft, event: TraceEvent) -> None:
    start = event["ts"] - event["ts"] % SERIES_US
    fresh = {"ts": start, "committed": 0, "aborted": 0, "reads": 0, "refused": 0, "hist": {}}
    bucket = draft.row("series", fresh, SERIES_MAX, SERIES_BACK)
    if bucket is None:
        return
    counts = event.get("tx", {})
    for name in _COUNTS:
        bucket[name] += counts.get(name, 0)
    hist = dict(bucket["hist"])
    for key, count in event.get("hist", {}).items():
        hist[key] = hist.get(key, 0) + count
    bucket["hist"] = hist


def _cut(draft: Draft, event: TraceEvent) -> None:
    key = f"{event['a']}>{event['b']}"
    cut = {"a": event["a"], "b": event["b"], "delay": event.get("delay", 0), "loss": event.get("loss", 0)}
    if draft.state["cuts"].get(key) == cut:
        return
    draft.part("cuts")[key] = cut
    _note(draft, event)


def _heal(draft: Draft, event: TraceEvent) -> None:
    key = f"{event['a']}>{event['b']}"
    if key in draft.state["cuts"]:
        del draft.part("cuts")[key]
        _note(draft, event)


def _check(draft: Draft, event: TraceEvent) -> None:
    before = draft.state["checks"].get(event["name"])
    draft.part("checks")[event["name"]] = {
        "ok": event["ok"],
        "detail": event.get("detail", ""),
        "ts": event["ts"],
    }
    if before is None or before["ok"] != event["ok"]:
        _note(draft, event)


def _migration(draft: Draft, event: TraceEvent) -> None:
    fold_moves.migration(draft, event)
    if KINDS[event["k"]].notable and fold_moves.whole(event):
        _note(draft, event)


def _gap(draft: Draft, event: TraceEvent) -> None:
    draft.state["lost"] += max(0, event["to"] - event["from"] + 1)
    _note(draft, event)


def _experiment(draft: Draft, event: TraceEvent) -> None:
    before = draft.state.get("experiments", [])  # a state of an earlier version has none
    running = [one for one in before if one["path"] != event["path"]]
    if event["phase"] == "begin":
        told = {name: event[name] for name in ("what", "title", "path", "ts")}
        running = [*running, told][-EXPERIMENTS_MAX:]
    draft.state["experiments"] = running
    _note(draft, event)


def _ambient(draft: Draft, event: TraceEvent) -> None:
    draft.state["ambient"] = {"mode": event["mode"], "rate": event["rate"], "why": event.get("why", "")}


_CASES: Final[dict[str, Callable[[Draft, TraceEvent], None]]] = {
    "paxos.ballot": _ballot,
    "paxos.leader": _leader,
    "paxos.accepted": fold_paxos.accepted,
    "paxos.chosen": _chosen,
    "paxos.applied": _applied,
    "node.up": _process,
    "node.down": _process,
    "node.fail": _process,
    "node.recover": _process,
    "node.pause": _process,
    "link.cut": _cut,
    "link.heal": _heal,
    "msg.send": fold_paxos.message,
    "msg.recv": fold_paxos.message,
    "msg.drop": fold_paxos.message,
    "timer.set": fold_moves.timer,
    "timer.fire": fold_moves.timer,
    "timer.cancel": fold_moves.timer,
    "map.epoch": fold_moves.epoch,
    "map.moved": fold_moves.moved,
    **dict.fromkeys(fold_moves.STATES, _migration),
    **dict.fromkeys(("hg.snapshot", "hg.level", "hg.moves", "hg.quality"), fold_moves.partitioner),
    "tx.submit": fold_tx.submit,
    "tx.lock": fold_paxos.holds,
    "tx.apply": fold_tx.apply,
    "tx.reply": fold_tx.reply,
    "agg": _agg,
    "check": _check,
    "experiment": _experiment,
    "ambient": _ambient,
    "ctl": _note,
    "mark": _note,
    "gap": _gap,
}
