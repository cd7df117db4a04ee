"""The workers whose control connections end in this process: what they said last, and how to ask them.

A worker dials ``/ws/worker/`` (:mod:`bankweb.orchestration.consumers`) and stays connected. The hub
matches answers with questions, remembers each node's last status, tells listeners what workers report,
and tells workers how much of it anybody wants to hear.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from bankweb.orchestration.bank import topology
from bankweb.rest.problems import Problem
from consensus import codec
from consensus.messages.control import Command, CommandReply, Telemetry
from consensus.types import NodeId

_log = logging.getLogger(__name__)

CALL_DEADLINE_S: Final = 3.0
ASK_DEADLINE_S: Final = 1.0
OUTSTANDING_MAX: Final = 256
"""Questions to one node that have no answer yet."""
IDLE_HZ: Final = 1.0
LIVE_HZ: Final = 10.0

Send = Callable[[bytes], Awaitable[None]]


class Listener(Protocol):
    """Hears what workers report, on the loop; must not block."""

    def heard(self, node: NodeId, status: dict[str, Any], events: list[dict[str, Any]], dropped: int) -> None:
        """A report of ``node``; ``dropped`` events were left out by it."""

    def came(self, node: NodeId) -> None:
        """The control connection of ``node`` opened."""

    def went(self, node: NodeId) -> None:
        """It ended."""

    def happened(self, event: dict[str, Any]) -> None:
        """Something the site itself did or saw, as a trace event without ``q`` and ``ts``."""


class Connection:
    """One control connection."""

    def __init__(
        self, node: NodeId, incarnation: int, send: Send, close: Callable[[], Awaitable[None]]
    ) -> None:
        self.node = node
        self.incarnation = incarnation
        self.send = send
        self.close = close
        self.waiting: dict[int, asyncio.Future[CommandReply]] = {}
        self.next_id = 1


class NodeView:
    """What is known of one node."""

    def __init__(self, node: NodeId) -> None:
        self.node = node
        self.connection: Connection | None = None
        self.status: dict[str, Any] = {}
        self.heard_at = 0.0
        """Monotonic time of the last report, 0 for never."""
        self.reports = 0
        self.dropped = 0

    @property
    def age_s(self) -> float | None:
        """Seconds since the last report; None if there was none."""
        return time.monotonic() - self.heard_at if self.heard_at else None


class WorkerHub:
    """All nodes of the topology, seen from this process."""

    def __init__(self) -> None:
        self.nodes: dict[NodeId, NodeView] = {node: NodeView(node) for node in topology().nodes}
        self.listeners: list[Listener] = []
        self.bad_frames = 0
        self.cutting = asyncio.Lock()
        """Held while an audit cut is made."""
        self._hz = IDLE_HZ
        self._level = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- connections (the consumer's side) --------------------------------

    def attach(self, connection: Connection) -> None:
        """Take over a connection whose hello was accepted; an older one of the same node is closed."""
        view = self.nodes[connection.node]
        old, view.connection = view.connection, connection
        if old is not None:
            self._end(old)
            self._start(old.close())
        for listener in self.listeners:
            listener.came(connection.node)
        self._start(self._send_watch(connection.node))

    def detach(self, connection: Connection) -> None:
        """The connection is gone; questions on it fail now."""
        view = self.nodes[connection.node]
        self._end(connection)
        if view.connection is connection:
            view.connection = None
            for listener in self.listeners:
                listener.went(connection.node)

    @staticmethod
    def _end(connection: Connection) -> None:
        waiting, connection.waiting = connection.waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(_away(connection.node))

    def received(self, connection: Connection, message: Any) -> bool:
        """Take a message of a worker; False if it is none that a worker sends."""
        if isinstance(message, CommandReply):
            future = connection.waiting.pop(message.id, None)
            if future is not None and not future.done():
                future.set_result(message)
            return True
        if isinstance(message, Telemetry):
            view = self.nodes[connection.node]
            view.status = message.status
            view.heard_at = time.monotonic()
            view.reports += 1
            view.dropped += message.dropped
            for listener in self.listeners:
                listener.heard(connection.node, message.status, message.events, message.dropped)
            return True
        return False

    # --- asking ------------------------------------------------------------

    def connected(self) -> list[NodeId]:
        return [node for node, view in self.nodes.items() if view.connection is not None]

    async def call(self, node: NodeId, name: str, *, deadline_s: float = CALL_DEADLINE_S, **args: Any) -> Any:
        """Give ``node`` a command and return the body of its answer.

        Raises:
            Problem: the node is not connected, does not answer in time, or refuses (503, 409).
        """
        view = self.nodes.get(node)
        if view is None:
            raise Problem("not_found", f"there is no node {node}")
        connection = view.connection
        if connection is None:
            raise _away(node)
        if len(connection.waiting) >= OUTSTANDING_MAX:
            raise Problem("overloaded", f"{OUTSTANDING_MAX} questions to node {node} wait for an answer")
        number, connection.next_id = connection.next_id, connection.next_id + 1
        future: asyncio.Future[CommandReply] = asyncio.get_running_loop().create_future()
        connection.waiting[number] = future
        try:
            async with asyncio.timeout(deadline_s):
                await connection.send(codec.frame(0, [codec.encode(Command(number, name, args))], 1))
                reply = await future
        except TimeoutError:
            detail = f"node {node} did not answer `{name}` within {deadline_s:g} s"
            raise Problem("unavailable", detail) from None
        finally:
            connection.waiting.pop(number, None)
        if not reply.ok:
            error = reply.body.get("error") if isinstance(reply.body, dict) else reply.body
            raise Problem("conflict", f"node {node} refused `{name}`: {error}")
        return reply.body

    async def ask(self, node: NodeId, name: str, *, deadline_s: float = ASK_DEADLINE_S, **args: Any) -> Any:
        """As :meth:`call`, but None where the node gives no answer."""
        try:
            return await self.call(node, name, deadline_s=deadline_s, **args)
        except Problem:
            return None

    # --- telemetry ---------------------------------------------------------

    def watch(self, hz: float, level: int) -> None:
        """Ask all workers, also those that come later, for reports of ``level`` at ``hz``."""
        if (hz, level) == (self._hz, self._level):
            return
        self._hz, self._level = hz, level
        for node in self.connected():
            self._start(self._send_watch(node))

    async def _send_watch(self, node: NodeId) -> None:
        try:
            await self.call(node, "watch", hz=self._hz, level=self._level)
        except Problem as problem:
            # It is asked again when it comes back; until then its status is simply old.
            _log.info("watch: %s", problem)

    def happened(self, event: dict[str, Any]) -> None:
        """Tell listeners of something the site did or saw."""
        for listener in self.listeners:
            listener.happened(event)

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _away(node: NodeId) -> Problem:
    return Problem("unavailable", f"node {node} is not connected to the site; is it running?")


_hub: WorkerHub | None = None


def hub() -> WorkerHub:
    """The hub of this process."""
    global _hub  # noqa: PLW0603  (one per process)
    if _hub is None:
        _hub = WorkerHub()
    return _hub


def forget() -> None:
    """Drop the hub; the next use makes another. For the end of the process, and for tests."""
    global _hub  # noqa: PLW0603
    _hub = None
