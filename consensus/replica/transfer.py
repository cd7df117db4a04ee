"""State transfer: a follower that fell behind everybody's log takes over a whole state, chunk by chunk.

The sender captures its state at the slot it has applied and hands it out as a stream of blocks (u32 length,
encoded rows) cut into chunks of bounded size; the receiver checks the hash before it believes any of it. A
promise is not part of a state: it is never lowered by one.
"""

from __future__ import annotations

from consensus.bank.state import BankState, StateCapture, StateError
from consensus.messages.paxos import StateChunk, StateRequest
from consensus.messages.rows import Row, decode_rows, encode_rows
from consensus.paxos.context import Context
from consensus.types import NodeId, Slot

BLOCK_ROWS = 500
CHUNK_STREAM_BYTES = 48 << 10
SENDS_MAX = 2
"""Transfers a node serves at a time."""
SEND_IDLE_US = 5_000_000
TRIES_MAX = 10
"""A source that left a chunk unanswered so often is given up, and with it what it has sent."""


class Sending:
    """A transfer that is being handed out. The last chunk is kept, because its answer may get lost."""

    __slots__ = ("_ended", "_stream", "capture", "chunk", "used_us")

    def __init__(self, capture: StateCapture, now_us: int) -> None:
        self.capture = capture
        self.chunk: StateChunk | None = None
        self.used_us = now_us
        self._stream = bytearray()
        self._ended = False

    def next_chunk(self, index: int) -> StateChunk:
        """The next piece of the stream, which becomes ``chunk``."""
        stream = self._stream
        while len(stream) < CHUNK_STREAM_BYTES and not self._ended:
            rows = self.capture.take(BLOCK_ROWS)
            self._ended = not rows
            if rows:
                block = encode_rows(rows)
                stream += len(block).to_bytes(4, "big") + block
        piece = bytes(stream[:CHUNK_STREAM_BYTES])
        del stream[:CHUNK_STREAM_BYTES]
        self.chunk = StateChunk(self.capture.slot, index, self._ended and not stream, piece)
        return self.chunk


class Transfer:
    """Both ends of state transfer of one node."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.retry_us = 0
        """When the next chunk is asked for again; 0 while none is being taken."""
        self._sending: dict[NodeId, Sending] = {}
        self._source: NodeId = 0
        self._slot: Slot = 0
        self._rows: list[Row] = []
        self._stream = bytearray()
        self._index = 0
        self._unanswered = 0
        self._restarted = False

    # --- receiving -------------------------------------------------------------------

    @property
    def active(self) -> bool:
        return bool(self.retry_us)

    def begin(self, source: NodeId) -> None:
        """Start taking the state of ``source``."""
        self._source, self._slot, self._index, self._unanswered = source, 0, 0, 0
        self._restarted = False
        self.stop()
        self._ask()

    def on_time(self) -> None:
        """No chunk: ask again; from the start and somebody else if the source seems to be gone."""
        self._unanswered += 1
        if self._index and self._unanswered < TRIES_MAX:
            self._ask()
            return
        others = self.ctx.others
        index = others.index(self._source) if self._source in others else -1
        self.begin(others[(index + 1) % len(others)])

    def _start_over(self) -> None:
        """Begin anew, the second time after a pause: two without a state would never stop asking."""
        if not self._restarted:
            self.begin(self._source)
            self._restarted = True
        else:
            self.stop()
            self._index = 0
            self.retry_us = self.ctx.now_us + 2 * self.ctx.resend_us

    def _ask(self) -> None:
        self.retry_us = self.ctx.now_us + 2 * self.ctx.resend_us
        self.ctx.send((self._source,), StateRequest(self._slot, self._index))

    def on_chunk(self, sender: NodeId, message: StateChunk) -> BankState | None:
        """Take a chunk. Returns the whole state after the last one."""
        if not self.active or sender != self._source or message.index != self._index:
            return None
        if message.slot == 0 or (self._index and message.slot != self._slot):
            self._start_over()
            return None
        self._slot = message.slot
        self._index += 1
        self._unanswered = 0
        self._stream += message.rows
        try:
            self._take_blocks()
            if not message.last:
                self._ask()
                return None
            if self._stream:
                raise StateError("the stream ends inside a block")
            state = BankState.restore(self._rows)
        except ValueError as error:
            self.ctx.event("mark", text=f"the state that n{sender} sent is damaged: {error}")
            self._start_over()
            return None
        self.stop()
        return state

    def _take_blocks(self) -> None:
        stream = self._stream
        while len(stream) >= 4 and len(stream) >= 4 + (size := int.from_bytes(stream[:4], "big")):
            self._rows.extend(decode_rows(bytes(stream[4 : 4 + size])))
            del stream[: 4 + size]

    def stop(self) -> None:
        """Forget what was taken so far."""
        self.retry_us = 0
        self._rows = []
        self._stream = bytearray()

    # --- sending ---------------------------------------------------------------------

    def on_request(self, sender: NodeId, message: StateRequest, state: BankState) -> None:
        now = self.ctx.now_us
        for node, old in list(self._sending.items()):
            if now - old.used_us > SEND_IDLE_US:
                old.capture.close()
                del self._sending[node]
        sending = self._sending.get(sender)
        if message.index == 0 and message.slot == 0:
            if sending is not None:
                sending.capture.close()
                del self._sending[sender]
            if state.slot == 0:
                self.ctx.send((sender,), StateChunk(0, 0, False, b""))
                return
            if len(self._sending) >= SENDS_MAX:
                return
            sending = self._sending[sender] = Sending(state.capture(everything=True), now)
        if sending is None or sending.capture.slot != (message.slot or sending.capture.slot):
            self.ctx.send((sender,), StateChunk(0, message.index, False, b""))
            return
        sending.used_us = now
        chunk = sending.chunk
        if chunk is None or chunk.index == message.index - 1:
            chunk = sending.next_chunk(message.index)
        elif chunk.index != message.index:
            chunk = StateChunk(0, message.index, False, b"")
        self.ctx.send((sender,), chunk)
