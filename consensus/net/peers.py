"""Connections to the other nodes: of the cluster for Paxos, of other clusters for two-phase commit.

Each node dials every other one and sends only on the connections it dialled; what it hears comes on those
that the others dialled (see server.py). A message for a node that is not connected is dropped: the
protocol sends again what matters.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, Protocol

from consensus import codec
from consensus.messages.control import PROTOCOL_VERSION, Hello, Role, Welcome
from consensus.net.lamport import LamportClock
from consensus.net.redial import Redial, Target
from consensus.net.wire import OVERLOADED, Wire
from consensus.topology import Node
from consensus.types import NodeId

BACK_OFF_S: Final = (0.02, 1.0)


class PeersOwner(Protocol):
    """What the node does with news of others."""

    incarnation: int
    clock: LamportClock

    def wire_dirty(self, wire: Wire) -> None:
        """``wire`` wants to be flushed at the end of this turn of the loop."""

    def heard_incarnation(self, incarnation: int) -> None:
        """Another node lives in ``incarnation``."""

    def peer_connected(self, node: NodeId, name: str, wire: Wire) -> None:
        """Messages to ``node`` leave on ``wire`` from now on; ``name`` tells its connections apart."""


class Peers:
    """The dialled connections, by node.

    Args:
        me: this node.
        others: whom to dial.
        secret: the cluster secret.
        owner: the node.
        counters: ``connections_overloaded`` is counted here.
        queue_bytes_max: bound of what waits for one peer.
        lease: whether this node has leases on; the others are told.
    """

    def __init__(
        self,
        me: NodeId,
        others: Iterable[Node],
        secret: str,
        owner: PeersOwner,
        counters: Counter[str],
        queue_bytes_max: int,
        lease: bool = False,
    ) -> None:
        self._me = me
        self._lease = lease
        self._owner = owner
        self._counters = counters
        self._start = time.time_ns() // 1_000_000
        self._connections = 0
        self._wires: dict[NodeId, Wire] = {}
        self._names: dict[NodeId, str] = {}
        self._dials = {node.id: self._dial(node, secret, queue_bytes_max) for node in others}

    def start(self) -> None:
        for dial in self._dials.values():
            dial.start()

    async def stop(self) -> None:
        for dial in self._dials.values():
            await dial.stop()

    @property
    def connections(self) -> dict[NodeId, tuple[str, Wire]]:
        """Connections that are up now, with their names."""
        return {node: (self._names[node], wire) for node, wire in self._wires.items()}

    @property
    def wires(self) -> dict[NodeId, Wire]:
        """Connections that are up now. Always the same dict."""
        return self._wires

    def send(self, to: NodeId, message: bytes) -> None:
        """Send an encoded message; nothing happens when ``to`` is not connected."""
        wire = self._wires.get(to)
        if wire is not None:
            wire.send(message)

    def send_urgent(self, to: NodeId, message: bytes) -> None:
        """The same, ahead of what waits because ``to`` reads too slowly."""
        wire = self._wires.get(to)
        if wire is not None:
            wire.send_urgent(message)

    def stamp(self, incarnation: int) -> None:
        """What leaves from now on belongs to ``incarnation``; what waited belonged to the one before."""
        for wire in self._wires.values():
            wire.discard()
            wire.incarnation = incarnation

    def discard(self) -> None:
        """Forget what was not sent yet."""
        for wire in self._wires.values():
            wire.discard()

    def check_alive(self) -> None:
        for wire in list(self._wires.values()):
            wire.check_alive()

    def _dial(self, node: Node, secret: str, queue_bytes_max: int) -> Redial:
        def up(wire: Wire) -> None:
            wire.allowed = frozenset((Welcome,))
            wire.incarnation = self._owner.incarnation
            self._connections += 1
            name = f"{self._start:x}.{self._connections}"
            hello = Hello(PROTOCOL_VERSION, Role.PEER, self._me, wire.incarnation, name, self._lease)
            wire.send(codec.encode(hello))
            wire.flush()  # the hello is a frame of its own
            wire.clock = self._owner.clock
            wire.on_dirty = self._owner.wire_dirty
            self._wires[node.id] = wire
            self._names[node.id] = name
            self._owner.peer_connected(node.id, name, wire)

        def down(wire: Wire) -> None:
            self._wires.pop(node.id, None)
            if wire.close_code == OVERLOADED:
                self._counters["connections_overloaded"] += 1

        def frame(incarnation: int, messages: list[Any]) -> None:
            dial.good()
            for welcome in messages:
                self._owner.heard_incarnation(welcome.incarnation)

        dial = Redial(
            Target(f"node {node.id}", node.host, node.port),
            secret,
            up,
            frame,
            down,
            BACK_OFF_S,
            queue_bytes_max,
        )
        return dial
