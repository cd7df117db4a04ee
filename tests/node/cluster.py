"""A cluster of real nodes in one process, on real sockets and folders."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from consensus import topology_file
from consensus.client.operator import Operator
from consensus.cluster import ports
from consensus.node.runtime import Node
from consensus.storage.folder import NodeFolder
from consensus.topology import Limits, Timings, Topology
from consensus.types import Ballot, NodeId
from tests.storage.faulty import FaultyFiles

SECRET = "open sesame"


def topology(clusters: int = 1, **limits: int) -> Topology:
    """Clusters of three on free ports, 30 accounts each, with patience for a busy machine."""
    plain = topology_file.generate(clusters, 3, 30 * clusters, 100)
    plain = topology_file.with_ports(plain, ports.free_ports(3 * clusters))
    return msgspec.structs.replace(
        plain,
        limits=Limits(segment_bytes=1 << 16, **limits),
        timings=Timings(election_min_ms=300, election_max_ms=600),
    )


class Running:
    """One node with its disk and the task that runs it."""

    def __init__(self, node: Node, folder: NodeFolder, files: FaultyFiles) -> None:
        self.node = node
        self.folder = folder
        self.files = files
        self.task = asyncio.get_running_loop().create_task(node.run())


class Bank:
    """Nodes by id, and operators to talk to them."""

    def __init__(self, topology: Topology, data: Path) -> None:
        self.topology = topology
        self.data = data
        self.nodes: dict[NodeId, Running] = {}
        self._operators: dict[NodeId, Operator] = {}

    def start(self, *ids: NodeId, bootstrap: bool = True) -> None:
        """Start nodes; all of them when none is named."""
        for me in ids or self.topology.nodes:
            files = FaultyFiles()
            first = Ballot(1, self.topology.cluster_by_node[me].first_leader)
            folder = NodeFolder(self.data, me, first, self.topology.limits.segment_bytes, files)
            node = Node(me, self.topology, folder, bootstrap, SECRET, None)
            self.nodes[me] = Running(node, folder, files)

    async def stop(self, *ids: NodeId) -> dict[NodeId, int]:
        """Stop nodes gracefully; their exit statuses."""
        statuses = {}
        for me in ids or list(self.nodes):
            running = self.nodes.pop(me)
            running.node.stop()
            running.files.gate.set()
            async with asyncio.timeout(20):
                statuses[me] = await running.task
            running.folder.close()
        return statuses

    async def close(self) -> None:
        for operator in self._operators.values():
            await operator.close()
        await self.stop()

    async def call(self, node: NodeId, name: str, **args: Any) -> Any:
        """Send a command over a real operator connection."""
        operator = self._operators.get(node)
        if operator is None:
            address = self.topology.nodes[node]
            operator = self._operators[node] = Operator(address.host, address.port, SECRET)
        return await operator.call(name, **args)

    async def until(self, condition: Callable[[dict[NodeId, dict[str, Any]]], bool]) -> None:
        """Wait until the statuses of the running nodes satisfy ``condition``."""
        statuses: dict[NodeId, dict[str, Any]] = {}
        try:
            async with asyncio.timeout(20):
                while True:
                    statuses = {me: one.node.status() for me, one in self.nodes.items()}
                    if condition(statuses):
                        return
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"never came true: {statuses}") from None

    async def leader(self, besides: NodeId = 0) -> NodeId:
        """Wait for an established leader that the running others follow."""
        found: list[NodeId] = []

        def led(statuses: dict[NodeId, dict[str, Any]]) -> bool:
            found[:] = [me for me, s in statuses.items() if s["established"] and s["state"] == "up"]
            return bool(found) and found[0] != besides

        await self.until(led)
        return found[0]
