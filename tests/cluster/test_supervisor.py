"""The supervisor: who ends unasked comes back, who is killed on purpose stays down."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import stat
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from consensus.cluster import charge, ports, steering
from consensus.cluster.folder import FolderError
from consensus.cluster.launcher import LocalBank, StartError
from consensus.cluster.supervisor import Site, Supervisor
from tests.cluster.conftest import lives, until

pytestmark = pytest.mark.process

Make = Callable[..., LocalBank]

SITE = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    listener.accept()[0].close()
"""


def make_site(port: int, prepare: str = "print('migrated')", command: str = SITE) -> Site:
    async def answers() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    return Site(
        prepare=[[sys.executable, "-c", prepare]],
        command=[sys.executable, "-c", command, str(port)],
        environment=dict(os.environ),
        answers=answers,
    )


@asynccontextmanager
async def running(
    bank: LocalBank, site: Site | None = None, told: list[str] | None = None
) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(bank, site, told=told.append if told is not None else None)
    await supervisor.start()
    try:
        yield supervisor
    finally:
        await supervisor.stop()


def state(supervisor: Supervisor, node: int) -> str:
    return str(supervisor.charges[node].status()["state"])


async def ask(supervisor: Supervisor, op: str, node: int | None = None) -> Any:
    return await steering.ask(supervisor.bank.folder.socket_path, op, node)


async def test_an_unasked_death_is_made_good(make_bank: Make) -> None:
    told: list[str] = []
    async with running(make_bank(), told=told) as supervisor:
        pid = supervisor.charges[2].child.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: supervisor.charges[2].restarts == 1, "node 2 is started again")
        assert state(supervisor, 2) == "running"
        assert supervisor.charges[2].child.pid != pid
    assert any(line.startswith("node-2 was ended by SIGKILL; starting it again in 0.25 s") for line in told)


async def test_killed_on_purpose_stays_down_until_restart(make_bank: Make) -> None:
    async with running(make_bank()) as supervisor:
        body = await ask(supervisor, "kill", 3)
        assert (body["state"], body["wanted"], body["exit"]) == ("down", "down", -signal.SIGKILL)
        # Another node dies after it and is back: by then node 3 would be, too.
        other = supervisor.charges[2].child.pid
        assert other is not None
        os.kill(other, signal.SIGKILL)
        await until(lambda: supervisor.charges[2].restarts == 1, "node 2 is started again")
        assert state(supervisor, 3) == "down"
        await ask(supervisor, "restart", 3)
        await until(lambda: state(supervisor, 3) == "running", "node 3 runs again")
        assert supervisor.charges[3].restarts == 0


async def test_restart_of_a_running_node_needs_no_back_off(make_bank: Make) -> None:
    told: list[str] = []
    async with running(make_bank(), told=told) as supervisor:
        before = supervisor.charges[1].child.pid
        await ask(supervisor, "restart", 1)
        await until(lambda: supervisor.charges[1].child.pid not in (None, before), "node 1 runs again")
        assert not any("node-1" in line for line in told)


async def test_pause_and_resume(make_bank: Make) -> None:
    async with running(make_bank()) as supervisor:
        await supervisor.bank.wait_ready()
        assert (await ask(supervisor, "pause", 2))["state"] == "paused"
        assert set(await supervisor.bank.statuses([1, 3])) == {1, 3}
        assert (await ask(supervisor, "resume", 2))["state"] == "running"
        assert set(await supervisor.bank.statuses([2])) == {2}
        await ask(supervisor, "pause", 2)
        assert (await ask(supervisor, "kill", 2))["state"] == "down"


async def test_back_off_doubles_up_to_a_limit(make_bank: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charge, "BACKOFF_MOST_S", 1.0)
    told: list[str] = []
    async with running(make_bank(mode="crash"), told=told):
        await until(lambda: sum("node-1" in line for line in told) >= 4, "node 1 ends four times", 60)
    lines = [line for line in told if line.startswith("node-1 stopped with status 1")]
    delays = [line.partition("again in ")[2].partition(" s")[0] for line in lines[:4]]
    assert delays == ["0.25", "0.5", "1", "1"]
    assert "its last line: something broke" in lines[0]


async def test_a_configuration_error_ends_the_start(make_bank: Make) -> None:
    bank = make_bank(mode="refuse")
    with pytest.raises(StartError, match=r"(?s)node \d stopped with status 2; .*not to my taste"):
        await Supervisor(bank).start()
    assert not any(child.running for child in bank.children.values())
    assert bank.folder.running_pid() is None


async def test_a_disk_failure_of_a_new_bank_ends_the_start(make_bank: Make) -> None:
    with pytest.raises(StartError, match=r"(?s)stopped with status 3; .*the disk is full"):
        await Supervisor(make_bank(mode="disk")).start()


async def test_a_new_bank_whose_workers_end_at_once_is_given_up(make_bank: Make) -> None:
    with pytest.raises(StartError, match=r"(?s)node \d stopped with status 1; .*broke at once"):
        await Supervisor(make_bank(mode="broken")).start()


async def test_a_leaderless_cluster_does_not_keep_the_site_down(make_bank: Make) -> None:
    told: list[str] = []
    supervisor = Supervisor(make_bank(mode="headless"), told=told.append)
    await supervisor.start(timeout_s=1.0)
    await supervisor.stop()
    assert any(line.startswith("clusters [1] have no leader") for line in told)


async def test_folders_that_come_late_are_noted(make_bank: Make) -> None:
    """A node without a noted folder may bootstrap, so each folder has to be noted, however late it comes."""
    supervisor = Supervisor(make_bank(mode="headless"))
    bank = supervisor.bank
    await supervisor.start(timeout_s=0.0)
    await until(lambda: bank.folder.created() == {1, 2, 3}, "all folders are noted")
    await supervisor.stop()
    shutil.rmtree(bank.data_dir / "node-2")
    bank.prepare()
    bank.spawn(2)
    assert "--bootstrap" not in bank.children[2].command
    await bank.stop()


async def test_the_site_is_prepared_started_and_started_again(make_bank: Make) -> None:
    (port,) = ports.free_ports(1)
    site = make_site(port)
    bank = make_bank()
    async with running(bank, site) as supervisor:
        assert "migrated" in (bank.data_dir / "logs" / "site.log").read_text()
        assert supervisor.site_charge is not None
        pid = supervisor.site_charge.child.pid
        nodes = [supervisor.charges[node].child.pid for node in (1, 2, 3)]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: supervisor.site_charge.restarts == 1, "the site is started again")  # type: ignore[union-attr]
        while not await site.answers():
            assert supervisor.site_charge.restarts == 1, "the site ended again"
        assert [supervisor.charges[node].child.pid for node in (1, 2, 3)] == nodes, (
            "the bank outlives the site"
        )
        last = supervisor.site_charge.child.pid
    assert last is not None
    assert not lives(last)


@pytest.mark.parametrize(
    ("prepare", "command", "message"),
    [
        (
            "import sys; sys.exit('no room for tables')",
            SITE,
            "(?s)stopped with status 1; .*no room for tables",
        ),
        (
            "pass",
            "import sys; sys.exit('cannot serve')",
            "(?s)the site stopped with status 1; .*cannot serve",
        ),
    ],
)
async def test_a_site_that_does_not_come_up_ends_the_start(
    make_bank: Make, prepare: str, command: str, message: str
) -> None:
    bank = make_bank()
    (port,) = ports.free_ports(1)
    with pytest.raises(StartError, match=message):
        await Supervisor(bank, make_site(port, prepare, command)).start()
    assert not any(child.running for child in bank.children.values())


async def test_status_tells_of_all(make_bank: Make) -> None:
    async with running(make_bank()) as supervisor:
        body = await ask(supervisor, "status")
        assert set(body["nodes"]) == {"1", "2", "3"}
        node = body["nodes"]["1"]
        assert node["state"] == "running"
        assert node["pid"] == supervisor.charges[1].child.pid
        assert body["site"] is None


async def test_the_socket_is_the_owners_alone(make_bank: Make) -> None:
    async with running(make_bank()) as supervisor:
        path = supervisor.bank.folder.socket_path
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()
    with pytest.raises(
        steering.SteeringError, match=r"no supervisor answers at .*; start the bank with runbank"
    ):
        await steering.ask(path, "status")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"nonsense\n", "Expecting value"),
        (b"[1]\n", "a request is a JSON object"),
        (
            b'{"op": "explode", "node": 1}\n',
            "op: must be one of kill, restart, pause, resume or status, not 'explode'",
        ),
        (b'{"op": ["kill"], "node": 1}\n', "op: must be one of"),
        (b'{"op": "kill", "node": 7}\n', "node: must be one of [1, 2, 3], not 7"),
        (b'{"op": "kill", "node": "1"}\n', "node: must be one of [1, 2, 3], not '1'"),
        (b'{"op": "kill"}\n', "node: must be one of [1, 2, 3], not None"),
        (b"x" * (steering.LINE_BYTES_MAX + 10) + b"\n", "line too long"),
    ],
)
async def test_bad_requests_change_nothing(make_bank: Make, line: bytes, error: str) -> None:
    async with running(make_bank()) as supervisor:
        reader, writer = await asyncio.open_unix_connection(str(supervisor.bank.folder.socket_path))
        writer.write(line)
        answer = json.loads(await reader.readline())
        assert answer["ok"] is False
        assert answer["error"].startswith(error)
        writer.close()
        assert {state(supervisor, node) for node in (1, 2, 3)} == {"running"}


async def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 20) / ("deeper" * 10)
    folder.mkdir(parents=True)
    server = await steering.serve(folder / "supervisor.sock", lambda request: request)
    async with server:
        assert await steering.ask(folder / "supervisor.sock", "status") == {"op": "status"}


async def test_a_second_supervisor_is_refused(make_bank: Make) -> None:
    async with running(make_bank()) as supervisor:
        with pytest.raises(FolderError, match="is running already"):
            await Supervisor(make_bank()).start()
        assert set((await ask(supervisor, "status"))["nodes"]) == {"1", "2", "3"}
