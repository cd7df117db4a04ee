"""What a scenario needs of the bank it runs on: where it is, and how to break and mend it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from consensus.client.fleet import Fleet
from consensus.cluster.launcher import LocalBank
from consensus.cluster.reshard import Reshard, reshard
from consensus.topology import Topology
from consensus.types import NodeId


class Stage(Protocol):
    """``nodes`` are acted on one after the other; links have a direction."""

    @property
    def topology(self) -> Topology: ...

    @property
    def secret(self) -> str: ...

    async def act(self, node: NodeId, what: str) -> None:
        """``kill``, ``restart``, ``fail`` or ``recover`` it."""

    async def link(self, source: NodeId, target: NodeId, *, cut: bool, delay_ms: float) -> None: ...

    async def heal(self) -> None:
        """Every link works."""

    async def wait_ready(self, timeout_s: float) -> None:
        """Until each cluster has a leader.

        Raises:
            StartError, TimeoutError: time is up.
        """

    async def reshard(self) -> Reshard:
        """Plan from the traffic and move."""


class PrivateStage:
    """A bank that this process started. Make it with :func:`private_stage`."""

    def __init__(self, bank: LocalBank, fleet: Fleet) -> None:
        self._bank = bank
        self._fleet = fleet

    @property
    def topology(self) -> Topology:
        return self._bank.topology

    @property
    def secret(self) -> str:
        return self._bank.secret

    async def act(self, node: NodeId, what: str) -> None:
        if what == "kill":
            self._bank.kill(node)
        elif what == "restart":
            self._bank.restart(node)
        else:
            await self._fleet.call(node, what)

    async def link(self, source: NodeId, target: NodeId, *, cut: bool, delay_ms: float) -> None:
        await self._fleet.call(source, "link", to=target, cut=cut, delay_ms=delay_ms)

    async def heal(self) -> None:
        await self._fleet.ask(self.topology.nodes, "heal")

    async def wait_ready(self, timeout_s: float) -> None:
        await self._bank.wait_ready(timeout_s)

    async def reshard(self) -> Reshard:
        return await reshard(self._fleet)


@asynccontextmanager
async def private_stage(bank: LocalBank) -> AsyncIterator[PrivateStage]:
    """``bank`` as a stage."""
    async with Fleet(bank.topology, bank.secret) as fleet:
        yield PrivateStage(bank, fleet)
