"""A run's trace, in the schema that live banks use: the same viewer plays it.

Times are virtual; they count from a day that no bank lives in, so nobody takes a simulated run for a real
one. Nothing here changes what happens: a run is the same with and without being watched.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from consensus.effects import Event
from consensus.replica import inspect
from consensus.simulation.node import SimNode
from consensus.topology import Topology
from consensus.trace import events as trace
from consensus.types import NodeId

T0_US: Final = 946_684_800_000_000
"""2000-01-01, UTC."""
WINDOW_US: Final = 100_000
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
        self._cluster = {node: cluster.id for node, cluster in topology.cluster_by_node.items()}
        self._sequence = dict.fromkeys(topology.nodes, 0)
        self._up: dict[NodeId, int] = {}
        """Node to the life it is in; missing while it is down."""
        self._window_us = 0
        plain = trace.plain_topology(topology.clusters)
        head = trace.header(run=f"sim-{seed}", source="sim", t0=T0_US, topology=plain, seed=seed)
        self._write(_encode(head))

    def stepped(self, world: Watched, node: SimNode, events: list[Event]) -> None:
        """A node made a step; ``events`` are what it told."""
        if node.replica is not None:
            node.replica.trace_level = 1
        self._lives(world)
        for kind, fields in events:
            self._tell(world, node.id, kind, fields)
        if world.now_us >= self._window_us:
            self._window_us = world.now_us + WINDOW_US
            self._statuses(world)

    def violated(self, world: Watched, name: str, detail: str) -> None:
        """An invariant is broken: the last event of a failing run."""
        self._tell(world, 0, "check", {"name": name, "ok": False, "detail": detail[:500]})

    def _lives(self, world: Watched) -> None:
        """Tell which nodes' processes ended or began since the last step."""
        for node in world.nodes.values():
            before = self._up.get(node.id)
            now = node.life if node.up else None
            if before == now:
                continue
            if before is not None:
                del self._up[node.id]
                self._tell(world, node.id, "node.down", {})
            if now is not None:
                self._up[node.id] = now
                self._tell(world, node.id, "node.up", {})

    def _statuses(self, world: Watched) -> None:
        nodes: dict[str, Any] = {}
        for node in world.nodes.values():
            if node.replica is None:
                continue
            status = inspect.status(node.replica)
            nodes[str(node.id)] = {name: status[name] for name in trace.NODE_STATUS if name in status}
        self._tell(world, 0, "agg", {"window": WINDOW_US // 1_000, "nodes": nodes})

    def _tell(self, world: Watched, node: NodeId, kind: str, fields: dict[str, Any]) -> None:
        event: dict[str, Any] = {"k": kind, "n": node, "inc": 1, "ts": T0_US + world.now_us}
        if node:
            self._sequence[node] += 1
            event |= {"cl": self._cluster[node], "ns": self._sequence[node]}
        event |= {name: value for name, value in fields.items() if value is not None}
        self._write(_encode(self._numbering.number(event)))


@contextmanager
def tracing(path: Path, topology: Topology, seed: int) -> Iterator[Tracer]:
    """A tracer that writes to ``path``, gzipped.

    Raises:
        OSError: the file cannot be written.
    """
    # Neither name nor time go into the file: the same run gives the same bytes.
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as file:
        yield Tracer(topology, seed, lambda line: file.write(line + b"\n"))
