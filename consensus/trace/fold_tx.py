"""What the fold keeps of the last transactions. Part of :mod:`fold`."""

from __future__ import annotations

from typing import Any, Final

from consensus.trace import fold_paxos
from consensus.trace.draft import Draft
from consensus.trace.events import TraceEvent
from consensus.types import AMBIENT_PREFIX

TRANSACTIONS_MAX: Final = 100
AMBIENT_MAX: Final = 20
"""Of these, ambient ones: they make room for one another, not for those that somebody sent."""
APPLIED_MAX: Final = 16
"""Nodes remembered per transaction as having applied it."""
_AMBIENT_HEX: Final = AMBIENT_PREFIX.hex()


def _find(draft: Draft, tx: str) -> int:
    items = draft.state["tx"]
    for index in range(len(items) - 1, -1, -1):
        if items[index]["id"] == tx:
            return index
    return -1


def _transaction(draft: Draft, event: TraceEvent) -> dict[str, Any]:
    """The entry of the event's transaction, writable, made when it is new."""
    index = _find(draft, event["tx"])
    if index >= 0:
        return draft.item("tx", index)
    if event["tx"].startswith(_AMBIENT_HEX):
        _make_room(draft)
    fresh = {
        "id": event["tx"],
        "ts": event["ts"],
        "from": 0,
        "to": 0,
        "amt": 0,
        "cl": 0,
        "s": 0,
        "b": [0, 0],
        "outcome": "",
        "why": "",
        "ms": 0,
        "n": 0,
        "applied": [],
        "q": 0,
    }
    draft.push("tx", fresh, TRANSACTIONS_MAX)
    return draft.item("tx", len(draft.state["tx"]) - 1)


def _make_room(draft: Draft) -> None:
    places = [i for i, entry in enumerate(draft.state["tx"]) if entry["id"].startswith(_AMBIENT_HEX)]
    if len(places) >= AMBIENT_MAX:
        del draft.part("tx")[places[0]]


def _parties(entry: dict[str, Any], event: TraceEvent) -> None:
    """Who pays whom how much, from any event that says so."""
    if "from" in event:
        entry["from"], entry["to"], entry["amt"] = event["from"], event["to"], event["amt"]
    if "b" in event:
        entry["b"] = list(event["b"])


def submit(draft: Draft, event: TraceEvent) -> None:
    """``tx.submit``: a leader was asked."""
    entry = _transaction(draft, event)
    _parties(entry, event)
    entry["ts"], entry["n"], entry["q"] = event["ts"], event.get("n", 0), event.get("q", 0)
    entry["cl"] = _cluster_of(draft, event)


def apply(draft: Draft, event: TraceEvent) -> None:
    """``tx.apply``: a node applied the outcome."""
    entry = _transaction(draft, event)
    _parties(entry, event)
    entry["s"], entry["outcome"], entry["why"] = event["s"], event["outcome"], event.get("why", "")
    entry["cl"] = _cluster_of(draft, event)
    if event["n"] not in entry["applied"] and len(entry["applied"]) < APPLIED_MAX:
        entry["applied"] = [*entry["applied"], event["n"]]
    if entry["q"] == 0:
        entry["q"] = event.get("q", 0)
    fold_paxos.holds(draft, event)


def reply(draft: Draft, event: TraceEvent) -> None:
    """``tx.reply``: the outcome was answered."""
    entry = _transaction(draft, event)
    _parties(entry, event)
    entry["outcome"], entry["why"], entry["ms"] = event["outcome"], event.get("why", ""), event.get("ms", 0)
    entry["n"], entry["q"] = event.get("n", 0), event.get("q", 0)
    if "s" in event:
        entry["s"] = event["s"]
    entry["cl"] = _cluster_of(draft, event) or entry["cl"]


def _cluster_of(draft: Draft, event: TraceEvent) -> int:
    if "cl" in event:
        return int(event["cl"])
    node = draft.state["nodes"].get(str(event.get("n", 0)))
    return int(node["cluster"]) if node is not None else 0
