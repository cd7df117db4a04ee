"""One websocket connection: messages in by callback, messages out in coalesced frames.

A thin shell around the sans-I/O protocol of ``websockets``, as an ``asyncio.Protocol``: frames are handed on
within ``data_received``, what is sent within one turn of the loop leaves as one frame, and there is no task
and no future per message. Measured against ``websockets.asyncio``, that halves the CPU of a round trip.
Whole binary frames, once the handshake is done, do not even pass through the protocol (see framing.py).
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Any, Final, cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN, State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from consensus import codec
from consensus.net import framing
from consensus.net.framing import Masker
from consensus.net.lamport import LamportClock

MALFORMED: Final = 4400
UNKNOWN_VERSION: Final = 4401
DISAGREES: Final = 4402
"""A member of the same cluster is set otherwise in something that all have to agree on."""
OVERLOADED: Final = 4408
GOING_AWAY: Final = 1001
NORMAL: Final = 1000
TOO_LARGE: Final = 1009

QUEUE_BYTES_MAX: Final = 8 << 20
REASON_BYTES_MAX: Final = 100
"""Of what a goodbye says; a control frame holds 123."""
_HIGH_WATER_BYTES: Final = 1 << 18
"""Handed to the transport at most; the rest waits in the wire's own queue, where urgent messages pass it."""
ALIVE_CHECK_S: Final = 10.0
_SILENT_CHECKS_MAX: Final = 3
_CLOSE_TIMEOUT_S: Final = 1.0

OnFrame = Callable[[int, list[Any]], None]
"""(incarnation, messages) of one frame."""
OnLost = Callable[[str], None]
"""Why the connection is gone, in words. Called once."""
OnRequest = Callable[["Wire", Request], Response]

_log = logging.getLogger(__name__)
_quiet = logging.getLogger(f"{__name__}.protocol")
_quiet.setLevel(logging.WARNING)


class DialError(Exception):
    """Somebody answered, but refused the handshake or speaks something else."""


class Wire(asyncio.Protocol):
    """A connection, either side of it.

    Attributes:
        incarnation: what frames that leave are stamped with.
        on_frame: gets every frame; may be replaced at any time.
        on_lost: told when the connection is gone.
        on_open: told when the websocket handshake is done.
        allowed: types of messages that may come; None for all. Others count as malformed.
        sent, received: messages since the start.
        close_code: the websocket close code, once the connection is closing; 0 before.
    """

    def __init__(
        self,
        protocol: ClientProtocol | ServerProtocol,
        on_frame: OnFrame,
        on_lost: OnLost,
        *,
        queue_bytes_max: int = QUEUE_BYTES_MAX,
        on_request: OnRequest | None = None,
    ) -> None:
        self.incarnation = 0
        self.clock: LamportClock | None = None
        """Stamps frames that leave and hears of those that come; None between others than nodes."""
        self.on_frame = on_frame
        self.on_lost = on_lost
        self.on_open: Callable[[], None] | None = None
        self.on_sent: Callable[[list[bytes], int], None] | None = None
        """Traces what leaves: the encoded messages of a frame and the index of the first among ``sent``."""
        self.on_dirty: Callable[[Wire], None] | None = None
        """Takes over to call :meth:`flush` at the end of the turn; asked once until that is done."""
        self.on_undecodable: Callable[[bytes, codec.CodecError], None] | None = None
        """Gets a frame that is none, instead of :meth:`refuse`."""
        self.allowed: frozenset[type] | None = None
        self.sent = 0
        self.received = 0
        self.close_code = 0
        self.close_reason = ""
        self._heard = False
        self._silent_checks = 0
        self._protocol = protocol
        self._on_request = on_request
        self._queue_bytes_max = queue_bytes_max
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._queue: list[bytes] = []
        self._urgent: list[bytes] = []
        self._queued_bytes = 0
        self._flush_due = False
        self._paused = False
        self._masker = Masker() if isinstance(protocol, ClientProtocol) else None
        self._cutting = False
        self._buffer = b""
        self._fragments: list[bytes] = []
        self._abort: asyncio.TimerHandle | None = None
        self._lost = False

    @property
    def open(self) -> bool:
        """Whether messages can be exchanged."""
        return self._protocol.state is OPEN and not self._lost

    @property
    def peer(self) -> str:
        """Address of the other end, for logs."""
        address = self._transport and self._transport.get_extra_info("peername")
        return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else "unknown"

    # --- out -------------------------------------------------------------------

    def send(self, message: bytes) -> None:
        """Send one encoded message, with the others of this turn of the loop.

        Before the handshake is done it waits; after the end it goes nowhere. More than the bound waiting
        closes the connection with :data:`OVERLOADED`.
        """
        self._queue.append(message)
        self._queued_bytes += len(message)
        if not self._flush_due:
            self._flush_due = True
            if self.on_dirty is not None:
                self.on_dirty(self)
            else:
                self._loop.call_soon(self.flush)
        if self._queued_bytes > self._queue_bytes_max:
            self.close(OVERLOADED, "too much is waiting to be sent")

    def send_urgent(self, message: bytes) -> None:
        """The same, but ahead of what has to wait because the other end reads too slowly."""
        if not self._paused:
            self.send(message)
            return
        self._urgent.append(message)
        self._queued_bytes += len(message)

    def discard(self) -> None:
        """Forget what was not sent yet."""
        self._queue = []
        self._urgent = []
        self._queued_bytes = 0

    def flush(self) -> None:
        """Hand what waits to the transport now."""
        self._flush_due = False
        protocol = self._protocol
        if protocol.state is not OPEN or self._lost:
            if protocol.state is not State.CONNECTING:
                self.discard()
            return
        if self._urgent:
            self._queue[:0] = self._urgent
            self._urgent = []
        while (queue := self._queue) and not self._paused:
            if self._queued_bytes <= codec.CHUNK_BYTES:
                self._queue = []
                self._queued_bytes = 0
            else:
                queue = self._chunk()
            count = len(queue)
            if self.on_sent is not None:
                self.on_sent(queue, self.sent)
            self.sent += count
            clock = self.clock
            lamport = 0 if clock is None else clock.tick()
            self._send_frame(codec.frame(self.incarnation, queue, count, lamport))

    def _send_frame(self, payload: bytes) -> None:
        transport = self._transport
        assert transport is not None
        if self._masker is not None:
            transport.write(self._masker.binary(payload))
        else:
            transport.write(framing.binary_header(len(payload)) + payload)

    def _chunk(self) -> list[bytes]:
        """Take as many messages as fit one frame; at least one."""
        size = 0
        count = 0
        for message in self._queue:
            size += len(message)
            if count and size > codec.CHUNK_BYTES:
                size -= len(message)
                break
            count += 1
        chunk = self._queue[:count]
        del self._queue[:count]
        self._queued_bytes -= size
        return chunk

    def check_alive(self) -> None:
        """Call every :data:`ALIVE_CHECK_S`: pings a connection that was silent, ends one that stays so."""
        if not self.open:
            return
        self._silent_checks = 0 if self._heard else self._silent_checks + 1
        if self._silent_checks > _SILENT_CHECKS_MAX:
            self.abort(f"silent for {_SILENT_CHECKS_MAX * ALIVE_CHECK_S:.0f} s")
        elif not self._heard:
            self._protocol.send_ping(b"")
            self._write()
        self._heard = False

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Send what waits (not when overloaded), say goodbye, and give the other end a second to answer."""
        if self.close_code or self._lost:
            return
        if self.open:
            if code == OVERLOADED:
                self.discard()
            self._paused = False
            self.flush()
            self._protocol.send_close(code, reason)
            self._write()
        elif self._transport is not None and self._protocol.state is State.CONNECTING:
            self._transport.abort()
        self.close_code, self.close_reason = code, reason
        self._cutting = False
        self._end_soon()

    def abort(self, reason: str) -> None:
        """End the connection without a goodbye."""
        self.close_reason = self.close_reason or reason
        if self._transport is not None:
            self._transport.abort()

    def _write(self) -> None:
        transport = self._transport
        assert transport is not None
        for data in self._protocol.data_to_send():
            if data:
                transport.write(data)
            else:
                transport.close()

    def _end_soon(self) -> None:
        if self._abort is None and self._transport is not None and not self._lost:
            self._abort = self._loop.call_later(_CLOSE_TIMEOUT_S, self._transport.abort)

    # --- asyncio.Protocol ----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)
        if isinstance(self._protocol, ClientProtocol):
            self._write()

    def data_received(self, data: bytes) -> None:
        self._heard = True
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        masked = self._masker is None
        offset = 0
        while self._cutting:
            head, start, end = framing.cut(data, offset, masked, codec.FRAME_BYTES_MAX)
            if head == framing.BINARY and not self._fragments:
                self._message(framing.unmask(data, start, end) if masked else data[start:end])
            elif head >= 0:
                self._feed(data[offset:end])
            elif head == framing.NOT_YET[0]:
                self._buffer = data[offset:] if offset else data
                return
            else:
                self._cutting = False
                break
            offset = end
            if offset == len(data):
                return
        self._feed(data[offset:] if offset else data)

    def _feed(self, data: bytes) -> None:
        """Let the protocol see to it: handshakes, control frames, fragments, and what is wrong."""
        protocol = self._protocol
        protocol.receive_data(data)
        for event in protocol.events_received():
            if isinstance(event, Frame):
                if not self.close_code:
                    self._frame(event)
            else:
                self._handshake(event)
                # From here on frames are cut, unless some of one stands behind the handshake already.
                self._cutting = self.open and data.find(b"\r\n\r\n") == len(data) - 4
        if protocol.writes:
            self._write()
        if protocol.close_expected():
            self._cutting = False
            self._note_end()

    def _frame(self, frame: Frame) -> None:
        """A frame that came through the protocol."""
        if frame.opcode is Opcode.BINARY and frame.fin:
            self._message(bytes(frame.data))
        elif frame.opcode is Opcode.BINARY:
            self._fragments = [bytes(frame.data)]
        elif frame.opcode is Opcode.CONT and self._fragments:
            self._fragments.append(bytes(frame.data))
            if frame.fin:
                data = b"".join(self._fragments)
                self._fragments = []
                self._message(data)
        elif frame.opcode in (Opcode.TEXT, Opcode.CONT):
            self.refuse("a text frame; messages are binary")

    def _message(self, data: bytes) -> None:
        """A whole websocket message: one frame of the codec."""
        try:
            incarnation, messages, lamport = codec.decode_stamped(data)
        except codec.CodecError as error:
            if self.on_undecodable is not None:
                self.on_undecodable(data, error)
            else:
                self.refuse(str(error))
            return
        allowed = self.allowed
        if allowed is not None and not allowed.issuperset(map(type, messages)):
            self.refuse("a message that this end may not send")
            return
        self.received += len(messages)
        if lamport and self.clock is not None:
            self.clock.hear(lamport)
        self.on_frame(incarnation, messages)

    def refuse(self, reason: str, code: int = MALFORMED) -> None:
        """Close because of what the other end sent, and say so in the log."""
        _log.warning("closing the connection with %s: %s", self.peer, reason)
        self.close(code, reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore"))

    def _handshake(self, event: Request | Response) -> None:
        if isinstance(event, Request):
            assert isinstance(self._protocol, ServerProtocol) and self._on_request is not None
            self._protocol.send_response(self._on_request(self, event))
            self._write()
        if self._protocol.state is OPEN:
            if self.on_open is not None:
                self.on_open()
            if self._queue:
                self.flush()

    def _note_end(self) -> None:
        """The protocol is closing, by itself or because the other end said so."""
        if not self.close_code:
            close = self._protocol.close_rcvd or self._protocol.close_sent
            if close is not None:
                self.close_code, self.close_reason = int(close.code), close.reason
                if self._protocol.parser_exc is not None:
                    _log.warning("closing the connection with %s: %s", self.peer, close.reason)
        self._end_soon()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self.flush()

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        if self._abort is not None:
            self._abort.cancel()
        self.discard()
        failure = self._protocol.handshake_exc
        reason = self.close_reason or (str(error) if error else "")
        if failure is not None and not reason:
            reason = str(failure)
        if self.close_code:
            reason = f"closed with {self.close_code} {reason}".rstrip()
        self.on_lost(reason or "the other end closed the connection")


async def dial(
    host: str,
    port: int,
    secret: str,
    on_frame: OnFrame,
    on_lost: OnLost,
    *,
    path: str = "/",
    tls: ssl.SSLContext | None = None,
    queue_bytes_max: int = QUEUE_BYTES_MAX,
) -> Wire:
    """Connect to a node (or the site) and do the websocket handshake.

    ``on_lost`` is called only after this has returned. Bound the time with ``asyncio.timeout``.

    Raises:
        OSError: nothing listens there, or the connection broke.
        DialError: the handshake was refused; the text says with which status.
    """
    scheme = "ws" if tls is None else "wss"
    name = f"[{host}]" if ":" in host else host
    protocol = ClientProtocol(
        parse_uri(f"{scheme}://{name}:{port}{path}"), max_size=codec.FRAME_BYTES_MAX, logger=_quiet
    )
    request = protocol.connect()
    request.headers["Authorization"] = f"Bearer {secret}"
    protocol.send_request(request)
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[None] = loop.create_future()

    broken = ""
    handed_over = False

    def lost(reason: str) -> None:
        nonlocal broken
        if handed_over:
            on_lost(reason)
        elif not opened.done():
            failure = protocol.handshake_exc
            opened.set_exception(ConnectionError(reason) if failure is None else _dial_error(failure))
        else:
            broken = reason

    def is_open() -> None:
        if not opened.done():
            opened.set_result(None)

    wire = Wire(protocol, on_frame, lost, queue_bytes_max=queue_bytes_max)
    wire.on_open = is_open
    await loop.create_connection(lambda: wire, host, port, ssl=tls)
    try:
        await opened
    except asyncio.CancelledError:
        wire.abort("given up")
        raise
    if broken:
        raise ConnectionError(broken)
    handed_over = True
    return wire


def _dial_error(failure: Exception) -> Exception:
    """What to raise for a handshake that did not succeed."""
    if isinstance(failure, InvalidStatus):
        status = failure.response.status_code
        text = bytes(failure.response.body or b"").decode(errors="replace").strip()
        return DialError(f"refused with status {status}: {text[:200]}")
    return DialError(str(failure))
