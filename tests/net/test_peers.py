"""Dialled connections to peers and to the site: greeted, dialled again, bounded."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve

from consensus import codec
from consensus.messages.control import PROTOCOL_VERSION, Command, CommandReply, Hello, Role
from consensus.messages.paxos import Nack
from consensus.net.control import Control, parse_url
from consensus.net.peers import Peers
from consensus.topology import Node
from consensus.types import Ballot
from tests.net.nodes import SECRET, Owner, station, until

NACK = codec.encode(Nack(Ballot(1, 1)))


@asynccontextmanager
async def dialling(port: int, secret: str = SECRET) -> AsyncIterator[tuple[Owner, Peers, Counter[str]]]:
    """Node 2 dialling node 1."""
    owner = Owner()
    counters: Counter[str] = Counter()
    peers = Peers(2, [Node(1, "127.0.0.1", port)], secret, owner, counters, 1 << 20)
    peers.start()
    try:
        yield owner, peers, counters
    finally:
        await peers.stop()


async def test_a_dialled_peer_is_greeted_and_heard() -> None:
    async with station() as node, dialling(node.port) as (owner, peers, _):
        await owner.heard("connected")
        peers.send(1, NACK)
        peers.send_urgent(1, NACK)
        assert await node.owner.heard("peer frame") == [("peer frame", 2, 3, [Nack(Ballot(1, 1))] * 2)]
        assert [(node, name.endswith(".1")) for node, (name, _) in node.server.peers.items()] == [(2, True)]
        assert await owner.heard("incarnation") == [("incarnation", 3)]


async def test_a_message_for_nobody_is_dropped() -> None:
    async with dialling(1) as (_, peers, _):
        peers.send(1, NACK)
        peers.send_urgent(1, NACK)
        peers.send(7, NACK)
        assert peers.wires == {}


async def test_a_lost_connection_is_dialled_again() -> None:
    async with station() as node, dialling(node.port) as (owner, peers, _):
        await owner.heard("connected")
        await until(lambda: 2 in node.server.peers)
        name, wire = node.server.peers[2]
        wire.abort("gone")
        await owner.heard("connected", 2)
        await until(lambda: 2 in node.server.peers and node.server.peers[2][0] != name)
        peers.send(1, NACK)
        await node.owner.heard("peer frame")


async def test_a_peer_that_comes_later_is_found(caplog: pytest.LogCaptureFixture) -> None:
    async with station() as node:
        port = node.port
        await node.server.stop()
        caplog.set_level("INFO")
        async with dialling(port) as (owner, _, _):
            await until(lambda: "no connection with node 1" in caplog.text)
            node.server._me = Node(1, "127.0.0.1", port)
            await node.server.start()
            await owner.heard("connected")
            await until(lambda: "connected with node 1" in caplog.text)
    assert caplog.text.count("no connection") == 1, "told once, not at every attempt"


async def test_a_new_incarnation_stamps_frames_and_forgets_what_waited() -> None:
    async with station() as node, dialling(node.port) as (owner, peers, _):
        await owner.heard("connected")
        await until(lambda: 2 in node.server.peers)
        peers.send(1, NACK)
        peers.stamp(4)
        peers.send(1, codec.encode(Nack(Ballot(2, 1))))
        assert await node.owner.heard("peer frame") == [("peer frame", 2, 4, [Nack(Ballot(2, 1))])]


async def test_the_clock_of_a_node_is_past_that_of_whoever_it_heard_from() -> None:
    async with station() as node, dialling(node.port) as (owner, peers, _):
        await owner.heard("connected")
        await until(lambda: 2 in node.server.peers)
        owner.clock.now = 1_000
        peers.send(1, NACK)
        await node.owner.heard("peer frame")
        assert node.owner.clock.now == owner.clock.now == 1_001
        assert node.owner.clock.tick() > owner.clock.now


async def test_a_peer_that_does_not_read_is_cut_off_and_dialled_again() -> None:
    async with station() as node, dialling(node.port) as (owner, peers, counters):
        await owner.heard("connected")
        await until(lambda: 2 in node.server.peers)
        transport = node.server.peers[2][1]._transport
        assert transport is not None
        transport.pause_reading()
        blob = codec.encode(Nack(Ballot(1, 1))) * 5_000
        for _ in range(400):
            peers.send(1, blob)
            await asyncio.sleep(0)
            if owner.wires["to 1"].close_code:
                break
        await owner.heard("connected", 2)
        assert counters["connections_overloaded"] == 1


@pytest.mark.parametrize("url", ["http://x:1/", "ws:///path", "ws://x:port/", "nonsense", "ws://x:99999/"])
def test_a_bad_control_url_is_named(url: str) -> None:
    with pytest.raises(ValueError, match=r"--control '.*': "):
        parse_url(url)


def test_control_urls() -> None:
    assert parse_url("ws://10.0.0.1:8000/ws/worker/")[1:] == ("10.0.0.1", 8000, "/ws/worker/", None)
    target = parse_url("wss://bank.example/ws/worker/")
    assert target[1:4] == ("bank.example", 443, "/ws/worker/")
    assert isinstance(target.tls, ssl.SSLContext)


async def test_the_site_is_greeted_as_an_operator_and_commands_are_handed_on() -> None:
    came: list[object] = []
    sockets: list[ServerConnection] = []

    async def site(socket: ServerConnection) -> None:
        assert socket.request is not None
        came.append(socket.request.headers["Authorization"])
        came.append(socket.request.path)
        sockets.append(socket)
        async for frame in socket:
            assert isinstance(frame, bytes)
            incarnation, messages = codec.decode_frame(frame)
            came.extend((incarnation, *messages))
            if isinstance(messages[0], Hello):
                await socket.send(codec.frame(0, [codec.encode(Command(1, "status"))], 1))

    async with serve(site, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        owner = Owner()
        control = Control(parse_url(f"ws://127.0.0.1:{port}/ws/worker/"), SECRET, 5, owner)
        control.start()
        assert await owner.heard("operator frame") == [("operator frame", [Command(1, "status")])]
        owner.wires["operator"].send(codec.encode(CommandReply(1, True, {})))
        await until(lambda: len(came) == 6)
        assert came == [
            f"Bearer {SECRET}",
            "/ws/worker/",
            3,
            Hello(PROTOCOL_VERSION, Role.OPERATOR, 5, 3, "node-5"),
            3,
            CommandReply(1, True, {}),
        ]
        sockets[0].transport.abort()
        await owner.heard("operator frame", 2)
        assert owner.of("operator lost") == [("operator lost",)]
        await control.stop()
