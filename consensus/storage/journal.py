"""The journal of a node: append on the loop, group commit by a writer, segments that come and go.

``append`` only gathers; ``flush``, once per turn of the loop, hands everything gathered to the writer.
When a sync is done, ``on_synced(position)`` is called on the loop: every record up to ``position`` is on the
disk. A failure is final: ``on_failure`` gets the reason, and nothing is ever reported as synced again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Final

from consensus.messages.records import AcceptedValue, Record
from consensus.storage import segments
from consensus.storage.errors import StorageError, told
from consensus.storage.files import Files
from consensus.storage.format import HEADER_BYTES, SegmentId, encode_header, encode_record, seed_of
from consensus.storage.segments import SEGMENT_BYTES_MIN, Found, Tracked
from consensus.storage.writer import Job, Writer
from consensus.types import Position, Slot

HANDOVER_BYTES_MAX: Final = 1 << 18
"""Gathered bytes are handed to the writer at this size, even before the turn of the loop ends."""
STOP_TIMEOUT_S: Final = 5.0


class Journal:
    """An opened journal. All methods and callbacks are for the loop's thread.

    Args:
        files: the disk.
        folder: of the journal; recovered.
        found: what :func:`consensus.storage.segments.recover` gave.
        segment_bytes: size of further segments.
        post: runs a callback on the loop's thread soon, callable from any thread
            (``loop.call_soon_threadsafe``).
        on_synced: told of the highest durable position; a position may be skipped.
        on_failure: told once, of the first failure.
        soon: the same as ``post`` for callers on the loop's thread (``loop.call_soon``).

    Attributes:
        position: records appended since the process started.
        synced: records of these that are durable.
        bytes_used: size of all segments on the disk, up to the end of the records in the current one.
    """

    def __init__(
        self,
        files: Files,
        folder: Path,
        found: Found,
        segment_bytes: int,
        post: Callable[[Callable[[], None]], object],
        on_synced: Callable[[Position], None],
        on_failure: Callable[[StorageError], None],
        soon: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self.position: Position = 0
        self.synced: Position = 0
        self._files = files
        self._folder = folder
        self._size = max(segment_bytes, SEGMENT_BYTES_MIN)
        self._post = post
        self._soon = soon or post
        self._on_synced = on_synced
        self._on_failure = on_failure
        self._failed = False
        self._told = False
        self._tracked: Tracked = found.tracked
        self._accepted: AcceptedValue | None = None
        self._closed = dict(found.closed)
        self._identity: SegmentId = found.current.identity
        self._seed = found.current.seed
        self._offset = found.current.offset
        self._slot: Slot = found.current.slot
        self._entered: Position = 0  # position of the current segment's first record
        self._parts: list[bytes] = []
        self._gathered = 0
        self._flushed_us = 0
        self._following = self._next_identity()
        self._entering: SegmentId | None = None
        self._dropper: threading.Thread | None = None
        self._unsynced: deque[tuple[Position, int]] = deque()
        self._writer = Writer(files, folder, found.current, self._following, self._size, self._notify)
        self._writer.start()

    @property
    def bytes_used(self) -> int:
        return len(self._closed) * self._size + self._offset

    def append(self, record: Record, slot: Slot = 0) -> None:
        """Add a record; its position is :attr:`position` afterwards. ``slot``: whose value it holds, or 0."""
        data = encode_record(record, self._seed)
        if self._offset + len(data) > self._size and self._offset > HEADER_BYTES:
            self._roll()
            data = encode_record(record, self._seed)
        if type(record) is AcceptedValue:
            self._accepted = record  # its ballot and watermark are at least those of the one before
        else:
            self._tracked = self._tracked.after(record)
        self.position += 1
        self._parts.append(data)
        self._offset += len(data)
        self._gathered += len(data)
        if slot > self._slot:
            self._slot = slot
        if self._gathered > HANDOVER_BYTES_MAX:
            self.flush(self._flushed_us)

    def flush(self, now_us: int, at_once: bool = False) -> None:
        """Hand over what was gathered. Cheap when there is nothing.

        ``at_once``: the loop may wait while a quick disk writes (:meth:`Writer.put`). ``on_synced`` is called
        later all the same.
        """
        if not self._parts:
            return
        parts = self._parts
        job = Job(parts[0] if len(parts) == 1 else b"".join(parts), self.position, self._entering)
        self._entering = None
        self._flushed_us = now_us
        self._unsynced.append((self.position, now_us))
        self._parts = []
        self._gathered = 0
        if self._writer.put(job, at_once) and not self._told:
            self._told = True
            self._soon(self._hear)

    def oldest_unsynced_us(self, now_us: int) -> int:
        """How long the oldest flushed record has been waiting for its sync; 0 when none is."""
        return now_us - self._unsynced[0][1] if self._unsynced else 0

    def drop_below(self, slot: Slot) -> None:
        """Remove the oldest segments whose every slot is at or below ``slot``; never the current one.

        Call only when a checkpoint at or above ``slot`` is durable. Runs on a thread of its own; while
        one is at it, a further call does nothing.
        """
        if self._dropper is not None and self._dropper.is_alive():
            return
        if self._entered and self.synced <= self._entered:
            return  # the current segment's head, which repeats the promise, is not on the disk yet
        numbers = list(takewhile(lambda number: self._closed[number] <= slot, self._closed))
        if not numbers:
            return
        for number in numbers:
            del self._closed[number]
        self._dropper = threading.Thread(target=self._drop, args=(numbers, slot), name="drop", daemon=True)
        self._dropper.start()

    def _drop(self, numbers: list[int], slot: Slot) -> None:
        try:
            segments.drop(self._files, self._folder, numbers, numbers[-1] + 1, slot)
        except OSError as error:
            self._writer.fail(told("dropping segments of", self._folder, error))

    def close(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """Sync everything appended and stop the thread; False when the disk does not get done in time.

        No callback comes afterwards.
        """
        self.flush(self._flushed_us)
        self._failed = True
        if self._dropper is not None:
            self._dropper.join(timeout_s)
        return self._writer.stop(timeout_s)

    def _roll(self) -> None:
        """Close the current segment and begin the next one with what it has to repeat."""
        self.flush(self._flushed_us)
        self._closed[self._identity.number] = self._slot
        self._identity = self._following
        self._following = self._entering = self._next_identity()
        self._seed = seed_of(encode_header(self._identity))
        if self._accepted is not None:
            self._tracked = self._tracked.after(self._accepted)
        head = encode_record(self._tracked.head(self._identity.incarnation), self._seed)
        self._parts = [head]
        self._offset = HEADER_BYTES + len(head)
        self._slot = 0
        self._entered = self.position

    def _next_identity(self) -> SegmentId:
        node, incarnation, number, _ = self._identity
        return segments.identity_for(node, incarnation, number + 1)

    # --- news from the writer --------------------------------------------------

    def _notify(self) -> None:
        """On the writer's thread. One callback is under way at most; it takes the latest state."""
        if not self._told:
            self._told = True
            self._post(self._hear)

    def _hear(self) -> None:
        self._told = False
        if self._failed:
            return
        failure, synced = self._writer.failure, self._writer.synced
        if failure is not None:
            self._failed = True
            self._on_failure(failure)
        elif synced > self.synced:
            self.synced = synced
            unsynced = self._unsynced
            while unsynced and unsynced[0][0] <= synced:
                unsynced.popleft()
            self._on_synced(synced)
