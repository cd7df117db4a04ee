"""Operator connections to every node of a bank: ask all, wait until they agree, start it anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, Self

from consensus.client.errors import OperatorError
from consensus.client.operator import CALL_TIMEOUT_S, Operator
from consensus.topology import Topology
from consensus.types import ClusterId, NodeId

POLL_S: Final = 0.01
RESET_TIMEOUT_S: Final = 15.0
ASK_TIMEOUT_S: Final = 1.0

Status = dict[str, Any]
Ask = Callable[..., Coroutine[Any, Any, Any]]
"""``await ask(node, command, **arguments)``: the body of the answer, or None when the node gives none."""


class Fleet:
    """One operator connection per node, dialled when first used."""

    def __init__(self, topology: Topology, secret: str) -> None:
        self.topology = topology
        self._operators = {
            node.id: Operator(node.host, node.port, secret) for node in topology.nodes.values()
        }

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End every connection."""
        await asyncio.gather(*(operator.close() for operator in self._operators.values()))

    async def call(self, node: NodeId, name: str, *, timeout_s: float = CALL_TIMEOUT_S, **args: Any) -> Any:
        """As :meth:`Operator.call`.

        Raises:
            KeyError: the topology has no such node.
            TimeoutError, ConnectionError, OperatorError: as :meth:`Operator.call`.
        """
        return await self._operators[node].call(name, timeout_s=timeout_s, **args)

    async def ask(
        self, nodes: Iterable[NodeId], name: str, *, timeout_s: float = CALL_TIMEOUT_S, **args: Any
    ) -> dict[NodeId, Any]:
        """Ask several nodes at once; nodes that cannot be reached or do not answer are left out.

        Raises:
            OperatorError: a node refused.
        """
        asked = list(nodes)
        calls = (self._or_none(node, name, timeout_s, args) for node in asked)
        answers = await asyncio.gather(*calls)
        return {node: answer for node, answer in zip(asked, answers, strict=True) if answer is not None}

    async def _or_none(self, node: NodeId, name: str, timeout_s: float, args: dict[str, Any]) -> Any:
        try:
            return await self.call(node, name, timeout_s=timeout_s, **args)
        except (TimeoutError, ConnectionError):
            return None

    async def ask_one(self, node: NodeId, name: str, *, timeout_s: float = ASK_TIMEOUT_S, **args: Any) -> Any:
        """An :data:`Ask`: None also where the node refuses."""
        try:
            return await self._or_none(node, name, timeout_s, args)
        except OperatorError:
            return None

    async def statuses(
        self, nodes: Iterable[NodeId] | None = None, timeout_s: float = 1.0
    ) -> dict[NodeId, Status]:
        """Status of every node (or of ``nodes``) that answers."""
        return await self.ask(self._operators if nodes is None else nodes, "status", timeout_s=timeout_s)

    async def wait(
        self,
        nodes: Iterable[NodeId],
        condition: Callable[[dict[NodeId, Status]], bool],
        timeout_s: float,
    ) -> dict[NodeId, Status]:
        """Ask ``nodes`` for their status until ``condition`` holds.

        Raises:
            TimeoutError: it did not hold in time.
        """
        asked = list(nodes)
        async with asyncio.timeout(timeout_s):
            while True:
                statuses = await self.statuses(asked, timeout_s=timeout_s)
                if condition(statuses):
                    return statuses
                await asyncio.sleep(POLL_S)

    async def wait_leaders(
        self, clusters: Iterable[ClusterId], among: Iterable[NodeId], timeout_s: float
    ) -> dict[ClusterId, NodeId]:
        """Wait until each of ``clusters`` has a leader among the nodes ``among``.

        Raises:
            TimeoutError: one had none in time.
        """
        wanted = set(clusters)
        nodes = [node for node in among if self.topology.cluster_by_node[node].id in wanted]
        statuses = await self.wait(nodes, lambda found: wanted <= leaders_in(found).keys(), timeout_s)
        return leaders_in(statuses)

    async def reset(self, timeout_s: float = RESET_TIMEOUT_S) -> int:
        """Begin a new incarnation on every node: faults off, accounts at their initial balance.

        Returns the new incarnation, once every node lives in it and each cluster has a leader.

        Raises:
            TimeoutError: a node did not answer or a cluster found no leader in time.
            OperatorError: a node refused.
        """
        nodes = list(self._operators)
        async with asyncio.timeout(timeout_s):
            statuses = await self.statuses(nodes, timeout_s)
            silent = sorted(set(nodes) - statuses.keys())
            if silent:
                raise OperatorError(f"nodes {silent} do not answer; start them before a reset")
            incarnation: int = 1 + max(status["incarnation"] for status in statuses.values())
            for name in ("heal", "recover"):
                await asyncio.gather(*(self.call(node, name) for node in nodes))
            await asyncio.gather(*(self.call(node, "reset", incarnation=incarnation) for node in nodes))
            await self.wait(nodes, lambda found: _lives_in(found, incarnation, len(nodes)), timeout_s)
            clusters = [cluster.id for cluster in self.topology.clusters if cluster.nodes]
            await self.wait_leaders(clusters, nodes, timeout_s)
        return incarnation


def leaders_in(statuses: dict[NodeId, Status]) -> dict[ClusterId, NodeId]:
    """The leader of each cluster that has one: of several that say so, the one with the highest ballot."""
    found: dict[ClusterId, NodeId] = {}
    for node, status in sorted(statuses.items(), key=lambda item: list(item[1]["ballot"])):
        if status["role"] == "leader" and status["state"] == "up":
            found[status["cluster"]] = node
    return found


def _lives_in(statuses: dict[NodeId, Status], incarnation: int, nodes: int) -> bool:
    return len(statuses) == nodes and all(s["incarnation"] >= incarnation for s in statuses.values())
