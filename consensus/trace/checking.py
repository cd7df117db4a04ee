"""Checks a recording that comes from outside, line by line, before anybody reads it."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from typing import IO, Any, Final, cast

import msgspec

from consensus.trace import fold as folding
from consensus.trace.draft import State
from consensus.trace.events import SCHEMA_VERSION, SOURCES, TraceError, problems

PLAIN_BYTES_MAX: Final = 1 << 30
"""Of a recording once it is unpacked: above what a full ring holds."""
LINE_BYTES_MAX: Final = 1 << 20
NODES_MAX: Final = 180
_HEADER: Final = {
    "run": str,
    "src": str,
    "sha": str,
    "seed": int,
    "topology": dict,
    "t0": int,
    "truncated": bool,
}


def plain_lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of ``file``, out of its gzip members if it is packed; no more than one is held.

    Raises:
        TraceError: it is damaged, too large once unpacked, or has a line that is too long.
    """
    buffered = io.BufferedReader(cast("io.RawIOBase", file))
    is_packed = buffered.peek(2)[:2] == b"\x1f\x8b"
    stream = cast("IO[bytes]", gzip.GzipFile(fileobj=buffered) if is_packed else buffered)
    total = 0
    number = 0
    while True:
        try:
            line = stream.readline(LINE_BYTES_MAX + 2)
        except EOFError as error:
            raise TraceError("the gzip data ends too early") from error
        except (zlib.error, gzip.BadGzipFile) as error:
            raise TraceError(f"the gzip data is damaged: {error}") from error
        if not line:
            return
        number += 1
        line = line.rstrip(b"\r\n")
        if len(line) > LINE_BYTES_MAX:
            raise TraceError(f"line {number}: longer than {LINE_BYTES_MAX >> 10} KiB")
        total += len(line)
        if total > PLAIN_BYTES_MAX:
            raise TraceError(f"unpacked it is larger than {PLAIN_BYTES_MAX >> 20} MiB")
        yield line


def checked(file: IO[bytes]) -> Iterator[dict[str, Any]]:
    """Header and events of a recording, packed or plain, one after the other as they are found to be right.

    Keyframes are not taken over: readers do without, and whoever wants them makes them anew from the events.
    A recording whose start is gone begins with a keyframe, which comes second; every event is folded once.

    Raises:
        TraceError: a line is not of schema v1; the text names line and field.
    """
    lines = enumerate(plain_lines(file), 1)
    head = _header(lines)
    yield head
    state: State = folding.begin(head)
    wants_key = head["truncated"]
    last = 0
    for number, value in _objects(lines):
        if "v" in value:
            continue
        if "state" in value:
            if wants_key:
                state, wants_key = value["state"], False
                yield value
            continue
        wants_key = False
        wrong = problems(value)
        q: Any = value.get("q")
        if type(q) is not int or q <= last:
            wrong.append(f"q: must be an integer above {last}")
        if wrong:
            raise TraceError(f"line {number}: {'; '.join(wrong)}")
        try:
            state = folding.fold(state, value)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise TraceError(
                f"line {number}: {value['k']} has a field that cannot be read: {error!r}"
            ) from error
        last = int(q)
        yield value


def _objects(lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, dict[str, Any]]]:
    decode = msgspec.json.Decoder().decode
    for number, line in lines:
        try:
            value = decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise TraceError(f"line {number}: not JSON: {error}") from error
        if type(value) is not dict:
            raise TraceError(f"line {number}: not an object")
        yield number, value


def _header(lines: Iterator[tuple[int, bytes]]) -> dict[str, Any]:
    first = next(_objects(lines), None)
    if first is None:
        raise TraceError("line 1: there is none")
    head = first[1]
    if head.get("v") != SCHEMA_VERSION:
        raise TraceError(f"line 1: v: must be {SCHEMA_VERSION}")
    for name, kind in _HEADER.items():
        if type(head.get(name)) is not kind:
            raise TraceError(f"line 1: {name}: missing or not of type {kind.__name__}")
    if head["src"] not in SOURCES:
        raise TraceError(f"line 1: src: must be one of {', '.join(SOURCES)}")
    clusters = head["topology"].get("clusters")
    if type(clusters) is not list or not all(_is_cluster(cluster) for cluster in clusters):
        raise TraceError("line 1: topology: must list clusters with id, nodes, first and last")
    if sum(len(cluster["nodes"]) for cluster in clusters) > NODES_MAX:
        raise TraceError(f"line 1: topology: more than {NODES_MAX} nodes")
    return head


def _is_cluster(cluster: Any) -> bool:
    return (
        type(cluster) is dict
        and all(type(cluster.get(name)) is int for name in ("id", "first", "last"))
        and type(cluster.get("nodes")) is list
        and all(type(node) is int for node in cluster["nodes"])
    )
