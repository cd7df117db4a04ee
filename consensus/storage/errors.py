"""What ends a process because of its disk, said so that a person knows what to do."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Final

_ADVICE: Final = {
    errno.ENOSPC: "the disk is full; free some space and start the node again",
    errno.EDQUOT: "the disk quota is used up; free some space and start the node again",
    errno.EROFS: "the file system is read-only; mount it writable or choose another data folder",
    errno.EACCES: "this user may not write there; change the owner or choose another data folder",
    errno.EPERM: "this user may not write there; change the owner or choose another data folder",
    errno.ENOTDIR: "a part of the path is a file; choose another data folder",
    errno.EIO: "the device reports an input/output error; check the disk before the node starts again",
    errno.EMFILE: "too many open files; raise the limit (ulimit -n) and start the node again",
}


class StorageError(Exception):
    """The disk cannot be relied on any more, or not yet. Never retried."""


class FolderInUse(StorageError):
    """Another worker has the folder."""


class WrongFolder(StorageError):
    """The folder belongs to another node."""


def told(action: str, path: Path | str, error: OSError) -> StorageError:
    """One sentence for ``error`` while doing ``action`` (for example ``writing``) with ``path``."""
    advice = _ADVICE.get(error.errno or 0, error.strerror or str(error))
    return StorageError(f"{action} {path} failed: {advice}")
