"""A stretch of a recording as Chrome trace JSON (the Trace Event Format), for Perfetto and chrome://tracing.

A process for each cluster, one for the site; a thread for each node. Beside it, threads for what overlaps:
slots from accepted to applied, locks, transactions from arrival to answer, time out of service, each in the
first thread that is free. Who leads is a slice on the node's own thread; messages are short slices that
arrows join; counts are counters. Times are microseconds since the start of the recording.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from consensus.trace.draft import State
from consensus.trace.events import TraceEvent
from consensus.trace.narrate import narrate

LANES: Final = 40
"""Threads of one node for things that overlap; what finds no room goes into the last one."""
MESSAGE_US: Final = 1
_WORDS: Final = {"node.down": "down", "node.fail": "failed", "node.pause": "paused"}
_INSTANT: Final = frozenset(
    (
        *("paxos.ballot", "paxos.leader", "node.up", "node.recover", *_WORDS, "link.cut", "link.heal"),
        *("map.epoch", "bench.phase", "experiment", "check", "ctl", "mark", "gap"),
    )
)
Row = dict[str, Any]


def export(header: dict[str, Any], state: State, events: Iterable[TraceEvent]) -> Iterator[str]:
    """The document, an event of it a line."""
    writer = _Writer(header, state)
    yield '{"displayTimeUnit":"ms","otherData":' + _json(writer.about) + ',"traceEvents":[\n'
    separator = ""
    for row in writer.rows(events):
        yield separator + _json(row)
        separator = ",\n"
    yield "\n]}\n"


_json: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class _Lanes:
    """The threads of one node for things that overlap: each goes into the first that is free."""

    def __init__(self) -> None:
        self._ends: list[int] = []

    def place(self, start: int, end: int) -> int:
        for lane, busy_until in enumerate(self._ends):
            if busy_until <= start:
                self._ends[lane] = end
                return lane
        if len(self._ends) < LANES:
            self._ends.append(end)
        return len(self._ends) - 1


class _Writer:
    """Turns events into rows; remembers what has begun and not ended."""

    def __init__(self, header: dict[str, Any], state: State) -> None:
        self.about = {name: header[name] for name in ("run", "src", "sha", "seed")}
        self._zero = int(header["t0"])
        self._topology = header["topology"]
        self._cluster = {node: c["id"] for c in self._topology["clusters"] for node in c["nodes"]}
        self._now = max(self._zero, int(state["ts"]))
        self._lanes: dict[int, _Lanes] = {}
        self._named: set[tuple[int, int]] = set()
        self._leads: dict[int, tuple[int, list[int], int]] = {
            int(key): (cluster["leader"], cluster["ballot"], self._now)
            for key, cluster in state["clusters"].items()
            if cluster["leader"]
        }
        self._off: dict[int, tuple[str, int]] = {
            int(key): (node["up"], self._now)
            for key, node in state["nodes"].items()
            if node["up"] not in ("up", "unknown")
        }
        self._slots: dict[tuple[int, int], TraceEvent] = {}
        self._submitted: dict[str, TraceEvent] = {}
        self._locked: dict[tuple[int, str], TraceEvent] = {}
        self._cases: dict[str, Callable[[TraceEvent], Iterator[Row]]] = {
            "agg": self._counts,
            "msg.send": self._message,
            "msg.recv": self._message,
            "paxos.leader": self._leader,
            "paxos.accepted": self._accepted,
            "paxos.applied": self._applied,
            "tx.submit": self._begins,
            "tx.lock": self._begins,
            "tx.apply": self._unlocked,
            "tx.reply": self._answered,
            **dict.fromkeys(("node.up", "node.recover", *_WORDS), self._process),
        }

    def rows(self, events: Iterable[TraceEvent]) -> Iterator[Row]:
        for cluster in [{"id": 0, "nodes": [0]}, *self._topology["clusters"]]:
            name = f"Cluster {cluster['id']}" if cluster["id"] else "Site"
            yield self._meta(cluster["id"], 0, "process_name", name=name)
            yield self._meta(cluster["id"], 0, "process_sort_index", sort_index=cluster["id"])
            for node in cluster["nodes"]:
                yield from self._thread(node, 0, f"n{node}" if node else "site")
        for event in events:
            self._now = max(self._now, event["ts"])
            case = self._cases.get(event["k"])
            if case is not None:
                yield from case(event)
            if event["k"] in _INSTANT:
                words = narrate(event) or event["k"]
                yield self._row("i", event.get("n", 0), 0, event["ts"], words, s="t", cat=event["k"])
        for cluster_id in list(self._leads):
            yield from self._led(cluster_id, self._now)
        for node in list(self._off):
            yield from self._back(node, self._now)

    # --- rows ----------------------------------------------------------------------

    def _row(self, phase: str, node: int, lane: int, ts: int, name: str, **more: Any) -> Row:
        place = {"pid": self._cluster.get(node, 0), "tid": _thread_id(node, lane)}
        return {"ph": phase, "ts": ts - self._zero, **place, "name": name, **more}

    @staticmethod
    def _meta(pid: int, tid: int, what: str, **args: Any) -> Row:
        return {"ph": "M", "pid": pid, "tid": tid, "name": what, "args": args}

    def _thread(self, node: int, lane: int, name: str) -> Iterator[Row]:
        pid, tid = self._cluster.get(node, 0), _thread_id(node, lane)
        if (pid, tid) not in self._named:
            self._named.add((pid, tid))
            yield self._meta(pid, tid, "thread_name", name=name)
            yield self._meta(pid, tid, "thread_sort_index", sort_index=tid)

    def _slice(self, node: int, start: int, end: int, name: str, **more: Any) -> Iterator[Row]:
        """Something of a node that overlaps with others of its kind."""
        lane = 1 + self._lanes.setdefault(node, _Lanes()).place(start, end)
        yield from self._thread(node, lane, f"n{node} work")
        yield self._row("X", node, lane, start, name, dur=max(1, end - start), **more)

    # --- cases ---------------------------------------------------------------------

    def _leader(self, event: TraceEvent) -> Iterator[Row]:
        if event["leader"] != event["n"]:
            return
        cluster = self._cluster.get(event["n"], 0)
        yield from self._led(cluster, event["ts"])
        self._leads[cluster] = (event["leader"], list(event["b"]), event["ts"])

    def _led(self, cluster: int, until: int) -> Iterator[Row]:
        """The time of the leader of before, on its own thread."""
        if cluster not in self._leads:
            return
        node, ballot, since = self._leads.pop(cluster)
        name = f"leads, ballot ({ballot[0]},{ballot[1]})"
        yield self._row("X", node, 0, since, name, dur=max(1, until - since), cat="leader")

    def _process(self, event: TraceEvent) -> Iterator[Row]:
        node = event["n"]
        yield from self._back(node, event["ts"])
        if event["k"] in _WORDS:
            self._off[node] = (_WORDS[event["k"]], event["ts"])

    def _back(self, node: int, until: int) -> Iterator[Row]:
        if node not in self._off:
            return
        word, since = self._off.pop(node)
        yield from self._slice(node, since, until, word, cat="fault")

    def _accepted(self, event: TraceEvent) -> Iterator[Row]:
        self._slots[event["n"], event["s"]] = event
        yield from ()

    def _applied(self, event: TraceEvent) -> Iterator[Row]:
        begun = self._slots.pop((event["n"], event["s"]), None)
        if begun is None:
            return
        args = {"ballot": begun["b"], "holds": event.get("has", []), "transactions": event.get("count")}
        name = f"slot {event['s']}"
        yield from self._slice(event["n"], begun["ts"], event["ts"], name, cat="slot", args=args)

    def _begins(self, event: TraceEvent) -> Iterator[Row]:
        if event["k"] == "tx.submit":
            self._submitted.setdefault(event["tx"], event)
        else:
            self._locked.setdefault((event["n"], event["tx"]), event)
        yield from ()

    def _unlocked(self, event: TraceEvent) -> Iterator[Row]:
        begun = self._locked.pop((event["n"], event["tx"]), None)
        if begun is None:
            return
        name = f"locks {', '.join(map(str, begun.get('accounts', ())))}".strip()
        args = {"tx": event["tx"], "outcome": event["outcome"]}
        yield from self._slice(event["n"], begun["ts"], event["ts"], name, cat="lock", args=args)

    def _answered(self, event: TraceEvent) -> Iterator[Row]:
        begun = self._submitted.pop(event["tx"], None)
        if begun is None:
            return
        name = f"{begun['amt']} from {begun['from']} to {begun['to']}: {event['outcome']}"
        args = {name: event[name] for name in ("tx", "outcome", "why", "s", "b", "ms") if name in event}
        yield from self._slice(begun.get("n", 0), begun["ts"], event["ts"], name, cat="tx", args=args)

    def _message(self, event: TraceEvent) -> Iterator[Row]:
        sends = event["k"] == "msg.send"
        node, other = (event["n"], event["to"]) if sends else (event["to"], event["n"])
        name = f"{event['m']} {'to' if sends else 'from'} n{other}"
        args = {name: event[name] for name in ("s", "b", "tx", "bytes") if name in event}
        lane = LANES + 1
        yield from self._thread(node, lane, f"n{node} messages")
        yield self._row("X", node, lane, event["ts"], name, dur=MESSAGE_US, cat="msg", args=args)
        arrow = {"id": zlib.crc32(f"{event['mid']} {event.get('tx', '')}".encode()), "cat": "msg"}
        end = {} if sends else {"bp": "e"}
        yield self._row("s" if sends else "f", node, lane, event["ts"], event["m"], **arrow, **end)

    def _counts(self, event: TraceEvent) -> Iterator[Row]:
        node = event.get("n", 0)
        if event.get("tx"):
            args = {name: event["tx"].get(name, 0) for name in ("committed", "aborted", "reads")}
            yield self._row("C", node, 0, event["ts"], f"n{node} answered in {event['window']} ms", args=args)
        for key, status in event.get("nodes", {}).items():
            args = {name: status[name] for name in ("queue", "lag") if name in status}
            if args:
                yield self._row("C", int(key), 0, event["ts"], f"n{key} waiting", args=args)


def _thread_id(node: int, lane: int) -> int:
    return node * (LANES + 10) + lane
