"""``/ws/worker/``: where workers dial in.

Frames are those of :mod:`consensus.codec`, binary, the operator protocol with the worker as dialler: it
says ``Hello``, is answered ``Welcome``, and from then on answers ``Command`` and sends ``Telemetry``.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from typing import Any, Final

from channels.exceptions import StopConsumer
from django.conf import settings

from bankweb.orchestration.hub import Connection, hub
from bankweb.sockets import BusySocket
from consensus import codec
from consensus.messages.control import PROTOCOL_VERSION, Hello, Role, Welcome

_log = logging.getLogger(__name__)

CLOSE_MALFORMED: Final = 4400
CLOSE_HELLO: Final = 4401
CLOSE_REPLACED: Final = 4409
CLOSE_TOO_LARGE: Final = 1009
HELLO_WITHIN_S: Final = 5.0


class WorkerConsumer(BusySocket):
    """One worker's control connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connection: Connection | None = None
        self._impatience: asyncio.TimerHandle | None = None
        self._open = False

    async def connect(self) -> None:
        headers = dict(self.scope["headers"])
        refusal = _refusal(headers)
        if refusal:
            _log.warning("a worker's connection from %s is refused: %s", self.scope.get("client"), refusal)
            await self.close()
            return
        await self.accept()
        self._open = True
        loop = asyncio.get_running_loop()
        self._impatience = loop.call_later(HELLO_WITHIN_S, lambda: loop.create_task(self._without_hello()))

    async def _without_hello(self) -> None:
        if self._connection is None and self._open:
            await self._refuse(CLOSE_HELLO, "no hello came")

    async def disconnect(self, code: int) -> None:
        self._open = False
        if self._impatience is not None:
            self._impatience.cancel()
        if self._connection is not None:
            hub().detach(self._connection)
            self._connection = None
        raise StopConsumer

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if not self._open:
            return
        if bytes_data is None:
            await self._refuse(CLOSE_MALFORMED, "text instead of a binary frame")
            return
        if len(bytes_data) > codec.FRAME_BYTES_MAX:
            await self._refuse(CLOSE_TOO_LARGE, f"a frame of {len(bytes_data)} bytes")
            return
        try:
            incarnation, messages = codec.decode_frame(bytes_data)
        except codec.CodecError as error:
            await self._refuse(CLOSE_MALFORMED, str(error))
            return
        for message in messages:
            if self._connection is None:
                if not await self._hello(message):
                    return
                continue
            self._connection.incarnation = incarnation
            if not hub().received(self._connection, message):
                await self._refuse(CLOSE_MALFORMED, f"{type(message).__name__} is nothing a worker sends")
                return

    async def _hello(self, message: Any) -> bool:
        if not isinstance(message, Hello):
            await self._refuse(CLOSE_HELLO, f"{type(message).__name__} came before a hello")
            return False
        if (
            message.version != PROTOCOL_VERSION
            or message.role != Role.OPERATOR
            or message.node not in hub().nodes
        ):
            said = f"version {message.version}, role {message.role!r}, node {message.node}"
            await self._refuse(CLOSE_HELLO, f"the hello is not acceptable ({said})")
            return False
        welcome = Welcome(PROTOCOL_VERSION, 0, 0, message.incarnation)
        await self._send(codec.frame(message.incarnation, [codec.encode(welcome)], 1))
        self._connection = Connection(message.node, message.incarnation, self._send, self._replaced)
        hub().attach(self._connection)
        return True

    async def _send(self, frame: bytes) -> None:
        if self._open:
            await self.send(bytes_data=frame)

    async def _replaced(self) -> None:
        if self._open:
            self._open = False
            await self.close(CLOSE_REPLACED)

    async def _refuse(self, code: int, why: str) -> None:
        hub().bad_frames += 1
        node = self._connection.node if self._connection else "unknown"
        _log.warning("control connection of node %s closed with %d: %s", node, code, why)
        self._open = False
        await self.close(code)


def _refusal(headers: dict[bytes, bytes]) -> str:
    """Why a handshake is not let in, "" if it is."""
    if b"origin" in headers:
        return "it carries an Origin header, as only browsers do"
    expected = f"Bearer {settings.BANK_SECRET}".encode()
    if not hmac.compare_digest(headers.get(b"authorization", b""), expected):
        return "the secret is missing or wrong"
    return ""
