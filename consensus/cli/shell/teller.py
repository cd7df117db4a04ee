"""What the shell asks of a bank, whichever way it is reached."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from consensus.cluster.reshard import Reshard
from consensus.messages.client import Level
from consensus.testset.parser import TestSet
from consensus.testset.report import SetReport
from consensus.types import AccountId, NodeId


class TellerError(Exception):
    """The bank did not do it; the text says why, in one sentence."""


class Transfer(msgspec.Struct, frozen=True):
    """How a transfer ended: the body of CONTRACT ``transactions/``, as far as the shell shows it."""

    id: str
    outcome: str
    reason: str | None
    positions: list[dict[str, Any]]
    accounts: dict[str, dict[str, int]]
    latency_ms: float


class Balance(msgspec.Struct, frozen=True):
    """What a read of one account saw."""

    account: AccountId
    balance: int
    version: int
    slot: int
    latency_ms: float


class Replica(msgspec.Struct, frozen=True):
    """What one node holds of an account; ``balance`` None where the node did not answer."""

    node: NodeId
    state: str
    balance: int | None
    version: int | None


class Summary(msgspec.Struct, frozen=True):
    """Balances of a range of accounts, as each cluster's most advanced node holds them."""

    count: int
    min: int | None
    max: int | None
    total: int


class NodeAccounts(msgspec.Struct, frozen=True):
    """Accounts of one node that changed since the reset: (id, balance, version).

    ``more``: there are further ones.
    """

    node: NodeId
    applied: int
    accounts: list[tuple[int, int, int]]
    more: bool


class ClusterViews(msgspec.Struct, frozen=True):
    """NEW-VIEWs of one cluster since the reset, and where its nodes stand."""

    cluster: int
    leader: NodeId
    views: list[dict[str, Any]]
    nodes: list[dict[str, Any]]


class LogEntry(msgspec.Struct, frozen=True):
    """A slot as one node holds it."""

    slot: int
    ballot: tuple[int, int]
    state: str
    summary: str


class Teller(Protocol):
    """A bank. Everything may raise :class:`TellerError`."""

    title: str

    async def transfer(self, sender: AccountId, receiver: AccountId, amount: int) -> Transfer: ...

    async def balance(
        self, account: AccountId, level: Level = Level.LINEARIZABLE, bound_ms: int = 0
    ) -> Balance:
        """``bound_ms``: greatest age, for BOUNDED. RYW: not older than what this teller was told before."""

    async def replicas(self, account: AccountId) -> list[Replica]: ...

    async def summary(self, first: AccountId, last: AccountId) -> Summary:
        """Of the accounts ``first..last`` that exist; not one consistent cut over the clusters."""

    async def database(self) -> list[NodeAccounts]: ...

    async def views(self) -> list[ClusterViews]: ...

    async def log(self, node: NodeId, limit: int) -> list[LogEntry]:
        """The last ``limit`` slots of a node's log."""

    async def performance(self) -> list[dict[str, Any]]:
        """Per cluster: ``cluster``, ``leader`` and the figures of its leader."""

    async def reshard(self) -> Reshard:
        """Redistribute the accounts by the traffic that was; what moved."""

    async def fail(self, node: NodeId) -> None: ...

    async def recover(self, node: NodeId) -> None: ...

    async def flush(self) -> None:
        """A new incarnation: every account at its initial balance, logs empty."""

    async def run_set(self, test_set: TestSet) -> SetReport: ...

    async def printed(self, function: str, argument: str) -> str | None:
        """What a Print function says of the bank the last set ran on; None where that is this bank."""
