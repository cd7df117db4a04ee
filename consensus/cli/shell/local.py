"""The shell's private bank: transfers through the client library, the rest over operator connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

from consensus.cli.shell.teller import (
    Balance,
    ClusterViews,
    LogEntry,
    NodeAccounts,
    Replica,
    Summary,
    TellerError,
    Transfer,
)
from consensus.client.bank import BankClient
from consensus.client.errors import ClientError, OperatorError
from consensus.client.fleet import Fleet, leaders_in
from consensus.client.seen import Seen
from consensus.cluster.plans import PlanError
from consensus.cluster.reshard import Reshard, reshard
from consensus.messages.client import Level
from consensus.testset.csvtext import FaultError
from consensus.testset.parser import TestSet
from consensus.testset.report import SetReport
from consensus.testset.runner import DEADLINE_S, SetRunner
from consensus.topology import Topology
from consensus.types import AccountId, NodeId

DATABASE_MAX: Final = 1_000
"""Changed accounts shown per node."""
LOG_PAGE: Final = 500
LEVEL_TIMEOUT_S: Final = 1.0


class LocalTeller:
    """A bank whose topology and secret are at hand."""

    def __init__(
        self, topology: Topology, client: BankClient, fleet: Fleet, secret: str, deadline_s: float
    ) -> None:
        self._deadline_s = deadline_s
        self._seen = Seen()
        self._topology = topology
        self._client = client
        self._fleet = fleet
        self._secret = secret
        nodes = len(topology.nodes)
        self.title = (
            f"private bank: {len(topology.clusters)} clusters, {nodes} nodes, {topology.accounts} accounts"
        )

    async def transfer(self, sender: AccountId, receiver: AccountId, amount: int) -> Transfer:
        with _told():
            result = await self._client.transfer(sender, receiver, amount)
        body = result.to_json()
        self._seen.note(body["accounts"])
        return Transfer(
            body["id"], result.outcome, result.reason, result.positions, body["accounts"], result.latency_ms
        )

    async def balance(
        self, account: AccountId, level: Level = Level.LINEARIZABLE, bound_ms: int = 0
    ) -> Balance:
        versions = self._seen.versions([account]) if level == Level.RYW else ()
        with _told():
            values = await self._client.read([account], level, bound_ms=bound_ms, versions=versions)
        if values.outcome != "ok":
            raise TellerError(f"account {account} could not be read: {values.reason}")
        version, balance = values.values[account]
        self._seen.note_versions([(account, version)])
        return Balance(account, balance, version, values.slot, values.latency_ms)

    async def _level(self, nodes: tuple[NodeId, ...]) -> None:
        """Give live replicas a moment to apply what is chosen; one that cannot is shown as it is."""
        statuses = await self._fleet.statuses(nodes)
        chosen = max((status["watermark"] for status in statuses.values()), default=0)

        def level(found: dict[NodeId, dict[str, Any]]) -> bool:
            live = [status for status in found.values() if status["state"] == "up"]
            return all(status["applied"] >= chosen for status in live)

        with suppress(TimeoutError):
            await self._fleet.wait(nodes, level, LEVEL_TIMEOUT_S)

    async def replicas(self, account: AccountId) -> list[Replica]:
        cluster = self._topology.home(account)
        if cluster is None:
            raise TellerError(f"there is no account {account}; they are 1..{self._topology.accounts}")
        with _told():
            await self._level(cluster.members)
            bodies, statuses = await asyncio.gather(
                self._fleet.ask(cluster.members, "accounts", ids=[account]),
                self._fleet.statuses(cluster.members),
            )
        found = []
        for node in cluster.members:
            row = bodies[node]["accounts"][0] if node in bodies else None
            state = statuses[node]["state"] if node in statuses else "down"
            found.append(Replica(node, state, row and row[1], row and row[2]))
        return found

    async def summary(self, first: AccountId, last: AccountId) -> Summary:
        parts = []
        with _told():
            for cluster in self._topology.clusters:
                await self._level(cluster.members)
                bodies = await self._fleet.ask(
                    cluster.members, "summary", **{"from": first, "to": min(last, self._topology.accounts)}
                )
                if not bodies:
                    raise TellerError(f"no node of cluster {cluster.id} answers")
                parts.append(max(bodies.values(), key=lambda body: int(body["applied"])))
        held = [part for part in parts if part["count"]]
        return Summary(
            sum(part["count"] for part in held),
            min((part["min"] for part in held), default=None),
            max((part["max"] for part in held), default=None),
            sum(part["total"] for part in held),
        )

    async def database(self) -> list[NodeAccounts]:
        with _told():
            bodies = await self._fleet.ask(
                self._topology.nodes, "accounts", after=0, limit=DATABASE_MAX, changed=True
            )
        return [
            NodeAccounts(
                node,
                body["applied"],
                [(account, balance, version) for account, balance, version, *_ in body["accounts"]],
                body["next"] is not None,
            )
            for node, body in bodies.items()
        ]

    async def views(self) -> list[ClusterViews]:
        with _told():
            bodies, statuses = await asyncio.gather(
                self._fleet.ask(self._topology.nodes, "views"), self._fleet.statuses()
            )
        leaders = leaders_in(statuses)
        found = []
        for cluster in self._topology.clusters:
            lists = [bodies[node]["views"] for node in cluster.members if node in bodies]
            nodes = [
                {
                    **statuses[node],
                    "next_slot": max(statuses[node]["proposed"], statuses[node]["watermark"]) + 1,
                }
                for node in cluster.members
                if node in statuses
            ]
            longest: list[dict[str, Any]] = max(lists, key=len, default=[])
            found.append(ClusterViews(cluster.id, leaders.get(cluster.id, 0), longest, nodes))
        return found

    async def log(self, node: NodeId, limit: int) -> list[LogEntry]:
        with _told():
            status = await self._fleet.call(self._known(node), "status")
            after = max(0, status["applied"] - limit)
            body = await self._fleet.call(node, "log", after=after, limit=min(limit, LOG_PAGE))
        return [log_entry(entry) for entry in body["entries"]]

    async def performance(self) -> list[dict[str, Any]]:
        with _told():
            leaders = leaders_in(await self._fleet.statuses())
            figures = await self._fleet.ask(leaders.values(), "latency")
        return [
            {"cluster": cluster, "leader": node, **figures.get(node, {})}
            for cluster, node in sorted(leaders.items())
        ]

    async def reshard(self) -> Reshard:
        try:
            return await reshard(self._fleet)
        except PlanError as error:
            raise TellerError(str(error)) from error

    async def fail(self, node: NodeId) -> None:
        with _told():
            await self._fleet.call(self._known(node), "fail")

    async def recover(self, node: NodeId) -> None:
        with _told():
            await self._fleet.call(self._known(node), "recover")

    async def flush(self) -> None:
        with _told():
            await self._fleet.reset()
        self._seen.clear()

    async def run_set(self, test_set: TestSet) -> SetReport:
        with _told():
            self._seen.clear()  # each set begins with a reset
            runner = SetRunner(self._topology, self._secret, deadline_s=self._deadline_s)
            return await runner.run(test_set)

    async def printed(self, function: str, argument: str) -> str | None:
        return None  # sets run on this very bank

    def _known(self, node: NodeId) -> NodeId:
        if node not in self._topology.nodes:
            raise TellerError(
                f"there is no node {node}; they are {', '.join(map(str, self._topology.nodes))}"
            )
        return node


@contextmanager
def _told() -> Iterator[None]:
    """Everything that can go wrong below becomes a sentence."""
    try:
        yield
    except (ClientError, OperatorError, FaultError, TimeoutError, ConnectionError, ValueError) as error:
        raise TellerError(str(error)) from error


@asynccontextmanager
async def local_teller(
    topology: Topology, secret: str, deadline_s: float = DEADLINE_S
) -> AsyncIterator[LocalTeller]:
    """A teller of a running bank; its connections end with it. ``deadline_s``: of a test set's commands."""
    async with Fleet(topology, secret) as fleet, BankClient(topology, secret, name="bankshell") as client:
        yield LocalTeller(topology, client, fleet, secret, deadline_s)


def log_entry(entry: dict[str, Any]) -> LogEntry:
    """One line of a node's log, from the reply of the operator command ``log``."""
    parts = [_entry_text(each) for each in entry["entries"]]
    round_, node = entry["ballot"]
    return LogEntry(entry["slot"], (round_, node), entry["state"], "; ".join(parts) or "no-op")


def _entry_text(entry: dict[str, Any]) -> str:
    kind = entry.get("kind", "?")
    session = str(entry.get("session", ""))[:8]
    if kind == "Transact":
        items = entry["items"]
        first = items[0]["legs"] if items and isinstance(items[0], dict) else []
        shown = f", first {first}" if first else ""
        return f"{len(items)} transactions of session {session}…{shown}"
    if kind == "NewView":
        return f"NEW-VIEW ballot {tuple(entry['ballot'])}, {len(entry['slots'])} slots"
    return f"{kind} {session}".rstrip()
