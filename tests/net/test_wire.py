"""What a wire makes of messages: frames per turn of the loop, chunks, order, the end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from consensus import codec
from consensus.messages.client import WhoLeads
from consensus.messages.control import PROTOCOL_VERSION, Hello, Role, Welcome
from consensus.messages.paxos import Accept, Heartbeat, Nack
from consensus.net import wire as wire_module
from consensus.net.wire import DialError, Wire, dial
from consensus.types import Ballot
from tests.net.nodes import SECRET, Station, station, until

HELLO = codec.encode(Hello(PROTOCOL_VERSION, Role.PEER, 2, 3, "first"))


class Far:
    """A dialled connection and what came on it."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, list[Any]]] = []
        self.lost: list[str] = []

    async def dial(self, node: Station, **options: Any) -> Wire:
        return await dial(
            "127.0.0.1",
            node.port,
            SECRET,
            lambda incarnation, messages: self.frames.append((incarnation, messages)),
            self.lost.append,
            **options,
        )


async def connected(node: Station) -> tuple[Far, Wire]:
    """A peer's connection that was welcomed."""
    far = Far()
    wire = await far.dial(node)
    wire.incarnation = 3
    wire.send(HELLO)
    await until(lambda: far.frames == [(3, [Welcome(PROTOCOL_VERSION, 1, 9, 3)])])
    return far, wire


def nacks(*rounds: int) -> list[Nack]:
    return [Nack(Ballot(number, 1)) for number in rounds]


async def test_messages_of_one_turn_leave_as_one_frame_in_order() -> None:
    async with station() as node:
        _, wire = await connected(node)
        for message in nacks(1, 2, 3):
            wire.send(codec.encode(message))
        await asyncio.sleep(0)
        wire.send(codec.encode(Nack(Ballot(4, 1))))
        frames = await node.owner.heard("peer frame", 2)
        assert [frame[3] for frame in frames] == [nacks(1, 2, 3), nacks(4)]
        assert (wire.sent, node.server.peers[2][1].received) == (5, 5)


async def test_what_is_sent_before_the_handshake_is_done_waits_for_it() -> None:
    async with station() as node:
        uri = parse_uri(f"ws://127.0.0.1:{node.port}/")
        protocol = ClientProtocol(uri)
        request = protocol.connect()
        request.headers["Authorization"] = f"Bearer {SECRET}"
        protocol.send_request(request)
        wire = Wire(protocol, print, print)
        wire.send(HELLO)
        wire.flush()
        await asyncio.get_running_loop().create_connection(lambda: wire, "127.0.0.1", node.port)
        await until(lambda: 2 in node.server.peers)
        assert node.server.peers[2][0] == "first"
        wire.close()


async def test_nothing_is_sent_in_the_same_frame_as_a_hello() -> None:
    async with station() as node:
        far = Far()
        wire = await far.dial(node)
        wire.send(HELLO)
        wire.send(codec.encode(Nack(Ballot(1, 1))))
        await until(lambda: bool(far.lost))
        assert far.lost == ["closed with 4400 a message that this end may not send"]


async def test_long_queues_leave_in_chunks() -> None:
    async with station() as node:
        _, wire = await connected(node)
        sizes: list[int] = []
        wire.on_sent = lambda messages, first: sizes.append(sum(map(len, messages)))
        content = [Accept(Ballot(1, 2), slot, 0, bytes(20_000)) for slot in range(10)]
        content.append(Accept(Ballot(1, 2), 10, 0, bytes(100_000)))
        for message in content:
            wire.send(codec.encode(message))
        await node.owner.until(lambda: sum(len(frame[3]) for frame in node.owner.of("peer frame")) == 11)
        assert [message for frame in node.owner.of("peer frame") for message in frame[3]] == content
        assert len(sizes) == 5
        assert max(sizes[:4]) <= codec.CHUNK_BYTES < sizes[4]


async def test_tracing_names_each_message_by_its_index() -> None:
    async with station() as node:
        _, wire = await connected(node)
        seen: list[tuple[list[bytes], int]] = []
        wire.on_sent = lambda messages, first: seen.append((messages, first))
        encoded = [codec.encode(message) for message in nacks(1, 2)]
        for message in encoded:
            wire.send(message)
        await node.owner.heard("peer frame")
        assert seen == [(encoded, 1)]


async def test_urgent_messages_pass_what_waits_for_a_slow_reader() -> None:
    async with station() as node:
        _, wire = await connected(node)
        wire.pause_writing()
        wire.send(codec.encode(Nack(Ballot(1, 1))))
        wire.send_urgent(codec.encode(Heartbeat(Ballot(1, 2), 1, 0, 0, 0)))
        wire.send_urgent(codec.encode(Heartbeat(Ballot(1, 2), 2, 0, 0, 0)))
        await asyncio.sleep(0.01)
        assert node.owner.of("peer frame") == []
        wire.resume_writing()
        beats = [Heartbeat(Ballot(1, 2), number, 0, 0, 0) for number in (1, 2)]
        assert (await node.owner.heard("peer frame"))[0][3] == [*beats, *nacks(1)]


async def test_without_a_jam_urgent_messages_keep_their_place() -> None:
    async with station() as node:
        _, wire = await connected(node)
        wire.send(codec.encode(Nack(Ballot(1, 1))))
        wire.send_urgent(codec.encode(Heartbeat(Ballot(1, 2), 1, 0, 0, 0)))
        beat = Heartbeat(Ballot(1, 2), 1, 0, 0, 0)
        assert (await node.owner.heard("peer frame"))[0][3] == [*nacks(1), beat]


async def test_discarded_messages_never_leave() -> None:
    async with station() as node:
        _, wire = await connected(node)
        wire.send(codec.encode(Nack(Ballot(1, 1))))
        wire.discard()
        wire.send(codec.encode(Nack(Ballot(2, 1))))
        assert (await node.owner.heard("peer frame"))[0][3] == nacks(2)


async def test_closing_sends_what_waits_first() -> None:
    async with station() as node:
        far, wire = await connected(node)
        wire.send(codec.encode(Nack(Ballot(1, 1))))
        wire.close(1000, "done")
        wire.close(1001, "again")
        assert (await node.owner.heard("peer frame"))[0][3] == nacks(1)
        await until(lambda: bool(far.lost))
        assert far.lost == ["closed with 1000 done"]
        wire.send(codec.encode(Nack(Ballot(2, 1))))
        wire.flush()


async def test_an_end_without_a_goodbye_is_told_once() -> None:
    async with station() as node:
        far, wire = await connected(node)
        node.server.peers[2][1].abort("gone")
        await until(lambda: bool(far.lost))
        wire.close()
        await asyncio.sleep(0)
        assert len(far.lost) == 1
        assert not wire.open


async def test_who_does_not_answer_a_goodbye_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_module, "_CLOSE_TIMEOUT_S", 0.05)

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from websockets.server import ServerProtocol

        protocol = ServerProtocol()
        protocol.receive_data(await reader.read(10_000))
        protocol.send_response(protocol.accept(protocol.events_received()[0]))
        writer.write(b"".join(protocol.data_to_send()))
        await asyncio.sleep(10)

    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    lost: list[str] = []
    port = server.sockets[0].getsockname()[1]
    wire = await dial("127.0.0.1", port, SECRET, print, lost.append)
    wire.close()
    await until(lambda: bool(lost))
    server.close()


async def test_messages_of_the_wrong_kind_end_a_dialled_connection() -> None:
    async with station() as node:
        far, wire = await connected(node)
        wire.allowed = frozenset((Welcome,))
        node.server.peers[2][1].send(codec.encode(WhoLeads()))
        await until(lambda: bool(far.lost))
        assert far.lost == ["closed with 4400 a message that this end may not send"]


async def test_nobody_there_and_a_wrong_secret_are_told_apart() -> None:
    async with station() as node:
        with pytest.raises(DialError, match="refused with status 401: the secret is wrong"):
            await dial("127.0.0.1", node.port, "wrong", print, print)
        port = node.port
        await node.server.stop()
        with pytest.raises(OSError, match="Connect call failed"):
            await dial("127.0.0.1", port, SECRET, print, print)


async def test_something_else_that_listens_is_no_node() -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ready\r\n")
        writer.close()

    server = await asyncio.start_server(other, "127.0.0.1", 0)
    with pytest.raises(DialError, match="did not receive a valid HTTP response"):
        await dial("127.0.0.1", server.sockets[0].getsockname()[1], SECRET, print, print)
    server.close()


async def test_giving_up_a_dial_leaves_no_connection() -> None:
    gone = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1_000):
            pass
        gone.set()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await dial("127.0.0.1", server.sockets[0].getsockname()[1], SECRET, print, print)
    async with asyncio.timeout(10):
        await gone.wait()
    server.close()
