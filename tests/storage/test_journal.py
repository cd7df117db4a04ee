"""Appending, group commit, rolling, dropping, and what recovery makes of every kind of harm."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from consensus.messages.records import (
    AcceptedValue,
    ChosenValue,
    LearnerMark,
    Promised,
    Record,
    SegmentHead,
    Watermark,
)
from consensus.storage import segments
from consensus.storage.errors import StorageError
from consensus.storage.format import HEADER_BYTES, SECTOR_BYTES, Verdict, scan_segment
from consensus.storage.journal import Journal
from consensus.storage.segments import Found, Tracked, segment_path
from consensus.types import Ballot
from tests.storage.faulty import FaultyFiles, flip, until, zero

NODE, INCARNATION, SIZE = 2, 5, 1 << 16
PROMISED = Ballot(1, 1)


class Shelf:
    """A journal folder with everything a test wants to see of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = FaultyFiles()
        self.synced: list[int] = []
        self.failures: list[StorageError] = []
        self.changed = asyncio.Event()
        self.opened: list[Journal] = []

    def create(self, learner: bool = False) -> None:
        head = Tracked(PROMISED, 0, learner)
        segments.create(self.files, self.folder, NODE, INCARNATION, head, SIZE)

    def recover(self, checkpoint: int = 0) -> Found:
        return segments.recover(self.files, self.folder, NODE, INCARNATION, SIZE, checkpoint)

    def open(self, found: Found | None = None) -> Journal:
        loop = asyncio.get_running_loop()
        journal = Journal(
            self.files,
            self.folder,
            found or self.recover(),
            SIZE,
            loop.call_soon_threadsafe,
            self._on_synced,
            self._on_failure,
        )
        self.opened.append(journal)
        return journal

    def _on_synced(self, position: int) -> None:
        self.synced.append(position)
        self.changed.set()

    def _on_failure(self, error: StorageError) -> None:
        self.failures.append(error)
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def write(self, *records: Record) -> None:
        """Append to a fresh opening of the journal, sync, close."""
        journal = self.open()
        for record in records:
            journal.append(record, getattr(record, "slot", 0))
        journal.flush(0)
        await self.until(lambda: journal.synced == len(records))
        assert journal.close()

    def path(self, number: int) -> Path:
        return segment_path(self.folder, number)

    def names(self) -> list[str]:
        return self.files.names(self.folder)


def value(slot: int, size: int = 100) -> AcceptedValue:
    return AcceptedValue(Ballot(1, 1), slot, b"\xcd" * size, slot - 1)


HEAD = SegmentHead(INCARNATION, PROMISED, 0, False)


async def test_what_was_synced_is_there_after_reopening(shelf: Shelf) -> None:
    content = [Promised(Ballot(2, 2)), value(1), ChosenValue(Ballot(1, 1), 2, b"x"), Watermark(2)]
    await shelf.write(*content)
    found = shelf.recover()
    assert found.records == [HEAD, *content]
    assert found.tracked == (Ballot(2, 2), 2, False)
    assert (found.loss, found.closed, found.current.slot) == ("", {}, 2)
    shelf.files.close(found.current.fd)


async def test_a_journal_goes_on_where_it_was(shelf: Shelf) -> None:
    for slot in range(1, 5):
        await shelf.write(value(slot))
    found = shelf.recover()
    assert found.records == [HEAD, *[value(slot) for slot in range(1, 5)]]
    shelf.files.close(found.current.fd)


async def test_what_gathers_during_a_sync_goes_out_with_the_next(shelf: Shelf) -> None:
    journal = shelf.open()
    shelf.files.gate.clear()
    shelf.files.entered.clear()
    journal.append(value(1), 1)
    journal.flush(10)
    assert await asyncio.to_thread(shelf.files.entered.wait, 10)
    for slot in range(2, 12):
        journal.append(value(slot), slot)
        journal.flush(20)
    assert journal.oldest_unsynced_us(110) == 100
    assert shelf.synced == []
    shelf.files.gate.set()
    await shelf.until(lambda: journal.synced == 11)
    assert len(shelf.files.writes) == 2
    assert shelf.synced[-1] == 11
    assert journal.oldest_unsynced_us(200) == 0
    assert scan_segment(shelf.path(1).read_bytes()).records[1:] == [value(slot) for slot in range(1, 12)]


async def test_nothing_is_written_before_flush_and_an_empty_flush_writes_nothing(shelf: Shelf) -> None:
    journal = shelf.open()
    journal.flush(0)
    journal.append(value(1), 1)
    assert journal.position == 1
    assert journal.close()
    assert len(shelf.files.writes) == 1


async def test_segments_follow_each_other_and_repeat_the_promise(shelf: Shelf) -> None:
    content: list[Record] = [Promised(Ballot(3, 3))]
    content += [AcceptedValue(Ballot(3, 3), slot, b"\xcd" * 9_000, slot - 1) for slot in range(1, 30)]
    await shelf.write(*content)
    found = shelf.recover()
    assert [record for record in found.records if not isinstance(record, SegmentHead)] == content
    assert found.closed == {1: 7, 2: 14, 3: 21, 4: 28}
    assert scan_segment(shelf.path(3).read_bytes()).records[0] == SegmentHead(
        INCARNATION, Ballot(3, 3), 13, False
    )
    shelf.files.close(found.current.fd)


async def test_a_record_larger_than_a_segment_is_kept(shelf: Shelf) -> None:
    content = [value(1), value(2, 3 * SIZE), value(3)]
    await shelf.write(*content)
    found = shelf.recover()
    assert [record for record in found.records if not isinstance(record, SegmentHead)] == content
    shelf.files.close(found.current.fd)


async def test_segments_below_a_checkpoint_are_dropped_but_never_the_current_one(shelf: Shelf) -> None:
    journal = shelf.open()
    for slot in range(1, 30):
        journal.append(value(slot, 9_000), slot)
    journal.flush(0)
    await shelf.until(lambda: journal.synced == 29)
    used = journal.bytes_used
    journal.drop_below(20)
    await until(lambda: not shelf.path(2).exists())
    assert shelf.path(3).exists()
    assert journal.bytes_used == used - 2 * SIZE
    # A call while a drop is under way does nothing; the next checkpoint calls again.
    await until(lambda: journal.drop_below(29) or not shelf.path(4).exists())
    assert journal.close()
    found = shelf.recover(checkpoint=29)
    shelf.files.close(found.current.fd)
    assert found.loss == ""
    assert found.records == [SegmentHead(INCARNATION, PROMISED, 27, False), value(29, 9_000)]


async def test_a_checkpoint_older_than_the_journal_is_a_loss(shelf: Shelf) -> None:
    await shelf.write(*[value(slot, 9_000) for slot in range(1, 10)])
    journal = shelf.open()
    journal.append(value(10), 10)
    journal.drop_below(7)
    assert journal.close()
    found = shelf.recover(checkpoint=6)
    shelf.files.close(found.current.fd)
    assert found.loss == "the checkpoint is at slot 6, but the journal begins after 7"
    again = shelf.recover(checkpoint=7)
    shelf.files.close(again.current.fd)
    assert (again.loss, again.tracked.learner) == ("", True)


async def test_nothing_is_dropped_before_the_new_head_is_synced(shelf: Shelf) -> None:
    journal = shelf.open()
    for slot in range(1, 7):
        journal.append(value(slot, 9_000), slot)
    journal.flush(0)
    await shelf.until(lambda: journal.synced == 6)
    shelf.files.gate.clear()
    for slot in range(7, 10):
        journal.append(value(slot, 9_000), slot)
    journal.flush(0)
    journal.drop_below(9)
    shelf.files.gate.set()
    await shelf.until(lambda: journal.synced == 9)
    assert shelf.path(1).exists()
    journal.drop_below(9)
    await until(lambda: not shelf.path(1).exists())


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.ENOSPC, "the disk is full"), (errno.EIO, "input/output error"), (errno.EROFS, "read-only")],
)
async def test_a_failed_write_is_final(shelf: Shelf, code: int, words: str) -> None:
    journal = shelf.open()
    shelf.files.error = code
    journal.append(value(1), 1)
    journal.flush(0)
    await shelf.until(lambda: bool(shelf.failures))
    assert words in str(shelf.failures[0])
    assert str(shelf.path(1)) in str(shelf.failures[0])
    shelf.files.error = None
    journal.append(value(2), 2)
    journal.flush(0)
    journal.close()
    await asyncio.sleep(0)
    assert (shelf.synced, journal.synced, len(shelf.failures)) == ([], 0, 1)


async def test_a_segment_that_cannot_be_made_is_final(shelf: Shelf) -> None:
    journal = shelf.open()
    shelf.files.error_on_open = errno.ENOSPC
    journal.append(value(1, SIZE // 2 + 100), 1)
    journal.flush(0)
    await shelf.until(lambda: bool(shelf.failures))
    assert "the disk is full" in str(shelf.failures[0])


# --- recovery ----------------------------------------------------------------


async def test_a_torn_tail_is_cut_and_the_rest_stands_in_a_new_file(shelf: Shelf) -> None:
    await shelf.write(value(1), value(2, 2_000))
    before = shelf.path(1).read_bytes()
    end = scan_segment(before).end
    cut = (end // SECTOR_BYTES - 1) * SECTOR_BYTES
    zero(shelf.path(1), cut, cut + SECTOR_BYTES)
    found = shelf.recover()
    assert (found.records, found.loss) == ([HEAD, value(1)], "")
    scan = scan_segment(shelf.path(1).read_bytes())
    assert (scan.verdict, scan.records) == (Verdict.CLEAN, [HEAD, value(1)])
    assert scan.identity != scan_segment(before).identity
    journal = shelf.open(found)
    journal.append(value(2), 2)
    assert journal.close()
    assert scan_segment(shelf.path(1).read_bytes()).records == [HEAD, value(1), value(2)]


async def test_a_flipped_bit_makes_a_learner_that_keeps_what_is_good(shelf: Shelf) -> None:
    await shelf.write(*[value(slot, 9_000) for slot in range(1, 30)])
    sound = shelf.recover()
    shelf.files.close(sound.current.fd)
    flip(shelf.path(3), 30_000)
    found = shelf.recover()
    shelf.files.close(found.current.fd)
    assert "segment 3 of the journal is damaged: a record's checksum is wrong" in found.loss
    assert found.records == sound.records[: len(found.records)]
    assert found.tracked.learner
    assert shelf.names() == [
        "00000001.segment",
        "00000002.segment",
        "00000003.damaged",
        "00000003.segment",
        "00000004.damaged",
        "00000005.damaged",
        "first",
    ]
    again = shelf.recover()
    shelf.files.close(again.current.fd)
    assert again.loss == ""
    assert again.tracked.learner
    assert again.records == [*found.records, LearnerMark(True)]


async def test_a_learner_may_become_a_voter_again(shelf: Shelf) -> None:
    flip(shelf.path(1), HEADER_BYTES + 12)
    found = shelf.recover()
    assert found.tracked == (Ballot(0, 0), 0, True)
    journal = shelf.open(found)
    journal.append(Promised(Ballot(4, 1)))
    journal.append(LearnerMark(False))
    assert journal.close()
    again = shelf.recover()
    shelf.files.close(again.current.fd)
    assert again.tracked == (Ballot(4, 1), 0, False)


async def test_a_torn_tail_in_a_closed_segment_is_damage(shelf: Shelf) -> None:
    await shelf.write(*[value(slot, 9_000) for slot in range(1, 10)])
    end = scan_segment(shelf.path(1).read_bytes()).end
    zero(shelf.path(1), end - end % SECTOR_BYTES - SECTOR_BYTES, end)
    found = shelf.recover()
    shelf.files.close(found.current.fd)
    assert "segment 1 of the journal is damaged" in found.loss


async def test_a_new_segment_whose_first_write_is_torn_counts_as_empty(shelf: Shelf) -> None:
    await shelf.write(*[value(slot, 9_000) for slot in range(1, 9)])
    zero(shelf.path(2), HEADER_BYTES, SIZE)
    found = shelf.recover()
    shelf.files.close(found.current.fd)
    assert found.loss == ""
    assert found.records == [HEAD, *[value(slot, 9_000) for slot in range(1, 8)]]
    head = SegmentHead(INCARNATION, PROMISED, 6, False)
    assert scan_segment(shelf.path(2).read_bytes()).records == [head]


@pytest.mark.parametrize("number", [1, 2])
async def test_a_missing_segment_is_a_loss(shelf: Shelf, number: int) -> None:
    await shelf.write(*[value(slot, 9_000) for slot in range(1, 20)])
    shelf.path(number).unlink()
    found = shelf.recover()
    shelf.files.close(found.current.fd)
    assert found.loss == f"segment {number} of the journal is missing"
    assert len(found.records) == (0 if number == 1 else 8)
    again = shelf.recover()
    shelf.files.close(again.current.fd)
    assert (again.loss, again.tracked.learner) == ("", True)


async def test_an_empty_folder_is_a_loss(shelf: Shelf) -> None:
    shelf.path(1).unlink()
    found = shelf.recover()
    shelf.files.close(found.current.fd)
    assert found.loss == "segment 1 of the journal is missing"


async def test_a_segment_of_another_node_is_a_loss(shelf: Shelf, tmp_path: Path) -> None:
    segments.create(shelf.files, tmp_path / "other", NODE + 1, INCARNATION, Tracked(), SIZE)
    segment_path(tmp_path / "other", 1).replace(shelf.path(1))
    found = shelf.recover()
    shelf.files.close(found.current.fd)
    assert found.loss == "segment 1 of the journal was written by node 3 as 1"


async def test_a_segment_without_its_head_is_a_loss(shelf: Shelf) -> None:
    zero(shelf.path(1), HEADER_BYTES, SIZE)
    found = shelf.recover()
    shelf.files.close(found.current.fd)
    assert found.loss == "segment 1 of the journal does not start with its head"


async def test_a_damaged_first_file_is_a_loss_once(shelf: Shelf) -> None:
    await shelf.write(value(1))
    (shelf.folder / "first").write_text("nonsense")
    found = shelf.recover()
    shelf.files.close(found.current.fd)
    assert found.loss == "the file that names the journal's first segment is damaged"
    again = shelf.recover()
    shelf.files.close(again.current.fd)
    assert (again.loss, again.tracked.learner) == ("", True)


async def test_leftovers_of_a_crash_are_removed(shelf: Shelf) -> None:
    await shelf.write(*[value(slot, 9_000) for slot in range(1, 20)])
    kept = shelf.path(1).read_bytes()
    journal = shelf.open()
    journal.append(value(20), 20)
    journal.drop_below(10)
    assert journal.close()
    shelf.path(1).write_bytes(kept)
    (shelf.folder / "00000009.new").write_bytes(b"half")
    found = shelf.recover(checkpoint=10)
    shelf.files.close(found.current.fd)
    assert found.loss == ""
    assert shelf.names() == ["00000002.segment", "00000003.segment", "first"]
