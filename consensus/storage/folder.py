"""A node's folder: whose it is, which incarnation lives in it, and what is found there at a start.

Layout::

    node-<id>/
      lock                                  held by the worker that uses the folder
      incarnation-<n>/journal/              see segments.py
      incarnation-<n>/checkpoint.sqlite3

A new incarnation is made under another name, completely and durably, and comes into being with one rename,
before anything acts in it. The highest one counts; those before it are removed.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from pathlib import Path
from typing import Final, NamedTuple

from consensus.effects import Recovered
from consensus.messages.rows import Row
from consensus.storage import checkpoint, segments
from consensus.storage.errors import FolderInUse, told
from consensus.storage.files import Files
from consensus.storage.segments import Found, Tracked
from consensus.types import BALLOT_NONE, Ballot, NodeId

_NAME: Final = re.compile(r"incarnation-(\d{1,18})")
UNKNOWN: Final = 0
"""Incarnation of a node that has lost its folder, until another node tells it the number."""


class Opened(NamedTuple):
    """An incarnation ready to be run."""

    recovered: Recovered
    journal_folder: Path
    journal: Found
    checkpoint_path: Path
    loss: str
    """Why the node has to be a learner, in words; empty when nothing was lost just now."""


class NodeFolder:
    """The locked folder of one node.

    Args:
        data: the bank's data folder.
        node: whose folder.
        first: the ballot that counts as promised in a new incarnation.
        segment_bytes: size of journal segments.

    Raises:
        FolderInUse: another worker has it.
        StorageError: it cannot be made or locked.
    """

    def __init__(
        self, data: Path, node: NodeId, first: Ballot, segment_bytes: int, files: Files | None = None
    ) -> None:
        self.path = data / f"node-{node}"
        self.files = files or Files()
        self._node = node
        self._first = first
        self._size = max(segment_bytes, segments.SEGMENT_BYTES_MIN)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise told("opening", self.path, error) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.pread(self._lock, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._lock)
            raise FolderInUse(
                f"{self.path} is in use by another worker (process {pid}); stop it first"
            ) from error
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Give the folder free."""
        os.close(self._lock)

    def start(self, bootstrap: bool) -> Opened:
        """Open the incarnation that lives here.

        Args:
            bootstrap: a folder that is empty may begin incarnation 1; without it, an empty folder
                means that everything was lost.

        Raises:
            StorageError: the disk fails.
        """
        try:
            numbers = self._incarnations()
            if numbers:
                return self._open(max(numbers))
        except OSError as error:
            raise told("opening", self.path, error) from error
        if bootstrap:
            return self.begin(1, learner=False)
        return self.begin(UNKNOWN, learner=True)._replace(loss="the node's folder is missing")

    def begin(self, incarnation: int, learner: bool) -> Opened:
        """Begin a new incarnation, durably, and remove what was before it.

        Args:
            incarnation: its number, higher than the one that lives here.
            learner: the node may have taken part in it before and lost that: it promises nothing.

        Raises:
            StorageError: the disk fails.
        """
        files, draft = self.files, self.path / "incarnation.new"
        try:
            if draft.exists():
                shutil.rmtree(draft)  # a crash while it was being made
            head = Tracked(BALLOT_NONE if learner else self._first, 0, learner)
            segments.create(files, draft / "journal", self._node, incarnation, head, self._size)
            files.sync_folder(draft)
            files.rename(draft, self._folder(incarnation))
            files.sync_folder(self.path)
            opened = self._open(incarnation)
        except OSError as error:
            raise told("making a new incarnation in", self.path, error) from error
        opened.recovered.bootstrap = not learner
        return opened

    def _open(self, incarnation: int) -> Opened:
        for number in self._incarnations():
            if number < incarnation:
                shutil.rmtree(self._folder(number))
        folder = self._folder(incarnation)
        journal_folder, checkpoint_path = folder / "journal", folder / "checkpoint.sqlite3"
        journal_folder.mkdir(exist_ok=True)
        lost = ""
        rows: list[Row] = []
        try:
            rows = checkpoint.load(checkpoint_path)
        except checkpoint.CheckpointDamaged as error:
            lost = f"the checkpoint is damaged: {error}"
            checkpoint.set_aside(checkpoint_path)
        slot = checkpoint.slot_in(rows)
        found = segments.recover(self.files, journal_folder, self._node, incarnation, self._size, slot, lost)
        recovered = Recovered(incarnation, False, found.tracked.learner, rows, found.records)
        return Opened(recovered, journal_folder, found, checkpoint_path, found.loss)

    def _folder(self, incarnation: int) -> Path:
        return self.path / f"incarnation-{incarnation}"

    def _incarnations(self) -> list[int]:
        """Numbers of those that are there."""
        return [int(match[1]) for match in map(_NAME.fullmatch, self.files.names(self.path)) if match]
