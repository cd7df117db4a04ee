"""Recordings on disk: the one that is always on, and those that were saved or uploaded.

Folder ``recordings`` of the bank's data: a folder per run of the site (segments in a ring, see
:mod:`consensus.trace.recorder`) and a file ``<id>.ndjson.gz`` per saved one. Everything here that reads
or writes blocks on the disk; views call it in a thread.
"""

from __future__ import annotations

import contextlib
import gzip
import logging
import queue
import re
import secrets
import shutil
import threading
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, Final

import msgspec
from django.conf import settings

from consensus.trace import checking, transactions
from consensus.trace import fold as folding
from consensus.trace.events import TraceError
from consensus.trace.export import FORMS
from consensus.trace.reader import Recording
from consensus.trace.recorder import SEGMENT_SUFFIX, Recorder

_log = logging.getLogger(__name__)

RUNS_MAX: Final = 4
"""Runs of earlier sites that stay, besides the present one; each is bounded by the recorder's ring."""
SAVED_MAX: Final = 100
SAVED_BYTES_MAX: Final = 1 << 30
SPANS_MAX: Final = 256
STEPS_MAX: Final = 500
"""Events of one transaction, as many as are kept of one beside it."""
QUIET_LINES: Final = 50_000
"""After so many without a word of a transaction nothing more is looked for."""
LISTS_MAX: Final = 4
TX_KIND: Final = b'"k":"tx.'
"""As lines here are encoded, those that come from outside included."""
PIECE_BYTES: Final = 1 << 18
PACK_LEVEL: Final = 4
"""Of downloads that are packed on the way."""
QUEUE_BATCHES_MAX: Final = 400
"""Batches (20 a second) that wait for the disk; what comes beyond is a gap in the recording."""
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", re.ASCII)
_encode: Final = msgspec.json.Encoder().encode

Batch = tuple[bytes, int, dict[str, Any]] | dict[str, Any]
"""Encoded events, how many, the state after them; or a gap."""
"""Numbered events, and the state after them."""


class FullError(Exception):
    """No room for another saved recording; the text says what to do."""


class AlwaysOn:
    """Writes what the live hub numbers, on a thread of its own. :meth:`offer` never waits."""

    def __init__(self, header: dict[str, Any]) -> None:
        self.run = str(header["run"])
        self._header = header
        self._queue: queue.Queue[Batch | None] = queue.Queue(QUEUE_BATCHES_MAX)
        self._lost: tuple[int, int] | None = None
        self._state: dict[str, Any] | None = None
        self._thread = threading.Thread(target=self._write_on, name="recording", daemon=True)

    def begin(self, state: dict[str, Any]) -> None:
        """Go on from ``state``: the recording begins with it as a keyframe."""
        self._state = state
        self._thread.start()

    def offer(self, events: list[dict[str, Any]], lines: bytes, state: dict[str, Any]) -> None:
        """Have ``events`` written, which are encoded as ``lines`` and folded into ``state``.

        What there is no room for is told as a gap when there is room again.
        """
        if not events:
            return
        batch = (lines, len(events), state)
        if self._lost is not None:
            gap = {
                "k": "gap",
                "ts": state["ts"],
                "from": self._lost[0],
                "to": self._lost[1],
                "q": self._lost[1],
            }
            try:
                self._queue.put_nowait(gap)
                self._queue.put_nowait(batch)
            except queue.Full:
                self._lost = (self._lost[0], events[-1]["q"])
            else:
                self._lost = None
            return
        try:
            self._queue.put_nowait(batch)
        except queue.Full:
            self._lost = (events[0]["q"], events[-1]["q"])

    def _write_on(self) -> None:
        try:
            recorder = Recorder(folder() / self.run, self._header)
            if self._state is not None:
                recorder.resync(self._state)
                self._state = None
            after_gap = False
            with contextlib.closing(recorder):
                while (batch := self._queue.get()) is not None:
                    if isinstance(batch, dict):
                        recorder.write([batch])
                        after_gap = True
                        continue
                    lines, count, state = batch
                    recorder.write_lines(lines, count, state)
                    if after_gap:
                        recorder.resync(state)
                        after_gap = False
        except OSError as error:
            _log.error("recording ends, the site goes on: %s", error)

    def close(self) -> None:
        """Write what waits and end."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()


def folder() -> Path:
    return Path(settings.BANK_DATA) / "recordings"


def trim_runs() -> None:
    """Let runs of earlier sites go, the oldest first."""
    runs = [path for path in folder().glob("live-*") if path.is_dir()]
    for path in sorted(runs, key=lambda path: path.stat().st_mtime)[: max(0, len(runs) - RUNS_MAX)]:
        shutil.rmtree(path)


def find(name: str) -> Path | None:
    """Where the recording ``name`` is; None when there is none."""
    if not _ID.fullmatch(name):
        return None
    saved = folder() / f"{name}{SEGMENT_SUFFIX}"
    if saved.is_file():
        return saved
    run = folder() / name
    return run if run.is_dir() and any(run.glob(f"*{SEGMENT_SUFFIX}")) else None


def listed() -> list[dict[str, Any]]:
    """All of them, newest first."""
    root = folder()
    if not root.is_dir():
        return []
    paths = [path for path in root.iterdir() if path.is_dir() or path.name.endswith(SEGMENT_SUFFIX)]
    found = []
    for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            found.append(described(path))
        except TraceError as error:
            _log.warning("not listed: %s", error)
    return found


_spans: dict[Path, tuple[tuple[str, str, int, int], tuple[int, int, int, int]]] = {}
"""Spans that were read, beside the stamp they belong to."""


def _span(path: Path, recording: Recording) -> tuple[int, int, int, int]:
    """The span of a recording, read anew only when it has changed."""
    stamp = recording.stamp()
    known = _spans.get(path)
    if known is not None and known[0] == stamp:
        return known[1]
    span = recording.span()
    _spans[path] = (stamp, span)
    if len(_spans) > SPANS_MAX:
        del _spans[next(iter(_spans))]
    return span


def described(path: Path) -> dict[str, Any]:
    """What is said of one.

    Raises:
        TraceError: it cannot be read.
    """
    recording = Recording(path)
    start, end, first, last = _span(path, recording)
    files = list(path.glob(f"*{SEGMENT_SUFFIX}")) if path.is_dir() else [path]
    head = recording.header
    return {
        "id": path.name.removesuffix(SEGMENT_SUFFIX),
        "run": head["run"],
        "src": head["src"],
        "saved": not path.is_dir(),
        "seed": head["seed"],
        "start": start,
        "end": end,
        "first": first,
        "last": last,
        "truncated": head["truncated"],
        "bytes": sum(file.stat().st_size for file in files),
    }


_rows: dict[Path, tuple[tuple[str, str, int, int], transactions.Rows]] = {}
"""Transactions that were read, beside the stamp they belong to."""
_reading: Final = threading.Lock()


def transaction_rows(path: Path) -> tuple[list[transactions.Row], int]:
    """The transactions of a recording, oldest first, and how many older ones were left out.

    Read once; of a run that goes on, then, only what has come since.

    Raises:
        TraceError: it cannot be read.
    """
    recording = Recording(path)
    rows = _read_rows(path, recording)
    first = next(recording.lines(), None)
    return rows.since(0 if first is None else first["q"]), rows.left_out


def _read_rows(path: Path, recording: Recording) -> transactions.Rows:
    with _reading:
        stamp = recording.stamp()
        known, rows = _rows.pop(path, (None, None))
        if rows is None or (known != stamp and not path.is_dir()):
            rows = transactions.Rows(transactions.clusters_of(recording.header))
        if known != stamp:
            told = recording.having(TX_KIND, rows.last)
            rows.take(event for event in told if event["k"] in transactions.KINDS)
        _rows[path] = (stamp, rows)
        if len(_rows) > LISTS_MAX:
            del _rows[next(iter(_rows))]
        return rows


def transaction_steps(path: Path, tx: str) -> dict[str, Any] | None:
    """The steps of a transaction as a waterfall needs them; None when no event tells of it.

    Raises:
        TraceError: it cannot be read.
    """
    recording = Recording(path)
    known = _read_rows(path, recording).get(tx)
    if known is None:
        return None
    # What nodes send each other may be told a little before the first word of the transaction itself.
    told = recording.having(tx.encode(), max(0, known.told_at - QUIET_LINES), QUIET_LINES)
    steps = list(islice((event for event in told if event.get("tx") == tx), STEPS_MAX))
    nodes = {cluster["id"]: cluster["nodes"] for cluster in recording.header["topology"]["clusters"]}
    row = known.told()
    clusters = [{"id": cluster, "nodes": nodes[cluster]} for cluster in row["clusters"]]
    return {**row, "clusters": clusters, "steps": steps}


def packed(path: Path) -> Iterator[bytes]:
    """Header, events and keyframes, one JSON line each, as one gzip file, piece by piece.

    Raises:
        TraceError: it cannot be read; raised at the first piece, if at all.
    """
    if path.is_file():
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece
        return
    packer = zlib.compressobj(PACK_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    plain = bytearray()
    for line in _lines(path):
        plain += line
        if len(plain) >= PIECE_BYTES:
            yield packer.compress(plain)
            plain.clear()
    yield packer.compress(plain) + packer.flush()


def exported(path: Path, form: str, first: int | None, last: int | None) -> Iterator[bytes]:
    """A stretch of it (UTC microseconds; None: from its start, to its end) in a form of :mod:`export`.

    Raises:
        TraceError: it cannot be read, or there is nothing in it for that form; raised at the first piece.
    """
    recording = Recording(path)
    start, end, _, _ = _span(path, recording)
    first = start if first is None else max(start, first)
    try:
        state = recording.state_at_time(first - 1)
    except TraceError:
        # From the very start: nothing is known before it.
        state = folding.begin(recording.header)
    events = recording.between(first, end if last is None else last)
    text = bytearray()
    for line in FORMS[form].export(recording.header, state, events):
        text += line.encode()
        if len(text) >= PIECE_BYTES:
            yield bytes(text)
            text.clear()
    yield bytes(text)


def _lines(path: Path) -> Iterator[bytes]:
    recording = Recording(path)
    yield _encode(recording.header) + b"\n"
    yield from recording.raw()


def save(name: str) -> Path:
    """Keep the recording ``name`` as it is now, out of the ring's reach.

    Raises:
        FullError: there are too many.
        TraceError: there is no such recording.
    """
    path = find(name)
    if path is None:
        raise TraceError(f"there is no recording {name}")
    return _store(Recording(path).header, _lines(path))


def upload(file: IO[bytes]) -> Path:
    """Keep a recording from outside, once every line of it is checked.

    Raises:
        FullError: there are too many.
        TraceError: it is none of schema v1; the text names line and field.
    """
    values = checking.checked(file)
    head = next(values)
    return _store(head, (_encode(value) + b"\n" for value in chain((head,), values)))


def _store(head: dict[str, Any], lines: Iterable[bytes]) -> Path:
    """Write a saved recording. It has its name only once it is whole."""
    folder().mkdir(parents=True, exist_ok=True)
    saved = list(folder().glob(f"*{SEGMENT_SUFFIX}"))
    room = SAVED_BYTES_MAX - sum(path.stat().st_size for path in saved)
    if len(saved) >= SAVED_MAX or room <= 0:
        raise _full(saved)
    name = re.sub(r"[^A-Za-z0-9._-]", "-", head["run"]).strip("-._")[:60] or "run"
    path = folder() / f"{name}-{secrets.token_hex(3)}{SEGMENT_SUFFIX}"
    part = path.with_suffix(".part")
    try:
        with part.open("xb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=6, mtime=0) as file:
            for line in lines:
                file.write(line)
                if raw.tell() > room:
                    raise _full(saved)
        if part.stat().st_size > room:
            raise _full(saved)
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def trim_saved(prefix: str, keep: int) -> None:
    """Let the oldest saved ones go whose names begin with ``prefix``, so that one more makes ``keep``."""
    saved = [path for path in folder().glob(f"{prefix}*{SEGMENT_SUFFIX}") if path.is_file()]
    for path in sorted(saved, key=lambda path: path.stat().st_mtime)[: max(0, len(saved) - keep + 1)]:
        path.unlink()


def _full(saved: list[Path]) -> FullError:
    return FullError(
        f"{len(saved)} recordings are kept, and there is no room for this one; delete some first"
    )


def remove(name: str) -> bool:
    """Delete a saved recording; False when it is not a saved one."""
    path = find(name)
    if path is None or path.is_dir():
        return False
    path.unlink()
    return True
