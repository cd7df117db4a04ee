"""Faults on real processes: how each kind is caused and undone, at one node at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Final, NamedTuple

from consensus.client.errors import OperatorError
from consensus.client.fleet import Fleet
from consensus.cluster.launcher import LocalBank
from consensus.types import NodeId

KILL: Final = "kill"
FAIL: Final = "fail"
PARTITION: Final = "partition"
PAUSE: Final = "pause"
CLOCK: Final = "clock"
DISK: Final = "disk"
KINDS: Final = (KILL, FAIL, PARTITION, PAUSE, CLOCK, DISK)
PARTITIONS: Final = ("cut", "in", "out", "loss", "delay")
LOSS: Final = 0.4
DELAY_MS: Final = 150.0
SKEWS_MS: Final = (-5_000.0, -300.0, 300.0, 5_000.0)
DISKS: Final = ("stall", "fail", "full")
CALL_S: Final = 2.0
PART: Final = ("leader", "follower")
"""Roles of a node that takes part."""
BACK_S: Final = 20.0
"""Longest wait for a node to be back after its fault was undone."""


class Injected(NamedTuple):
    """A fault that is there. ``what`` tells people; ``undo`` ends it."""

    kind: str
    what: str
    node: NodeId
    undo: Callable[[], Awaitable[None]]


class Injector:
    """Causes faults in one bank.

    Args:
        bank: started by this process, with ``PAXOS_BANK_NEMESIS`` in its environment.
        fleet: operator connections to it.
        random: draws variants.
    """

    def __init__(self, bank: LocalBank, fleet: Fleet, random: Random) -> None:
        self._bank = bank
        self._fleet = fleet
        self._random = random

    async def inject(self, kind: str, node: NodeId, span_s: float) -> Injected:
        """Cause a fault of ``kind`` at ``node`` that will be undone after about ``span_s``.

        Raises:
            TimeoutError, ConnectionError, OperatorError: a node could not be told.
        """
        what, undo = await getattr(self, f"_{kind}")(node, span_s)
        return Injected(kind, what, node, undo)

    async def back(self, node: NodeId) -> None:
        """Wait until ``node`` takes part again.

        Raises:
            TimeoutError: it does not.
        """
        async with asyncio.timeout(BACK_S):
            while True:
                status = await self._call(node, "status")
                if status is not None and status["state"] == "up" and status["role"] in PART:
                    return
                await asyncio.sleep(0.05)

    async def _call(self, node: NodeId, name: str, **arguments: Any) -> Any:
        try:
            return await self._fleet.call(node, name, timeout_s=CALL_S, **arguments)
        except (TimeoutError, ConnectionError, OperatorError):
            return None

    # --- kinds -------------------------------------------------------------------------

    async def _kill(self, node: NodeId, span_s: float) -> tuple[str, Callable[[], Awaitable[None]]]:
        self._bank.kill(node)

        async def undo() -> None:
            self._bank.restart(node)

        return f"SIGKILL of n{node}", undo

    async def _pause(self, node: NodeId, span_s: float) -> tuple[str, Callable[[], Awaitable[None]]]:
        self._bank.pause(node)

        async def undo() -> None:
            self._bank.resume(node)

        return f"SIGSTOP of n{node}", undo

    async def _fail(self, node: NodeId, span_s: float) -> tuple[str, Callable[[], Awaitable[None]]]:
        await self._fleet.call(node, "fail", timeout_s=CALL_S)

        async def undo() -> None:
            await self._fleet.call(node, "recover", timeout_s=CALL_S)

        return f"n{node} acts disconnected", undo

    async def _partition(self, node: NodeId, span_s: float) -> tuple[str, Callable[[], Awaitable[None]]]:
        how = self._random.choice(PARTITIONS)
        others = [other for other in self._bank.topology.nodes if other != node]
        fault: dict[str, Any] = {"cut": True}
        if how == "loss":
            fault = {"loss": LOSS}
        elif how == "delay":
            fault = {"delay_ms": DELAY_MS}
        links: list[tuple[NodeId, NodeId]] = []
        if how != "in":
            links += [(node, other) for other in others]
        if how != "out":
            links += [(other, node) for other in others]
        for source, target in links:
            await self._call(source, "link", to=target, **fault)

        async def undo() -> None:
            for source, target in links:
                await self._call(source, "link", to=target)

        names = {
            "cut": f"n{node} cut off",
            "in": f"n{node} hears nobody",
            "out": f"nobody hears n{node}",
            "loss": f"links of n{node} lose {100 * LOSS:.0f} %",
            "delay": f"links of n{node} take {DELAY_MS:.0f} ms longer",
        }
        return names[how], undo

    async def _clock(self, node: NodeId, span_s: float) -> tuple[str, Callable[[], Awaitable[None]]]:
        skew_ms = self._random.choice(SKEWS_MS)
        await self._fleet.call(node, "nemesis", timeout_s=CALL_S, skew_ms=skew_ms)

        async def undo() -> None:
            await self._fleet.call(node, "nemesis", timeout_s=CALL_S, skew_ms=0.0)

        return f"clock of n{node} wrong by {skew_ms / 1_000:+g} s", undo

    async def _disk(self, node: NodeId, span_s: float) -> tuple[str, Callable[[], Awaitable[None]]]:
        how = self._random.choice(DISKS)
        await self._fleet.call(node, "nemesis", timeout_s=CALL_S, disk=how, span_ms=span_s * 1_000)

        async def undo() -> None:
            if how != "stall":
                # A node whose disk fails ends; it comes back on a disk that works.
                self._bank.restart(node)

        return f"disk of n{node}: {how}", undo
