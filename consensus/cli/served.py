"""A private bank as people run one: ``manage.py runbank`` with its site, recording, in a temporary folder."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit
from urllib.request import urlopen

from consensus import topology_file
from consensus.cluster.folder import DataFolder
from consensus.cluster.launcher import PROJECT, StartError
from consensus.cluster.ports import free_ports
from consensus.cluster.process import Child
from consensus.topology import Topology

START_TIMEOUT_S: Final = 90.0
STOP_TIMEOUT_S: Final = 20.0
_POLL_S: Final = 0.05
_ASK_S: Final = 5.0
READY_PATH: Final = "/api/health/ready/"
OK: Final = 200
_OURS: Final = "PAXOS_BANK_"


class ServedBank(NamedTuple):
    """``url``: of the site, token included. ``secret``: of the bank's nodes. ``pid``: the parent of all."""

    url: str
    secret: str
    pid: int


@asynccontextmanager
async def served_bank(topology: Topology) -> AsyncIterator[ServedBank]:
    """The bank of ``topology`` and its site; stopped and deleted at the end.

    Settings of another bank in the environment do not reach it.

    Raises:
        StartError: it did not come up; the text holds the end of what it said.
    """
    home = Path(tempfile.mkdtemp(prefix="paxos-bank-"))
    data, config = home / "data", home / "nodes.yaml"
    config.write_text(topology_file.dump(topology), encoding="utf-8")
    (port,) = free_ports(1)
    command = [sys.executable, "manage.py", "runbank", "--no-open", "--no-ambient", "--port", str(port)]
    command += ["--config", str(config), "--data-dir", str(data)]
    env = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    child = Child("runbank", command, env=env, cwd=PROJECT, log_path=home / "runbank.log")
    try:
        child.spawn()
        url = await _announced(child, DataFolder(data))
        assert child.pid is not None
        yield ServedBank(url, DataFolder(data).secret(), child.pid)
    finally:
        await child.stop(STOP_TIMEOUT_S)
        shutil.rmtree(home, ignore_errors=True)


async def _announced(child: Child, folder: DataFolder) -> str:
    """The URL, once the site has heard of a leader with a majority in each cluster."""
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while child.running:
                if folder.url_path.exists():
                    url = folder.url_path.read_text(encoding="ascii").strip()
                    if await asyncio.to_thread(_ready, url):
                        return url
                await asyncio.sleep(_POLL_S)
    except TimeoutError as error:
        raise StartError(f"the bank is not ready after {START_TIMEOUT_S:g} s:\n{child.tail()}") from error
    raise StartError(f"runbank {child.describe_end()}:\n{child.tail()}")


def _ready(url: str) -> bool:
    site = urlsplit(url)
    try:
        with urlopen(f"{site.scheme}://{site.netloc}{READY_PATH}", timeout=_ASK_S) as answer:
            return bool(answer.status == OK)
    except OSError:  # refused, late, or 503: a cluster without a leader, a site that has not heard of it
        return False
