"""A connection to one node: dialled, greeted, dialled again with back-off when it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from typing import Any, Final, Protocol

from consensus import codec
from consensus.messages.control import PROTOCOL_VERSION, Hello, Role, Welcome
from consensus.net.wire import DialError, Wire, dial
from consensus.topology import Node

DIAL_TIMEOUT_S: Final = 3.0
"""Long enough for a node that is greeted by hundreds at once."""
REDIAL_MIN_S: Final = 0.05
REDIAL_MAX_S: Final = 1.0
CLOSE_TIMEOUT_S: Final = 1.0

_log = logging.getLogger(__name__)


class LinkOwner(Protocol):
    """Who is told what happens on a connection."""

    incarnation: int
    """What frames are stamped with; 0 asks the node to tell."""

    def link_up(self, link: NodeLink, incarnation: int) -> None:
        """The node took the greeting."""

    def link_lost(self, link: NodeLink) -> None:
        """The connection is gone; it is dialled again by itself."""

    def heard(self, link: NodeLink, incarnation: int, messages: list[Any]) -> None:
        """One frame."""


class NodeLink:
    """A connection to ``node`` that is kept up until :meth:`close`.

    Attributes:
        node: whom it leads to.
        up: whether messages can be sent now.
        heard_s: when the last frame came, on the monotonic clock.
        failure: why the last dial failed or the connection broke; empty if it never did.
    """

    def __init__(self, node: Node, secret: str, role: Role, owner: LinkOwner, *, name: str) -> None:
        self.node = node
        self.up = False
        self.heard_s = 0.0
        self.failure = ""
        self._secret = secret
        self._role = role
        self._owner = owner
        self._name = name
        self._wire: Wire | None = None
        self._lost = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to dial, in the background."""
        if self._task is None:
            self._task = self._loop.create_task(self._run(), name=f"link-{self.node.id}")

    def send(self, message: bytes) -> bool:
        """Send one encoded message with the others of this turn of the loop. False: not connected."""
        if not self.up or self._wire is None:
            return False
        self._wire.incarnation = self._owner.incarnation
        self._wire.send(message)
        return True

    async def close(self) -> None:
        """Close the connection and stop dialling; the owner hears nothing more."""
        self.up = False
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._lost.wait()

    async def _run(self) -> None:
        wait_s = REDIAL_MIN_S
        while True:
            try:
                async with asyncio.timeout(DIAL_TIMEOUT_S):
                    await self._greet()
            except (OSError, TimeoutError, DialError) as error:
                self.failure = str(error) or "no answer in time"
                _log.debug("cannot reach node %d: %s", self.node.id, self.failure)
                wire, self._wire = self._wire, None
                if wire is not None:
                    wire.close()
            else:
                wait_s = REDIAL_MIN_S
                await self._lost.wait()
            await asyncio.sleep(wait_s * random.uniform(0.8, 1.2))
            wait_s = min(wait_s * 2, REDIAL_MAX_S)

    async def _greet(self) -> None:
        """Dial and say hello; returns when the node has welcomed us.

        Raises:
            OSError: nothing listens there, or the connection broke.
            DialError: the handshake was refused.
        """
        lost = self._lost = asyncio.Event()
        welcomed: asyncio.Future[Welcome] = self._loop.create_future()

        def on_frame(incarnation: int, messages: list[Any]) -> None:
            if self._wire is not wire:
                return  # given up meanwhile
            self.heard_s = time.monotonic()
            if not welcomed.done() and messages and isinstance(messages[0], Welcome):
                welcomed.set_result(messages[0])
                messages = messages[1:]
                self.up = True
                self._owner.link_up(self, incarnation)
            if self.up and messages:
                self._owner.heard(self, incarnation, messages)

        def on_lost(reason: str) -> None:
            lost.set()
            if not welcomed.done():
                welcomed.set_exception(ConnectionError(reason))
            if self._wire is wire:
                was_up, self.up, self._wire = self.up, False, None
                self.failure = reason
                if was_up:
                    self._owner.link_lost(self)

        wire = await dial(self.node.host, self.node.port, self._secret, on_frame, on_lost)
        self._wire = wire
        hello = Hello(PROTOCOL_VERSION, self._role, 0, self._owner.incarnation, self._name)
        wire.incarnation = self._owner.incarnation
        wire.send(codec.encode(hello))
        await welcomed
