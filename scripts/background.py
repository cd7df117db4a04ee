"""Run a bank in the background: ``background.py start|stop|status DATA [options of runbank]``.

The process that holds the lock on ``supervisor.pid`` in the data folder is the bank; a pid without that lock
is stale and ignored.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from consensus.cluster import steering  # noqa: E402
from consensus.cluster.folder import DataFolder, FolderError  # noqa: E402

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 30.0
POLL_S = 0.1


def start(folder: DataFolder, options: list[str]) -> int:
    """Start runbank detached, and wait until it says its URL or ends."""
    running = folder.running_pid()
    if running is not None:
        print(f"running already (process {running}): {url_of(folder)}")
        return 0
    log_path = folder.log_path("runbank")
    try:
        folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        log_path.parent.mkdir(exist_ok=True)
        log = log_path.open("wb")
    except OSError as error:
        print(f"start: {log_path.parent} cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    folder.url_path.unlink(missing_ok=True)
    command = [sys.executable, "manage.py", "runbank", "--no-open", "--data-dir", str(folder.path), *options]
    with log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        if folder.url_path.exists() and folder.running_pid() == process.pid:
            print(f"started (process {process.pid}): {url_of(folder)}")
            return 0
        time.sleep(POLL_S)
    if process.poll() is None:
        print(f"start: not ready after {START_TIMEOUT_S:g} s, still trying; see {log_path}", file=sys.stderr)
        return 1
    print(log_path.read_text(encoding="utf-8", errors="replace").rstrip(), file=sys.stderr)
    return 2


def stop(folder: DataFolder) -> int:
    """End the bank in the folder and wait until it is gone."""
    pid = folder.running_pid()
    if pid is None:
        print("nothing runs")
        return 0
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while folder.running_pid() == pid:
        if time.monotonic() > deadline:
            print(f"stop: process {pid} is still there after {STOP_TIMEOUT_S:g} s", file=sys.stderr)
            return 1
        time.sleep(POLL_S)
    print("stopped")
    return 0


def status(folder: DataFolder) -> int:
    """Say what runs; the exit status is 3 when nothing does, as service scripts have it."""
    pid = folder.running_pid()
    if pid is None:
        print("nothing runs")
        return 3
    try:
        body: dict[str, Any] = asyncio.run(steering.ask(folder.socket_path, "status", timeout_s=5))
    except steering.SteeringError as error:
        print(f"process {pid} runs but does not answer: {error}")
        return 1
    print(f"running (process {pid}): {url_of(folder)}")
    for name, process in [
        *((f"node {node}", row) for node, row in body["nodes"].items()),
        ("site", body["site"]),
    ]:
        if process is not None:
            detail = (
                f"pid {process['pid']}, {process['uptime_s']:.0f} s" if process["pid"] else process["reason"]
            )
            print(f"  {name:8} {process['state']:8} {detail}")
    return 0


def url_of(folder: DataFolder) -> str:
    """The URL that the bank wrote when it was ready."""
    try:
        return folder.url_path.read_text(encoding="utf-8").strip()
    except OSError:
        return "starting"


def main(arguments: list[str]) -> int:
    """Dispatch."""
    try:
        match arguments:
            case ["start", data, *options]:
                return start(DataFolder(data), options)
            case ["stop", data]:
                return stop(DataFolder(data))
            case ["status", data]:
                return status(DataFolder(data))
            case _:
                print(__doc__)
                return 2
    except FolderError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
