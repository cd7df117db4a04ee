"""A run's trace, in the schema that live banks use: the same viewer plays it.

Times are virtual; they count from a day that no bank lives in, so nobody takes a simulated run for a real
one. Slots, elections and their messages are told as live nodes tell them (:mod:`consensus.trace.slottrace`);
all other messages, too, since a run is short. Nothing here changes what happens: a run is the same with and
without being watched.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from consensus import codec
from consensus.effects import Event
from consensus.messages import migration, paxos, txn
from consensus.messages.base import Message
from consensus.messages.client import Replies, Status
from consensus.replica import inspect
from consensus.simulation.node import SimNode
from consensus.topology import Topology
from consensus.trace import events as trace
from consensus.trace.causes import Causes
from consensus.trace.electiontrace import KINDS as ELECTION_EVENTS
from consensus.trace.electiontrace import ElectionTrace
from consensus.trace.heads import ELECTION_KINDS, SLOT_KINDS
from consensus.trace.slottrace import SlotTrace
from consensus.types import NodeId, TxId

T0_US: Final = 946_684_800_000_000
"""2000-01-01, UTC."""
WINDOW_US: Final = 100_000
TX_MAX: Final = 8
"""Transactions of a message that events are told of; each has an event of its own."""
CONNECTION: Final = "sim"
_NAMES: Final[dict[type[Message], str]] = {
    **paxos.TRACE_NAMES,
    **txn.TRACE_NAMES,
    **migration.TRACE_NAMES,
}
_SLOT_EVENTS: Final = frozenset(("paxos.accepted", "paxos.chosen", "paxos.applied"))
_TOUCHING: Final = frozenset(("tx.apply", "tx.lock"))
_UNTOLD: Final = frozenset((paxos.HeartbeatAck,))
"""Half of all messages, about nothing that the viewer shows."""
_encode: Final = msgspec.json.Encoder().encode


class Watched(Protocol):
    """What a tracer looks at; a :class:`~consensus.simulation.world.World`."""

    now_us: int
    nodes: dict[NodeId, SimNode]


class Tracer:
    """Collects the events of one run.

    Args:
        topology: of the run.
        seed: of the run; names it.
        write: takes each line of the trace, without its end.
    """

    def __init__(self, topology: Topology, seed: int, write: Any) -> None:
        self._write = write
        self._numbering = trace.Numbering()
        self._causes = Causes()
        self._clusters = topology.cluster_by_node
        self._sequence = dict.fromkeys(topology.nodes, 0)
        self._up: dict[NodeId, int] = {}
        """Node to the life it is in; missing while it is down."""
        self._now_us = 0
        self._window_us = 0
        self._counts: Counter[tuple[NodeId, NodeId]] = Counter()
        self._slots: dict[NodeId, SlotTrace] = {}
        self._elections: dict[NodeId, ElectionTrace] = {}
        self._submitted: dict[tuple[NodeId, str], int] = {}
        """When a node was asked for a transaction that it has not answered yet."""
        plain = trace.plain_topology(topology.clusters)
        head = trace.header(run=f"sim-{seed}", source="sim", t0=T0_US, topology=plain, seed=seed)
        self._write(_encode(head))

    # --- the clock of what nodes tell ------------------------------------------------------

    def wall_us(self) -> int:
        return T0_US + self._now_us

    def steady_s(self) -> float:
        return self._now_us / 1e6

    # --- what happens ----------------------------------------------------------------------

    def stepped(self, world: Watched, node: SimNode, events: list[Event]) -> None:
        """A node made a step; ``events`` are what it told."""
        self._now_us = world.now_us
        if node.replica is not None:
            node.replica.trace_level = 1
        self._lives(world)
        for kind, fields in events:
            if kind in _SLOT_EVENTS:
                self._slots[node.id].passed(kind == "paxos.accepted")
                self._slots[node.id].happened(kind, fields, everything=True)
            elif kind in ELECTION_EVENTS:
                self._elections[node.id].happened(kind, fields)
            else:
                if kind in _TOUCHING:
                    self._slots[node.id].touched(fields["s"], 1)
                elif kind == "tx.submit":
                    self._submitted.setdefault((node.id, fields["tx"]), world.now_us)
                self._tell(node.id, kind, 0, fields)
        if world.now_us >= self._window_us:
            self._window_us = world.now_us + WINDOW_US
            self._statuses(world)

    def replied(self, world: Watched, node: NodeId, message: Message) -> None:
        """An answer leaves for a client; one that the network loses or that nobody waits for is told, too."""
        if not isinstance(message, Replies):
            return
        for number, outcome in zip(message.numbers, message.outcomes, strict=True):
            tx = str(TxId(message.session, number))
            since_us = self._submitted.pop((node, tx), None)
            if since_us is not None:
                told = {
                    "tx": tx,
                    "outcome": "aborted" if outcome.status else "committed",
                    "why": Status(outcome.status).name.lower() if outcome.status else None,
                    "ms": round((world.now_us - since_us) / 1e3, 3),
                    "s": outcome.slot,
                    "b": list(outcome.ballot),
                }
                self._tell(node, "tx.reply", 0, told)

    def sent(
        self, world: Watched, source: NodeId, to: NodeId, data: bytes, message: Message, lost: bool
    ) -> int:
        """A message leaves, or is ``lost`` on its way. Returns its number on the link."""
        self._now_us = world.now_us
        self._counts[source, to] += 1
        number = self._counts[source, to]
        kind = type(message)
        if kind in ELECTION_KINDS:
            self._elections[source].sent(to, _mid(source, to, number), data)
        elif kind in SLOT_KINDS:
            self._slots[source].sent(to, CONNECTION, [data], number)
        else:
            self._other("msg.send", source, source, to, number, message, len(data))
        if lost:
            self.lost(world, source, to, data, message, number, "lost on the way")
        return number

    def received(self, world: Watched, source: NodeId, to: NodeId, message: Message, number: int) -> None:
        """A message arrives and is about to be taken in."""
        self._now_us = world.now_us
        self._lives(world)
        kind = type(message)
        if kind in ELECTION_KINDS:
            self._elections[to].received(source, _mid(source, to, number), message)
        elif kind in SLOT_KINDS:
            self._slots[to].received(source, CONNECTION, [message], number)
        else:
            self._other("msg.recv", to, source, to, number, message, len(codec.encode(message)))

    def lost(
        self, world: Watched, source: NodeId, to: NodeId, data: bytes, message: Message, number: int, why: str
    ) -> None:
        """A message does not arrive, or nobody is there."""
        self._now_us = world.now_us
        kind = type(message)
        if kind in ELECTION_KINDS:
            self._elections[source].lost(to, data, why)
        elif kind in SLOT_KINDS:
            self._slots[source].lost(to, data, why)
        else:
            self._other("msg.drop", source, source, to, number, message, len(data), why)

    def violated(self, world: Watched, name: str, detail: str) -> None:
        """An invariant is broken: the last event of a failing run."""
        self._now_us = world.now_us
        self._tell(0, "check", 0, {"name": name, "ok": False, "detail": detail[:500]})

    # --- telling ---------------------------------------------------------------------------

    def _other(
        self,
        kind: str,
        teller: NodeId,
        source: NodeId,
        to: NodeId,
        number: int,
        message: Message,
        size: int,
        why: str | None = None,
    ) -> None:
        """A message that is of no slot and no election: once for each transaction it is about."""
        if type(message) in _UNTOLD:
            return
        told = {"mid": _mid(source, to, number), "n": source, "to": to, "bytes": size, "why": why}
        told["m"] = _NAMES.get(type(message), "")
        rows = getattr(message, "rows", ()) if isinstance(message, txn.TxnMessage) else ()
        ids = [str(TxId(row.session, row.number)) for row in islice(rows, TX_MAX)]
        for about in [{"tx": tx} for tx in ids] or [{}]:
            self._tell(teller, kind, 0, {**told, **about})

    def _lives(self, world: Watched) -> None:
        """Tell which nodes' processes ended or began since the last step."""
        for node in world.nodes.values():
            before = self._up.get(node.id)
            now = node.life if node.up else None
            if before == now:
                continue
            if before is not None:
                del self._up[node.id]
                self._tell(node.id, "node.down", 0, {})
            if now is not None:
                self._up[node.id] = now
                self._begin(node.id)
                self._tell(node.id, "node.up", 0, {})

    def _begin(self, node: NodeId) -> None:
        """A process starts: it remembers nothing of what it told before."""
        tell = partial(self._tell, node)
        others = tuple(member for member in self._clusters[node].members if member != node)
        self._slots[node] = SlotTrace(node, others, tell, _dropped, self)
        self._slots[node].watched(1)
        self._elections[node] = ElectionTrace(node, tell, _dropped, self)

    def _statuses(self, world: Watched) -> None:
        nodes: dict[str, Any] = {}
        for node in world.nodes.values():
            if node.replica is None:
                continue
            status = inspect.status(node.replica)
            nodes[str(node.id)] = {name: status[name] for name in trace.NODE_STATUS if name in status}
        self._tell(0, "agg", 0, {"window": WINDOW_US // 1_000, "nodes": nodes})

    def _tell(self, node: NodeId, kind: str, least: int, fields: Mapping[str, Any], ts: int = 0) -> int:
        """Write an event; its number among those of ``node``."""
        event: dict[str, Any] = {"k": kind, "n": node, "inc": 1, "ts": ts or self.wall_us()}
        if node:
            self._sequence[node] += 1
            event |= {"cl": self._clusters[node].id, "ns": self._sequence[node]}
        event |= {name: value for name, value in fields.items() if value is not None}
        event = self._numbering.number(event)
        self._causes.link(event)
        self._write(_encode(event))
        return self._sequence.get(node, 0)


def _mid(source: NodeId, to: NodeId, number: int) -> str:
    return f"{CONNECTION}.{source}.{to}.{number}"


def _dropped(least: int) -> None:
    """The limits are those of a live node; a run that passes them shows less of it, as a live one would."""


@contextmanager
def tracing(path: Path, topology: Topology, seed: int) -> Iterator[Tracer]:
    """A tracer that writes to ``path``, gzipped.

    Raises:
        OSError: the file cannot be written.
    """
    # Neither name nor time go into the file: the same run gives the same bytes.
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as file:
        yield Tracer(topology, seed, lambda line: file.write(line + b"\n"))
