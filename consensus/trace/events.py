"""Trace schema v1: kinds, their fields, validation and numbering (docs/trace.md).

An event is a JSON-able dict. Live pages, recordings and simulations carry the same events, so a kind
that is missing here does not exist. Times (``ts``) are UTC microseconds; ``window`` is in milliseconds.

Common fields: ``k`` kind, ``ts``, ``q`` order in the run (given by :class:`Numbering`), ``n`` node (0 or
absent: the site), ``inc`` incarnation, ``ns`` per-node sequence, ``err`` clock error in microseconds,
``lc`` Lamport clock, ``cl`` cluster, ``b`` ballot ``[round, node]``, ``s`` slot, ``tx`` transaction,
``cause`` the ``q`` of the event that led to this one, ``by`` its ``ns`` as its node says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

SCHEMA_VERSION: Final = 1
SOURCES: Final = ("live", "replay", "sim")

TraceEvent = dict[str, Any]


class TraceError(ValueError):
    """Not an event, header or keyframe of schema v1; the message names the field."""


# --- field types: each returns whether a value has the type ---------------------------------------


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_map(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _is_ballot(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(_is_int(part) for part in value)


_TYPES: Final = {
    "int": _is_int,
    "number": _is_number,
    "text": _is_text,
    "flag": _is_flag,
    "map": _is_map,
    "list": _is_list,
    "ballot": _is_ballot,
}

_COMMON: Final = {
    "q": "int",
    "ts": "int",
    "n": "int",
    "inc": "int",
    "ns": "int",
    "err": "number",
    "lc": "int",
    "cl": "int",
    "b": "ballot",
    "s": "int",
    "tx": "text",
    "k": "text",
    "cause": "int",
    "by": "int",
}


class Kind(NamedTuple):
    """What a kind must carry besides ``k`` and ``ts``, what it may carry, and whether people see it.

    ``required`` and ``optional`` map a field to a type name of this module. ``notable`` kinds have a
    sentence (``narrate``) and stand in the event feed; a ``step`` has one for the page of its transaction.
    """

    required: Mapping[str, str]
    optional: Mapping[str, str] = {}
    notable: bool = False
    step: bool = False


_MESSAGE: Final = {
    "n": "int",
    "mid": "text",
    "to": "int",
    "m": "text",
    "bytes": "int",
}  # `tx`: one it is about
_HEAD: Final = {"w": "int", "again": "list", "first": "int", "last": "int", "granted": "flag"}
_NODE: Final = {"n": "int"}
_PARTIES: Final = {"from": "int", "to": "int", "amt": "int"}
_LINK: Final = {"a": "int", "b": "int"}
_BATCH: Final = {"part": "int", "to": "int", "accounts": "list"}
_EPOCHS: Final = {"epochs": "list"}
_SEARCH: Final = {"trial": "flag", "method": "text"}

KINDS: Final[dict[str, Kind]] = {
    # messages: `n` is the sender, `to` the receiver, of all three
    # and `tx` is there when they speak of a kept transaction, one event for each. Of a cluster's own: `b`;
    # `s` for those about a slot (a commit: up to it); `w` what they say is chosen; `again` accepted values
    # that a promise carries; `first` and `last` what a NEW-VIEW proposes again
    "msg.send": Kind(_MESSAGE, _HEAD, step=True),
    "msg.recv": Kind(_MESSAGE, _HEAD, step=True),
    "msg.drop": Kind(_MESSAGE, {"why": "text"} | _HEAD, step=True),
    # Paxos in one cluster; `silent`: the leader that was not heard for `since_ms`; `quorum`: who promised;
    # `again`: slots proposed again because promises carried their values; `chosen` is a watermark
    "paxos.ballot": Kind(
        {"n": "int", "b": "ballot"}, {"why": "text", "since_ms": "number", "silent": "int"}, notable=True
    ),
    "paxos.leader": Kind(
        {"n": "int", "b": "ballot", "leader": "int", "w": "int"},
        {"quorum": "list", "again": "list"},
        notable=True,
    ),
    "paxos.accepted": Kind({"n": "int", "s": "int", "b": "ballot"}, {"count": "int"}, step=True),
    "paxos.chosen": Kind({"n": "int", "s": "int", "b": "ballot"}, step=True),
    "paxos.applied": Kind({"n": "int", "s": "int"}, {"count": "int", "has": "list"}, step=True),
    "timer.set": Kind({"n": "int", "name": "text"}, {"due": "int"}, step=True),
    "timer.fire": Kind(
        {"n": "int", "name": "text"}, {"due": "int", "since_ms": "number", "silent": "int"}, step=True
    ),
    "timer.cancel": Kind({"n": "int", "name": "text"}, step=True),
    # transactions; `keep`: recorded in full because a person sent it
    "tx.submit": Kind(
        {"tx": "text", "from": "int", "to": "int", "amt": "int"},
        {"n": "int", "keep": "flag", "legs": "list"},
        notable=True,
    ),
    # `ms` is missing where a node refused: nothing was waited for there
    # each node that applied the prepare holds the locks; the leaders of both sides vote and decide
    "tx.lock": Kind({"n": "int", "tx": "text"}, {"accounts": "list"}, step=True),
    "tx.vote": Kind({"n": "int", "tx": "text", "yes": "flag"}, {"why": "text"}, step=True),
    "tx.decide": Kind({"n": "int", "tx": "text", "outcome": "text"}, {"why": "text"}, step=True),
    "tx.apply": Kind(
        {"n": "int", "tx": "text", "s": "int", "outcome": "text"},
        {"why": "text", "index": "int"} | _PARTIES,
        step=True,
    ),
    "tx.reply": Kind(
        {"tx": "text", "outcome": "text"},
        {"ms": "number", "n": "int", "s": "int", "b": "ballot", "why": "text", "keep": "flag"} | _PARTIES,
        notable=True,
    ),
    # processes and faults
    "node.up": Kind(_NODE, {"why": "text"}, notable=True),
    "node.down": Kind(_NODE, {"why": "text"}, notable=True),
    "node.fail": Kind(_NODE, notable=True),
    "node.recover": Kind(_NODE, {"why": "text"}, notable=True),
    "node.pause": Kind(_NODE, notable=True),
    # `b` is the far end of the link here, not a ballot
    "link.cut": Kind(_LINK, {"delay": "number", "loss": "number"}, notable=True),
    "link.heal": Kind(_LINK, notable=True),
    # moves of accounts and the partitioner. `map.epoch`: `accounts` are at work in the cluster of who tells.
    # `epochs`, beside `accounts`: how often each has changed its owner; of two claims about an account the
    # one with the higher epoch is right. `map.moved`: what no event told of, as the site learns it: `rows`
    # of account, cluster, epoch, flat
    "map.epoch": Kind({"epoch": "int"}, {"accounts": "list"} | _EPOCHS, step=True),
    "map.moved": Kind({"rows": "list"}, step=True),
    "mig.plan": Kind({"plan": "text"}, {"moves": "int"}, notable=True),
    # with `batch`: of one batch, from the leader of the cluster that it leaves; without: of the whole plan
    "mig.start": Kind({"plan": "text", "batch": "int"}, _BATCH, step=True),
    "mig.chunk": Kind({"plan": "text", "batch": "int"}, _BATCH, step=True),
    "mig.flip": Kind({"plan": "text", "batch": "int"}, _BATCH | _EPOCHS, step=True),
    "mig.done": Kind({"plan": "text"}, {"batch": "int", "moved": "int"} | _BATCH, notable=True),
    "mig.abort": Kind({"plan": "text"}, {"batch": "int", "why": "text"} | _BATCH, notable=True),
    # `trial`: of the plan that is made from a part of the window, to be judged on the rest; `count`: of all
    # moves, where not all are listed
    "hg.snapshot": Kind({"plan": "text"}, {"vertices": "int", "nets": "int"}, step=True),
    "hg.level": Kind(
        {"plan": "text", "level": "int"}, _SEARCH | {"vertices": "int", "nets": "int"}, step=True
    ),
    "hg.moves": Kind(
        {"plan": "text", "moves": "list"}, _SEARCH | {"count": "int", "level": "int"}, step=True
    ),
    "hg.quality": Kind(
        {"plan": "text", "km1": "int", "imbalance": "number"}, _SEARCH | {"final": "flag"}, step=True
    ),
    # exact counts of one window; see AGG_FIELDS
    "agg": Kind(
        {"window": "int"},
        {
            "links": "map",
            "tx": "map",
            "nodes": "map",
            "hist": "map",
            "heat": "map",
            "topk": "list",
        },
        step=True,
    ),
    # what has the bank on show to itself, from `begin` to `end`; `path` is its page
    "experiment": Kind({"phase": "text", "what": "text", "title": "text", "path": "text"}, notable=True),
    # transfers of the site's own: `mode` is `off`, `on`, `silent`, `yielding` or `waiting`, and `why`
    "ambient": Kind({"mode": "text", "rate": "number"}, {"why": "text"}, step=True),
    "bench.phase": Kind({"phase": "text"}, {"name": "text"}, step=True),
    "check": Kind({"name": "text", "ok": "flag"}, {"detail": "text"}, notable=True),
    "ctl": Kind(
        {"actor": "text", "cmd": "text"},
        {"args": "map", "result": "text"},
        notable=True,
    ),
    "mark": Kind({"text": "text"}, notable=True),
    "gap": Kind({"from": "int", "to": "int"}, notable=True),
}

AGG_FIELDS: Final = {
    "links": 'messages sent in the window: {"1>2": {"accept": 12, "heartbeat": 4}}, names as in msg.send',
    "tx": 'answered in the window by this leader: {"committed": 40, "aborted": 1, "reads": 3, "refused": 0}',
    "nodes": 'status of nodes at the end of the window: {"1": {…keys of NODE_STATUS…}}',
    "hist": 'leader latency (arrival to reply), {"<bucket>": count}; bucket bounds: hist_bound_us',
    "heat": 'uses of accounts at this node, by neighbourhood: {"<bin>": count}; see heat_bins',
    "topk": "the accounts used most in the same window: [[account, count], …], most used first",
}

HEAT_WINDOW_US: Final = 2_000_000
HEAT_BINS: Final = 90


def heat_bins(accounts: int) -> int:
    """Neighbourhoods that ``heat`` counts by. Account ``a`` is of number ``(a - 1) * bins // accounts``."""
    return min(HEAT_BINS, accounts)


NODE_STATUS: Final = (
    "role",
    "state",
    "ballot",
    "leader",
    "watermark",
    "applied",
    "proposed",
    "checkpoint",
    "lag",
    "queue",
    "in_flight",
)
"""Keys of a worker's status that events carry (in ``agg.nodes``) and pages show."""

HIST_BASE_US: Final = 100.0
HIST_STEPS: Final = 4
HIST_BUCKETS_MAX: Final = 72
"""Buckets grow by 2^(1/4), so that a percentile read from them is at most 19 % too high."""


def hist_index(latency_us: float) -> int:
    """The bucket of a latency; 0 holds everything up to ``HIST_BASE_US``."""
    if latency_us <= HIST_BASE_US:
        return 0
    return min(
        HIST_BUCKETS_MAX - 1,
        math.ceil(HIST_STEPS * math.log2(latency_us / HIST_BASE_US)),
    )


def hist_bound_us(index: int) -> float:
    """Upper bound of a bucket, in microseconds."""
    return float(HIST_BASE_US * 2.0 ** (index / HIST_STEPS))


# --- validation and numbering ----------------------------------------------------------------------


def problems(event: Any) -> list[str]:
    """What keeps ``event`` from being an event of this schema; empty when nothing does.

    ``q`` is not asked for (events get it late). Fields a kind does not name are allowed: the
    schema grows by fields.
    """
    if not isinstance(event, dict):
        return ["an event is an object"]
    kind = KINDS.get(event.get("k", ""))
    if kind is None:
        return [f"k: unknown kind {event.get('k')!r}"]
    found = [] if _is_int(event.get("ts")) else ["ts: missing or not an integer"]
    for name, type_name in kind.required.items():
        if name not in event:
            found.append(f"{name}: missing in {event['k']}")
        elif not _TYPES[type_name](event[name]):
            found.append(f"{name}: not of type {type_name}")
    others = {**_COMMON, **kind.optional}
    for name, type_name in others.items():
        if name in event and name not in kind.required and not _TYPES[type_name](event[name]):
            found.append(f"{name}: not of type {type_name}")
    return found


def validate(event: Any) -> TraceEvent:
    """Return ``event`` unchanged.

    Raises:
        TraceError: it is not an event of this schema.
    """
    found = problems(event)
    if found:
        raise TraceError("; ".join(found))
    return event  # type: ignore[no-any-return]


def header(
    *,
    run: str,
    source: str,
    t0: int,
    topology: Any,
    sha: str = "",
    seed: int = 0,
    sampling: Any = None,
) -> dict[str, Any]:
    """The first line of a recording.

    ``run`` is the recording's id, ``t0`` its start in UTC microseconds, ``topology`` what
    :func:`plain_topology` gives, ``sampling`` how transactions were picked (None: all of them).

    Raises:
        TraceError: the source is unknown.
    """
    if source not in SOURCES:
        raise TraceError(f"src: {source!r} is none of {', '.join(SOURCES)}")
    return {
        "v": SCHEMA_VERSION,
        "run": run,
        "src": source,
        "sha": sha,
        "seed": seed,
        "topology": topology,
        "t0": t0,
        "sampling": sampling,
        "truncated": False,
    }


def plain_topology(clusters: Iterable[Any]) -> dict[str, Any]:
    """The part of a topology that traces carry, from ``Topology.clusters``."""
    return {
        "clusters": [
            {
                "id": cluster.id,
                "nodes": list(cluster.members),
                "first": cluster.first_account,
                "last": cluster.last_account,
            }
            for cluster in clusters
        ]
    }


class Numbering:
    """Gives ``q`` to the events of a run: 1, 2, 3, … in the order they are handed in."""

    def __init__(self, last: int = 0) -> None:
        assert last >= 0
        self.last = last

    def number(self, event: TraceEvent) -> TraceEvent:
        """A copy of ``event`` with the next ``q``."""
        self.last += 1
        return {**event, "q": self.last}
