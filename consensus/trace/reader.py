"""Reads recordings: a folder of segments, or one ``.ndjson`` or ``.ndjson.gz`` file.

Reads what a running recorder has written so far, and what a crash left: an incomplete last line or
gzip member ends the segment, it is no error.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final, cast

import msgspec

from consensus.trace import fold as folding
from consensus.trace.draft import State
from consensus.trace.events import SCHEMA_VERSION, TraceError, TraceEvent
from consensus.trace.recorder import SEGMENT_SUFFIX

BUFFER_BYTES: Final = 1 << 17
LINE_BYTES_MAX: Final = 16 << 20
"""A keyframe of a full state is far below this; a longer line is damage."""


class Recording:
    """A recording on disk, opened for reading.

    Attributes:
        header: the header of its oldest segment; ``truncated`` is true when older ones are gone.

    Raises:
        TraceError: nothing there, or it does not start with a header of this schema.
    """

    def __init__(self, path: Path) -> None:
        self._paths = sorted(path.glob(f"*{SEGMENT_SUFFIX}")) if path.is_dir() else [path]
        if not self._paths or not self._paths[0].exists():
            raise TraceError(f"{path}: no recording there")
        first = next(_lines(self._paths[0]), None)
        if first is None or first.get("v") != SCHEMA_VERSION or "topology" not in first:
            raise TraceError(f"{path}: does not start with a header of schema {SCHEMA_VERSION}")
        self.header = first
        name = self._paths[0].name
        if path.is_dir() and name != f"{1:06d}{SEGMENT_SUFFIX}":
            self.header = {**first, "truncated": True}

    def lines(self, paths: list[Path] | None = None) -> Iterator[dict[str, Any]]:
        """Events and keyframes in order, without headers; of some of its segments only, if they are given."""
        for path in self._paths if paths is None else paths:
            for line in _lines(path):
                if "v" not in line:
                    yield line

    def events(
        self, first: int = 0, last: int | None = None, kinds: Collection[str] | None = None
    ) -> Iterator[TraceEvent]:
        """Events with ``first <= q <= last``, of ``kinds`` (None: all)."""
        for line in self.lines():
            if "state" in line or line["q"] < first:
                continue
            if last is not None and line["q"] > last:
                return
            if kinds is None or line["k"] in kinds:
                yield line

    def _from(self, name: str, value: int) -> list[Path]:
        """The segments from the last one on whose first keyframe has ``name`` at or before ``value``."""
        for index in range(len(self._paths) - 1, 0, -1):
            lines = _lines(self._paths[index])
            next(lines, None)
            key = next(lines, None)
            if key is not None and "state" in key and key[name] <= value:
                return self._paths[index:]
        return self._paths

    def between(self, first: int, last: int, kinds: Collection[str] | None = None) -> Iterator[TraceEvent]:
        """Events of ``first <= time <= last`` in UTC microseconds, of ``kinds`` (None: all).

        The time of an event is the latest ``ts`` up to it, as that of a state: clocks of nodes differ a
        little, and a seek must not depend on which of them was behind. Lines of other kinds are only skimmed.
        """
        now = 0
        for path in self._from("ts", first - 1):
            for raw in _raw_lines(path):
                skimmed = _decoded(_skim, raw, path)
                now = max(now, skimmed.ts)
                if now > last:
                    return
                if now >= first and skimmed.k and (kinds is None or skimmed.k in kinds):
                    yield _decoded(_decode, raw, path)

    def having(self, part: bytes, after: int = 0, quiet: int | None = None) -> Iterator[TraceEvent]:
        """Events above ``after`` whose line holds ``part``, in order; all others are passed over unread.

        ``quiet``: end once so many lines have come without it since the last that had it.
        """
        passed = 0
        found = False
        for path in self._from("q", after):
            for raw in _raw_lines(path):
                passed += 1
                if part in raw:
                    line = _decoded(_decode, raw, path)
                    if "k" in line and line["q"] > after:
                        found, passed = True, 0
                        yield line
                elif found and quiet is not None and passed > quiet:
                    return

    def state_at_time(self, at: int) -> State:
        """The state at ``at`` (UTC microseconds), folded on from the nearest keyframe before it.

        Raises:
            TraceError: the recording starts later.
        """
        return self._state("ts", at, from_start=at >= self.header["t0"])

    def state_at(self, q: int) -> State:
        """The state after the event ``q``, folded on from the nearest keyframe before it.

        Raises:
            TraceError: the recording starts after ``q``.
        """
        return self._state("q", q, from_start=True)

    def _state(self, name: str, value: int, *, from_start: bool) -> State:
        """The state after the last line whose ``name`` is not above ``value``."""
        state = folding.begin(self.header) if from_start and not self.header["truncated"] else None
        pending: list[TraceEvent] = []
        for line in self.lines(self._from(name, value)):
            if line[name] > value:
                break
            if "state" in line:
                state, pending = line["state"], []
            else:
                pending.append(line)
        if state is None:
            raise TraceError(f"{name} {value} is before the start of the recording")
        return folding.fold_all(state, pending)

    def raw(self) -> Iterator[bytes]:
        """Events and keyframes as they stand on disk, in order, a line each, without headers."""
        for path in self._paths:
            for line in _raw_lines(path):
                if not _decoded(_skim, line, path).v:
                    yield line

    def span(self) -> tuple[int, int, int, int]:
        """First and last time (UTC microseconds) and first and last order number."""
        first = next(self.lines(), None)
        last_t, last_q = self.header["t0"], 0
        for line in _raw_lines(self._paths[-1]):
            skimmed = _decoded(_skim, line, self._paths[-1])
            last_t, last_q = max(last_t, skimmed.ts), max(last_q, skimmed.q)
        start = self.header["t0"] if first is None or not self.header["truncated"] else first["ts"]
        return start, max(last_t, start), 0 if first is None else first["q"], last_q

    def stamp(self) -> tuple[str, str, int, int]:
        """Another one whenever more was recorded, or the oldest went: what :meth:`span` depends on."""
        last = self._paths[-1].stat()
        return self._paths[0].name, self._paths[-1].name, last.st_size, last.st_mtime_ns


class _Skimmed(msgspec.Struct):
    """What is looked at of every line; only headers have a version, only events a kind."""

    ts: int = 0
    k: str = ""
    q: int = 0
    v: int = 0


_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_skim: Final = msgspec.json.Decoder(_Skimmed).decode


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for raw in _raw_lines(path):
        yield _decoded(_decode, raw, path)


def _decoded(decode: Callable[[bytes], Any], raw: bytes, path: Path) -> Any:
    try:
        return decode(raw)
    except msgspec.DecodeError as error:
        raise TraceError(f"{path.name}: a line is not a JSON object of the schema: {error}") from error


class _Unpacked(io.RawIOBase):
    """What a gzip file holds, as it comes: a damaged end is told of only after what stands before it."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._file.read1(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def _raw_lines(path: Path) -> Iterator[bytes]:
    with ExitStack() as files:
        if path.suffix == ".gz":
            packed = files.enter_context(gzip.open(path, "rb"))
            stream: IO[bytes] = cast("IO[bytes]", io.BufferedReader(_Unpacked(packed), BUFFER_BYTES))
        else:
            stream = files.enter_context(path.open("rb"))
        while True:
            try:
                line = stream.readline(LINE_BYTES_MAX)
            except (EOFError, zlib.error):
                return
            if not line.endswith(b"\n"):
                return
            yield line
