"""A disk that is broken on purpose: it fails, waits and heals as it is told."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from consensus.storage.broken import BreakableFiles


@pytest.mark.parametrize(("kind", "number"), [("fail", errno.EIO), ("full", errno.ENOSPC)])
def test_writes_fail_until_it_is_healed(tmp_path: Path, kind: str, number: int) -> None:
    files = BreakableFiles()
    fd = files.open(tmp_path / "file")
    files.write_durably(fd, b"before", 0)
    files.break_(kind, 60_000)
    for broken in (lambda: files.write(fd, b"x", 0), lambda: files.write_durably(fd, b"x", 0)):
        with pytest.raises(OSError, match="on purpose") as raised:
            broken()
        assert raised.value.errno == number
    with pytest.raises(OSError, match="on purpose"):
        files.sync_data(fd)
    files.break_("", 0)
    files.write_durably(fd, b"after.", 0)
    assert (tmp_path / "file").read_bytes() == b"after."
    os.close(fd)


def test_a_stalled_disk_writes_in_the_end(tmp_path: Path) -> None:
    files = BreakableFiles()
    fd = files.open(tmp_path / "file")
    files.break_("stall", 80)
    begun = time.monotonic()
    files.write(fd, b"late", 0)
    assert time.monotonic() - begun >= 0.07
    assert (tmp_path / "file").read_bytes() == b"late"
    os.close(fd)
