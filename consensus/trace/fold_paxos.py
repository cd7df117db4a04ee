"""What the fold keeps of each cluster's consensus: slots, ballots, messages, pace. Part of :mod:`fold`.

``state["paxos"][cluster]`` is ``{"slots", "views", "messages", "elections", "pace"}``, bounded lists in
order:

* slots, by number: ``{"s", "b", "ts", "has", "count", "tx", "at"}``; ``at[node]`` is what the node has of it,
  ``{"b", "accepted", "chosen", "applied"}``, times or 0. A node that knows a slot as chosen knows every lower
  one as chosen, so one event may speak for several.
* views, by ballot: who stood, why, who promised, and how it ended.
* messages of slots, and ``elections``, those of elections, as they were first heard of: ``sent`` and ``got``
  are times, 0 for an end that told nothing.
* pace: how far each node was (chosen, applied) in each quarter of a second.
"""

from __future__ import annotations

from typing import Any, Final

from consensus.trace.draft import Draft
from consensus.trace.events import TraceEvent

SLOTS_MAX: Final = 48
SLOT_TX_MAX: Final = 8
VIEWS_MAX: Final = 20
MESSAGES_MAX: Final = 160
"""Of slots; and as many of elections, which are rare and looked at later."""
MESSAGES_BACK: Final = 80
"""How far back the other end of a message is looked for."""
PACE_MAX: Final = 48
PACE_US: Final = 250_000

_ELECTION: Final = frozenset(("prevote", "prepare", "promise", "newview", "nack"))
_OF_SLOTS: Final = frozenset(("accept", "accepted", "commit", "heartbeat"))
_MORE: Final = ("w", "again", "first", "last", "granted")


def fresh() -> dict[str, Any]:
    """Nothing known of a cluster."""
    return {"slots": [], "views": [], "messages": [], "elections": [], "pace": []}


def _group(draft: Draft, node: int) -> dict[str, Any] | None:
    """What is kept of the cluster of ``node``, writable; None for a node that nobody knows."""
    known = draft.state["nodes"].get(str(node))
    if known is None:
        return None
    key = str(known["cluster"])
    if key not in draft.state["paxos"]:
        draft.part("paxos")[key] = fresh()
    return draft.entry("paxos", key)


# --- slots -----------------------------------------------------------------------------------------


def _slot(draft: Draft, group: dict[str, Any], event: TraceEvent) -> dict[str, Any] | None:
    """The entry of the event's slot, writable, made when it is new; None when that is long gone."""
    number = event["s"]
    slots = draft.own(group, "slots")
    index = len(slots)
    while index > 0 and slots[index - 1]["s"] > number:
        index -= 1
    if index > 0 and slots[index - 1]["s"] == number:
        return draft.own(slots, index - 1)  # type: ignore[no-any-return]
    if index == 0 and len(slots) >= SLOTS_MAX:
        return None
    entry = {"s": number, "b": [0, 0], "ts": event["ts"], "has": [], "count": 0, "tx": [], "at": {}}
    slots.insert(index, entry)
    if len(slots) > SLOTS_MAX:
        del slots[0]
        index -= 1
    return draft.own(slots, index)  # type: ignore[no-any-return]


def _cell(draft: Draft, entry: dict[str, Any], node: int) -> dict[str, Any]:
    """What ``node`` has of a slot, writable."""
    at = draft.own(entry, "at")
    key = str(node)
    if key not in at:
        at[key] = {"b": [0, 0], "accepted": 0, "chosen": 0, "applied": 0}
    return draft.own(at, key)  # type: ignore[no-any-return]


def accepted(draft: Draft, event: TraceEvent) -> None:
    """``paxos.accepted``."""
    group = _group(draft, event["n"])
    entry = _slot(draft, group, event) if group is not None else None
    if entry is None:
        return
    cell = _cell(draft, entry, event["n"])
    ballot = list(event["b"])
    if cell["accepted"] == 0 or ballot > cell["b"]:
        cell["b"], cell["accepted"] = ballot, event["ts"]
    entry["b"] = max(entry["b"], ballot)


def reached(draft: Draft, node: int, slot: int, field: str, ts: int) -> None:
    """``node`` has every slot up to ``slot`` as ``field``: chosen or applied."""
    group = _group(draft, node)
    if group is None:
        return
    key = str(node)
    slots = group["slots"]
    for index in range(len(slots) - 1, -1, -1):
        entry = slots[index]
        if entry["s"] > slot:
            continue
        known = entry["at"].get(key)
        if known is not None and known[field]:
            return
        slots = draft.own(group, "slots")
        cell = _cell(draft, draft.own(slots, index), node)
        cell[field] = ts
        cell["chosen"] = cell["chosen"] or ts


def applied(draft: Draft, event: TraceEvent) -> None:
    """``paxos.applied``."""
    group = _group(draft, event["n"])
    entry = _slot(draft, group, event) if group is not None else None
    if entry is not None and "has" in event:
        entry["has"], entry["count"] = list(event["has"]), event.get("count", 0)
    reached(draft, event["n"], event["s"], "applied", event["ts"])


def holds(draft: Draft, event: TraceEvent) -> None:
    """``tx.apply``, ``tx.lock``: a transaction is in a slot."""
    group = _group(draft, event.get("n", 0)) if "s" in event else None
    entry = _slot(draft, group, event) if group is not None else None
    if entry is not None and event["tx"] not in entry["tx"] and len(entry["tx"]) < SLOT_TX_MAX:
        entry["tx"] = [*entry["tx"], event["tx"]]


# --- ballots ---------------------------------------------------------------------------------------


def _view(draft: Draft, event: TraceEvent) -> dict[str, Any] | None:
    """The entry of the event's ballot, writable, made when it is new; None when that is long gone."""
    group = _group(draft, event["n"])
    if group is None:
        return None
    ballot = list(event["b"])
    views = draft.own(group, "views")
    index = len(views)
    while index > 0 and views[index - 1]["b"] > ballot:
        index -= 1
    if index > 0 and views[index - 1]["b"] == ballot:
        return draft.own(views, index - 1)  # type: ignore[no-any-return]
    if index == 0 and len(views) >= VIEWS_MAX:
        return None
    entry = {
        "b": ballot, "n": ballot[1], "ts": event["ts"], "q": event.get("q", 0), "why": "", "since_ms": 0,
        "silent": 0, "promised": [], "led": 0, "w": 0, "quorum": [], "again": [],
    }  # fmt: skip
    views.insert(index, entry)
    if len(views) > VIEWS_MAX:
        del views[0]
        index -= 1
    return draft.own(views, index)  # type: ignore[no-any-return]


def ballot(draft: Draft, event: TraceEvent) -> None:
    """``paxos.ballot``: somebody stands, or promises."""
    view = _view(draft, event)
    if view is None:
        return
    if event["n"] == view["n"]:
        view["ts"], view["why"] = event["ts"], event.get("why", "")
        view["since_ms"], view["silent"] = event.get("since_ms", 0), event.get("silent", 0)
        view["q"] = event.get("q", 0)
    if event["n"] not in view["promised"]:
        view["promised"] = [*view["promised"], event["n"]]


def leader(draft: Draft, event: TraceEvent) -> None:
    """``paxos.leader``: the node of a ballot leads."""
    if event["leader"] != event["b"][1]:
        return
    view = _view(draft, event)
    if view is None:
        return
    if event["n"] == view["n"]:
        view["led"], view["w"] = event["ts"], event["w"]
        view["quorum"], view["again"] = list(event.get("quorum", ())), list(event.get("again", ()))
    view["led"] = view["led"] or event["ts"]


# --- messages --------------------------------------------------------------------------------------


def message(draft: Draft, event: TraceEvent) -> None:
    """``msg.send``, ``msg.recv``, ``msg.drop`` between nodes of a cluster, about slots and elections."""
    if event["m"] in _ELECTION:
        name = "elections"
    elif event["m"] in _OF_SLOTS and "s" in event:
        name = "messages"
    else:
        return
    group = _group(draft, event["n"])
    if group is None:
        return
    messages = draft.own(group, name)
    index = _find(messages, event["mid"])
    if index < 0:
        fresh_one = {
            "mid": event["mid"], "m": event["m"], "n": event["n"], "to": event["to"], "s": event.get("s", 0),
            "b": list(event.get("b", (0, 0))), "sent": 0, "got": 0, "lost": "",
        }  # fmt: skip
        fresh_one |= {more: event[more] for more in _MORE if more in event}
        messages.append(fresh_one)
        if len(messages) > MESSAGES_MAX:
            del messages[0]
        index = len(messages) - 1
    entry = draft.own(messages, index)
    if event["k"] == "msg.recv":
        entry["got"] = event["ts"]
    else:
        entry["sent"] = event["ts"]
    if event["k"] == "msg.drop":
        entry["lost"] = event.get("why", "lost")


def _find(messages: list[dict[str, Any]], mid: str) -> int:
    """Where the message is that the other end told of; -1 when it told nothing yet."""
    if not mid:
        return -1
    for index in range(len(messages) - 1, max(-1, len(messages) - 1 - MESSAGES_BACK), -1):
        if messages[index]["mid"] == mid:
            return index
    return -1


# --- pace ------------------------------------------------------------------------------------------


def status(draft: Draft, node: dict[str, Any], ts: int) -> None:
    """A node said how far it is."""
    group = _group(draft, node["id"])
    if group is None:
        return
    reached(draft, node["id"], node["applied"], "applied", ts)
    reached(draft, node["id"], node["watermark"], "chosen", ts)
    start = ts - ts % PACE_US
    pace = draft.own(group, "pace")
    if not pace or pace[-1]["ts"] < start:
        pace.append({"ts": start, "at": {}})
        if len(pace) > PACE_MAX:
            del pace[0]
    if pace[-1]["ts"] == start:
        at = draft.own(draft.own(pace, len(pace) - 1), "at")
        at[str(node["id"])] = [node["watermark"], node["applied"]]
