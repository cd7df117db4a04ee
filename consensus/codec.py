"""Bytes ↔ messages: total (every input gives messages or a :class:`CodecError`) and bounded.

A frame is one websocket binary message: ``[incarnation, [message, …], lamport]``, the clock of the sender
(Lamport 1978), left out by those who have none. Messages are encoded once and
joined as bytes, so that a message for several peers, or one that waited for a sync, is not
encoded again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from consensus.messages.base import Message
from consensus.messages.client import ClientReply, ClientRequest
from consensus.messages.control import ControlMessage
from consensus.messages.entries import Batch
from consensus.messages.migration import MigrationMessage
from consensus.messages.paxos import PaxosMessage
from consensus.messages.txn import TxnMessage

FRAME_BYTES_MAX = 1 << 18
"""A longer frame is refused unread. Senders keep below ``CHUNK_BYTES`` per frame where they can."""
CHUNK_BYTES = 1 << 16
LAMPORT_MAX = 1 << 53
"""A clock stays an integer that JavaScript can hold. A node that counts to it would run for centuries."""
MESSAGES_MAX = 16_384
"""Messages in one frame."""

AnyMessage = PaxosMessage | TxnMessage | MigrationMessage | ClientRequest | ClientReply | ControlMessage

_encoder = msgspec.msgpack.Encoder()


class _Frame(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    incarnation: int
    messages: list[AnyMessage]
    lamport: int = 0


_frame = msgspec.msgpack.Decoder(_Frame)
_batch = msgspec.msgpack.Decoder(Batch)
_UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError)
"""What the decoders raise: text that is not UTF-8 is no :class:`msgspec.DecodeError`."""


class CodecError(ValueError):
    """The bytes are not a frame or batch of a known version."""


def encode(message: Message) -> bytes:
    """Encode one message (or any plain value) on its own."""
    return _encoder.encode(message)


def frame(incarnation: int, encoded: Iterable[bytes], count: int, lamport: int = 0) -> bytes:
    """Join ``count`` encoded messages to one frame. ``lamport``: clock of the sender; 0: it has none."""
    header = (b"\x93" if lamport else b"\x92") + _encoder.encode(incarnation)
    messages = b"\xdd" + count.to_bytes(4, "big") + b"".join(encoded)
    return header + messages + _encoder.encode(lamport) if lamport else header + messages


def decode_frame(data: bytes) -> tuple[int, list[AnyMessage]]:
    """Return (incarnation, messages).

    Raises:
        CodecError: malformed, too large, or an unknown number.
    """
    return decode_stamped(data)[:2]


def decode_stamped(data: bytes) -> tuple[int, list[AnyMessage], int]:
    """Return (incarnation, messages, lamport).

    Raises:
        CodecError: malformed, too large, or an unknown number.
    """
    if len(data) > FRAME_BYTES_MAX:
        raise CodecError(f"frame of {len(data)} bytes is over the limit of {FRAME_BYTES_MAX}")
    try:
        found = _frame.decode(data)
    except _UNDECODABLE as error:
        raise CodecError(f"not a frame: {error}") from error
    incarnation, messages, lamport = found.incarnation, found.messages, found.lamport
    if incarnation < 0 or not 0 <= lamport < LAMPORT_MAX or len(messages) > MESSAGES_MAX:
        raise CodecError(f"frame with incarnation {incarnation}, {len(messages)} messages, clock {lamport}")
    return incarnation, messages, lamport


def encode_batch(batch: Batch) -> bytes:
    """The value of a slot. Made once, by the leader that first proposes it."""
    return _encoder.encode(batch)


def decode_batch(value: bytes) -> Batch:
    """Inverse of :func:`encode_batch`.

    Raises:
        CodecError: not a batch, or an entry number this version does not know.
    """
    try:
        return _batch.decode(value)
    except _UNDECODABLE as error:
        raise CodecError(f"not a batch: {error}") from error


def to_plain(message: Message) -> Any:
    """A message as JSON-like data, for logs and pages."""
    return msgspec.to_builtins(message)
