"""Waiting until what the bank answered is applied on every replica that can know it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from consensus.client.fleet import POLL_S, Fleet, Status
from consensus.topology import Cluster
from consensus.types import NodeId

SETTLE_TIMEOUT_S: Final = 5.0
"""How long a barrier waits."""
ASK_TIMEOUT_S: Final = 1.0


async def settle(
    fleet: Fleet, clusters: Iterable[Cluster], live: set[NodeId], answered: set[str], timeout_s: float
) -> None:
    """Wait until each decision in ``answered`` is applied on all ``live`` replicas of ``clusters``.

    Positions in an answer do not do for this: at a participant they name the slot of P, and the decision's
    slot is known to nobody but the group itself. Two observations do, in this order. First, each cluster has
    an established leader with nothing in flight, and its live replicas have all applied just as much: so
    every P that an answered transaction needed is applied on each of them (its vote was cast after P was
    chosen, and an established leader knows all that is chosen). Then none of them holds a lock of an answered
    transaction: a prepared one gives its locks back with its decision only.

    Args:
        clusters: those with a majority among ``live``.
        answered: TxIds with a final outcome, as text.

    Raises:
        TimeoutError: they did not get there in time.
        OperatorError: a node refused.
    """
    members = [[node for node in cluster.members if node in live] for cluster in clusters]
    nodes = [node for group in members for node in group]
    async with asyncio.timeout(timeout_s):
        while True:
            statuses = await fleet.statuses(nodes, timeout_s=ASK_TIMEOUT_S)
            if all(_is_level(statuses, group) for group in members) and not await _held(
                fleet, nodes, answered
            ):
                return
            await asyncio.sleep(POLL_S)


def _is_level(statuses: dict[NodeId, Status], members: list[NodeId]) -> bool:
    """Whether a leader among ``members`` has nothing in flight and all of them applied what it applied."""
    if not statuses.keys() >= set(members):
        return False
    found = [statuses[node] for node in members]
    leaders = [
        status
        for status in found
        if status["role"] == "leader"
        and status["established"]
        and status["proposed"] == status["watermark"] == status["applied"]
        and not status["queue"]
    ]
    return any(
        all(
            status["applied"] == leader["applied"] and status["ballot"] == leader["ballot"]
            for status in found
        )
        for leader in leaders
    )


async def _held(fleet: Fleet, nodes: list[NodeId], answered: set[str]) -> bool:
    """Whether a node holds a lock of an answered transaction, or does not say."""
    bodies = await fleet.ask(nodes, "locks", timeout_s=ASK_TIMEOUT_S)
    if len(bodies) < len(nodes):
        return True
    return any(lock["tx"] in answered for body in bodies.values() for lock in body["locks"])
