"""A private bank for one command: free ports, a temporary folder, gone at the end."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from consensus import topology_file
from consensus.cluster.launcher import LocalBank
from consensus.cluster.ports import free_ports
from consensus.topology import Topology

Told = Callable[[str], None]


def to_stderr(text: str) -> None:
    """Progress goes to stderr: stdout belongs to the result."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def topology_of(clusters: int, nodes: int, accounts: int, balance: int) -> Topology:
    """A topology of these sizes on free ports of this machine.

    Raises:
        topology_file.TopologyError: a size makes no sense; the text names it.
        OSError: too few free ports.
    """
    topology = topology_file.generate(clusters=clusters, nodes=nodes, accounts=accounts, balance=balance)
    for warning in topology_file.warnings(topology):
        to_stderr(f"warning: {warning}")
    return topology_file.with_ports(topology, free_ports(clusters * nodes))


@asynccontextmanager
async def private_bank(
    topology: Topology, told: Told = to_stderr, environment: Mapping[str, str] | None = None
) -> AsyncIterator[LocalBank]:
    """A running bank in a temporary folder; stopped and deleted at the end, also after SIGTERM.

    ``environment``: of its processes; that of this one if left out.

    Raises:
        StartError, PortBusyError, FolderError: it did not start; the text says why.
    """
    folder = tempfile.mkdtemp(prefix="paxos-bank-")
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        async with LocalBank(topology, folder, progress=told, environment=environment) as bank:
            yield bank
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        shutil.rmtree(folder, ignore_errors=True)
