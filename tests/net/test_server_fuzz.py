"""Connections that say anything, in any order: the server answers or closes, never raises, keeps nothing."""

from __future__ import annotations

import asyncio
from typing import Any, get_args

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from consensus import codec
from consensus.messages.base import Message
from consensus.messages.client import ClientRequest, WhoLeads
from consensus.messages.control import PROTOCOL_VERSION, Command, Role
from consensus.messages.migration import MigrationMessage
from consensus.messages.paxos import Heartbeat, Nack, PaxosMessage
from consensus.messages.txn import TxAck, TxnMessage
from consensus.net.wire import Wire
from consensus.types import Ballot
from tests.net.nodes import SECRET, Station
from tests.net.test_framing import Sink

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=60)
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
MESSAGES: list[Message] = [
    WhoLeads(),
    Command(7, "status"),
    Nack(Ballot(2, 2)),
    Heartbeat(Ballot(1, 2), 1, 0, 0, 0),
    TxAck(10, []),
]
HELLO = st.tuples(
    st.just(120),
    st.just(PROTOCOL_VERSION) | st.just(PROTOCOL_VERSION) | ANYTHING,
    st.sampled_from(list(Role)) | ANYTHING | st.text("é€😀", min_size=70, max_size=100),
    st.integers(0, 5) | ANYTHING,
    st.integers(0, 9) | ANYTHING,
    st.text(max_size=5) | ANYTHING,
)
GOOD_HELLO = st.tuples(
    st.just(120),
    st.just(PROTOCOL_VERSION),
    st.sampled_from(list(Role)),
    st.integers(2, 4),
    st.just(3),
    st.just("x"),
)
INCARNATION = st.integers(0, 2**63) | st.just(3)


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    """What a websocket frame may carry: frames of the codec, whole, cut short or with flipped bits; noise."""
    made = st.lists(
        GOOD_HELLO.map(msgspec.msgpack.encode)
        | HELLO.map(msgspec.msgpack.encode)
        | st.sampled_from(MESSAGES).map(codec.encode)
        | ANYTHING.map(msgspec.msgpack.encode),
        min_size=1,
        max_size=draw(st.sampled_from((1, 1, 1, 3))),
    )
    parts = draw(made)
    whole = bytearray(codec.frame(draw(INCARNATION), parts, len(parts)))
    match draw(st.integers(0, 7)):
        case 0:
            return bytes(whole[: draw(st.integers(0, len(whole)))])
        case 1:
            whole[draw(st.integers(0, len(whole) - 1))] ^= 1 << draw(st.integers(0, 7))
        case 2:
            return draw(st.binary(max_size=60))
    return bytes(whole)


@st.composite
def stretches(draw: st.DrawFn) -> bytes:
    """Bytes of a stream: whole frames most often, and all that may go wrong with frames."""
    payload = draw(payloads())
    match draw(st.integers(0, 11)):
        case 0:
            return draw(st.binary(max_size=40))
        case 1:
            return Frame(Opcode.BINARY, payload).serialize(mask=False)
        case 2:
            return Frame(draw(st.sampled_from(list(Opcode))), payload[:125]).serialize(mask=True)
        case 3:
            return Frame(Opcode.BINARY, payload, fin=False).serialize(mask=True)
        case 4:
            return Frame(Opcode.CONT, payload, fin=draw(st.booleans())).serialize(mask=True)
        case 5:
            too_long = codec.FRAME_BYTES_MAX + draw(st.integers(1, 2**40))
            return b"\x82\xff" + too_long.to_bytes(8, "big") + b"mask" + payload
        case 6:
            return Frame(Opcode.CLOSE, draw(st.binary(max_size=9))).serialize(mask=True)
    return Frame(Opcode.BINARY, payload).serialize(mask=True)


def handshake(secret: str) -> bytes:
    client = ClientProtocol(parse_uri("ws://x/"))
    request = client.connect()
    request.headers["Authorization"] = f"Bearer {secret}"
    client.send_request(request)
    return b"".join(client.data_to_send())


GOOD, STRANGER = handshake(SECRET), handshake("another")
FIRST = st.sampled_from((GOOD,) * 8 + (STRANGER, GOOD[:40], b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01"))
EVENTS = st.lists(
    st.tuples(st.integers(0, 2), stretches(), st.sampled_from((1, 7, 10_000)))
    | st.sampled_from(("silent", "resume", "stamp", "alive", "late", "turn", "stop")),
    max_size=14,
)
MAY: dict[str, frozenset[type]] = {
    "client frame": frozenset(get_args(ClientRequest)),
    "operator frame": frozenset((Command,)),
    "peer frame": frozenset((*get_args(PaxosMessage), *get_args(TxnMessage), *get_args(MigrationMessage))),
}


class Connection:
    """The transport's side of one: bytes go in until either end closed it."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.sink = Sink()
        wire.connection_made(self.sink)  # type: ignore[arg-type]

    def feed(self, data: bytes, step: int) -> None:
        for start in range(0, len(data), step):
            if self.sink.closed:
                return
            self.wire.data_received(data[start : start + step])


async def play(firsts: list[bytes], events: list[Any]) -> Station:
    """One server and three connections through ``events``, until all are gone."""
    raised: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    node = Station()
    server = node.server
    connections = [Connection(server._accept()) for _ in firsts]
    for connection, first in zip(connections, firsts, strict=True):
        connection.feed(first, len(first))
    for event in events:
        match event:
            case (number, data, step):
                connections[number].feed(data, step)
            case "silent":
                server.silent = True
            case "resume":
                server.resume()
            case "stamp":
                node.owner.incarnation += 1
                server.stamp(node.owner.incarnation)
            case "alive":
                server.check_alive()
            case "late":
                for wire, timer in list(server._deadlines.items()):
                    timer.cancel()
                    server._too_late(wire)
            case "turn":
                await asyncio.sleep(0)
            case "stop":
                await server.stop()
    await asyncio.sleep(0)
    for connection in connections:
        connection.wire.connection_lost(None)
    await asyncio.sleep(0)
    assert raised == []
    return node


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(firsts=st.lists(FIRST, min_size=3, max_size=3), events=EVENTS)
def test_whatever_is_said_nothing_breaks_and_nothing_is_kept(firsts: list[bytes], events: list[Any]) -> None:
    node = asyncio.run(play(firsts, events))
    server = node.server
    assert (server._wires, server._deadlines, server._held, server.clients, server.peers) == (
        set(),
        {},
        {},
        {},
        {},
    )
    for kind, allowed in MAY.items():
        for event in node.owner.of(kind):
            assert allowed.issuperset(map(type, event[-1])), event
            if event[0] == "peer frame":
                foreign = not {type(message) for message in event[-1]} <= set(get_args(PaxosMessage))
                assert event[1] in ((2, 3, 4) if foreign else (2, 3)), event
    greeted = {event[1] for event in node.owner.of("client frame")}
    assert greeted <= {event[1] for event in node.owner.of("client lost")}
