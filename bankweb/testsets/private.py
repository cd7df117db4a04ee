"""A bank of its own for a run of test sets: started for it, gone after it. The one shown is not touched."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from typing import Any, Protocol

from consensus import topology_file
from consensus.cli.shell.local import local_teller
from consensus.cli.shell.teller import Teller
from consensus.cluster.launcher import LocalBank
from consensus.cluster.ports import free_ports
from consensus.testset.parser import TestSet
from consensus.testset.report import SetReport
from consensus.testset.runner import SetRunner
from consensus.topology import Topology


class Bench(Protocol):
    """What a run needs of a bank."""

    teller: Teller

    async def run(self, test_set: TestSet, told: Callable[[int], None]) -> SetReport: ...

    async def close(self) -> None: ...


class PrivateBank:
    """A running bank with a teller. Make it with :func:`open_bank`."""

    def __init__(self, bank: LocalBank, teller: Teller, held: contextlib.AsyncExitStack) -> None:
        self.teller = teller
        self._bank = bank
        self._held = held

    async def run(self, test_set: TestSet, told: Callable[[int], None]) -> SetReport:
        """Reset the bank and run a set on it; ``told``: how many commands are over."""
        return await SetRunner(self._bank.topology, self._bank.secret, told=told).run(test_set)

    async def close(self) -> None:
        """Stop the workers and delete their folder."""
        await self._held.aclose()


async def open_bank(topology: Topology) -> PrivateBank:
    """Start a bank on free ports, in a temporary folder, with a secret of its own.

    Raises:
        StartError, PortBusyError, FolderError, OSError: it did not start; the text says why.
    """
    topology = topology_file.with_ports(topology, free_ports(len(topology.nodes)))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PAXOS_BANK_")}
    held: Any
    async with contextlib.AsyncExitStack() as held:
        folder = tempfile.mkdtemp(prefix="paxos-bank-")
        held.callback(shutil.rmtree, folder, ignore_errors=True)
        bank = await held.enter_async_context(LocalBank(topology, folder, environment=environment))
        teller = await held.enter_async_context(local_teller(topology, bank.secret))
        return PrivateBank(bank, teller, held.pop_all())
