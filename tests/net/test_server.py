"""Who is let in, what each role may say, and how everything malformed ends."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import InvalidStatus

from consensus import codec
from consensus.messages.client import WhoLeads
from consensus.messages.control import PROTOCOL_VERSION, Command, Hello, Role, Welcome
from consensus.messages.paxos import Heartbeat, Nack
from consensus.messages.txn import TxAck
from consensus.net import server as server_module
from consensus.net import wire as wire_module
from consensus.net.wire import DialError, dial
from consensus.types import Ballot
from tests.net.nodes import SECRET, closing, hello, raw, station, until

WELCOME = (3, [Welcome(PROTOCOL_VERSION, 1, 9, 3)])


def one(message: object, incarnation: int = 3) -> bytes:
    return codec.frame(incarnation, [codec.encode(message)], 1)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": ""}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Origin": "http://127.0.0.1"}, 403),
        ({"Origin": "null", "Authorization": "Bearer wrong"}, 403),
    ],
)
async def test_strangers_are_refused(headers: dict[str, str], status: int) -> None:
    async with station() as node:
        with pytest.raises(InvalidStatus) as refused:
            await raw(node.port, headers=headers)
        assert refused.value.response.status_code == status
        assert node.counters["connections_refused"] == 1


async def test_other_paths_and_plain_http_are_refused() -> None:
    async with station() as node:
        with pytest.raises(DialError, match="refused with status 404: the path of a node is /"):
            await dial("127.0.0.1", node.port, SECRET, print, print, path="/other")
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        head = f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\n\r\n"
        writer.write(head.encode())
        assert b"426 Upgrade Required" in await reader.read()
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        writer.write(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
        assert await reader.read() == b""
        writer.close()


async def test_each_role_is_welcomed_and_heard() -> None:
    async with station() as node, raw(node.port) as peer, raw(node.port) as client, raw(node.port) as boss:
        await peer.send(hello(Role.PEER, node=2, incarnation=3))
        await client.send(hello())
        await boss.send(hello(Role.OPERATOR))
        for socket in (peer, client, boss):
            assert codec.decode_frame(await socket.recv()) == WELCOME
        await peer.send(one(Nack(Ballot(2, 2))))
        await client.send(one(WhoLeads()))
        await boss.send(one(Command(7, "status")))
        assert await node.owner.heard("peer frame") == [("peer frame", 2, 3, [Nack(Ballot(2, 2))])]
        assert await node.owner.heard("client frame") == [("client frame", 1, 3, [WhoLeads()])]
        assert await node.owner.heard("operator frame") == [("operator frame", [Command(7, "status")])]
        assert node.owner.of("incarnation") == [("incarnation", 3)]
        assert node.server.peers[2][0] == "test"
    await node.owner.heard("client lost")
    await node.owner.heard("operator lost")


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (b"", 4400),
        (b"\x00", 4400),
        (hello()[:-3], 4400),
        (one(WhoLeads()), 4400),
        (codec.frame(0, [codec.encode(Hello(PROTOCOL_VERSION, Role.CLIENT, 0, 0))] * 2, 2), 4400),
        (codec.frame(0, [], 0), 4400),
        (hello(version=PROTOCOL_VERSION + 1), 4401),
        (one([120, PROTOCOL_VERSION + 1, "client", 0, 0, "x"]), 4401),
        (one([120, PROTOCOL_VERSION, "emperor", 0, 0, "x"]), 4401),
        (one([120, PROTOCOL_VERSION, "client", "node", 0, "x"]), 4400),
        (one([120, [], {}, "node", 0, "x"]), 4401),
        (hello(Role.PEER, node=1), 4401),
        (hello(Role.PEER, node=5), 4401),
    ],
)
async def test_a_first_frame_that_is_no_good_hello_ends_the_connection(first: bytes, code: int) -> None:
    async with station() as node:
        async with raw(node.port) as socket:
            await socket.send(first)
            assert (await closing(socket))[0] == code
        await until(lambda: node.counters["frames_malformed"] == 1)
        async with raw(node.port) as socket:  # and the node goes on
            await socket.send(hello())
            assert codec.decode_frame(await socket.recv()) == WELCOME


@pytest.mark.parametrize(
    ("later", "code"),
    [
        (b"nonsense", 4400),
        (one(WhoLeads())[:-1], 4400),
        (one(WhoLeads()) + b"\0", 4400),
        (one(Nack(Ballot(1, 1))), 4400),
        (one([89, 1]), 4400),
        (one(WhoLeads(), incarnation=-1), 4400),
        ("text", 4400),
        (bytes(codec.FRAME_BYTES_MAX + 1), 1009),
    ],
)
async def test_a_malformed_frame_ends_the_connection(later: bytes | str, code: int) -> None:
    async with station() as node, raw(node.port) as socket:
        await socket.send(hello())
        assert codec.decode_frame(await socket.recv()) == WELCOME
        await socket.send(later)
        assert (await closing(socket))[0] == code
        await node.owner.heard("client lost")
        assert node.counters["frames_malformed"] == 1
        assert node.owner.of("client frame") == []


@pytest.mark.parametrize(
    ("node", "lease", "taken"), [(2, True, False), (2, False, True), (2, None, True), (4, True, True)]
)
async def test_members_agree_on_leases(node: int, lease: bool | None, taken: bool) -> None:
    """Another cluster may be set otherwise: leases are a matter between a leader and its followers."""
    async with station() as here, raw(here.port) as socket:
        await socket.send(hello(Role.PEER, node=node, incarnation=3, lease=lease))
        if taken:
            assert codec.decode_frame(await socket.recv()) == WELCOME
        else:
            assert await closing(socket) == (4402, "leases are on at node 2 and off at node 1")
            assert here.counters["connections_refused"] == 1
            assert here.server.peers == {}


async def test_other_clusters_may_send_two_phase_commit_only() -> None:
    async with station() as node, raw(node.port) as foreign:
        await foreign.send(hello(Role.PEER, node=4, incarnation=3))
        assert codec.decode_frame(await foreign.recv()) == WELCOME
        ack = TxAck(10, [])
        await foreign.send(one(ack))
        assert await node.owner.heard("peer frame") == [("peer frame", 4, 3, [ack])]
        await foreign.send(one(Nack(Ballot(1, 1))))
        assert (await closing(foreign))[0] == 4400


async def test_bytes_that_are_no_websocket_end_the_connection() -> None:
    async with station() as node, raw(node.port) as socket:
        socket.transport.write(b"\xff" * 64)
        assert (await closing(socket))[0] == 1002


async def test_fragmented_frames_are_joined() -> None:
    async with station() as node, raw(node.port) as socket:
        await socket.send(hello())
        frame = one(WhoLeads())
        await socket.send([frame[:2], frame[2:4], frame[4:]])
        assert await node.owner.heard("client frame") == [("client frame", 1, 3, [WhoLeads()])]


async def test_who_says_no_hello_in_time_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HELLO_TIMEOUT_S", 0.05)
    async with station() as node:
        async with raw(node.port) as socket:
            assert await closing(socket) == (4400, "no hello within 0.05 s")
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()


async def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "CONNECTIONS_MAX", 1)
    async with station() as node, raw(node.port) as socket:
        await socket.send(hello())
        assert codec.decode_frame(await socket.recv()) == WELCOME
        with pytest.raises(InvalidStatus) as refused:
            await raw(node.port)
        assert refused.value.response.status_code == 503


async def test_a_newer_connection_of_a_peer_replaces_the_older() -> None:
    async with station() as node, raw(node.port) as first, raw(node.port) as second:
        await first.send(hello(Role.PEER, node=2, incarnation=3))
        assert codec.decode_frame(await first.recv()) == WELCOME
        await second.send(hello(Role.PEER, node=2, incarnation=3))
        assert codec.decode_frame(await second.recv()) == WELCOME
        assert (await closing(first))[0] == 1000
        await second.send(one(Heartbeat(Ballot(1, 2), 1, 0, 0, 0)))
        assert (await node.owner.heard("peer frame"))[0][1] == 2


async def test_a_silent_server_greets_operators_only_until_it_resumes() -> None:
    async with station() as node, raw(node.port) as client, raw(node.port) as boss:
        node.server.silent = True
        await client.send(hello())
        await client.send(one(WhoLeads()))
        await boss.send(hello(Role.OPERATOR))
        assert codec.decode_frame(await boss.recv()) == WELCOME
        node.server.resume()
        assert codec.decode_frame(await client.recv()) == WELCOME
        await client.send(one(WhoLeads()))
        assert len(await node.owner.heard("client frame")) == 1


async def test_everybody_is_told_of_a_new_incarnation() -> None:
    async with station() as node, raw(node.port) as client:
        await client.send(hello())
        assert codec.decode_frame(await client.recv()) == WELCOME
        node.owner.incarnation = 4
        node.server.stamp(4)
        told = codec.decode_frame(await client.recv())
        assert told == (4, [Welcome(PROTOCOL_VERSION, 1, 9, 4)])
        node.server.tell_incarnation(1)
        assert codec.decode_frame(await client.recv()) == told


async def test_who_does_not_read_is_cut_off_and_the_rest_goes_on() -> None:
    async with station(queue_bytes_max=1 << 20) as node, raw(node.port) as slow, raw(node.port) as quick:
        await slow.send(hello())
        assert codec.decode_frame(await slow.recv()) == WELCOME
        await quick.send(hello())
        assert codec.decode_frame(await quick.recv()) == WELCOME
        slow.transport.pause_reading()
        blob = codec.encode(bytes(60_000))
        wire = node.server.clients[1]
        for _ in range(400):
            wire.send(blob)
            await asyncio.sleep(0)
            if wire.close_code:
                break
        assert wire.close_code == 4408
        await node.owner.heard("client lost")
        assert node.counters["connections_overloaded"] == 1
        await quick.send(one(WhoLeads()))
        assert (await node.owner.heard("client frame"))[0][1] == 2
        slow.transport.abort()


async def test_stopping_says_goodbye() -> None:
    async with station() as node, raw(node.port) as socket:
        await socket.send(hello())
        assert codec.decode_frame(await socket.recv()) == WELCOME
        await node.server.stop()
        assert await closing(socket) == (1001, "the node stops")


async def test_a_busy_port_is_an_error() -> None:
    async with station() as node:
        node.server._me = node.server._me.__class__(1, "127.0.0.1", node.port)
        with pytest.raises(OSError, match="address already in use"):
            await node.server.start()


async def test_silent_connections_are_pinged_and_then_ended() -> None:
    async with station() as node, raw(node.port) as socket:
        await socket.send(hello())
        assert codec.decode_frame(await socket.recv()) == WELCOME
        for _ in range(10):  # pongs keep it
            node.server.check_alive()
            await socket.ping()
            await asyncio.wait_for(await socket.ping(), 10)
        socket.transport.pause_reading()
        for _ in range(wire_module._SILENT_CHECKS_MAX + 2):
            node.server.check_alive()
        await node.owner.heard("client lost")
        socket.transport.abort()


@given(st.binary(max_size=400))
def test_any_bytes_decode_or_raise_the_one_documented_error(data: bytes) -> None:
    try:
        incarnation, messages = codec.decode_frame(data)
    except codec.CodecError:
        return
    assert incarnation >= 0
    assert isinstance(messages, list)


@given(st.integers(0, 2**63), st.lists(st.binary(max_size=40), max_size=3))
def test_any_message_bytes_in_a_frame_decode_or_raise(incarnation: int, parts: list[bytes]) -> None:
    try:
        codec.decode_frame(codec.frame(incarnation, parts, len(parts)))
    except codec.CodecError:
        return
