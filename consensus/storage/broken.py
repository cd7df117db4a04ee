"""A disk that can be told to misbehave, for banks that are started to be broken (``manage.py verify``)."""

from __future__ import annotations

import errno
import threading
import time
from typing import Final

from consensus.storage.files import Files

NEMESIS_VARIABLE: Final = "PAXOS_BANK_NEMESIS"
"""Environment variable that lets a node's process have its disk and clock tampered with."""
STALL: Final = "stall"
FAIL: Final = "fail"
FULL: Final = "full"
_ERRORS: Final = {FAIL: errno.EIO, FULL: errno.ENOSPC}
KINDS: Final = ("", STALL, FAIL, FULL)


class BreakableFiles(Files):
    """The real file system until :meth:`break_` says otherwise. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kind = ""
        self._until_s = 0.0

    def break_(self, kind: str, span_ms: float) -> None:
        """From now on, for ``span_ms``: writes wait (``stall``) or raise (``fail``, ``full``); "" heals."""
        assert kind in KINDS
        with self._lock:
            self._kind = kind
            self._until_s = time.monotonic() + span_ms / 1e3

    def _suffer(self) -> None:
        with self._lock:
            kind, left_s = self._kind, self._until_s - time.monotonic()
        if not kind or left_s <= 0:
            return
        if kind == STALL:
            time.sleep(left_s)
        else:
            raise OSError(_ERRORS[kind], "caused on purpose")

    def write(self, fd: int, data: bytes, offset: int) -> None:
        self._suffer()
        super().write(fd, data, offset)

    def write_durably(self, fd: int, data: bytes, offset: int) -> None:
        self._suffer()
        super().write_durably(fd, data, offset)

    def sync_data(self, fd: int) -> None:
        self._suffer()
        super().sync_data(fd)
