"""Banks of stand-in workers: what starts, watches and ends processes is tested without the bank in them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from consensus import topology_file
from consensus.cluster import ports
from consensus.cluster.launcher import LocalBank
from consensus.topology import Node, Topology

STAND_IN = Path(__file__).with_name("stand_in.py")
ROOT = Path(__file__).parents[2]


def command(node: Node, config: Path, data: Path, bootstrap: bool) -> list[str]:
    line = [
        sys.executable,
        str(STAND_IN),
        "--node",
        str(node.id),
        "--config",
        str(config),
        "--data",
        str(data),
    ]
    return [*line, "--bootstrap"] if bootstrap else line


async def probe(node: Node, _secret: str) -> dict[str, Any]:
    reader, writer = await asyncio.open_connection(node.host, node.port)
    try:
        line = await reader.readline()
    finally:
        writer.close()
    if not line:
        raise ConnectionResetError
    answer: dict[str, Any] = json.loads(line)
    return answer


def small_topology(clusters: int = 1, nodes: int = 3) -> Topology:
    return topology_file.with_ports(
        topology_file.generate(clusters, nodes, 30), ports.free_ports(clusters * nodes)
    )


@pytest.fixture
def make_bank(tmp_path: Path) -> Callable[..., LocalBank]:
    def make(topology: Topology | None = None, mode: str = "", **options: Any) -> LocalBank:
        environment = {**os.environ, "STAND_IN": mode, "PYTHONPATH": str(ROOT)}
        environment.pop("PAXOS_BANK_SECRET", None)
        return LocalBank(
            topology or small_topology(),
            tmp_path / "a bank",
            environment=environment,
            command=command,
            probe=probe,
            **options,
        )

    return make


@pytest.fixture
async def bank(make_bank: Callable[..., LocalBank]) -> AsyncIterator[LocalBank]:
    async with make_bank() as running:
        yield running


async def until(condition: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    """Wait until ``condition`` holds, or fail."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s in vain: {what}"
        await asyncio.sleep(0.01)


def lives(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
