"""Records survive the way to bytes and back; every way a segment can end is told from the others."""

from __future__ import annotations

import pytest
from crc32c import crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.messages.records import (
    AcceptedValue,
    ChosenValue,
    LearnerMark,
    Promised,
    Record,
    SegmentHead,
    Watermark,
)
from consensus.storage.format import (
    COMMIT_BYTES_MAX,
    HEADER_BYTES,
    RECORD_BYTES_MAX,
    SECTOR_BYTES,
    SegmentId,
    Verdict,
    encode_header,
    encode_record,
    scan_segment,
    seed_of,
    slot_of,
)
from consensus.types import Ballot

IDENTITY = SegmentId(3, 2, 7, 99)
HEADER = encode_header(IDENTITY)
SEED = seed_of(HEADER)

numbers = st.integers(0, 2**40)
ballots = st.builds(Ballot, numbers, st.integers(0, 65_535))
values = st.binary(max_size=2_000)
records = st.one_of(
    st.builds(SegmentHead, numbers, ballots, numbers, st.booleans()),
    st.builds(Promised, ballots),
    st.builds(AcceptedValue, ballots, numbers, values, numbers),
    st.builds(ChosenValue, ballots, numbers, values),
    st.builds(Watermark, numbers),
    st.builds(LearnerMark, st.booleans()),
)


def body_of(*content: Record) -> bytes:
    return b"".join(encode_record(record, SEED) for record in content)


def value(slot: int, size: int = 300) -> AcceptedValue:
    return AcceptedValue(Ballot(2, 3), slot, b"\xab" * size, slot - 1)


@given(st.lists(records, max_size=20), st.integers(0, 4_000))
def test_records_come_back_in_order(content: list[Record], spare: int) -> None:
    data = HEADER + body_of(*content) + bytes(spare)
    scan = scan_segment(data)
    assert scan == (Verdict.CLEAN, content, len(HEADER + body_of(*content)), "", IDENTITY)


@given(st.binary(max_size=3_000))
def test_any_bytes_are_scanned(data: bytes) -> None:
    assert scan_segment(data).verdict is Verdict.DAMAGED or data.startswith(HEADER)
    scan_segment(HEADER + data)


@settings(max_examples=300)
@given(st.lists(records, min_size=1, max_size=8), st.integers(0, 2_000), st.data())
def test_one_flipped_bit_is_never_taken_for_a_torn_tail(
    content: list[Record], spare: int, data: st.DataObject
) -> None:
    sound = HEADER + body_of(*content) + bytes(spare)
    at = data.draw(st.integers(0, len(sound) - spare - 1))
    broken = bytearray(sound)
    broken[at] ^= 1 << data.draw(st.integers(0, 7))
    scan = scan_segment(bytes(broken))
    assert scan.verdict is Verdict.DAMAGED
    assert content[: len(scan.records)] == scan.records
    assert scan.end <= at


@given(st.lists(records, min_size=1, max_size=8), st.data())
def test_a_file_that_ends_inside_a_record_is_torn_there(content: list[Record], data: st.DataObject) -> None:
    sound = HEADER + body_of(*content)
    keep = data.draw(st.integers(HEADER_BYTES, len(sound) - 1))
    scan = scan_segment(sound[:keep])
    ends = [len(HEADER + body_of(*content[:count])) for count in range(len(content) + 1)]
    assert scan.records == content[: len(scan.records)]
    assert scan.end == max(end for end in ends if end <= keep)
    assert scan.verdict is (Verdict.CLEAN if not any(sound[scan.end : keep]) else Verdict.TORN)


@settings(max_examples=300)
@given(
    st.lists(st.integers(1, 1_500), min_size=1, max_size=4),
    st.lists(st.integers(1, 1_500), min_size=1, max_size=4),
    st.data(),
)
def test_sectors_that_were_not_written_make_a_torn_tail(
    before: list[int], batch: list[int], data: st.DataObject
) -> None:
    """Any set of the last write's sectors may be missing; what was synced before always stays."""
    synced = HEADER + body_of(*[value(slot, size) for slot, size in enumerate(before, 1)])
    tail = body_of(*[value(slot, size) for slot, size in enumerate(batch, 100)])
    whole = bytearray(synced + tail + bytes(-len(synced + tail) % SECTOR_BYTES + 1_024))
    first, last = len(synced) // SECTOR_BYTES, (len(synced + tail) - 1) // SECTOR_BYTES
    missing = data.draw(st.sets(st.integers(first, last), min_size=1))
    for sector in missing:
        start = max(len(synced), sector * SECTOR_BYTES)
        whole[start : (sector + 1) * SECTOR_BYTES] = bytes((sector + 1) * SECTOR_BYTES - start)
    scan = scan_segment(bytes(whole))
    assert scan.verdict in (Verdict.TORN, Verdict.CLEAN)
    assert scan.end >= len(synced)
    assert [slot_of(record) for record in scan.records][: len(before)] == list(range(1, len(before) + 1))


def test_a_length_with_one_flipped_bit_differs_in_its_check() -> None:
    checks = [
        crc32c(length.to_bytes(4, "little"), 0) & 0xFFF for length in [0] + [1 << bit for bit in range(20)]
    ]
    assert len(set(checks)) == len(checks)


def test_zeros_in_front_of_more_records_than_one_write_holds_are_damage() -> None:
    data = HEADER + bytes(COMMIT_BYTES_MAX) + b"\1" + bytes(511)
    assert scan_segment(data).verdict is Verdict.DAMAGED
    assert scan_segment(HEADER + bytes(5_000) + b"\1" + bytes(511)).verdict is Verdict.TORN


def test_a_lost_first_word_with_the_rest_in_place_is_damage() -> None:
    data = bytearray(HEADER + body_of(value(1)) + bytes(512))
    data[HEADER_BYTES : HEADER_BYTES + 4] = bytes(4)
    scan = scan_segment(bytes(data))
    assert scan.verdict is Verdict.DAMAGED
    assert scan.reason == f"records are missing at byte {HEADER_BYTES}"


def test_records_of_another_segment_are_not_taken() -> None:
    other = encode_header(IDENTITY._replace(nonce=100))
    data = other + body_of(Promised(Ballot(1, 1)))
    scan = scan_segment(data)
    assert (scan.verdict, scan.records) == (Verdict.DAMAGED, [])


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"", "the file ends inside its header"),
        (b"\0" * 64, "not a journal segment"),
        (HEADER[:8] + b"\x02" + HEADER[9:], "segment format 2 is not known, only 1"),
        (HEADER[:20] + b"\xff" + HEADER[21:], "the header's checksum is wrong"),
        (HEADER[:63] + b"\x01", "the header's checksum is wrong"),
    ],
)
def test_a_bad_header_is_named(header: bytes, reason: str) -> None:
    assert scan_segment(header) == (Verdict.DAMAGED, [], 0, reason, None)


def sealed(body: bytes) -> bytes:
    """A record around any type and payload, with right checks."""
    first = crc32c(len(body).to_bytes(4, "little"), SEED)
    padded = body + bytes(-len(body) % 8)
    word = len(body) | (first & 0xFFF) << 20
    return word.to_bytes(4, "little") + crc32c(padded, first).to_bytes(4, "little") + padded


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"\x63\x92\x63\x01", "is not understood"), (b"\x05\x92\x06\xc3", "a record's type is wrong")],
)
def test_records_of_an_unknown_kind_are_damage(body: bytes, reason: str) -> None:
    scan = scan_segment(HEADER + sealed(body) + bytes(1_024))
    assert scan.verdict is Verdict.DAMAGED
    assert reason in scan.reason


def test_a_record_over_the_limit_is_refused() -> None:
    with pytest.raises(AssertionError, match="over the limit"):
        encode_record(value(1, RECORD_BYTES_MAX), SEED)
