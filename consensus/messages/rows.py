"""Rows of a checkpoint, and of a state transfer: one table layout for both.

``TABLES`` maps a table to its columns as SQLite declares them; the first column is the key. A
:class:`Row` with ``values`` None deletes its key (incremental checkpoints only).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

TABLES: Final[dict[str, tuple[str, ...]]] = {
    "meta": ("key TEXT PRIMARY KEY", "value"),
    "accounts": (
        "id INTEGER PRIMARY KEY",
        "balance INTEGER NOT NULL",
        "version INTEGER NOT NULL",
        "epoch INTEGER NOT NULL",
    ),
    "sessions": (
        "id BLOB PRIMARY KEY",
        "settled_below INTEGER NOT NULL",
        "used_slot INTEGER NOT NULL",
        "outcomes BLOB NOT NULL",
    ),
    "prepared": (
        "tx BLOB PRIMARY KEY",
        "role TEXT NOT NULL",
        "coordinator INTEGER NOT NULL",
        "at INTEGER NOT NULL",
        "body BLOB NOT NULL",
    ),
    "undo": (
        "account INTEGER PRIMARY KEY",
        "tx BLOB NOT NULL",
        "delta INTEGER NOT NULL",
    ),
    "unfinished": (
        "tx BLOB PRIMARY KEY",
        "at INTEGER NOT NULL",
        "committed INTEGER NOT NULL",
        "participants TEXT NOT NULL",
    ),
    "finished": (
        "tx BLOB PRIMARY KEY",
        "coordinator INTEGER NOT NULL",
        "at INTEGER NOT NULL",
        "committed INTEGER NOT NULL",
    ),
    "finished_below": ("coordinator INTEGER PRIMARY KEY", "at INTEGER NOT NULL"),
    "batches": (
        "number INTEGER PRIMARY KEY",
        "part BLOB NOT NULL",
        "destination INTEGER NOT NULL",
        "phase INTEGER NOT NULL",
        "slot INTEGER NOT NULL",
        "money INTEGER NOT NULL",
        "accounts BLOB NOT NULL",
    ),
    "parts": (
        "part BLOB PRIMARY KEY",
        "number INTEGER NOT NULL",
        "phase INTEGER NOT NULL",
        "taken BLOB NOT NULL",
    ),
    "incoming": ("batch BLOB PRIMARY KEY", "step INTEGER NOT NULL", "accounts BLOB NOT NULL"),
    "moves_below": ("source INTEGER PRIMARY KEY", "number INTEGER NOT NULL"),
    "forwards": (
        "account INTEGER PRIMARY KEY",
        "cluster INTEGER NOT NULL",
        "epoch INTEGER NOT NULL",
    ),
    "views": (
        "number INTEGER PRIMARY KEY",
        "slot INTEGER NOT NULL",
        "body BLOB NOT NULL",
    ),
}


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    table: str
    key: Any
    """int, str or bytes, as the table's first column says."""
    values: tuple[Any, ...] | None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Row])


def encode_rows(rows: list[Row]) -> bytes:
    return _encoder.encode(rows)


def decode_rows(data: bytes) -> list[Row]:
    """Inverse of :func:`encode_rows`.

    Raises:
        ValueError: the bytes are not rows of known tables.
    """
    try:
        rows = _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise ValueError(f"not encoded rows: {error}") from error
    for row in rows:
        columns = TABLES.get(row.table)
        if columns is None or (row.values is not None and len(row.values) != len(columns) - 1):
            raise ValueError(f"not a row of a known table: {row.table!r}")
    return rows
