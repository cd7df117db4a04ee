"""The node's one listening port: peers, clients and operators.

The HTTP handshake must carry the cluster secret and no ``Origin`` header (a browser sends one; no page may
reach a node). The first frame is a hello that names the role; from then on only messages of that role may
come.
"""

from __future__ import annotations

import asyncio
import hmac
import http
import logging
from collections import Counter
from functools import partial
from typing import Any, Final, Protocol, get_args

import msgspec
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from consensus import codec
from consensus.messages.client import ClientRequest
from consensus.messages.control import PROTOCOL_VERSION, Command, Hello, Role, Welcome
from consensus.messages.migration import MigrationMessage
from consensus.messages.paxos import PaxosMessage
from consensus.messages.txn import TxnMessage
from consensus.net.lamport import LamportClock
from consensus.net.wire import (
    DISAGREES,
    GOING_AWAY,
    MALFORMED,
    NORMAL,
    OVERLOADED,
    TOO_LARGE,
    UNKNOWN_VERSION,
    Wire,
)
from consensus.topology import Node, Topology
from consensus.types import NodeId

CONNECTIONS_MAX: Final = 1_024
HELLO_TIMEOUT_S: Final = 5.0
_MALFORMED: Final = frozenset((MALFORMED, UNKNOWN_VERSION, TOO_LARGE, 1002, 1007))
_FROM_OTHER_CLUSTER: Final = frozenset((*get_args(TxnMessage), *get_args(MigrationMessage)))
_FROM_MEMBER: Final = frozenset(get_args(PaxosMessage)) | _FROM_OTHER_CLUSTER
_ALLOWED: Final = {
    Role.CLIENT: frozenset(get_args(ClientRequest)),
    Role.OPERATOR: frozenset((Command,)),
}
_HELLO: Final = frozenset((Hello,))

_log = logging.getLogger(__name__)


class ServerOwner(Protocol):
    """What the node does with what comes in."""

    incarnation: int
    clock: LamportClock

    def wire_dirty(self, wire: Wire) -> None:
        """``wire`` wants to be flushed at the end of this turn of the loop."""

    def heard_incarnation(self, incarnation: int) -> None:
        """Another node lives in ``incarnation``."""

    def peer_frame(self, node: NodeId, incarnation: int, messages: list[Any]) -> None: ...

    def client_frame(self, connection: int, incarnation: int, messages: list[Any]) -> None: ...

    def client_lost(self, connection: int) -> None: ...

    def operator_frame(self, wire: Wire, messages: list[Any]) -> None: ...

    def operator_lost(self, wire: Wire) -> None: ...


class Server:
    """Listens, checks who comes, and hands frames on by role.

    Args:
        me: this node.
        topology: its nodes are peers; only those of the own cluster may send Paxos messages.
        secret: the cluster secret.
        owner: the node.
        counters: ``connections_refused``, ``connections_overloaded``, ``frames_malformed`` are counted here.
        queue_bytes_max: bound of what waits for one connection.

    Attributes:
        clients: connections of clients, by number. Always the same dict.
        peers: connections that other nodes dialled, with the names they gave them.
        silent: a node that acts disconnected greets no peer and no client; they wait until this is over.
    """

    def __init__(
        self,
        me: Node,
        topology: Topology,
        secret: str,
        owner: ServerOwner,
        counters: Counter[str],
        queue_bytes_max: int,
    ) -> None:
        assert secret, "a node does not listen without a secret"
        self.clients: dict[int, Wire] = {}
        self.peers: dict[NodeId, tuple[str, Wire]] = {}
        self.silent = False
        self._me = me
        self._cluster = topology.cluster_by_node[me.id]
        self._nodes = topology.nodes
        self._lease = topology.lease
        self._authorization = f"Bearer {secret}".encode()
        self._owner = owner
        self._counters = counters
        self._queue_bytes_max = queue_bytes_max
        self._wires: set[Wire] = set()
        self._deadlines: dict[Wire, asyncio.TimerHandle] = {}
        self._held: dict[Wire, Hello] = {}
        self._connections = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen; returns the port.

        Raises:
            OSError: the address is not this machine's, or the port is in use.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, self._me.host, self._me.port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and say goodbye on every connection."""
        if self._server is not None:
            self._server.close()
        for wire in list(self._wires):
            wire.close(GOING_AWAY, "the node stops")

    def resume(self) -> None:
        """Greet who came while the server was silent."""
        self.silent = False
        held, self._held = self._held, {}
        for wire, hello in held.items():
            self._greet(wire, hello)

    def discard(self) -> None:
        """Forget what was not sent yet to peers and clients."""
        for wire in self.clients.values():
            wire.discard()

    def stamp(self, incarnation: int) -> None:
        """The node lives in ``incarnation`` now; everybody who is connected is told."""
        welcome = self._welcome()
        for wire in self._wires:
            if wire not in self._deadlines and wire not in self._held:
                wire.discard()
                wire.incarnation = incarnation
                wire.send(welcome)

    def tell_incarnation(self, connection: int) -> None:
        """Answer a client whose frame belongs to an earlier incarnation."""
        wire = self.clients.get(connection)
        if wire is not None:
            wire.send(self._welcome())

    def check_alive(self) -> None:
        for wire in list(self._wires):
            wire.check_alive()

    # --- handshake ---------------------------------------------------------------

    def _accept(self) -> Wire:
        protocol = ServerProtocol(
            max_size=codec.FRAME_BYTES_MAX, logger=logging.getLogger("consensus.net.wire.protocol")
        )
        wire = Wire(
            protocol,
            _ignore,
            _ignore,
            queue_bytes_max=self._queue_bytes_max,
            on_request=lambda wire, request: self._check(protocol, wire, request),
        )
        self._wires.add(wire)
        wire.on_frame = partial(self._hello, wire)
        wire.on_lost = partial(self._lost, wire)
        wire.on_undecodable = partial(self._strange_hello, wire)
        wire.allowed = _HELLO
        loop = asyncio.get_running_loop()
        self._deadlines[wire] = loop.call_later(HELLO_TIMEOUT_S, self._too_late, wire)
        return wire

    def _check(self, protocol: ServerProtocol, wire: Wire, request: Request) -> Response:
        """Whether a handshake is let in: 403, 401, 404, 503, or what websockets says of its form."""
        headers = request.headers
        if headers.get_all("Origin"):
            return self._refuse(protocol, wire, http.HTTPStatus.FORBIDDEN, "browsers talk to the site")
        given = headers.get_all("Authorization")
        if len(given) != 1 or not hmac.compare_digest(given[0].encode(), self._authorization):
            response = self._refuse(protocol, wire, http.HTTPStatus.UNAUTHORIZED, "the secret is wrong")
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
        if request.path != "/":
            return self._refuse(protocol, wire, http.HTTPStatus.NOT_FOUND, "the path of a node is /")
        if len(self._wires) > CONNECTIONS_MAX:
            reason = f"{CONNECTIONS_MAX} connections are open"
            return self._refuse(protocol, wire, http.HTTPStatus.SERVICE_UNAVAILABLE, reason)
        return protocol.accept(request)

    def _refuse(self, protocol: ServerProtocol, wire: Wire, status: http.HTTPStatus, reason: str) -> Response:
        self._counters["connections_refused"] += 1
        _log.warning("refused a connection from %s: %s", wire.peer, reason)
        return protocol.reject(status, reason + "\n")

    def _too_late(self, wire: Wire) -> None:
        self._counters["connections_refused"] += 1
        del self._deadlines[wire]
        if wire.open:
            wire.refuse(f"no hello within {HELLO_TIMEOUT_S:g} s")
        else:
            wire.abort("no handshake in time")

    # --- hello -------------------------------------------------------------------

    def _strange_hello(self, wire: Wire, data: bytes, error: codec.CodecError) -> None:
        """The first frame is not understood: perhaps it is the hello of another version."""
        try:
            _, [first, *_] = msgspec.msgpack.decode(data)
            tag, version, role = first[:3]
        except (msgspec.DecodeError, ValueError, TypeError, LookupError, RecursionError, OverflowError):
            wire.refuse(str(error))
            return
        if tag == 120 and (version != PROTOCOL_VERSION or role not in list(Role)):  # it may be unhashable
            wire.refuse(f"version {version!r} or role {role!r} is not known", UNKNOWN_VERSION)
        else:
            wire.refuse(str(error))

    def _hello(self, wire: Wire, incarnation: int, messages: list[Any]) -> None:
        if len(messages) != 1:
            wire.refuse("the first frame has to be one hello")
            return
        hello: Hello = messages[0]
        if hello.version != PROTOCOL_VERSION:
            wire.refuse(f"version {hello.version} is not known, only {PROTOCOL_VERSION}", UNKNOWN_VERSION)
        elif hello.role is Role.PEER and (hello.node not in self._nodes or hello.node == self._me.id):
            wire.refuse(f"node {hello.node} is not a peer of node {self._me.id}", UNKNOWN_VERSION)
        elif self._disagrees(hello):
            self._counters["connections_refused"] += 1
            here, there = ("on", "off") if self._lease else ("off", "on")
            wire.refuse(
                f"leases are {there} at node {hello.node} and {here} at node {self._me.id}", DISAGREES
            )
        else:
            self._deadlines.pop(wire).cancel()
            wire.on_undecodable = None
            if self.silent and hello.role is not Role.OPERATOR:
                self._held[wire] = hello
                wire.on_frame = _ignore
                wire.allowed = None
            else:
                self._greet(wire, hello)

    def _disagrees(self, hello: Hello) -> bool:
        """Whether it comes from a member of this cluster that keeps other promises to leaders."""
        member = hello.role is Role.PEER and hello.node in self._cluster.members
        return member and hello.lease is not None and hello.lease is not self._lease

    def _greet(self, wire: Wire, hello: Hello) -> None:
        if not wire.open:
            return
        role = hello.role
        wire.on_dirty = self._owner.wire_dirty
        if role is Role.PEER:
            member = hello.node in self._cluster.members
            wire.allowed = _FROM_MEMBER if member else _FROM_OTHER_CLUSTER
            self._owner.heard_incarnation(hello.incarnation)
            before = self.peers.get(hello.node)
            if before is not None:
                before[1].close(NORMAL, "there is a newer connection")
            self.peers[hello.node] = (hello.name, wire)
            wire.clock = self._owner.clock
            wire.on_frame = partial(self._owner.peer_frame, hello.node)
        elif role is Role.CLIENT:
            wire.allowed = _ALLOWED[role]
            self._connections += 1
            number = self._connections
            self.clients[number] = wire
            wire.on_frame = partial(self._owner.client_frame, number)
            wire.on_lost = partial(self._client_lost, wire, number)
        else:
            wire.allowed = _ALLOWED[role]
            wire.on_frame = partial(self._operator_frame, wire)
            wire.on_lost = partial(self._operator_lost, wire)
        wire.incarnation = self._owner.incarnation
        wire.send(self._welcome())

    def _welcome(self) -> bytes:
        return codec.encode(Welcome(PROTOCOL_VERSION, self._me.id, self._cluster.id, self._owner.incarnation))

    # --- later -------------------------------------------------------------------

    def _operator_frame(self, wire: Wire, incarnation: int, messages: list[Any]) -> None:
        self._owner.operator_frame(wire, messages)

    def _client_lost(self, wire: Wire, number: int, reason: str) -> None:
        del self.clients[number]
        self._lost(wire, reason)
        self._owner.client_lost(number)

    def _operator_lost(self, wire: Wire, reason: str) -> None:
        self._lost(wire, reason)
        self._owner.operator_lost(wire)

    def _lost(self, wire: Wire, reason: str) -> None:
        self._wires.discard(wire)
        self._held.pop(wire, None)
        deadline = self._deadlines.pop(wire, None)
        if deadline is not None:
            deadline.cancel()
        for node, (_, held) in list(self.peers.items()):
            if held is wire:
                del self.peers[node]
        if wire.close_code in _MALFORMED:
            self._counters["frames_malformed"] += 1
        elif wire.close_code == OVERLOADED:
            self._counters["connections_overloaded"] += 1


def _ignore(*_: object) -> None:
    """What comes from a connection that is not greeted yet."""
