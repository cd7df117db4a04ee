"""The checkpoint of a node: one SQLite file, one transaction per checkpoint, state at exactly one slot.

Anybody may open the file with ``sqlite3`` while the node runs. It is in WAL mode for that: there a reader
never blocks the transaction that replaces the checkpoint (in rollback mode a reader that stays would),
and never sees half of it. ``synchronous=FULL`` makes the commit durable. The connection lives only as
long as one checkpoint is written; closing it folds the WAL into the file, which then is complete on its
own.

Statements insert many rows at a time: each call into SQLite hands the interpreter lock over and back, and
a call per row would take the loop's time for thousands of such hand-overs.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import groupby
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

from consensus.effects import Capture
from consensus.messages.rows import TABLES, Row
from consensus.storage.errors import StorageError
from consensus.types import Slot

_log = logging.getLogger(__name__)

FORMAT: Final = 1
"""``PRAGMA user_version`` of the files this version reads and writes."""
APPLICATION_ID: Final = 0x5042414E
PIECE_ROWS: Final = 2_000
"""Rows taken from a capture per turn of the loop."""
_STATEMENT_ROWS: Final = 500
_LOCK_WAIT_S: Final = 1.0
_NOT_THE_CONTENT: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
"""Result codes that say nothing about what stands in the file."""
_COLUMNS: Final = {table: tuple(column.split()[0] for column in columns) for table, columns in TABLES.items()}


class CheckpointDamaged(Exception):
    """The file is there and cannot be read as a checkpoint; the text says why."""


class CheckpointWriter:
    """Writes captures, one after the other, on a thread. Methods and callbacks are for the loop's thread.

    Args:
        path: the SQLite file; made when it is missing.
        post: runs a callback on the loop's thread soon, callable from any thread.
        on_done: told the slot when a checkpoint is durable.
        on_failure: told once when the disk fails; the checkpoint before stays as it was.
    """

    def __init__(
        self,
        path: Path,
        post: Callable[[Callable[[], None]], object],
        on_done: Callable[[Slot], None],
        on_failure: Callable[[StorageError], None],
    ) -> None:
        self._path = path
        self._post = post
        self._on_done = on_done
        self._on_failure = on_failure
        self._capture: Capture | None = None
        self._pieces: SimpleQueue[list[Row] | None] = SimpleQueue()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is being written."""
        return self._capture is not None

    def begin(self, capture: Capture) -> None:
        """Write ``capture``; its rows are taken in pieces, one per turn of the loop, as they are needed."""
        assert self._capture is None, "one checkpoint at a time"
        self._capture = capture
        self._pieces = SimpleQueue()
        self._thread = threading.Thread(
            target=self._run,
            args=(capture.slot, capture.replace, self._pieces),
            name="checkpoint",
            daemon=True,
        )
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Give up what is being written and wait for the thread; False when it does not end in time."""
        self._stopping.set()
        self._capture = None
        self._pieces.put(None)
        if self._thread is not None:
            self._thread.join(timeout_s)
            return not self._thread.is_alive()
        return True

    def _give(self) -> None:
        """The thread can take another piece."""
        if self._capture is not None:
            self._pieces.put(self._capture.take(PIECE_ROWS))

    def _finish(self, slot: Slot, failure: StorageError | None) -> None:
        if self._stopping.is_set():
            return
        self._capture = None
        if failure is None:
            self._on_done(slot)
        else:
            self._on_failure(failure)

    # --- on the thread -----------------------------------------------------------

    def _run(self, slot: Slot, replace: bool, pieces: SimpleQueue[list[Row] | None]) -> None:
        failure: StorageError | None = None
        try:
            with closing(_connect(self._path)) as database:
                if not self._lock(database):
                    return
                _make_tables(database)
                if replace:
                    for table in TABLES:
                        database.execute(f"DELETE FROM {table}")
                # One piece is taken on the loop while the one before is being written here.
                self._post(self._give)
                self._post(self._give)
                while rows := pieces.get():
                    self._post(self._give)
                    write_rows(database, rows)
                if rows is None or self._stopping.is_set():
                    return
                database.execute("COMMIT")
        except sqlite3.Error as error:
            failure = _told("writing", self._path, error)
        self._post(lambda: self._finish(slot, failure))

    def _lock(self, database: sqlite3.Connection) -> bool:
        """Begin the transaction; whoever holds the file's write lock is waited for. False: told to stop."""
        told = False
        while not self._stopping.is_set():
            try:
                database.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY:
                    raise
                if not told:
                    _log.warning("another program keeps %s locked: the checkpoint waits for it", self._path)
                    told = True
            else:
                return True
        return False


def load(path: Path) -> list[Row]:
    """Every row of the checkpoint; empty when there is none yet.

    Whether the rows make up the state they claim is for their reader to check, by the hash among them.

    Raises:
        CheckpointDamaged: the file cannot be read as a checkpoint.
        StorageError: it cannot be opened.
    """
    if not path.exists():
        return []
    try:
        with closing(_connect(path)) as database:
            verdict = database.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise CheckpointDamaged(f"{path}: {verdict}")
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                return []  # made, but no checkpoint was ever finished in it
            if version != FORMAT:
                raise CheckpointDamaged(f"{path}: format {version} is not known, only {FORMAT}")
            return list(_rows(database))
    except sqlite3.Error as error:
        if _code(error) in _NOT_THE_CONTENT:
            raise _told("reading", path, error) from error
        raise CheckpointDamaged(f"{path}: {error}") from error


def slot_in(rows: list[Row]) -> Slot:
    """The slot that the rows of a checkpoint are the state of; 0 when they do not say."""
    for row in rows:
        if row.table == "meta" and row.key == "slot" and row.values and isinstance(row.values[0], int):
            return row.values[0]
    return 0


def set_aside(path: Path) -> None:
    """Rename a damaged file, for somebody to look at; one from earlier is replaced."""
    for suffix in ("", "-wal", "-shm"):
        old = path.with_name(path.name + suffix)
        new = path.with_name(f"{path.stem}.damaged{path.suffix}{suffix}")
        new.unlink(missing_ok=True)
        if old.exists():
            old.rename(new)


def write_rows(database: sqlite3.Connection, rows: list[Row]) -> None:
    """Upsert and delete rows, in order, within the transaction that is open."""
    for (table, deletes), group in groupby(rows, key=lambda row: (row.table, row.values is None)):
        columns = _COLUMNS[table]
        pending = list(group)
        for start in range(0, len(pending), _STATEMENT_ROWS):
            some = pending[start : start + _STATEMENT_ROWS]
            values: list[Any] = []
            if deletes:
                marks = ",".join(["?"] * len(some))
                values = [row.key for row in some]
                database.execute(f"DELETE FROM {table} WHERE {columns[0]} IN ({marks})", values)
                continue
            for row in some:
                values.append(row.key)
                values.extend(row.values or ())
            marks = ",".join([f"({','.join('?' * len(columns))})"] * len(some))
            database.execute(f"INSERT OR REPLACE INTO {table} VALUES {marks}", values)


def _rows(database: sqlite3.Connection) -> Iterator[Row]:
    for table, columns in _COLUMNS.items():
        for key, *values in database.execute(f"SELECT {','.join(columns)} FROM {table} ORDER BY 1"):
            yield Row(table, key, tuple(values))


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=_LOCK_WAIT_S, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    return database


def _make_tables(database: sqlite3.Connection) -> None:
    database.execute(f"PRAGMA user_version={FORMAT}")
    database.execute(f"PRAGMA application_id={APPLICATION_ID}")
    for table, columns in TABLES.items():
        database.execute(f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(columns)})")


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _told(action: str, path: Path, error: sqlite3.Error) -> StorageError:
    advice = {
        sqlite3.SQLITE_FULL: "the disk is full; free some space and start the node again",
        sqlite3.SQLITE_IOERR: "input/output error; check the disk and its free space",
        sqlite3.SQLITE_BUSY: "another program keeps the file locked; close it and start the node again",
        sqlite3.SQLITE_READONLY: "the file is not writable; change its owner or choose another data folder",
        sqlite3.SQLITE_CANTOPEN: "the file cannot be opened; check the folder's owner and the free space",
        sqlite3.SQLITE_CORRUPT: "the file is damaged; started again, the node sets it aside and catches up",
        sqlite3.SQLITE_NOTADB: "the file is damaged; started again, the node sets it aside and catches up",
    }.get(_code(error), str(error))
    return StorageError(f"{action} the checkpoint {path} failed: {advice}")
