"""Writing at once, on the loop's thread: when that is done, when not, and that both ways are one journal."""

from __future__ import annotations

import asyncio
import errno
import random
import threading
from types import SimpleNamespace

import pytest

from consensus.storage import writer
from consensus.storage.journal import Journal
from tests.storage.test_journal import HEAD, SIZE, Shelf, value

HERE = threading.get_ident


def add(journal: Journal, slot: int, at_once: bool = True, size: int = 100) -> None:
    journal.append(value(slot, size), slot)
    journal.flush(0, at_once=at_once)


async def test_it_is_on_the_disk_before_the_call_returns_and_told_of_afterwards(shelf: Shelf) -> None:
    journal = shelf.open()
    add(journal, 1)
    assert shelf.files.writers == [HERE()] and journal.synced == 0 and not shelf.synced
    await shelf.until(lambda: shelf.synced == [1])
    assert shelf.recover().records == [HEAD, value(1)]


async def test_not_while_the_thread_has_something_to_write(shelf: Shelf) -> None:
    journal = shelf.open()
    shelf.files.gate.clear()
    add(journal, 1, at_once=False)
    add(journal, 2)  # does not wait for the gate
    assert not shelf.files.writes
    shelf.files.gate.set()
    await shelf.until(lambda: journal.synced == 2)
    assert HERE() not in shelf.files.writers
    add(journal, 3)
    assert shelf.files.writers[-1] == HERE()
    await shelf.until(lambda: journal.synced == 3)


async def test_not_for_a_second_after_a_slow_write(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0
    took = 0

    def clock() -> int:
        nonlocal now
        now += took
        return now

    monkeypatch.setattr(writer, "time", SimpleNamespace(monotonic_ns=clock))
    journal = shelf.open()
    took = writer.SLOW_NS + 1
    add(journal, 1)
    took = 0
    add(journal, 2)
    assert shelf.files.writers == [HERE()], "the second waits for the thread"
    await shelf.until(lambda: journal.synced == 2)
    now += writer.SLOW_FOR_NS
    add(journal, 3)
    assert [ident == HERE() for ident in shelf.files.writers] == [True, False, True]
    await shelf.until(lambda: journal.synced == 3)


async def test_a_failure_is_told_once_and_nothing_is_written_after_it(shelf: Shelf) -> None:
    journal = shelf.open()
    shelf.files.error = errno.EIO
    add(journal, 1)
    shelf.files.error = None
    add(journal, 2)
    add(journal, 3, at_once=False)
    await shelf.until(lambda: bool(shelf.failures))
    assert journal.close()
    await asyncio.sleep(0)
    (failure,) = shelf.failures
    assert "writing" in str(failure)
    assert not shelf.files.writes and not shelf.synced


@pytest.mark.parametrize("seed", range(4))
async def test_both_ways_make_one_journal(shelf: Shelf, seed: int) -> None:
    draw = random.Random(seed)
    journal = shelf.open()
    sizes = [draw.randrange(1, SIZE // 8) for _ in range(60)]
    for slot, size in enumerate(sizes, 1):
        add(journal, slot, at_once=draw.random() < 0.6, size=size)
        if draw.random() < 0.5:
            await shelf.until(lambda slot=slot: journal.synced == slot)  # type: ignore[misc]
    await shelf.until(lambda: journal.synced == len(sizes))
    assert journal.close()
    assert len(shelf.names()) > 4, "segments were begun meanwhile"
    found = shelf.recover()
    assert not found.loss
    kept = [record for record in found.records if type(record) is type(value(1))]
    assert kept == [value(slot, size) for slot, size in enumerate(sizes, 1)]
    shelf.files.close(found.current.fd)
