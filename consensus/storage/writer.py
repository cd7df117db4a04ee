"""What puts journal bytes on the disk: one write and sync at a time, in order.

It has no opinion on content. The loop hands it jobs and hears of the highest position that is durable; what
queues up while a sync runs goes out with the next one (group commit). That is done on a thread, or, where the
loop may wait for the disk and the disk is quick, at once: handing a job to the thread and its news back costs
more processor time than the write (ADR 74).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Final, NamedTuple

from consensus.storage import segments
from consensus.storage.errors import StorageError, told
from consensus.storage.files import Files
from consensus.storage.format import HEADER_BYTES, SegmentId
from consensus.types import Position

BATCH_BYTES_MAX: Final = 1 << 20
"""Bytes gathered for one sync; with one more job on top still within ``format.COMMIT_BYTES_MAX``."""


SLOW_NS: Final = 5_000_000
SLOW_FOR_NS: Final = 1_000_000_000
"""After a write that took longer than ``SLOW_NS`` nobody waits for the disk for so long."""


class Job(NamedTuple):
    """Bytes for the end of the current segment, or, with ``enter``, for the start of the next one."""

    data: bytes
    position: Position
    """Position of the last record in ``data``."""
    enter: SegmentId | None = None
    """The segment after the one that is entered, to be prepared in time."""


_STOP: Final = Job(b"", -1)


class Writer:
    """Owns the open segment's descriptor. Methods are for the loop's thread.

    Args:
        files: the disk.
        folder: of the journal.
        segment: where appending goes on.
        following: identity of the segment after it.
        size: bytes of a segment.
        notify: called on another thread whenever :attr:`synced` or :attr:`failure` changed there.
    """

    def __init__(
        self,
        files: Files,
        folder: Path,
        segment: segments.OpenSegment,
        following: SegmentId,
        size: int,
        notify: Callable[[], None],
    ) -> None:
        self.synced: Position = 0
        self.failure: StorageError | None = None
        self._files = files
        self._folder = folder
        self._fd = segment.fd
        self._number = segment.identity.number
        self._following = following
        self._offset = segment.offset
        self._size = size
        self._notify = notify
        self._put: Position = 0
        """Position of the last job. Once it is synced, the thread touches nothing until the next."""
        self._slow_until_ns = 0
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._preparer: _Preparer | None = None
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, job: Job, at_once: bool = False) -> bool:
        """Write a job after those before it; nothing is written after a failure.

        ``at_once``: on this thread, unless something is under way, a segment ends, or the disk was slow.

        Returns:
            Whether that was done: :attr:`synced` or :attr:`failure` has changed.
        """
        if self.failure is not None:
            return False
        idle, self._put = self.synced == self._put, job.position
        quick = time.monotonic_ns() >= self._slow_until_ns
        if not at_once or not idle or not quick or job.enter is not None:
            self._jobs.put(job)
            return False
        try:
            self._write(job.data, job.position)
        except OSError as error:
            self.failure = self._told(error)
        return True

    def stop(self, timeout_s: float) -> bool:
        """Write what is queued, sync, end the thread. False when that takes longer than ``timeout_s``."""
        self._jobs.put(_STOP)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # --- on the writer's thread ------------------------------------------------

    def _run(self) -> None:
        try:
            self._write_all()
            self._files.close(self._fd)
            if self._preparer is not None:
                self._files.close(self._preparer.take())
        except OSError as error:
            self.fail(self._told(error))
        except StorageError as error:
            self.fail(error)

    def _told(self, error: OSError) -> StorageError:
        return told("writing", segments.segment_path(self._folder, self._number), error)

    def _write(self, data: bytes, position: Position) -> None:
        """One write that syncs. On either thread, whoever has nothing under way before it."""
        begun = time.monotonic_ns()
        self._files.write_durably(self._fd, data, self._offset)
        ended = time.monotonic_ns()
        if ended - begun > SLOW_NS:
            self._slow_until_ns = ended + SLOW_FOR_NS
        self._offset += len(data)
        if self._preparer is None and self._offset > self._size // 2:
            self._preparer = _Preparer(self._files, self._folder, self._following, self._size, self.fail)
        self.synced = position

    def _write_all(self) -> None:
        jobs = self._jobs
        carried: Job | None = None
        while True:
            job = carried or jobs.get()
            carried = None
            if job is _STOP:
                return
            if job.enter is not None:
                self._enter(job.enter)
            data, position = job.data, job.position
            if not jobs.empty():
                parts, size = [data], len(data)
                while size < BATCH_BYTES_MAX and not jobs.empty():
                    job = jobs.get()
                    if job is _STOP or job.enter is not None:
                        carried = job
                        break
                    parts.append(job.data)
                    size += len(job.data)
                    position = job.position
                data = b"".join(parts)
            self._write(data, position)
            self._notify()

    def _enter(self, then: SegmentId) -> None:
        """Go on in the following segment. Everything written so far is synced."""
        identity, self._following = self._following, then
        preparer = self._preparer or _Preparer(self._files, self._folder, identity, self._size, self.fail)
        self._preparer = None
        fd = preparer.take()
        self._files.close(self._fd)
        segments.publish(self._files, self._folder, identity.number)
        self._fd, self._number, self._offset = fd, identity.number, HEADER_BYTES

    def fail(self, error: StorageError) -> None:
        """The disk cannot be relied on any more. For any thread."""
        self.failure = self.failure or error
        self._notify()


class _Preparer:
    """Makes the next segment on a thread of its own, while the journal goes on in the current one."""

    def __init__(
        self, files: Files, folder: Path, identity: SegmentId, size: int, fail: Callable[[StorageError], None]
    ) -> None:
        self._fd = -1
        self.failure: StorageError | None = None

        def run() -> None:
            try:
                self._fd = segments.prepare(files, folder, identity, size)
            except OSError as error:
                self.failure = told("making a segment in", folder, error)
                fail(self.failure)

        self._thread = threading.Thread(target=run, name="segment", daemon=True)
        self._thread.start()

    def take(self) -> int:
        """The descriptor, when the segment is ready.

        Raises:
            StorageError: it could not be made.
        """
        self._thread.join()
        if self.failure is not None:
            raise self.failure
        return self._fd
