"""Bytes of a journal segment ↔ records. Pure: the worker and the simulator share it.

A segment is a header and records, in a file that was filled with written zeros beforehand::

    header   64 bytes: magic, version, node, incarnation, number, nonce, CRC-32C of these
    record   u32: length of type and payload (20 bits), check of that length (12 bits)
             u32: CRC-32C over length, type, payload and padding
             u8 : type, the record's number in consensus.messages.records
             payload (msgspec), zeros up to a multiple of 8

All integers are little-endian. Both checks start from the CRC of the segment's own header, so bytes of
another segment, even of one with the same number, are never taken for a record.

Telling a torn tail from damage (docs/protocol.md, "Disk") rests on what a disk does: it writes sectors of
512 bytes whole or not at all, in any order, and one write is in flight at a time. A sector that was not
written is zero from the place where the write began. Records start at multiples of 8, so the first eight
bytes of a record lie in one sector: either they are there, with a length that its check vouches for, or
the rest of that sector is zero.
"""

from __future__ import annotations

from enum import StrEnum
from struct import Struct as Packing
from typing import Final, NamedTuple

import msgspec
from crc32c import crc32c

from consensus.messages.records import (
    AcceptedValue,
    ChosenValue,
    LearnerMark,
    Promised,
    Record,
    SegmentHead,
    Watermark,
)
from consensus.types import NodeId, Slot

MAGIC: Final = b"PBJRNL\r\n"
VERSION: Final = 1
HEADER_BYTES: Final = 64
SECTOR_BYTES: Final = 512
RECORD_BYTES_MAX: Final = (1 << 20) - 1
"""Type and payload of one record. A value arrives in a frame, which is far smaller."""
COMMIT_BYTES_MAX: Final = 4 << 20
"""Bytes written before the next sync; whatever stands behind a torn place stands within this."""

_HEADER: Final = Packing("<8sIIQQQ")
_WORD: Final = Packing("<I")
_WORDS: Final = Packing("<II")
_ALIGN: Final = 8
_LENGTH_BITS: Final = 20
_CHECK_MASK: Final = 0xFFF
_TYPES: Final[dict[type[Record], bytes]] = {
    SegmentHead: b"\x01",
    Promised: b"\x02",
    AcceptedValue: b"\x03",
    ChosenValue: b"\x04",
    Watermark: b"\x05",
    LearnerMark: b"\x06",
}
_PADDING: Final = tuple(bytes(size) for size in range(_ALIGN))

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Record).decode


class SegmentId(NamedTuple):
    """Whose segment a file is. ``nonce`` differs between two files of the same number."""

    node: NodeId
    incarnation: int
    number: int
    nonce: int


class Verdict(StrEnum):
    """How a segment ends."""

    CLEAN = "clean"
    TORN = "torn"
    """The last write did not finish, and nobody heard of it: the tail may be cut."""
    DAMAGED = "damaged"
    """Something that was synced is not there any more."""


class Scan(NamedTuple):
    """What :func:`scan_segment` found: the records before ``end``, and why it stopped there."""

    verdict: Verdict
    records: list[Record]
    end: int
    reason: str = ""
    identity: SegmentId | None = None


def encode_header(identity: SegmentId) -> bytes:
    """The first :data:`HEADER_BYTES` of a segment."""
    fields = _HEADER.pack(
        MAGIC, VERSION, identity.node, identity.incarnation, identity.number, identity.nonce
    )
    return (fields + _WORD.pack(crc32c(fields))).ljust(HEADER_BYTES, b"\0")


def seed_of(header: bytes) -> int:
    """What the checks of a segment's records start from: the CRC of its identity.

    Not of the whole header: a CRC over data followed by its own CRC is the same for all data.
    """
    return int(crc32c(header[: _HEADER.size]))


def encode_record(record: Record, seed: int) -> bytes:
    """A record as it stands in the segment of ``seed``; its size is a multiple of 8."""
    body = _TYPES[type(record)] + _encode(record)
    length = len(body)
    assert length <= RECORD_BYTES_MAX, f"a record of {length} bytes is over the limit of {RECORD_BYTES_MAX}"
    first = crc32c(_WORD.pack(length), seed)
    body += _PADDING[-length % _ALIGN]
    return _WORDS.pack(length | (first & _CHECK_MASK) << _LENGTH_BITS, crc32c(body, first)) + body


def slot_of(record: Record) -> Slot:
    """The slot whose value a record holds; 0 for records that hold none."""
    return record.slot if isinstance(record, AcceptedValue | ChosenValue) else 0


def scan_segment(data: bytes) -> Scan:
    """Read a whole segment. Never raises, whatever the bytes are.

    Whether a torn tail may be cut is for the caller to know: only in the last segment.
    """
    identity = _identity(data)
    if isinstance(identity, str):
        return Scan(Verdict.DAMAGED, [], 0, identity)
    seed = seed_of(data[:HEADER_BYTES])
    records: list[Record] = []
    offset = HEADER_BYTES
    while True:
        found = _read(data, offset, seed)
        if isinstance(found, _Stop):
            verdict, reason = _judge(data, offset, found)
            return Scan(verdict, records, offset, reason and f"{reason} at byte {offset}", identity)
        record, offset = found
        records.append(record)


def _identity(data: bytes) -> SegmentId | str:
    """The header's content, or what is wrong with it."""
    if len(data) < HEADER_BYTES:
        return "the file ends inside its header"
    magic, version, *fields = _HEADER.unpack_from(data)
    if magic != MAGIC:
        return "not a journal segment"
    if version != VERSION:
        return f"segment format {version} is not known, only {VERSION}"
    if _WORD.unpack_from(data, _HEADER.size)[0] != crc32c(data[: _HEADER.size]) or any(
        data[_HEADER.size + _WORD.size : HEADER_BYTES]
    ):
        return "the header's checksum is wrong"
    return SegmentId(*fields)


class _Stop(NamedTuple):
    """Why no record was read. ``reason`` is empty where nothing is written."""

    span: int
    """Bytes that the record claims, 0 where it claims none, -1 where that cannot be a torn write."""
    reason: str


def _read(data: bytes, offset: int, seed: int) -> tuple[Record, int] | _Stop:
    """The record at ``offset`` and where the next one starts, or why there is none."""
    if len(data) - offset < _WORDS.size:
        return _Stop(0, "the file ends inside a record" if any(data[offset:]) else "")
    word, crc = _WORDS.unpack_from(data, offset)
    if word == 0:
        return _Stop(0, "")
    length = word & RECORD_BYTES_MAX
    first = crc32c(_WORD.pack(length), seed)
    if not length or word >> _LENGTH_BITS != first & _CHECK_MASK:
        return _Stop(-1, "a record's length is wrong")
    span = _WORDS.size + length + -length % _ALIGN
    body = data[offset + _WORDS.size : offset + span]
    if len(body) + _WORDS.size < span:
        return _Stop(span, "the file ends inside a record")
    if crc32c(body, first) != crc:
        return _Stop(span, "a record's checksum is wrong")
    try:
        record = _decode(body[1:length])
    except (msgspec.DecodeError, RecursionError, OverflowError) as error:
        return _Stop(-1, f"a record is not understood ({error})")
    if _TYPES[type(record)] != body[:1]:
        return _Stop(-1, "a record's type is wrong")
    return record, offset + span


def _judge(data: bytes, offset: int, stop: _Stop) -> tuple[Verdict, str]:
    """Whether a scan that stopped at ``offset`` met the end, a torn write or damage."""
    if stop.span < 0:
        return Verdict.DAMAGED, stop.reason
    end = _content_end(data)
    if end <= offset:
        return Verdict.CLEAN, ""
    if end > offset + COMMIT_BYTES_MAX:
        return Verdict.DAMAGED, stop.reason or "records are missing"
    if offset + max(stop.span, _WORDS.size) > len(data):
        return Verdict.TORN, stop.reason
    for sector in range(offset - offset % SECTOR_BYTES, offset + max(stop.span, 1), SECTOR_BYTES):
        if not any(data[max(offset, sector) : sector + SECTOR_BYTES]):
            return Verdict.TORN, stop.reason or "records are missing"
    return Verdict.DAMAGED, stop.reason or "records are missing"


def _content_end(data: bytes) -> int:
    """Where the zeros at the end of ``data`` begin."""
    return len(data.rstrip(b"\0"))
