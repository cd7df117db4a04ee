"""Checkpoints: whole and incremental, readable meanwhile, damaged, locked, on a full disk."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from consensus.messages.rows import TABLES, Row
from consensus.storage import checkpoint
from consensus.storage.checkpoint import CheckpointDamaged, CheckpointWriter, load, set_aside, slot_in
from consensus.storage.errors import StorageError
from tests.storage.faulty import until


class Rows:
    """A capture over a fixed list."""

    def __init__(self, slot: int, rows: list[Row], replace: bool = False) -> None:
        self.slot = slot
        self.state_hash = b"h" * 16
        self.replace = replace
        self.taken = 0
        self._rows = [*meta(slot), *rows]

    def take(self, limit: int) -> list[Row]:
        self.taken += 1
        some, self._rows = self._rows[:limit], self._rows[limit:]
        return some


def meta(slot: int) -> list[Row]:
    return [Row("meta", "slot", (slot,)), Row("meta", "hash", (b"h" * 16,))]


def account(id: int, balance: int) -> Row:
    return Row("accounts", id, (balance, 1, 0))


class Desk:
    """A checkpoint writer and what it reported."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: list[int] = []
        self.failures: list[StorageError] = []
        self.changed = asyncio.Event()
        self.writer = CheckpointWriter(
            path, asyncio.get_running_loop().call_soon_threadsafe, self._on_done, self._on_failure
        )

    def _on_done(self, slot: int) -> None:
        self.done.append(slot)
        self.changed.set()

    def _on_failure(self, error: StorageError) -> None:
        self.failures.append(error)
        self.changed.set()

    async def write(self, capture: Rows) -> None:
        before = len(self.done) + len(self.failures)
        self.writer.begin(capture)
        await self.until(lambda: len(self.done) + len(self.failures) > before)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
async def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "checkpoint.sqlite3")


def sort(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.table, str(row.key)))


async def test_a_whole_checkpoint_comes_back(desk: Desk) -> None:
    rows = [account(id, id * 10) for id in range(1, 5_000)]
    rows += [
        Row("sessions", b"\0\xff" * 8, (3, 9, b"\0packed\xff")),
        Row("views", 0, (7, b"body")),
    ]
    capture = Rows(12, rows, replace=True)
    await desk.write(capture)
    assert (desk.done, desk.failures) == ([12], [])
    loaded = load(desk.path)
    assert sort(loaded) == sort([*rows, *meta(12)])
    assert slot_in(loaded) == 12
    assert capture.taken == 5, "three pieces of 2,000, the last in part, and two ends"


async def test_incremental_rows_change_and_delete_only_what_they_name(desk: Desk) -> None:
    await desk.write(Rows(10, [account(1, 5), account(2, 5), account(3, 5)], replace=True))
    await desk.write(Rows(20, [account(2, 9), Row("accounts", 3, None), account(4, 1)]))
    assert sort(load(desk.path)) == sort([account(1, 5), account(2, 9), account(4, 1), *meta(20)])


async def test_a_replacing_checkpoint_leaves_nothing_of_the_one_before(desk: Desk) -> None:
    await desk.write(Rows(10, [account(1, 5), Row("views", 1, (2, b""))], replace=True))
    await desk.write(Rows(30, [account(7, 7)], replace=True))
    assert sort(load(desk.path)) == sort([account(7, 7), *meta(30)])


async def test_a_reader_sees_the_old_state_until_the_new_one_is_whole(desk: Desk) -> None:
    await desk.write(Rows(10, [account(1, 5)], replace=True))
    reader = sqlite3.connect(desk.path)
    reader.execute("BEGIN")
    assert reader.execute("SELECT balance FROM accounts").fetchall() == [(5,)]
    await desk.write(Rows(20, [account(1, 6)]))
    assert reader.execute("SELECT balance FROM accounts").fetchall() == [(5,)]
    reader.execute("COMMIT")
    assert reader.execute("SELECT balance FROM accounts").fetchall() == [(6,)]
    reader.close()


async def test_a_writer_with_a_lock_is_waited_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(checkpoint, "_LOCK_WAIT_S", 0.02)
    await desk.write(Rows(10, [account(1, 5)], replace=True))
    other = sqlite3.connect(desk.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    capture = Rows(20, [account(1, 6)])
    desk.writer.begin(capture)
    await until(lambda: "keeps" in caplog.text)
    assert (capture.taken, desk.done, desk.writer.busy) == (0, [10], True)
    other.execute("ROLLBACK")
    await desk.until(lambda: desk.done == [10, 20])
    other.close()
    assert not desk.writer.busy


async def test_stopping_in_the_middle_leaves_the_checkpoint_before(desk: Desk) -> None:
    await desk.write(Rows(10, [account(1, 5)], replace=True))
    desk.writer.begin(Rows(20, [account(id, 1) for id in range(1, 100_000)]))
    await asyncio.sleep(0)
    assert desk.writer.stop(10)
    assert load(desk.path) == [*sorted(meta(10), key=lambda row: row.key), account(1, 5)]
    assert desk.done == [10]


async def test_a_file_that_cannot_be_made_is_said_plainly(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "missing" / "checkpoint.sqlite3")
    await desk.write(Rows(1, []))
    assert desk.done == []
    assert "the file cannot be opened" in str(desk.failures[0])


async def test_a_full_disk_is_said_plainly_and_changes_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.write(Rows(10, [account(1, 5)], replace=True))
    connect = checkpoint._connect

    def small(path: Path) -> sqlite3.Connection:
        database = connect(path)
        database.execute("PRAGMA max_page_count = 8")
        return database

    monkeypatch.setattr(checkpoint, "_connect", small)
    await desk.write(Rows(20, [account(id, 1) for id in range(1, 20_000)]))
    assert "the disk is full" in str(desk.failures[0])
    assert slot_in(load(desk.path)) == 10


def test_no_file_and_an_unfinished_file_are_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.sqlite3"
    assert load(path) == []
    sqlite3.connect(path).execute("PRAGMA journal_mode=WAL").connection.close()
    assert load(path) == []


async def test_damage_is_noticed_and_set_aside(desk: Desk) -> None:
    await desk.write(Rows(10, [account(id, 5) for id in range(1, 3_000)], replace=True))
    data = bytearray(desk.path.read_bytes())
    data[8_192:12_288] = b"\x5a" * 4_096
    desk.path.write_bytes(bytes(data))
    with pytest.raises(CheckpointDamaged, match=str(desk.path)):
        load(desk.path)
    set_aside(desk.path)
    assert load(desk.path) == []
    assert desk.path.with_name("checkpoint.damaged.sqlite3").exists()


@pytest.mark.parametrize(
    ("content", "words"), [(b"this is no database" * 100, "not a database"), (b"", None)]
)
def test_a_file_of_something_else_is_damage(tmp_path: Path, content: bytes, words: str | None) -> None:
    path = tmp_path / "checkpoint.sqlite3"
    path.write_bytes(content)
    if words is None:
        assert load(path) == []
    else:
        with pytest.raises(CheckpointDamaged, match=words):
            load(path)


def test_a_format_of_the_future_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.sqlite3"
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version=2")
    database.close()
    with pytest.raises(CheckpointDamaged, match="format 2 is not known"):
        load(path)


def test_an_unreadable_file_is_not_taken_for_damage(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.sqlite3"
    path.mkdir()
    with pytest.raises(StorageError, match="cannot be opened"):
        load(path)


def test_rows_of_every_table_fit_one_statement() -> None:
    assert max(map(len, TABLES.values())) * checkpoint._STATEMENT_ROWS <= 32_766
