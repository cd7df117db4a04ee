"""LocalBank with stand-in workers."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from consensus import topology_file
from consensus.cluster.folder import FolderError
from consensus.cluster.launcher import LocalBank, StartError
from consensus.cluster.ports import PortBusyError
from tests.cluster.conftest import ROOT, lives, probe, small_topology, until

pytestmark = pytest.mark.process

Make = Callable[..., LocalBank]


async def role(bank: LocalBank, node: int) -> str:
    answer = await probe(bank.topology.nodes[node], "")
    return str(answer["role"])


async def test_start_prepares_the_folder_and_waits_for_a_leader(make_bank: Make) -> None:
    told: list[str] = []
    bank = make_bank(small_topology(2, 3), progress=told.append)
    async with bank:
        statuses = await bank.statuses()
        assert {node: status["role"] for node, status in statuses.items()} == {
            1: "leader", 2: "follower", 3: "follower", 4: "leader", 5: "follower", 6: "follower",
        }  # fmt: skip
        assert {status["secret"] for status in statuses.values()} == {bank.secret}
        assert topology_file.load(bank.data_dir / "nodes.yaml") == bank.topology
        assert json.loads((bank.data_dir / "created.json").read_text()) == {"nodes": [1, 2, 3, 4, 5, 6]}
        assert stat.S_IMODE((bank.data_dir / "secret").stat().st_mode) == 0o600
        assert "a first line" in (bank.data_dir / "logs" / "node-1.log").read_text()
        assert told[0] == "starting 6 nodes"
        pids = [child.pid for child in bank.children.values()]
    assert not any(lives(pid) for pid in pids if pid)
    assert all(child.exit_status == -signal.SIGTERM for child in bank.children.values())


async def test_secret_and_created_nodes_outlive_a_restart(make_bank: Make) -> None:
    topology = small_topology()
    async with make_bank(topology) as bank:
        secret = bank.secret
        assert "--bootstrap" in bank.children[1].command
    async with make_bank(topology) as bank:
        assert bank.secret == secret
        assert "--bootstrap" not in bank.children[1].command


async def test_a_lost_node_folder_makes_a_learner(make_bank: Make) -> None:
    topology = small_topology()
    async with make_bank(topology) as bank:
        folder = bank.data_dir / "node-2"
    shutil.rmtree(folder)
    async with make_bank(topology) as bank:
        assert await role(bank, 2) == "learner"
        assert await role(bank, 1) == "leader"


async def test_kill_restart_pause_resume(bank: LocalBank) -> None:
    first = bank.children[2].pid
    bank.kill(2)
    assert bank.children[2].pid is None
    assert bank.children[2].exit_status == -signal.SIGKILL
    with pytest.raises(OSError):  # noqa: PT011  (whatever a closed port gives)
        await role(bank, 2)
    bank.restart(2)
    await bank.wait_ready()
    assert bank.children[2].pid not in (None, first)
    bank.pause(2)
    assert bank.children[2].paused
    assert set(await bank.statuses([1, 3])) == {1, 3}
    await bank.wait_ready()  # does not wait for the one that stands still
    bank.resume(2)
    assert await role(bank, 2) == "follower"


async def test_restart_of_a_running_node_replaces_it(bank: LocalBank) -> None:
    first = bank.children[3].pid
    bank.restart(3)
    await bank.wait_ready()
    assert bank.children[3].pid != first
    assert first is not None
    assert not lives(first)


async def test_stop_ends_paused_and_stubborn_workers(make_bank: Make) -> None:
    bank = make_bank(mode="stubborn")
    await bank.start()
    pids = [child.pid for child in bank.children.values()]
    bank.pause(1)
    await bank.stop(timeout_s=0.2)
    assert not any(lives(pid) for pid in pids if pid)
    assert {child.exit_status for child in bank.children.values()} == {-signal.SIGKILL}


async def test_an_unknown_node_is_named(bank: LocalBank) -> None:
    with pytest.raises(KeyError, match=r"node 9 was not started here; there are \[1, 2, 3\]"):
        bank.kill(9)


async def test_a_worker_that_ends_at_the_start_is_reported_with_its_log(make_bank: Make) -> None:
    bank = make_bank(mode="refuse")
    with pytest.raises(StartError) as caught:
        await bank.start()
    assert "stopped with status 2" in str(caught.value)
    assert str(caught.value).endswith("a first line\ntimings.heartbeat_ms: not to my taste")
    assert not any(child.running for child in bank.children.values())


async def test_a_cluster_without_leader_is_reported(make_bank: Make) -> None:
    bank = make_bank(mode="headless")
    with pytest.raises(StartError, match=r"clusters \[1\] have no leader; see .*logs"):
        await bank.start(timeout_s=1.0)
    assert not any(child.running for child in bank.children.values())


async def test_a_busy_port_is_said_before_anything_starts(make_bank: Make) -> None:
    bank = make_bank()
    node = bank.topology.nodes[2]
    with socket.create_server((node.host, node.port)):
        with pytest.raises(PortBusyError, match=f"port {node.port} on 127.0.0.1 .*another program uses it"):
            await bank.start()
    assert not bank.children
    async with bank:  # the folder was given free
        assert bank.folder.running_pid() == os.getpid()
    assert bank.folder.running_pid() is None


async def test_a_folder_is_for_one_bank_at_a_time(make_bank: Make, bank: LocalBank) -> None:
    with pytest.raises(FolderError, match=rf"is running already \(process {os.getpid()}\)"):
        await make_bank().start()
    assert all(child.running for child in bank.children.values())


async def test_a_bank_keeps_its_members(make_bank: Make) -> None:
    async with make_bank(small_topology(1, 3)):
        pass
    with pytest.raises(
        FolderError, match="was made as 1 clusters of 3 nodes with 30 accounts of 10, not 2 clusters"
    ):
        await make_bank(small_topology(2, 3)).start()
    async with make_bank(small_topology(1, 3)) as bank:  # other ports are no other bank
        assert topology_file.load(bank.data_dir / "nodes.yaml") == bank.topology


async def test_a_folder_under_a_file_is_said_plainly(make_bank: Make, tmp_path: Path) -> None:
    (tmp_path / "a bank").write_text("a file")
    with pytest.raises(
        FolderError, match=r"cannot be used: a (part of the path is a file|file stands where)"
    ):
        await make_bank().start()


async def test_a_damaged_list_of_created_nodes_stops_the_start(make_bank: Make) -> None:
    bank = make_bank()
    bank.data_dir.mkdir()
    (bank.data_dir / "created.json").write_text("[oops")
    with pytest.raises(FolderError, match=r"created\.json is damaged"):
        await bank.start()


PARENT = """
import asyncio, os, sys
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.cluster.conftest import command, probe
from consensus import topology_file
from consensus.cluster.launcher import LocalBank

async def main():
    topology = topology_file.load(sys.argv[1])
    bank = LocalBank(topology, sys.argv[2], command=command, probe=probe)
    await bank.start()
    bank.pause(2)
    print(*(child.pid for child in bank.children.values()), flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_workers_end_with_their_parent_even_paused_ones(tmp_path: Path) -> None:
    config = tmp_path / "nodes.yaml"
    config.write_text(topology_file.dump(small_topology()))
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(root=str(ROOT)), str(config), str(tmp_path / "data")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    try:
        assert parent.stdout is not None
        pids = [int(pid) for pid in (await asyncio.to_thread(parent.stdout.readline)).split()]
        assert len(pids) == 3
        assert all(lives(pid) for pid in pids)
    finally:
        parent.kill()
        parent.wait(10)
        parent.stdout.close()
    await until(lambda: not any(lives(pid) for pid in pids), "the workers end with their parent")
