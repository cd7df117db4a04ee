"""A disk that can be told to fail, and waiting for what other threads do."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Callable
from pathlib import Path

from consensus.storage.files import Files


class FaultyFiles(Files):
    """Counts syncs; fails, stalls or tears writes when told to."""

    def __init__(self) -> None:
        self.error: int | None = None
        self.error_on_open: int | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.writes: list[tuple[int, bytes]] = []
        self.writers: list[int] = []
        """Identity of the thread of each write that syncs."""
        self.torn_sectors: set[int] | None = None
        self.entered = threading.Event()

    def open(self, path: Path) -> int:
        if self.error_on_open is not None:
            raise OSError(self.error_on_open, errno.errorcode[self.error_on_open])
        return super().open(path)

    def write_durably(self, fd: int, data: bytes, offset: int) -> None:
        self.entered.set()
        self.gate.wait(10)
        if self.error is not None:
            raise OSError(self.error, errno.errorcode[self.error])
        self.writes.append((offset, data))
        self.writers.append(threading.get_ident())
        super().write_durably(fd, data, offset)


def flip(path: Path, byte: int, bit: int = 0) -> None:
    """Flip one bit of a file."""
    data = bytearray(path.read_bytes())
    data[byte] ^= 1 << bit
    path.write_bytes(bytes(data))


def zero(path: Path, start: int, end: int) -> None:
    """Overwrite a byte range with zeros, as if the sectors were never written."""
    data = bytearray(path.read_bytes())
    data[start:end] = bytes(end - start)
    path.write_bytes(bytes(data))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that nobody tells about."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)
