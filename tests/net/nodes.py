"""A node's networking without a node behind it, and raw connections to it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from consensus import codec
from consensus.messages.control import PROTOCOL_VERSION, Hello, Role
from consensus.net.lamport import LamportClock
from consensus.net.server import Server
from consensus.net.wire import Wire
from consensus.topology import Cluster, Node, Topology

SECRET = "open sesame"


class Owner:
    """Notes what it is told; tests wait for it."""

    def __init__(self, incarnation: int = 3) -> None:
        self.incarnation = incarnation
        self.clock = LamportClock()
        self.events: list[tuple[Any, ...]] = []
        self.wires: dict[str, Wire] = {}
        self._changed = asyncio.Event()

    def note(self, *event: Any) -> None:
        self.events.append(event)
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def heard(self, kind: str, count: int = 1) -> list[tuple[Any, ...]]:
        await self.until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)

    def of(self, kind: str) -> list[tuple[Any, ...]]:
        return [event for event in self.events if event[0] == kind]

    def heard_incarnation(self, incarnation: int) -> None:
        self.note("incarnation", incarnation)

    def peer_connected(self, node: int, name: str, wire: Wire) -> None:
        self.wires[f"to {node}"] = wire
        self.note("connected", node)

    def wire_dirty(self, wire: Wire) -> None:
        asyncio.get_running_loop().call_soon(wire.flush)

    def peer_frame(self, node: int, incarnation: int, messages: list[Any]) -> None:
        self.note("peer frame", node, incarnation, messages)

    def client_frame(self, connection: int, incarnation: int, messages: list[Any]) -> None:
        self.note("client frame", connection, incarnation, messages)

    def client_lost(self, connection: int) -> None:
        self.note("client lost", connection)

    def operator_frame(self, wire: Wire, messages: list[Any]) -> None:
        self.wires["operator"] = wire
        self.note("operator frame", messages)

    def operator_lost(self, wire: Wire) -> None:
        self.note("operator lost")


class Station:
    """A listening :class:`Server` on a free port, with its owner."""

    def __init__(self, node: int = 1, queue_bytes_max: int = 8 << 20) -> None:
        nodes = tuple(Node(id, "127.0.0.1", 0) for id in (1, 2, 3, 4))
        self.owner = Owner()
        self.counters: Counter[str] = Counter()
        topology = Topology((Cluster(9, nodes[:3], 1, 10), Cluster(10, nodes[3:], 11, 20)), 10)
        self.server = Server(nodes[node - 1], topology, SECRET, self.owner, self.counters, queue_bytes_max)
        self.port = 0


@asynccontextmanager
async def station(node: int = 1, queue_bytes_max: int = 8 << 20) -> AsyncIterator[Station]:
    one = Station(node, queue_bytes_max)
    one.port = await one.server.start()
    try:
        yield one
    finally:
        await one.server.stop()


def raw(port: int, **options: Any) -> connect:
    """A plain websocket connection with the secret, for sending what no node would."""
    headers = {"Authorization": f"Bearer {SECRET}", **options.pop("headers", {})}
    return connect(
        f"ws://127.0.0.1:{port}/", additional_headers=headers, compression=None, proxy=None, **options
    )


def hello(
    role: str = Role.CLIENT,
    node: int = 0,
    version: int = PROTOCOL_VERSION,
    incarnation: int = 0,
    lease: bool | None = None,
) -> bytes:
    message = codec.encode(Hello(version, Role(role), node, incarnation, "test", lease))
    return codec.frame(incarnation, [message], 1)


async def closing(socket: ClientConnection) -> tuple[int, str]:
    """Read until the other end closes; its code and reason."""
    async with asyncio.timeout(10):
        with suppress(ConnectionClosed):
            while True:
                await socket.recv()
    return socket.close_code or 0, socket.close_reason or ""


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that nobody tells about."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)
