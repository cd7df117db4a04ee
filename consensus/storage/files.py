"""The few file operations that storage needs, in one object that tests can break.

Everything durable goes through :class:`Files`: a subclass can make a write fail, stall, tear or flip a bit,
and the formats and their recovery meet it exactly as they would meet a real disk's.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

_DSYNC: Final = getattr(os, "RWF_DSYNC", 0)
_FULL_SYNC: Final = getattr(fcntl, "F_FULLFSYNC", 0)
_ZEROS: Final = bytes(1 << 18)


class Files:
    """Operations on the real file system. All raise OSError."""

    def open(self, path: Path) -> int:
        """Open for reading and writing, made and emptied."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)

    def write(self, fd: int, data: bytes, offset: int) -> None:
        """Write all of ``data``; durable after the next :meth:`sync`."""
        view = memoryview(data)
        while view:
            count = os.pwrite(fd, view, offset)
            view = view[count:]
            offset += count

    def write_durably(self, fd: int, data: bytes, offset: int) -> None:
        """Write all of ``data`` and return when it is on the disk.

        One system call where the kernel has it (``pwritev2`` with ``RWF_DSYNC``), because each call from a
        thread hands the interpreter lock over and back.
        """
        if _DSYNC and os.pwritev(fd, (data,), offset, _DSYNC) == len(data):
            return
        self.write(fd, data, offset)
        self.sync_data(fd)

    def zero(self, fd: int, start: int, end: int) -> None:
        """Fill with written zeros, not with a hole: later writes there change no metadata."""
        while start < end:
            size = min(len(_ZEROS), end - start)
            self.write(fd, _ZEROS[:size], start)
            start += size

    def sync_data(self, fd: int) -> None:
        """Make a file's content durable, and its size if that changed."""
        if _FULL_SYNC:
            fcntl.fcntl(fd, _FULL_SYNC)
        else:
            os.fdatasync(fd)

    def sync(self, fd: int) -> None:
        """Make a file with its metadata durable."""
        if _FULL_SYNC:
            fcntl.fcntl(fd, _FULL_SYNC)
        else:
            os.fsync(fd)

    def sync_folder(self, path: Path) -> None:
        """Make renames and removals in a folder durable."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def close(self, fd: int) -> None:
        os.close(fd)

    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    def rename(self, old: Path, new: Path) -> None:
        """Move over ``new``, atomically."""
        old.replace(new)

    def remove(self, path: Path) -> None:
        """Remove a file; one that is not there is no error."""
        path.unlink(missing_ok=True)

    def names(self, path: Path) -> list[str]:
        """Names in a folder, sorted."""
        return sorted(os.listdir(path))

    def replace_file(self, path: Path, data: bytes) -> None:
        """Give a small file new content, so that a crash leaves the old or the new one."""
        draft = path.with_name(path.name + ".new")
        fd = self.open(draft)
        try:
            self.write(fd, data, 0)
            self.sync(fd)
        finally:
            self.close(fd)
        self.rename(draft, path)
        self.sync_folder(path.parent)
