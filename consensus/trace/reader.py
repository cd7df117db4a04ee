"""Reads recordings: a folder of segments, or one ``.ndjson`` or ``.ndjson.gz`` file.

Reads what a running recorder has written so far, and what a crash left: an incomplete last line or
gzip member ends the segment, it is no error.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any, Final, cast

import msgspec

from consensus.trace import fold as folding
from consensus.trace.draft import State
from consensus.trace.events import SCHEMA_VERSION, TraceError, TraceEvent
from consensus.trace.recorder import SEGMENT_SUFFIX

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

    def between(self, first: int, last: int) -> Iterator[TraceEvent]:
        """Events of ``first <= time <= last`` in UTC microseconds.

        The time of an event is the latest ``ts`` up to it, as that of a state: clocks of nodes differ a
        little, and a seek must not depend on which of them was behind.
        """
        now = 0
        for line in self.lines(self._from("ts", first - 1)):
            now = max(now, line["ts"])
            if now > last:
                return
            if "state" not in line and now >= first:
                yield line

    def state_at_time(self, at: int) -> State:
        """The state at ``at`` (UTC microseconds), folded on from the nearest keyframe before it.

        Raises:
            TraceError: the recording starts later.
        """
        state = None if self.header["truncated"] or at < self.header["t0"] else folding.begin(self.header)
        pending: list[TraceEvent] = []
        for line in self.lines(self._from("ts", at)):
            if line["ts"] > at:
                break
            if "state" in line:
                state, pending = line["state"], []
            else:
                pending.append(line)
        if state is None:
            raise TraceError(f"t {at} is before the start of the recording")
        return folding.fold_all(state, pending)

    def span(self) -> tuple[int, int, int, int]:
        """First and last time (UTC microseconds) and first and last order number."""
        first = next(self.lines(), None)
        last_t, last_q = self.header["t0"], 0
        for line in self.lines(self._paths[-1:]):
            last_t, last_q = max(last_t, line["ts"]), max(last_q, line["q"])
        start = self.header["t0"] if first is None or not self.header["truncated"] else first["ts"]
        return start, max(last_t, start), 0 if first is None else first["q"], last_q

    def state_at(self, q: int) -> State:
        """The state after the event ``q``, folded on from the nearest keyframe before it.

        Raises:
            TraceError: the recording starts after ``q``.
        """
        state = None if self.header["truncated"] else folding.begin(self.header)
        pending: list[TraceEvent] = []
        for line in self.lines(self._from("q", q)):
            if line["q"] > q:
                break
            if "state" in line:
                state, pending = line["state"], []
            else:
                pending.append(line)
        if state is None:
            raise TraceError(f"q {q} is before the start of the recording")
        return folding.fold_all(state, pending)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    decode = msgspec.json.Decoder().decode
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        stream = cast("IO[bytes]", file)
        while True:
            try:
                line = stream.readline(LINE_BYTES_MAX)
            except (EOFError, zlib.error):
                return
            if not line.endswith(b"\n"):
                return
            try:
                value = decode(line)
            except msgspec.DecodeError as error:
                raise TraceError(f"{path.name}: a line is not JSON: {error}") from error
            if not isinstance(value, dict):
                raise TraceError(f"{path.name}: a line is not an object")
            yield value
