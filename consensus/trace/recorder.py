"""Writes a run to a folder: gzipped newline-delimited JSON in a bounded ring of segments.

Every segment starts with the header and a keyframe, so the oldest ones can go and what is left still
reads from its start. Calls block on the disk: a live caller makes them from a thread, one at a time.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import msgspec

from consensus.trace import fold as folding
from consensus.trace.draft import State
from consensus.trace.events import TraceEvent

SEGMENT_SUFFIX: Final = ".ndjson.gz"
SEGMENT_BYTES: Final = 4 << 20
RING_BYTES: Final = 64 << 20
KEYFRAME_EVENTS: Final = 5_000
"""Events between two keyframes: what a reader folds at most after a seek."""

_encode: Final = msgspec.json.Encoder().encode
_encode_lines: Final = msgspec.json.Encoder().encode_lines


def lines_of(events: list[TraceEvent]) -> bytes:
    """The events as they stand in a recording: each a line of JSON."""
    return _encode_lines(events)


class Recorder:
    """One run being recorded; live, replayed or simulated alike.

    Args:
        folder: made if it is not there; must not hold another run's segments.
        header: of :func:`consensus.trace.events.header`.
        segment_bytes: uncompressed bytes after which a new segment starts.
        ring_bytes: compressed bytes kept; the oldest segments go first, never the last one.
        keyframe_events: events between keyframes.

    Raises:
        FileExistsError: the folder holds a recording already.
        OSError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        header: dict[str, Any],
        *,
        segment_bytes: int = SEGMENT_BYTES,
        ring_bytes: int = RING_BYTES,
        keyframe_events: int = KEYFRAME_EVENTS,
    ) -> None:
        assert segment_bytes > 0 and ring_bytes > 0 and keyframe_events > 0
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.glob(f"*{SEGMENT_SUFFIX}")):
            raise FileExistsError(f"{folder} holds a recording already; choose an empty folder")
        self.folder = folder
        self._state = folding.begin(header)
        self._unfolded: list[TraceEvent] = []
        self._header = dict(header)
        self._segment_bytes = segment_bytes
        self._ring_bytes = ring_bytes
        self._keyframe_events = keyframe_events
        self._count = 0
        self._since_keyframe = 0
        self._written = 0
        self._files = ExitStack()
        self._file: gzip.GzipFile | None = None
        self._open_segment()

    def write(self, events: Iterable[TraceEvent]) -> None:
        """Append numbered events (each with its ``q``), in order, and hand them to the system.

        After this returns, a reader of the folder sees them.
        """
        for event in events:
            assert "q" in event, "events are numbered before they are recorded"
            self._line(event)
            self._since_keyframe += 1
            self._unfolded.append(event)
            self._divide()
        self._flush()

    def write_lines(self, lines: bytes, count: int, state: State) -> None:
        """As :meth:`write`, of ``count`` events that are encoded (:func:`lines_of`) and folded already.

        ``state``: after all of them. A segment or keyframe that is due comes behind the last.
        """
        self._append(lines)
        self._since_keyframe += count
        self._state, self._unfolded = state, []
        self._divide()
        self._flush()

    def _divide(self) -> None:
        """Begin another segment, or write a keyframe, where one is due."""
        if self._written >= self._segment_bytes:
            self._close_segment()
            self._open_segment()
        elif self._since_keyframe >= self._keyframe_events:
            self._keyframe()

    @property
    def state(self) -> State:
        """The fold of everything written. Folded in batches: that copies each part of a state once."""
        if self._unfolded:
            self._state = folding.fold_all(self._state, self._unfolded)
            self._unfolded = []
        return self._state

    def resync(self, state: State) -> None:
        """Go on from ``state`` after events that were not written: a keyframe holds it."""
        self._unfolded = []
        self._state = state
        self._keyframe()

    def close(self) -> None:
        """Finish the last segment. Further writes are an error; closing again is not."""
        self._close_segment()

    def _line(self, value: Any) -> None:
        self._append(_encode(value) + b"\n")

    def _flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def _append(self, data: bytes) -> None:
        assert self._file is not None, "the recorder is closed"
        self._file.write(data)
        self._written += len(data)

    def _keyframe(self) -> None:
        state = self.state
        self._line({"q": state["q"], "ts": state["ts"], "state": state})
        self._since_keyframe = 0

    def _open_segment(self) -> None:
        self._count += 1
        path = self.folder / f"{self._count:06d}{SEGMENT_SUFFIX}"
        raw = self._files.enter_context(path.open("xb"))
        self._file = self._files.enter_context(
            gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=3, mtime=0)
        )
        self._written = 0
        self._header["truncated"] = self._trim()
        self._line(self._header)
        self._keyframe()

    def _close_segment(self) -> None:
        self._files.close()
        self._file = None

    def _trim(self) -> bool:
        """Drop the oldest segments above the bound; True when the start of the run is gone."""
        segments = sorted(self.folder.glob(f"*{SEGMENT_SUFFIX}"))
        sizes = [os.path.getsize(path) for path in segments]
        total = sum(sizes)
        for path, size in zip(segments[:-1], sizes[:-1], strict=True):
            if total <= self._ring_bytes:
                break
            path.unlink()
            total -= size
        first = min(self.folder.glob(f"*{SEGMENT_SUFFIX}"))
        return first.name != f"{1:06d}{SEGMENT_SUFFIX}"
