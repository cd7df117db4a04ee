"""The whole thing as a person starts it: runbank, REST, kill -9 of everything, start again, nothing lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from consensus.cluster import ports
from consensus.cluster.folder import DataFolder
from tests.cluster.conftest import lives

ROOT = Path(__file__).parents[2]
WAIT_S = 60.0
Met = TypeVar("Met")


class Running:
    """A bank and its site behind ``runbank``, driven over REST."""

    def __init__(self, process: subprocess.Popen[bytes], folder: DataFolder) -> None:
        self.process = process
        self.url = folder.url_path.read_text(encoding="utf-8").strip()
        self.base, _, self.token = self.url.partition("/?token=")

    def rest(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and document of one request to ``/api/…``."""
        request = urllib.request.Request(
            f"{self.base}/api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Token {self.token}", "Content-Type": "application/json", **headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def children(self) -> list[int]:
        """Pids of the workers and the site."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text(encoding="utf-8").split()]


def until(condition: Callable[[], Met], what: str) -> Met:
    """What the condition returns once that is true."""
    deadline = time.monotonic() + WAIT_S
    while not (met := condition()):
        assert time.monotonic() < deadline, f"waited {WAIT_S:g} s in vain: {what}"
        time.sleep(0.05)
    return met


@contextmanager
def runbank(data: Path, *options: str) -> Iterator[Running]:
    """Run it until the block ends, then stop it politely unless it is gone already."""
    (site_port,) = ports.free_ports(1)
    folder = DataFolder(data)
    folder.url_path.unlink(missing_ok=True)
    log_path = data.with_suffix(".log")
    command = [sys.executable, "manage.py", "runbank", "--no-open", "--no-ambient"]
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [*command, "--port", str(site_port), "--data-dir", str(data), *options],
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
    try:
        until(lambda: folder.url_path.exists() or process.poll() is not None, "runbank says its URL")
        assert process.poll() is None, log_path.read_text(encoding="utf-8")
        yield Running(process, folder)
    finally:
        if process.poll() is None:
            process.terminate()
        assert process.wait(WAIT_S) in (0, -signal.SIGKILL), log_path.read_text(encoding="utf-8")


@pytest.mark.timeout(240)
def test_nothing_is_lost_when_everything_is_killed(tmp_path: Path) -> None:
    data = tmp_path / "the bank"
    bodies: dict[str, Any] = {}
    with runbank(data) as bank:
        for number in range(5):
            key = f"key-{number}"
            status, body = bank.rest(
                "POST",
                "transactions/",
                {"sender": 21, "receiver": 700, "amount": 1},
                **{"Idempotency-Key": key},
            )
            assert (status, body["outcome"]) == (200, "committed"), body
            bodies[key] = body
        status, body = bank.rest("POST", "transactions/", {"sender": 21, "receiver": 700, "amount": 6})
        assert (status, body["outcome"], body["reason"]) == (200, "aborted", "insufficient_funds")
        pids = bank.children()
        assert len(pids) == 10
        bank.process.kill()
        bank.process.wait(WAIT_S)
        until(lambda: not any(lives(pid) for pid in pids), "workers and site end with the supervisor")
    with runbank(data) as bank:
        until(lambda: bank.rest("GET", "health/ready/")[0] == 200, "each cluster has a leader again")
        for account, balance in ((21, 5), (700, 15)):
            status, body = bank.rest("GET", f"accounts/{account}/")
            assert status == 200, body
            assert (body["balance"], body["version"]) == (balance, 5)
        for key, before in bodies.items():
            status, body = bank.rest(
                "POST",
                "transactions/",
                {"sender": 21, "receiver": 700, "amount": 1},
                **{"Idempotency-Key": key},
            )
            assert status == 200
            assert (body["id"], body["positions"]) == (before["id"], before["positions"])
        status, body = bank.rest("GET", "accounts/21/")
        assert body["balance"] == 5, "a repeated key ran again"


@pytest.mark.timeout(240)
def test_in_the_background(tmp_path: Path) -> None:
    """start, status and stop, and a start after everything was killed, when the pid on the disk is stale."""
    data = tmp_path / "a bank"
    (port,) = ports.free_ports(1)

    def background(command: str, *options: str) -> tuple[int, str]:
        result = subprocess.run(
            [sys.executable, "scripts/background.py", command, str(data), *options],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=WAIT_S + 30,
            check=False,
        )
        return result.returncode, result.stdout + result.stderr

    start = ("start", "--port", str(port), "--clusters", "1")
    assert background("status") == (3, "nothing runs\n")
    status, said = background(*start)
    assert (status, said.startswith("started (process ")) == (0, True), said
    try:
        url = DataFolder(data).url_path.read_text(encoding="utf-8").strip()
        assert url.startswith(f"http://127.0.0.1:{port}/?token=")
        assert said.endswith(f": {url}\n")
        assert background(*start) == (0, said.replace("started (", "running already ("))
        status, told = background("status")
        assert (status, [line.split()[:3] for line in told.splitlines()[1:]]) == (
            0,
            [
                ["node", "1", "running"],
                ["node", "2", "running"],
                ["node", "3", "running"],
                ["site", "running", "pid"],
            ],
        )
        pid = DataFolder(data).running_pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        until(lambda: not lives(pid), "the supervisor is gone")
        assert background("status") == (3, "nothing runs\n")
        status, said = background(*start)
        assert status == 0, said
    finally:
        assert background("stop") == (0, "stopped\n")
    assert background("stop") == (0, "nothing runs\n")


@pytest.mark.timeout(240)
def test_faults_over_rest(tmp_path: Path) -> None:
    """Kill, restart, fail and recover a leader through the site; an unasked death is made good."""
    with runbank(tmp_path / "bank", "--accounts", "90") as bank:

        def node(number: int) -> dict[str, Any]:
            status, body = bank.rest("GET", f"nodes/{number}/")
            assert status == 200, body
            return dict(body)

        def transfer_commits() -> bool:
            status, body = bank.rest("POST", "transactions/", {"sender": 1, "receiver": 2, "amount": 1})
            return (status, body.get("outcome")) == (200, "committed")

        def leading() -> list[int]:
            return [number for number in (1, 2, 3) if node(number)["role"] == "leader"]

        until(lambda: node(1)["role"] == "leader", "node 1 tells that it leads")
        assert bank.rest("POST", "nodes/1/kill/")[0] == 200
        until(transfer_commits, "the others elect a leader")
        assert node(1)["state"] == "killed"
        assert bank.rest("POST", "nodes/1/restart/")[0] == 200
        until(lambda: node(1)["role"] in ("follower", "leader"), "node 1 is back")

        # Roles come from the last status of each node: on a busy machine the next election may be on its way.
        leader = until(leading, "a leader is shown")[0]
        assert bank.rest("POST", f"nodes/{leader}/fail/")[0] == 200
        until(lambda: node(leader)["state"] == "failed", "the leader acts disconnected")
        until(transfer_commits, "the others elect a leader again")
        assert bank.rest("POST", f"nodes/{leader}/recover/")[0] == 200
        until(
            lambda: (node(leader)["state"], node(leader)["role"] != "") == ("up", True),
            "the old leader is back",
        )

        pid = bank.children()[0]
        os.kill(pid, signal.SIGKILL)
        until(lambda: len(bank.children()) == 10 and pid not in bank.children(), "a dead worker is replaced")
        until(transfer_commits, "transfers go on")
