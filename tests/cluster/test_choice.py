"""Which topology a bank gets, and that the data folder's errors say what to do."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from consensus import topology_file
from consensus.cluster import folder as folder_module
from consensus.cluster import ports
from consensus.cluster.choice import Sizes, choose
from consensus.cluster.folder import DataFolder, FolderError


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[DataFolder]:
    made = DataFolder(tmp_path / "bank")
    made.open()
    yield made
    made.close()


def live_in(folder: DataFolder, topology: topology_file.Topology) -> None:
    folder.store_topology(topology)
    folder.add_created(1)


def test_sizes_make_a_new_bank(folder: DataFolder) -> None:
    topology = choose(folder, None, Sizes(clusters=2, accounts=10))
    assert len(topology.clusters) == 2
    assert topology.accounts == 10
    assert len(topology.clusters[0].nodes) == 3


def test_without_sizes_it_is_the_shipped_one(folder: DataFolder) -> None:
    topology = choose(folder, None, Sizes())
    assert (len(topology.nodes), topology.accounts) == (9, 9000)


def test_a_bank_keeps_what_it_has(folder: DataFolder) -> None:
    stored = topology_file.with_ports(topology_file.generate(2, 1, 10, 5), ports.free_ports(2))
    live_in(folder, stored)
    assert choose(folder, None, Sizes()) == stored
    assert choose(folder, None, Sizes(clusters=2, balance=5)) == stored
    with pytest.raises(
        FolderError, match=r"--accounts: the bank in .* was made with 10, not 11; leave the option out"
    ):
        choose(folder, None, Sizes(accounts=11))


def test_sizes_of_a_start_that_failed_do_not_bind(folder: DataFolder) -> None:
    folder.store_topology(topology_file.generate(2, 1, 10))
    assert len(choose(folder, None, Sizes(clusters=1, nodes=1, accounts=4)).nodes) == 1


def test_busy_ports_are_exchanged_unless_a_file_names_them(folder: DataFolder, tmp_path: Path) -> None:
    taken = ports.free_ports(3)
    stored = topology_file.with_ports(topology_file.generate(1, 3, 9), taken)
    live_in(folder, stored)
    config = tmp_path / "named.yaml"
    config.write_text(topology_file.dump(stored))
    told: list[str] = []
    with ExitStack() as stack:
        stack.enter_context(socket.create_server(("127.0.0.1", taken[1])))
        topology = choose(folder, None, Sizes(), told.append)
        assert taken[1] not in {node.port for node in topology.nodes.values()}
        with pytest.raises(ports.PortBusyError, match=str(taken[1])):
            choose(folder, config, Sizes())
    assert told == [
        f"port {taken[1]} on 127.0.0.1 cannot be used: another program uses it; the nodes take other ports"
    ]
    assert choose(folder, config, Sizes()) == stored


def test_a_bank_that_starts_at_the_same_time_keeps_its_ports(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = ports.free_ports(3)
    live_in(folder, topology_file.with_ports(topology_file.generate(1, 3, 9), taken))
    claim = ports.claim
    monkeypatch.setattr(ports, "claim", lambda port: port != taken[1] and claim(port))
    told: list[str] = []
    topology = choose(folder, None, Sizes(), told.append)
    assert not {node.port for node in topology.nodes.values()} & set(taken)
    assert told == [f"port {taken[1]} is that of another bank that starts; the nodes take other ports"]


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EROFS, "the file system is read-only; choose another"),
        (errno.EACCES, "this user may not write there; choose another"),
        (errno.EIO, "Input/output error; choose another"),
    ],
)
def test_file_system_errors_say_what_to_do(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch, code: int, advice: str
) -> None:
    def broken(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(folder_module.os, "fsync", broken)
    with pytest.raises(FolderError, match=f"cannot be used: {advice}"):
        folder.secret()
    assert [path.name for path in folder.path.iterdir() if "secret" in path.name] == []


def test_a_stale_pid_is_nobody(folder: DataFolder) -> None:
    folder.close()
    folder.pid_path.write_text("1\n")  # a process that lives, but has no lock
    assert folder.running_pid() is None
    folder.open()
    assert folder.running_pid() == os.getpid()


def test_secrets_differ_by_name_and_stay(folder: DataFolder) -> None:
    assert folder.secret() == folder.secret()
    assert folder.secret() != folder.secret("token")
    assert len(folder.secret()) >= 40
    (folder.path / "token").write_text("\n")
    with pytest.raises(FolderError, match="token is empty; delete it to have a new one made"):
        folder.secret("token")
