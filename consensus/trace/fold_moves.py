"""What the fold keeps of timers, of accounts that move or moved, of the partitioner. Part of :mod:`fold`."""

from __future__ import annotations

from typing import Any, Final

from consensus.trace.draft import Draft
from consensus.trace.events import TraceEvent

TIMERS_MAX: Final = 8
"""Names of timers remembered per node."""
PLANS_MAX: Final = 10
BATCHES_MAX: Final = 40
ACCOUNTS_MAX: Final = 64
"""Of one batch."""
OWNERS_MAX: Final = 20_000
"""Accounts that have moved; of more, those that move first are known."""
BATCH: Final = {
    "mig.start": "moving",
    "mig.chunk": "moving",
    "mig.flip": "moved",
    "mig.done": "moved",
    "mig.abort": "back",
}
WHAT: Final = {"timer.set": "set", "timer.fire": "fired", "timer.cancel": "cancelled"}
STATES: Final = {
    "mig.plan": "planned",
    "mig.start": "running",
    "mig.chunk": "running",
    "mig.flip": "running",
    "mig.done": "done",
    "mig.abort": "aborted",
}


def timer(draft: Draft, event: TraceEvent) -> None:
    """``timer.*``: what became of a node's timer last."""
    node = draft.entry("nodes", str(event["n"]))
    if node is None:
        return
    timers = dict(node.get("timers", {}))
    if event["name"] in timers or len(timers) < TIMERS_MAX:
        timers[event["name"]] = {"is": WHAT[event["k"]], "ts": event["ts"], "due": event.get("due", 0)}
        node["timers"] = timers


def epoch(draft: Draft, event: TraceEvent) -> None:
    """``map.epoch``."""
    draft.state["epoch"] = max(draft.state["epoch"], event["epoch"])
    if "accounts" in event:
        _claim(draft, event, event.get("cl", 0))


def moved(draft: Draft, event: TraceEvent) -> None:
    """``map.moved``: owners that no event told of."""
    rows = event["rows"]
    for account, cluster, epoch in zip(rows[::3], rows[1::3], rows[2::3], strict=False):
        _own(draft, account, cluster, epoch)


def _claim(draft: Draft, event: TraceEvent, cluster: int) -> None:
    """The accounts of an event belong to ``cluster``."""
    epochs = event.get("epochs", ())
    for index, account in enumerate(event["accounts"]):
        _own(draft, account, cluster, epochs[index] if index < len(epochs) else 0)


def _own(draft: Draft, account: int, cluster: int, epoch: int) -> None:
    """Of two claims the one with the higher epoch is right: nodes tell one after the other.

    One without an epoch, in recordings of an earlier version, is taken as it comes. Accounts that are home
    again are held, too: word of their way out may come late.
    """
    owners = draft.part("owners")
    key = str(account)
    known = owners.get(key)
    if known is None:
        if len(owners) < OWNERS_MAX:
            owners[key] = [cluster, epoch or 1]
    elif epoch > known[1] or (epoch == 0 and cluster != known[0]):
        owners[key] = [cluster, epoch or known[1] + 1]


def whole(event: TraceEvent) -> bool:
    """Whether a ``mig.*`` tells of a plan; of one of its batches otherwise."""
    return "batch" not in event


def migration(draft: Draft, event: TraceEvent) -> None:
    """``mig.*``: how far a plan is. One that is over stays so."""
    if "accounts" in event and not whole(event):
        _batch(draft, event)
        if event["k"] == "mig.flip":
            _claim(draft, event, event.get("to", 0))
    plans = draft.part("plans")
    index = next((i for i, plan in enumerate(plans) if plan["plan"] == event["plan"]), -1)
    if index < 0:
        fresh = {"plan": event["plan"], "state": "", "batch": 0, "chunks": 0, "flips": 0, "why": "", "ts": 0}
        draft.push("plans", fresh, PLANS_MAX)
        index = len(plans) - 1
    plan = draft.own(plans, index)
    if plan["state"] not in ("done", "aborted"):
        plan["state"] = STATES[event["k"]] if whole(event) else "running"
    plan["ts"] = event["ts"]
    plan["batch"] = max(plan["batch"], event.get("batch", 0))
    plan["chunks"] += event["k"] == "mig.chunk"
    plan["flips"] += event["k"] == "mig.flip"
    plan["why"] = event.get("why", plan["why"])


def _batch(draft: Draft, event: TraceEvent) -> None:
    """Which accounts are on their way, or were a moment ago."""
    batches = draft.part("moves")
    source = event.get("cl", 0)
    index = len(batches) - 1
    while index >= 0 and (batches[index]["from"], batches[index]["batch"]) != (source, event["batch"]):
        index -= 1
    if index < 0:
        fresh = {
            "plan": event["plan"], "batch": event["batch"], "from": source, "to": event.get("to", 0),
            "accounts": list(event["accounts"][:ACCOUNTS_MAX]), "is": "", "ts": 0,
        }  # fmt: skip
        draft.push("moves", fresh, BATCHES_MAX)
        index = len(batches) - 1
    batch = draft.own(batches, index)
    batch["is"], batch["ts"] = BATCH[event["k"]], event["ts"]


def partitioner(draft: Draft, event: TraceEvent) -> None:
    """``hg.*``: where the partitioner is with the plan that it works on."""
    known: dict[str, Any] = draft.state["hg"]
    if known.get("plan") != event["plan"] or event["k"] == "hg.snapshot":
        known = {"plan": event["plan"], "level": 0, "moved": 0, "km1": 0, "imbalance": 0, "ts": 0}
    moves = event.get("count", len(event["moves"])) if event["k"] == "hg.moves" else 0
    told = {"is": event["k"][3:], "trial": event.get("trial", False), "ts": event["ts"]}
    figures = {name: event[name] for name in ("level", "vertices", "km1", "imbalance") if name in event}
    draft.state["hg"] = {**known, **figures, **told, "moved": known["moved"] + moves}
