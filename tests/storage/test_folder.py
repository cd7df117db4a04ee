"""A node's folder: made, locked, reopened, reset, and every way of having lost something."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from consensus.messages.records import LearnerMark, SegmentHead
from consensus.storage.errors import FolderInUse, StorageError
from consensus.storage.folder import UNKNOWN, NodeFolder, Opened
from consensus.storage.segments import SEGMENT_BYTES_MIN
from consensus.types import BALLOT_NONE, Ballot
from tests.storage.faulty import FaultyFiles, flip

FIRST = Ballot(1, 4)


def folder(path: Path) -> NodeFolder:
    return NodeFolder(path, 5, FIRST, SEGMENT_BYTES_MIN)


def start(path: Path, bootstrap: bool = False) -> Opened:
    """Start and close again, as a crash right after the start would."""
    node = folder(path)
    try:
        opened = node.start(bootstrap)
        node.files.close(opened.journal.current.fd)
        return opened
    finally:
        node.close()


def test_a_new_folder_promises_the_first_ballot_once(tmp_path: Path) -> None:
    opened = start(tmp_path, bootstrap=True)
    recovered = opened.recovered
    assert (recovered.incarnation, recovered.bootstrap, recovered.learner) == (1, True, False)
    assert recovered.records == [SegmentHead(1, FIRST, 0, False)]
    assert (opened.loss, recovered.rows) == ("", [])
    again = start(tmp_path, bootstrap=True).recovered
    assert (again.incarnation, again.bootstrap, again.learner) == (1, False, False)
    assert again.records == [SegmentHead(1, FIRST, 0, False)]


def test_an_empty_folder_without_leave_to_begin_is_a_loss(tmp_path: Path) -> None:
    opened = start(tmp_path)
    assert opened.loss == "the node's folder is missing"
    recovered = opened.recovered
    assert (recovered.incarnation, recovered.bootstrap, recovered.learner) == (UNKNOWN, False, True)
    again = start(tmp_path, bootstrap=True).recovered
    assert (again.incarnation, again.bootstrap, again.learner) == (UNKNOWN, False, True)


def test_a_second_worker_is_refused(tmp_path: Path) -> None:
    first = folder(tmp_path)
    with pytest.raises(FolderInUse, match=r"is in use by another worker \(process \d+\); stop it first"):
        folder(tmp_path)
    first.close()
    folder(tmp_path).close()


def test_a_killed_worker_leaves_no_lock(tmp_path: Path) -> None:
    code = (
        "import os; from pathlib import Path; from consensus.storage.folder import NodeFolder;"
        f"NodeFolder(Path({str(tmp_path)!r}), 5, (1, 4), 0); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    folder(tmp_path).close()


@pytest.mark.parametrize("learner", [False, True])
def test_a_new_incarnation_replaces_the_one_before(tmp_path: Path, learner: bool) -> None:
    start(tmp_path, bootstrap=True)
    node = folder(tmp_path)
    before = node.start(bootstrap=False)
    opened = node.begin(4, learner=learner)
    node.files.close(before.journal.current.fd)
    node.files.close(opened.journal.current.fd)
    node.close()
    recovered = opened.recovered
    assert (recovered.incarnation, recovered.bootstrap, recovered.learner) == (4, not learner, learner)
    assert recovered.records == [SegmentHead(4, BALLOT_NONE if learner else FIRST, 0, learner)]
    assert sorted(path.name for path in node.path.iterdir()) == ["incarnation-4", "lock"]
    again = start(tmp_path).recovered
    assert (again.incarnation, again.bootstrap, again.learner) == (4, False, learner)


def test_a_half_made_incarnation_counts_for_nothing(tmp_path: Path) -> None:
    half = tmp_path / "node-5" / "incarnation.new" / "journal"
    half.mkdir(parents=True)
    (half / "00000007.segment").write_bytes(b"")
    assert start(tmp_path, bootstrap=True).recovered.bootstrap
    assert not half.exists()
    half.mkdir(parents=True)
    assert start(tmp_path).recovered.incarnation == 1


def test_a_crash_before_the_old_incarnation_was_removed(tmp_path: Path) -> None:
    start(tmp_path, bootstrap=True)
    node = folder(tmp_path)
    old = node.path / "incarnation-1"
    old.rename(tmp_path / "kept")
    opened = node.begin(3, learner=False)
    node.files.close(opened.journal.current.fd)
    node.close()
    (tmp_path / "kept").rename(old)
    assert start(tmp_path).recovered.incarnation == 3
    assert not old.exists()


def test_a_lost_journal_is_a_loss_for_good(tmp_path: Path) -> None:
    start(tmp_path, bootstrap=True)
    (tmp_path / "node-5" / "incarnation-1" / "journal" / "00000001.segment").unlink()
    opened = start(tmp_path, bootstrap=True)
    assert opened.loss == "segment 1 of the journal is missing"
    assert (opened.recovered.incarnation, opened.recovered.learner) == (1, True)
    again = start(tmp_path)
    assert (again.loss, again.recovered.learner) == ("", True)
    assert again.recovered.records[-1] == LearnerMark(True)


def test_a_damaged_checkpoint_is_set_aside(tmp_path: Path) -> None:
    start(tmp_path, bootstrap=True)
    path = tmp_path / "node-5" / "incarnation-1" / "checkpoint.sqlite3"
    path.write_bytes(b"not a checkpoint" * 400)
    opened = start(tmp_path)
    assert opened.loss.startswith(f"the checkpoint is damaged: {path}: ")
    assert opened.recovered.learner
    assert path.with_name("checkpoint.damaged.sqlite3").exists()
    assert not path.exists()


def test_a_damaged_journal_keeps_its_good_part(tmp_path: Path) -> None:
    start(tmp_path, bootstrap=True)
    flip(tmp_path / "node-5" / "incarnation-1" / "journal" / "00000001.segment", 70)
    opened = start(tmp_path)
    assert "segment 1 of the journal is damaged" in opened.loss
    assert opened.recovered.learner


def test_an_unwritable_place_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="a part of the path is a file"):
        folder(tmp_path / "file")


def test_a_full_disk_is_said_plainly(tmp_path: Path) -> None:
    files = FaultyFiles()
    files.error_on_open = errno.ENOSPC
    node = NodeFolder(tmp_path, 5, FIRST, SEGMENT_BYTES_MIN, files)
    with pytest.raises(StorageError, match="the disk is full"):
        node.start(bootstrap=True)
    node.close()
    assert start(tmp_path, bootstrap=True).recovered.bootstrap
