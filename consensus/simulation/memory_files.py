"""Files in memory behind the interface of real ones, so that real recovery runs on simulated disks."""

from __future__ import annotations

from pathlib import Path

from consensus.storage.files import Files


class MemoryFiles(Files):
    """Every operation is durable when it returns. Torn writes are made by ``disk``."""

    def __init__(self) -> None:
        self.content: dict[Path, bytearray] = {}
        self._open: dict[int, bytearray] = {}
        self._next = 3

    def open(self, path: Path) -> int:
        fd = self._next
        self._next += 1
        self._open[fd] = self.content[path] = bytearray()
        return fd

    def bytes_of(self, fd: int) -> bytearray:
        return self._open[fd]

    def write(self, fd: int, data: bytes, offset: int) -> None:
        held = self._open[fd]
        if len(held) < offset:
            held.extend(bytes(offset - len(held)))
        held[offset : offset + len(data)] = data

    def write_durably(self, fd: int, data: bytes, offset: int) -> None:
        self.write(fd, data, offset)

    def zero(self, fd: int, start: int, end: int) -> None:
        if end > start:
            self.write(fd, bytes(end - start), start)

    def sync_data(self, fd: int) -> None:
        pass

    def sync(self, fd: int) -> None:
        pass

    def sync_folder(self, path: Path) -> None:
        pass

    def close(self, fd: int) -> None:
        del self._open[fd]

    def read(self, path: Path) -> bytes:
        found = self.content.get(path)
        if found is None:
            raise FileNotFoundError(2, "no such file", str(path))
        return bytes(found)

    def rename(self, old: Path, new: Path) -> None:
        self.content[new] = self.content.pop(old)

    def remove(self, path: Path) -> None:
        self.content.pop(path, None)

    def names(self, path: Path) -> list[str]:
        return sorted(file.name for file in self.content if file.parent == path)
