"""The data folder of a bank: who may use it, its secret, its topology, which nodes were created in it.

One bank at a time: the folder is locked by ``supervisor.pid`` for as long as the bank runs, and the kernel
drops that lock with the process, however it ends. A pid in a file without a lock is stale.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from consensus import topology_file
from consensus.topology import Topology
from consensus.types import NodeId

LOG_BYTES_MAX: Final = 16 << 20
"""A log longer than this is set aside (one generation) when its process starts."""


class FolderError(OSError):
    """The folder cannot be used; the text says why and what to do."""


class DataFolder:
    """Paths and small files of one bank's data folder."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).resolve()
        self.topology_path = self.path / "nodes.yaml"
        self.socket_path = self.path / "supervisor.sock"
        self.pid_path = self.path / "supervisor.pid"
        self.url_path = self.path / "url"
        self._created_path = self.path / "created.json"
        self._created: set[NodeId] | None = None
        self._lock: int | None = None

    def open(self) -> None:
        """Make the folder where it is missing and lock it.

        Raises:
            FolderError: not writable, no space, or another bank runs in it.
        """
        self.make()
        with self._told():
            (self.path / "logs").mkdir(exist_ok=True)
            lock = os.open(self.pid_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.pread(lock, 32, 0).decode(errors="replace").strip()
            os.close(lock)
            raise FolderError(
                f"the bank in {self.path} is running already (process {pid or 'unknown'}); "
                "stop it or choose another data folder"
            ) from error
        self._lock = lock
        with self._told():
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)

    def make(self) -> None:
        """Make the folder, for its owner only, where it is missing.

        Raises:
            FolderError: it cannot be made there.
        """
        with self._told():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def close(self) -> None:
        """Give the folder free. Harmless when it is not locked."""
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def running_pid(self) -> int | None:
        """The process that runs a bank in this folder now, or None."""
        try:
            lock = os.open(self.pid_path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(lock, 32, 0).strip()
            return int(text) if text.isdigit() else None
        else:
            return None
        finally:
            os.close(lock)

    def secret(self, name: str = "secret") -> str:
        """A random secret kept in the file ``name`` (mode 0600); made on first use.

        Raises:
            FolderError: it can be neither read nor made.
        """
        path = self.path / name
        with self._told():
            if not path.exists():
                write_durably(path, f"{secrets.token_urlsafe(32)}\n", mode=0o600)
            text = path.read_text(encoding="utf-8").strip()
        if not text:
            raise FolderError(f"{path} is empty; delete it to have a new one made")
        return text

    def stored_topology(self) -> Topology | None:
        """The topology that the bank in this folder has, None for a fresh folder.

        Raises:
            topology_file.TopologyError: ``nodes.yaml`` is damaged.
        """
        return topology_file.load(self.topology_path) if self.topology_path.exists() else None

    def store_topology(self, topology: Topology) -> None:
        """Write ``nodes.yaml``, unless the bank that lives here has other members or accounts.

        Raises:
            FolderError: it has, or the file cannot be written.
        """
        stored = self.stored_topology()
        if stored is not None and self.created() and _identity(stored) != _identity(topology):
            raise FolderError(
                f"the bank in {self.path} was made as {_size(stored)}, not {_size(topology)}; "
                "leave the sizes out to start it, or choose another data folder"
            )
        if stored != topology:
            with self._told():
                write_durably(self.topology_path, topology_file.dump(topology))

    def created(self) -> set[NodeId]:
        """Nodes whose folder was made in this bank's life; one that is gone now was lost.

        Raises:
            FolderError: ``created.json`` is damaged.
        """
        if self._created is not None:
            return self._created
        try:
            with self._told():
                found = self._created_path.exists()
                document = json.loads(self._created_path.read_bytes()) if found else {"nodes": []}
            self._created = {int(node) for node in document["nodes"]}
        except (ValueError, KeyError, TypeError) as error:
            raise FolderError(
                f'{self._created_path} is damaged ({error}); write {{"nodes": [...]}} with every node that '
                "has ever run in this folder"
            ) from error
        return self._created

    def add_created(self, node: NodeId) -> None:
        """Remember durably that ``node`` has its folder: from now on a missing one makes it a learner."""
        nodes = self.created()
        if node in nodes:
            return
        with self._told():
            write_durably(self._created_path, json.dumps({"nodes": sorted(nodes | {node})}) + "\n")
        nodes.add(node)

    def log_path(self, name: str) -> Path:
        """Where the process ``name`` (``node-1``, ``site``) logs."""
        return self.path / "logs" / f"{name}.log"

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn an error of the file system into one that says what to do."""
        try:
            yield
        except FolderError:
            raise
        except OSError as error:
            advice = {
                errno.ENOSPC: "the disk is full; free some space or choose another data folder",
                errno.EDQUOT: "the disk quota is used up; free some space or choose another data folder",
                errno.EROFS: "the file system is read-only; choose another data folder",
                errno.EACCES: "this user may not write there; choose another data folder",
                errno.EPERM: "this user may not write there; choose another data folder",
                errno.ENOTDIR: "a part of the path is a file; choose another data folder",
                errno.EEXIST: "a file stands where a folder is needed; choose another data folder",
            }.get(error.errno or 0, f"{error.strerror or error}; choose another data folder")
            raise FolderError(f"data folder {self.path} cannot be used: {advice}") from error


def write_durably(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace ``path`` by ``text`` so that a crash leaves the old or the new file, never a part."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _identity(topology: Topology) -> object:
    """What may not change while a bank lives: members and accounts. Addresses and timings may."""
    clusters = [(c.id, c.members, c.first_account, c.last_account) for c in topology.clusters]
    return topology.initial_balance, clusters


def _size(topology: Topology) -> str:
    sizes = sorted({len(cluster.nodes) for cluster in topology.clusters})
    nodes = "/".join(map(str, sizes))
    return (
        f"{len(topology.clusters)} clusters of {nodes} nodes with {topology.accounts} accounts of "
        f"{topology.initial_balance}"
    )
