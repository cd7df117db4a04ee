"""A scripted node: a real listener that speaks the codec, and whose every answer a test decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve

from consensus import codec
from consensus.messages.client import (
    Leads,
    Open,
    Opened,
    Outcome,
    Read,
    ReadRefused,
    ReadReplies,
    ReadResult,
    Refusal,
    Refused,
    Replies,
    Submit,
    WhoLeads,
)
from consensus.messages.control import PROTOCOL_VERSION, Command, Hello, Welcome
from consensus.topology import Cluster, Node, Timings, Topology
from consensus.types import Ballot

BALLOT_FIRST = Ballot(1, 1)
SECRET = "test-secret"
ACCOUNTS = 100
"""Accounts of a cluster."""
Script = Callable[["FakeNode", Any], list[Any] | None]
"""(node, message) → messages to answer with; None for what a healthy node would answer."""


@dataclass
class FakeNode:
    """One node of cluster ``cluster``. Commits whatever it is given, unless ``script`` says otherwise."""

    id: int
    cluster: int
    leader: int
    clusters: int = 1
    """Of the bank."""
    incarnation: int = 1
    ballot: Ballot = BALLOT_FIRST
    silent: bool = False
    script: Script | None = None
    heard: list[Any] = field(default_factory=list)
    hellos: list[Hello] = field(default_factory=list)
    sockets: list[ServerConnection] = field(default_factory=list)
    port: int = 0
    slot: int = 0
    server: Server | None = None

    async def start(self) -> None:
        self.server = await serve(self._serve, "127.0.0.1", self.port, compression=None)
        self.port = next(iter(self.server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        if self.server is not None:
            self.server.close(close_connections=True)
            await self.server.wait_closed()
            self.server = None

    async def say(self, *messages: Any) -> None:
        """Send to every connection, unasked."""
        for socket in list(self.sockets):
            await self._send(socket, list(messages))

    def submits(self) -> list[Submit]:
        return [message for message in self.heard if isinstance(message, Submit)]

    def numbers(self) -> list[int]:
        return [item.number for submit in self.submits() for item in submit.items]

    async def _serve(self, socket: ServerConnection) -> None:
        request = socket.request
        if request is None or request.headers.get("Authorization") != f"Bearer {SECRET}":
            await socket.close(4401)
            return
        self.sockets.append(socket)
        try:
            async for data in socket:
                assert isinstance(data, bytes)
                for message in codec.decode_frame(data)[1]:
                    await self._take(socket, message)
        finally:
            self.sockets.remove(socket)

    async def _take(self, socket: ServerConnection, message: Any) -> None:
        if isinstance(message, Hello):
            self.hellos.append(message)
            await self._send(socket, [Welcome(PROTOCOL_VERSION, self.id, self.cluster, self.incarnation)])
            return
        self.heard.append(message)
        if self.silent:
            return
        answers = self.script(self, message) if self.script is not None else None
        await self._send(socket, self.answer(message) if answers is None else answers)

    def answer(self, message: Any) -> list[Any]:
        """What a healthy node answers: a follower redirects, a leader commits."""
        if isinstance(message, WhoLeads):
            return [Leads(self.cluster, self.ballot, self.leader)]
        if self.leader != self.id and isinstance(message, Read):
            return [ReadRefused([item.request for item in message.items], Refusal.NOT_LEADER, self.leader)]
        if self.leader != self.id:
            numbers = [item.number for item in message.items] if isinstance(message, Submit) else []
            return [Refused(message.session, numbers, Refusal.NOT_LEADER, self.leader)]
        if isinstance(message, Open):
            return [Opened(message.session, self.cluster, 1)]
        if isinstance(message, Submit):
            return [self.commit(message, [item.number for item in message.items])]
        if isinstance(message, Read):
            return [self.values(message)]
        raise AssertionError(f"no answer scripted for {message}")

    def commit(self, message: Any, numbers: list[int], status: int = 0) -> Replies:
        self.slot += 1
        others = dict.fromkeys(numbers, ())
        if isinstance(message, Submit) and not status:
            others |= {item.number: self._parts(item.legs) for item in message.items}
        outcomes = [
            Outcome(status, self.slot, i, self.ballot, (1, 9, 1, 11), others[number])
            for i, number in enumerate(numbers)
        ]
        return Replies(message.session, numbers, outcomes)

    def _parts(self, legs: tuple[int, ...]) -> tuple[int, ...]:
        """What a coordinator says of the other clusters whose accounts these are."""
        there = dict.fromkeys(1 + (account - 1) // ACCOUNTS for account in legs[::2])
        others = (c for c in there if c != self.cluster and 1 <= c <= self.clusters)
        return tuple(number for c in others for number in (c, 5, 0, 1, 3 * c - 2))

    def values(self, message: Read, balance: int = 10) -> ReadReplies:
        results = [ReadResult(i.request, self.slot, (0, balance) * len(i.accounts)) for i in message.items]
        return ReadReplies(results)

    async def _send(self, socket: ServerConnection, messages: list[Any]) -> None:
        if messages:
            encoded = [codec.encode(message) for message in messages]
            await socket.send(codec.frame(self.incarnation, encoded, len(encoded)))


@dataclass
class FakeBank:
    """Clusters of three fake nodes; account ranges of :data:`ACCOUNTS`."""

    nodes: dict[int, FakeNode]
    topology: Topology

    async def stop(self) -> None:
        for node in self.nodes.values():
            await node.stop()

    def elect(self, leader: int, in_round: int = 2, *, among: tuple[int, ...] = ()) -> None:
        """Make the nodes of the leader's cluster (or ``among`` them) follow ``leader``."""
        cluster = self.nodes[leader].cluster
        for node in self.nodes.values():
            if node.cluster == cluster and (not among or node.id in among):
                node.leader, node.ballot = leader, Ballot(in_round, leader)

    def reset(self) -> None:
        """A new incarnation, as every node sees it."""
        for node in self.nodes.values():
            node.incarnation += 1
            node.heard.clear()


async def start_fake_bank(clusters: int = 1, *, client_deadline_ms: float = 3000) -> FakeBank:
    nodes: dict[int, FakeNode] = {}
    groups = []
    for c in range(1, clusters + 1):
        first = 3 * c - 2
        members = []
        for node_id in range(first, first + 3):
            node = FakeNode(node_id, c, leader=first, clusters=clusters, ballot=Ballot(1, first))
            await node.start()
            nodes[node_id] = node
            members.append(Node(node_id, "127.0.0.1", node.port))
        groups.append(Cluster(c, tuple(members), ACCOUNTS * (c - 1) + 1, ACCOUNTS * c))
    timings = Timings(client_deadline_ms=client_deadline_ms)
    return FakeBank(nodes, Topology(tuple(groups), 10, timings))


async def until(condition: Callable[[], Any], what: str = "", timeout_s: float = 5.0) -> None:
    """Wait until ``condition()`` holds; fail after ``timeout_s``."""
    try:
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110  (a condition on anything)
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"never happened: {what or condition}") from None


__all__ = ["Command", "FakeBank", "FakeNode", "start_fake_bank", "until"]
