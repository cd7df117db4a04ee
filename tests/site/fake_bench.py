"""A private bank that answers at once, or when it is let; and its teller."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

from consensus.cli.shell.teller import Replica, Summary, TellerError
from consensus.cluster.launcher import StartError
from consensus.cluster.reshard import Reshard
from consensus.testset.parser import TestSet
from consensus.testset.report import CommandResult, SetReport
from consensus.topology import Topology


class FakeTeller:
    title = "fake"
    unplannable = ""

    async def replicas(self, account: int) -> list[Replica]:
        if account > 60:
            raise TellerError(f"there is no account {account}")
        return [Replica(1, "up", 8, 1), Replica(2, "failed", 10, 0)]

    async def summary(self, first: int, last: int) -> Summary:
        return Summary(last - first + 1, 8, 12, 10 * (last - first + 1))

    async def printed(self, function: str, argument: str) -> str | None:
        return None

    async def reshard(self) -> Reshard:
        if FakeBench.gate is not None:
            await FakeBench.gate.wait()
        if self.unplannable:
            raise TellerError(self.unplannable)
        return Reshard("done", "", 66.0, 5.0, 2, [(2007, 1, 2), (11, 2, 1)])

    async def performance(self) -> list[dict[str, Any]]:
        return [{"cluster": 1, "leader": 1, "count": 3}]


class FakeBench:
    """Sets wait for ``gate`` while there is one; ``opened``: all, in order; ``refuses``: why none starts."""

    gate: ClassVar[asyncio.Event | None] = None
    opened: ClassVar[list[FakeBench]] = []
    refuses: ClassVar[str] = ""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.teller: Any = FakeTeller()
        self.ran: list[int] = []
        self.closed = False

    @classmethod
    async def open(cls, topology: Topology) -> FakeBench:
        if cls.refuses:
            raise StartError(cls.refuses)
        bench = cls(topology)
        cls.opened.append(bench)
        return bench

    async def run(self, test_set: TestSet, told: Callable[[int], None]) -> SetReport:
        told(1)
        if self.gate is not None:
            await self.gate.wait()
        self.ran.append(test_set.number)
        rows = [
            CommandResult(each.text, "linearizable", each.kind, "committed", latency_ms=2.0, answered=True)
            for each in test_set.commands
        ]
        figures = {"throughput_tps": 5.0, "latency_ms": {"mean": 2.0, "p50": 2.0, "p99": 2.0}}
        views = [{"cluster": 1, "ballot": [2, 2], "leader": 2, "slots": 5, "checkpoint": 0}]
        return SetReport(
            test_set.number, list(test_set.live), rows, {"1": {"1": 7}}, views, figures, ["a note of it"]
        )

    async def close(self) -> None:
        self.closed = True
