"""Films a bank that has no site: watches every node and writes what they tell as a recording (schema v1)."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import time
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from consensus.client.connection import NodeLink
from consensus.client.errors import OperatorError
from consensus.client.operator import Operator
from consensus.messages.control import Telemetry
from consensus.topology import Topology
from consensus.trace import events as trace
from consensus.types import NodeId

HZ: Final = 10.0
LEVEL: Final = 1
EVENTS_MAX: Final = 100_000
"""What comes beyond is left out, and told by a last event."""
LAST_S: Final = 0.5
"""How long the last reports are waited for."""
_encode: Final = msgspec.json.Encoder().encode


class _Watched(Operator):
    """An operator connection that asks for telemetry each time it opens."""

    def __init__(self, film: Film, node: NodeId, host: str, port: int, secret: str) -> None:
        super().__init__(host, port, secret, on_telemetry=self._told, name="film")
        self._film = film
        self._id = node

    def link_up(self, link: NodeLink, incarnation: int) -> None:
        super().link_up(link, incarnation)
        self._film.went_on(self.watch())
        self._film.tell("node.up", n=self._id)

    def link_lost(self, link: NodeLink) -> None:
        super().link_lost(link)
        self._film.tell("node.down", n=self._id, why="its connection ended")

    async def watch(self) -> None:
        # One that goes away again is asked when it comes back.
        with contextlib.suppress(OperatorError, TimeoutError, ConnectionError):
            await self.call("watch", hz=HZ, level=LEVEL)

    def _told(self, telemetry: Telemetry) -> None:
        self._film.heard(self._id, telemetry.status, telemetry.events)


class Film:
    """A context: watches from its beginning to its end, then writes ``path``.

    Args:
        topology, secret: of the bank, which runs.
        path: of the recording, gzipped.
        run: names it.
    """

    def __init__(self, topology: Topology, secret: str, path: Path, run: str) -> None:
        plain = trace.plain_topology(topology.clusters)
        self._head = trace.header(run=run, source="live", t0=_now_us(), topology=plain)
        self._path = path
        self._events: list[dict[str, Any]] = []
        self._left_out = 0
        self._shown: dict[NodeId, dict[str, Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        nodes = topology.nodes.values()
        self._operators = [_Watched(self, node.id, node.host, node.port, secret) for node in nodes]

    async def __aenter__(self) -> Self:
        await asyncio.gather(*(operator.watch() for operator in self._operators))
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(LAST_S)
        # What is told from here on is of this end.
        events, self._events = self._events, []
        await asyncio.gather(*(operator.close() for operator in self._operators))
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._write, events)

    def went_on(self, work: Any) -> None:
        """Run ``work`` beside the rest."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def tell(self, kind: str, **fields: Any) -> None:
        """An event that no node tells."""
        self._add({"k": kind, "ts": _now_us(), **fields})

    def heard(self, node: NodeId, status: dict[str, Any], told: list[dict[str, Any]]) -> None:
        """A report of a node."""
        for event in told:
            self._add(event)
        shown: dict[str, Any] = {name: status[name] for name in trace.NODE_STATUS if name in status}
        if shown != self._shown.get(node):
            self._shown[node] = shown
            incarnation = int(status.get("incarnation") or 0)
            self.tell("agg", n=0, inc=incarnation, window=round(1e3 / HZ), nodes={str(node): shown})

    def _add(self, event: dict[str, Any]) -> None:
        if len(self._events) < EVENTS_MAX:
            self._events.append(event)
        else:
            self._left_out += 1

    def _write(self, events: list[dict[str, Any]]) -> None:
        """All nodes have this machine's clock, so its order is the order of events."""
        events.sort(key=lambda event: event["ts"])
        if self._left_out:
            text = f"{self._left_out:,} further events are left out"
            events.append({"k": "mark", "ts": events[-1]["ts"], "text": text})
        numbering = trace.Numbering()
        with gzip.open(self._path, "wb", compresslevel=6) as file:
            file.write(_encode(self._head) + b"\n")
            for event in events:
                file.write(_encode(numbering.number(event)) + b"\n")


def _now_us() -> int:
    return time.time_ns() // 1_000
