"""Frames are cut and made as ``websockets`` itself does it, whatever the stream is chopped into."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from consensus import codec
from consensus.messages.paxos import Accept, Nack
from consensus.net import framing
from consensus.net.framing import NOT_YET, WRONG, Masker, binary_header, cut, unmask
from consensus.net.wire import Wire
from consensus.types import Ballot

LIMIT = codec.FRAME_BYTES_MAX


@given(st.binary(max_size=70_000), st.booleans(), st.binary(max_size=9), st.binary(max_size=9))
def test_frames_made_by_the_library_are_cut(
    payload: bytes, masked: bool, before: bytes, after: bytes
) -> None:
    frame = Frame(Opcode.BINARY, payload).serialize(mask=masked)
    data = before + frame + after
    head, start, end = cut(data, len(before), masked, LIMIT)
    assert (head, end) == (framing.BINARY, len(before) + len(frame))
    assert (unmask(data, start, end) if masked else data[start:end]) == payload
    assert cut(data, len(before), not masked, LIMIT) is WRONG
    for size in (0, 1, 3, 9, len(frame) - 1):
        if size < len(frame):
            assert cut(before + frame[:size], len(before), masked, LIMIT) is NOT_YET


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 200_000])
def test_frames_made_here_are_read_by_the_library(size: int) -> None:
    payload = bytes(index % 251 for index in range(size))
    server = ServerProtocol(state=State.OPEN, max_size=LIMIT)
    masker = Masker()
    server.receive_data(masker.binary(payload) + masker.binary(b"x"))
    frames = server.events_received()
    assert [bytes(frame.data) for frame in frames if isinstance(frame, Frame)] == [payload, b"x"]
    client = ClientProtocol(parse_uri("ws://x/"), state=State.OPEN, max_size=LIMIT)
    client.receive_data(binary_header(size) + payload)
    (frame,) = client.events_received()
    assert isinstance(frame, Frame)
    assert bytes(frame.data) == payload


def test_mask_keys_do_not_repeat() -> None:
    masker = Masker()
    keys = {masker.binary(b"")[2:] for _ in range(3_000)}
    assert len(keys) > 2_990


def test_a_frame_that_is_too_large_is_wrong_before_it_is_there() -> None:
    data = Frame(Opcode.BINARY, bytes(LIMIT + 1)).serialize(mask=False)
    assert cut(data[:10], 0, False, LIMIT) is WRONG


class Sink:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def set_write_buffer_limits(self, high: int) -> None: ...

    def get_extra_info(self, name: str) -> Any:
        return None


def handshake() -> tuple[ClientProtocol, bytes]:
    client = ClientProtocol(parse_uri("ws://x/"))
    client.send_request(client.connect())
    return client, b"".join(client.data_to_send())


NACKS = [Nack(Ballot(number, 1)) for number in range(6)]
BIG = Accept(Ballot(1, 1), 7, 6, bytes(70_000))


@given(st.lists(st.integers(1, 40_000), max_size=30), st.booleans())
def test_any_chopping_of_the_stream_gives_the_same_messages(steps: list[int], at_once: bool) -> None:
    """Binary frames, a ping, a fragmented message with a ping inside, a frame of 70 KB, the goodbye."""
    client, request = handshake()

    def frame(*messages: Any) -> bytes:
        return codec.frame(3, [codec.encode(message) for message in messages], len(messages))

    def more() -> bytes:
        return b"".join(client.data_to_send())

    async def run() -> None:
        heard: list[Any] = []
        server = ServerProtocol(max_size=LIMIT)
        wire = Wire(
            server,
            lambda incarnation, messages: heard.extend(messages),
            lambda reason: None,
            on_request=lambda _, received: server.accept(received),
        )
        sink = Sink()
        wire.connection_made(sink)  # type: ignore[arg-type]
        split = request.index(b"\r\n") + 1
        for part in (request,) if at_once else (request[:split], request[split:]):
            wire.data_received(part)
        client.receive_data(sink.written)
        client.send_binary(frame(NACKS[0], NACKS[1]))
        client.send_ping(b"?")
        fragmented = frame(NACKS[2])
        client.send_binary(fragmented[:5], fin=False)
        client.send_ping(b"!")
        client.send_continuation(fragmented[5:], fin=True)
        client.send_binary(frame(BIG))
        client.send_binary(frame(NACKS[3]))
        client.send_close(1000)
        stream = more()
        for step in steps:
            wire.data_received(stream[:step])
            stream = stream[step:]
            if not stream:
                break
        if stream:
            wire.data_received(stream)
        assert heard == [*NACKS[:3], BIG, NACKS[3]]
        assert wire.close_code == 1000
        assert sink.closed
        client.receive_data(sink.written[sink.written.index(b"\r\n\r\n") + 4 :])
        kinds = [event.opcode for event in client.events_received() if isinstance(event, Frame)]
        assert kinds == [Opcode.PONG, Opcode.PONG, Opcode.CLOSE]

    asyncio.run(run())


@given(st.binary(max_size=400), st.integers(1, 100))
def test_arbitrary_bytes_after_the_handshake_end_in_a_close_or_wait(noise: bytes, step: int) -> None:
    _, request = handshake()

    async def run() -> None:
        server = ServerProtocol(max_size=LIMIT)
        wire = Wire(
            server, lambda *_: None, lambda _: None, on_request=lambda _, received: server.accept(received)
        )
        sink = Sink()
        wire.connection_made(sink)  # type: ignore[arg-type]
        wire.data_received(request)
        for start in range(0, len(noise), step):
            wire.data_received(noise[start : start + step])

    asyncio.run(run())
