"""Provisional dialler."""

from __future__ import annotations

import asyncio
from typing import Any

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from consensus import codec


class Wire(asyncio.Protocol):
    def __init__(self, host, port, secret, on_frame, on_lost):
        self.p = ClientProtocol(parse_uri(f"ws://{host}:{port}/"), max_size=codec.FRAME_BYTES_MAX)
        self.secret, self.on_frame, self.on_lost = secret, on_frame, on_lost
        self.incarnation = 0
        self.out: list[bytes] = []
        self.open = asyncio.get_running_loop().create_future()

    def connection_made(self, t):
        self.t = t
        r = self.p.connect()
        r.headers["Authorization"] = f"Bearer {self.secret}"
        self.p.send_request(r)
        self.push()

    def push(self):
        for d in self.p.data_to_send():
            if d:
                self.t.write(d)
            else:
                self.t.close()

    def data_received(self, data):
        self.p.receive_data(data)
        for e in self.p.events_received():
            if isinstance(e, Response):
                if self.p.handshake_exc is None:
                    if not self.open.done():
                        self.open.set_result(self)
                elif not self.open.done():
                    self.open.set_exception(self.p.handshake_exc)
            elif isinstance(e, Frame) and e.opcode is Opcode.BINARY:
                inc, ms = codec.decode_frame(e.data)
                self.on_frame(inc, ms)
        self.push()

    def connection_lost(self, exc):
        if not self.open.done():
            self.open.set_exception(ConnectionError(str(exc)))
        self.on_lost("lost")

    def send(self, message: bytes):
        if not self.out:
            asyncio.get_running_loop().call_soon(self.flush)
        self.out.append(message)

    def flush(self):
        out, self.out = self.out, []
        if self.p.state is OPEN:
            self.p.send_binary(codec.frame(self.incarnation, out, len(out)))
            self.push()

    def close(self):
        self.flush()
        if self.p.state is OPEN:
            self.p.send_close(1000)
            self.push()


class DialError(Exception):
    pass


async def dial(host, port, secret, on_frame, on_lost):
    loop = asyncio.get_running_loop()
    _, w = await loop.create_connection(lambda: Wire(host, port, secret, on_frame, on_lost), host, port)
    await w.open
    return w
