"""The files of a journal: made ahead of time, found again after a crash, cut, set aside.

Names in the journal folder: ``00000007.segment`` is a segment in use or closed; ``first`` says which number
is the oldest that must be there and up to which slot a checkpoint replaces what came before;
``….new`` is being made and counts for nothing; ``….damaged`` was set aside by a recovery.

A segment gets its final name only when the one before it is closed and synced. So only the last one may
have a torn tail, and a gap in the numbers means that a file was lost.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from consensus.messages.records import (
    AcceptedValue,
    LearnerMark,
    Promised,
    Record,
    SegmentHead,
    Watermark,
)
from consensus.storage.files import Files
from consensus.storage.format import (
    HEADER_BYTES,
    SegmentId,
    Verdict,
    encode_header,
    encode_record,
    scan_segment,
    seed_of,
    slot_of,
)
from consensus.types import BALLOT_NONE, Ballot, NodeId, Slot

SEGMENT_BYTES_MIN: Final = 1 << 16
_NAME: Final = re.compile(r"(\d{8})\.segment")
_first_file: Final = msgspec.json.Decoder(dict[str, int])


class Tracked(NamedTuple):
    """What a further segment has to repeat at its start."""

    promised: Ballot = BALLOT_NONE
    watermark: Slot = 0
    learner: bool = False

    def after(self, record: Record) -> Tracked:
        """The same after one more record."""
        if isinstance(record, SegmentHead):
            return Tracked(
                max(self.promised, record.promised), max(self.watermark, record.watermark), record.learner
            )
        if isinstance(record, AcceptedValue):
            return Tracked(
                max(self.promised, record.ballot), max(self.watermark, record.watermark), self.learner
            )
        if isinstance(record, Promised):
            return self._replace(promised=max(self.promised, record.ballot))
        if isinstance(record, Watermark):
            return self._replace(watermark=max(self.watermark, record.slot))
        if isinstance(record, LearnerMark):
            return self._replace(learner=record.learner)
        return self

    def head(self, incarnation: int) -> SegmentHead:
        """First record of a segment that begins now."""
        return SegmentHead(incarnation, self.promised, self.watermark, self.learner)


class OpenSegment(NamedTuple):
    """A segment to append to."""

    fd: int
    identity: SegmentId
    seed: int
    offset: int
    slot: Slot
    """Highest slot that has a record in it."""


class Found(NamedTuple):
    """A journal as recovery left it on the disk, with everything it holds synced."""

    records: list[Record]
    tracked: Tracked
    closed: dict[int, Slot]
    """Segments before the current one, oldest first: number to highest slot."""
    current: OpenSegment
    loss: str
    """Why something that was synced may be missing; empty when nothing is."""


def segment_path(folder: Path, number: int) -> Path:
    return folder / f"{number:08d}.segment"


def identity_for(node: NodeId, incarnation: int, number: int) -> SegmentId:
    """A new identity for the segment ``number``."""
    return SegmentId(node, incarnation, number, secrets.randbits(63))


def prepare(files: Files, folder: Path, identity: SegmentId, size: int) -> int:
    """Make the file of a segment to come, filled with zeros and synced. Returns its descriptor.

    It has its header but not yet its name (see :func:`publish`).
    """
    fd = files.open(_draft(folder, identity.number))
    try:
        files.write(fd, encode_header(identity), 0)
        files.zero(fd, HEADER_BYTES, size)
        files.sync(fd)
    except BaseException:
        files.close(fd)
        raise
    return fd


def publish(files: Files, folder: Path, number: int) -> None:
    """Give a prepared segment its name. Everything before it must be synced."""
    files.rename(_draft(folder, number), segment_path(folder, number))
    files.sync_folder(folder)


def create(files: Files, folder: Path, node: NodeId, incarnation: int, tracked: Tracked, size: int) -> None:
    """Make the journal of a new incarnation: one segment that says ``tracked``, durable."""
    folder.mkdir(parents=True, exist_ok=True)
    found = _rewrite(files, folder, identity_for(node, incarnation, 1), [tracked.head(incarnation)], size)
    files.close(found.fd)


def recover(
    files: Files,
    folder: Path,
    node: NodeId,
    incarnation: int,
    size: int,
    checkpoint: Slot = 0,
    lost: str = "",
) -> Found:
    """Read a journal back and make it fit to be appended to.

    The last segment is written anew, and synced, from the records that are kept: what the page cache
    shows after a crash need not be on the disk. What cannot be read, and everything after it, is set
    aside, and :attr:`Found.loss` says so. After any loss the journal says that the node is a learner.

    Args:
        files: the disk.
        folder: of the journal.
        node: whose journal it must be.
        incarnation: of which.
        size: bytes of a segment.
        checkpoint: slot of the checkpoint that the records follow.
        lost: what is known to be missing elsewhere.

    Raises:
        OSError: the disk cannot be read or written.
    """
    first, dropped_to, loss = _read_first(files, folder)
    numbers = _tidy(files, folder, first)
    records: list[Record] = []
    closed: dict[int, Slot] = {}
    tracked = Tracked()
    kept: list[Record] = []
    number = first
    present = set(numbers)
    while not loss:
        if number not in present:
            kept, loss = [], f"segment {number} of the journal is missing"
            break
        last = number == numbers[-1]
        kept, loss = _load(
            files, folder, SegmentId(node, incarnation, number, 0), last and number > first, last
        )
        for record in kept:
            tracked = tracked.after(record)
        records += kept
        if loss or last:
            break
        closed[number] = highest(kept)
        number += 1
    if loss:
        _set_aside(files, folder, number, numbers)
    elif checkpoint < dropped_to:
        loss = f"the checkpoint is at slot {checkpoint}, but the journal begins after {dropped_to}"
    loss = lost or loss
    tracked = tracked._replace(learner=tracked.learner or bool(loss))
    if not kept or not isinstance(kept[0], SegmentHead):
        kept = [tracked.head(incarnation), *kept]
    if loss:
        kept = [*kept, LearnerMark(True)]
    current = _rewrite(files, folder, identity_for(node, incarnation, number), kept, size)
    if loss:
        _write_first(files, folder, first, dropped_to)
    return Found(records, tracked, closed, current, loss)


def drop(files: Files, folder: Path, numbers: list[int], keep_from: int, slot: Slot) -> None:
    """Remove ``numbers``, all below ``keep_from``; ``slot`` is what the checkpoint covers."""
    _write_first(files, folder, keep_from, slot)
    for number in numbers:
        assert number < keep_from
        files.remove(segment_path(folder, number))


def _draft(folder: Path, number: int) -> Path:
    return folder / f"{number:08d}.new"


def highest(records: list[Record]) -> Slot:
    """The highest slot whose value one of ``records`` holds; 0 when none does."""
    return max(map(slot_of, records), default=0)


def _read_first(files: Files, folder: Path) -> tuple[int, Slot, str]:
    """Number of the oldest segment that must be there, the slot that a checkpoint must reach, a loss."""
    try:
        content = _first_file.decode(files.read(folder / "first"))
        return content["number"], content["slot"], ""
    except FileNotFoundError:
        return 1, 0, ""
    except (msgspec.DecodeError, KeyError):
        return 1, 0, "the file that names the journal's first segment is damaged"


def _write_first(files: Files, folder: Path, number: int, slot: Slot) -> None:
    files.replace_file(folder / "first", msgspec.json.encode({"number": number, "slot": slot}))


def _tidy(files: Files, folder: Path, first: int) -> list[int]:
    """Remove drafts and dropped segments; the numbers of the others, ascending."""
    numbers = []
    for name in files.names(folder):
        match = _NAME.fullmatch(name)
        if match is not None and int(match[1]) >= first:
            numbers.append(int(match[1]))
        elif match is not None or name.endswith(".new"):
            files.remove(folder / name)
    return numbers


def _load(
    files: Files, folder: Path, expected: SegmentId, may_be_empty: bool, last: bool
) -> tuple[list[Record], str]:
    """The good records of one segment, and what is wrong with it (empty: nothing)."""
    name = f"segment {expected.number} of the journal"
    try:
        scan = scan_segment(files.read(segment_path(folder, expected.number)))
    except OSError as error:
        return [], f"{name} cannot be read ({error.strerror})"
    if scan.identity is not None and scan.identity[:3] != expected[:3]:
        return [], f"{name} was written by node {scan.identity.node} as {scan.identity.number}"
    if scan.verdict is Verdict.DAMAGED or (scan.verdict is Verdict.TORN and not last):
        return scan.records, f"{name} is damaged: {scan.reason}"
    head = scan.records[0] if scan.records else None
    if head is None and may_be_empty:
        return [], ""  # its first write did not finish: nobody heard of anything in it
    if not isinstance(head, SegmentHead) or head.incarnation != expected.incarnation:
        return [], f"{name} does not start with its head"
    return scan.records, ""


def _set_aside(files: Files, folder: Path, number: int, numbers: list[int]) -> None:
    """Rename ``number`` and all later segments, newest first; forget those of an earlier recovery."""
    for name in files.names(folder):
        if name.endswith(".damaged"):
            files.remove(folder / name)
    for later in sorted(numbers, reverse=True):
        if later >= number:
            path = segment_path(folder, later)
            files.rename(path, path.with_suffix(".damaged"))
    files.sync_folder(folder)


def _rewrite(
    files: Files, folder: Path, identity: SegmentId, records: list[Record], size: int
) -> OpenSegment:
    """Write a segment with ``records`` and put it in the place of the one with its number."""
    seed = seed_of(encode_header(identity))
    data = b"".join([encode_record(record, seed) for record in records])
    offset = HEADER_BYTES + len(data)
    fd = prepare(files, folder, identity, max(size, offset))
    files.write(fd, data, HEADER_BYTES)
    files.sync(fd)
    publish(files, folder, identity.number)
    return OpenSegment(fd, identity, seed, offset, highest(records))
