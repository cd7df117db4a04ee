"""The disk of one simulated node: journal segments in the real format, and the rows of the last checkpoint.

One write is in flight at a time; what is appended meanwhile goes out with the next one (group commit). A
crash tears the write in flight: of its 512-byte sectors, each is on the disk or not. Recovery is the
worker's own (``consensus.storage.segments``), over files in memory.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, NamedTuple

from consensus.effects import Append, Capture, Recovered
from consensus.messages.records import AcceptedValue, Record
from consensus.messages.rows import Row, decode_rows, encode_rows
from consensus.simulation.draws import Draws
from consensus.simulation.memory_files import MemoryFiles
from consensus.storage import segments
from consensus.storage.format import (
    HEADER_BYTES,
    SECTOR_BYTES,
    SegmentId,
    encode_header,
    encode_record,
    seed_of,
)
from consensus.storage.segments import Found, Tracked
from consensus.types import BALLOT_NONE, Ballot, NodeId, Position, Slot

_FOLDER: Final = Path("/journal")
INCARNATION: Final = 1


class Write(NamedTuple):
    """Bytes on their way to a segment."""

    data: bytes
    records: list[Record]
    ends: list[int]
    """Where in ``data`` each record ends."""
    position: Position
    """Position of the last record."""
    enter: SegmentId | None
    """The segment that begins with these bytes, when they do not go on in the current one."""


class Disk:
    """Bytes that outlive a process, and the write that may not."""

    def __init__(self, seed: int, node: NodeId, segment_bytes: int) -> None:
        self.node = node
        self._draws = Draws(seed, "disk", node)
        self._size = segment_bytes
        self._files = MemoryFiles()
        self._rows: dict[tuple[str, Any], Row] = {}
        self._staged: list[Row] = []
        self.writing: Write | None = None
        """The write in flight."""
        self._waiting: deque[Write] = deque()
        self._nonce = 0
        self.crashes_writing = 0
        """Crashes that met a write in flight …"""
        self.crashes_torn = 0
        """… and left a part of it on the disk."""
        self.segments_dropped = 0

    # --- life ----------------------------------------------------------------------

    def format(self, promised: Ballot) -> None:
        """Make the folder of a new incarnation, in which ``promised`` counts as promised."""
        self._make(Tracked(promised, 0, False))

    def wipe(self) -> None:
        """The folder is gone. The node comes back as a learner."""
        self._files = MemoryFiles()
        self._rows = {}
        self._make(Tracked(BALLOT_NONE, 0, True))

    def _make(self, tracked: Tracked) -> None:
        identity = self._identity(1)
        fd = segments.prepare(self._files, _FOLDER, identity, self._size)
        head = encode_record(tracked.head(INCARNATION), seed_of(encode_header(identity)))
        self._files.write(fd, head, HEADER_BYTES)
        self._files.close(fd)
        segments.publish(self._files, _FOLDER, 1)

    def recover(self, bootstrap: bool) -> tuple[Recovered, str]:
        """What a process finds when it starts, and why something may be missing (empty: nothing is)."""
        rows = decode_rows(encode_rows([self._rows[key] for key in sorted(self._rows, key=repr)]))
        found = segments.recover(
            self._files, _FOLDER, self.node, INCARNATION, self._size, self.checkpoint_slot
        )
        self._begin(found)
        return Recovered(INCARNATION, bootstrap, found.tracked.learner, rows, found.records), found.loss

    def _begin(self, found: Found) -> None:
        current = found.current
        self._fd = current.fd
        self._current = current.identity
        self._seed = current.seed
        self._end = self._written = current.offset
        self._slot = current.slot
        self._tracked = found.tracked
        self._accepted: AcceptedValue | None = None
        self._closed = dict(found.closed)
        self._parts: list[bytes] = []
        self._records: list[Record] = []
        self._entering: SegmentId | None = None
        self._position: Position = 0
        self._entered: Position = 0
        self.synced: Position = 0

    def crash(self) -> list[Record]:
        """The process is gone. Returns the records of the write in flight that a start will find.

        Those are the ones before the first sector that did not reach the disk.
        """
        survived: list[Record] = []
        write, self.writing = self.writing, None
        if write is not None:
            reached = self._tear(write)
            survived = write.records[: bisect_right(write.ends, reached)]
        self._waiting.clear()
        self._parts, self._records, self._staged = [], [], []
        self._entering = None
        return survived

    def _tear(self, write: Write) -> int:
        """Put any subset of the write's sectors on the disk; returns how many bytes came without a gap."""
        whole = self._draws.chance(0.25)
        nothing = not whole and self._draws.chance(0.33)
        data, held, start = write.data, self._files.bytes_of(self._fd), self._written
        kept = 0
        reached = len(data)
        sectors = range(start // SECTOR_BYTES, (start + len(data) - 1) // SECTOR_BYTES + 1)
        for sector in sectors:
            if whole or (not nothing and self._draws.chance(0.5)):
                low = max(start, sector * SECTOR_BYTES)
                high = min(start + len(data), (sector + 1) * SECTOR_BYTES)
                held[low:high] = data[low - start : high - start]
                kept += 1
            else:
                reached = min(reached, max(0, sector * SECTOR_BYTES - start))
        self.crashes_writing += 1
        self.crashes_torn += 0 < kept < len(sectors)
        return reached

    # --- appending -------------------------------------------------------------------

    def append(self, appends: list[Append]) -> None:
        """Gather records for the next write."""
        for record, slot in appends:
            data = encode_record(record, self._seed)
            if self._end + len(data) > self._size and self._end > HEADER_BYTES:
                self._roll()
                data = encode_record(record, self._seed)
            if type(record) is AcceptedValue:
                self._accepted = record
            else:
                self._tracked = self._tracked.after(record)
            self._position += 1
            self._parts.append(data)
            self._records.append(record)
            self._end += len(data)
            if slot > self._slot:
                self._slot = slot

    def start_write(self) -> bool:
        """Begin to write what was gathered. False when a write is in flight already, or there is nothing."""
        if self.writing is not None:
            return False
        self._gather()
        if not self._waiting:
            return False
        self.writing = self._waiting.popleft()
        if self.writing.enter is not None:
            self._enter(self.writing.enter)
        return True

    def finish_write(self) -> tuple[Position, list[Record]]:
        """The write in flight is synced: everything up to the position is on the disk."""
        write = self.writing
        assert write is not None
        self.writing = None
        self._files.write(self._fd, write.data, self._written)
        self._written += len(write.data)
        self.synced = write.position
        return write.position, write.records

    def _gather(self) -> None:
        if self._parts:
            data = b"".join(self._parts)
            ends = list(accumulate(map(len, self._parts)))[len(self._parts) - len(self._records) :]
            self._waiting.append(Write(data, self._records, ends, self._position, self._entering))
            self._parts, self._records, self._entering = [], [], None

    def _roll(self) -> None:
        """Close the current segment and begin the next one with what it has to repeat."""
        self._gather()
        self._closed[self._current.number] = self._slot
        self._current = self._entering = self._identity(self._current.number + 1)
        self._seed = seed_of(encode_header(self._current))
        if self._accepted is not None:
            self._tracked = self._tracked.after(self._accepted)
        head = encode_record(self._tracked.head(INCARNATION), self._seed)
        self._parts = [head]
        self._end = HEADER_BYTES + len(head)
        self._slot = 0
        self._entered = self._position

    def _enter(self, identity: SegmentId) -> None:
        self._files.close(self._fd)
        self._fd = segments.prepare(self._files, _FOLDER, identity, self._size)
        segments.publish(self._files, _FOLDER, identity.number)
        self._written = HEADER_BYTES

    def _identity(self, number: int) -> SegmentId:
        self._nonce += 1
        return SegmentId(self.node, INCARNATION, number, self._nonce)

    def drop_below(self, slot: Slot) -> None:
        """Remove the oldest segments whose every slot is at or below ``slot``; never the current one."""
        if self._entered and self.synced <= self._entered:
            return
        numbers: list[int] = []
        for number, highest in self._closed.items():
            if highest > slot:
                break
            numbers.append(number)
        if numbers:
            for number in numbers:
                del self._closed[number]
            self.segments_dropped += len(numbers)
            segments.drop(self._files, _FOLDER, numbers, numbers[-1] + 1, slot)

    # --- checkpoints -----------------------------------------------------------------

    def stage(self, capture: Capture, limit: int) -> bool:
        """Take a piece of a capture. Returns whether there may be more."""
        rows = capture.take(limit)
        self._staged.extend(rows)
        return bool(rows)

    def commit_checkpoint(self, replace: bool) -> None:
        """One transaction: all staged rows, or none when a crash came first."""
        if replace:
            self._rows = {}
        for row in self._staged:
            if row.values is None:
                self._rows.pop((row.table, row.key), None)
            else:
                self._rows[row.table, row.key] = row
        self._staged = []

    def begin_checkpoint(self) -> None:
        self._staged = []

    @property
    def checkpoint_slot(self) -> Slot:
        """Slot of the durable checkpoint; 0 when there is none, or it does not say."""
        row = self._rows.get(("meta", "slot"))
        return row.values[0] if row is not None and row.values is not None else 0

    # --- damage (only while no process runs on this disk) -------------------------------

    def flip_bit(self) -> bool:
        """Flip one bit of what is written in some segment. False when there is none."""
        paths = sorted(path for path in self._files.content if path.suffix == ".segment")
        if not paths:
            return False
        held = self._files.content[self._draws.pick(paths)]
        at = self._draws.below(len(held.rstrip(b"\0")))
        held[at] ^= 1 << self._draws.below(8)
        return True

    def damage_checkpoint(self) -> bool:
        """Change one value of the checkpoint. False when there is none yet."""
        keys = sorted((key for key in self._rows if key[0] == "accounts"), key=repr)
        if not keys:
            return False
        key = self._draws.pick(keys)
        row = self._rows[key]
        assert row.values is not None
        self._rows[key] = Row(row.table, row.key, (row.values[0] + 1, *row.values[1:]))
        return True
