"""Steering one node: questions and orders over an operator connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Self

from consensus import codec
from consensus.client.connection import NodeLink
from consensus.client.errors import OperatorError
from consensus.messages.control import Command, CommandReply, Role, Telemetry
from consensus.topology import Node

CALL_TIMEOUT_S: Final = 5.0
CALLS_MAX: Final = 1_000
"""Calls without an answer on one connection."""


class Operator:
    """An operator connection to one node, dialled at the first call.

    Commands are listed in docs/protocol.md; a node answers them also while it is failed.

    Args:
        host, port: where the node listens.
        secret: the cluster secret.
        on_telemetry: called with each :class:`Telemetry` after a ``watch`` command.
    """

    def __init__(
        self,
        host: str,
        port: int,
        secret: str,
        *,
        on_telemetry: Callable[[Telemetry], None] | None = None,
        name: str = "operator",
    ) -> None:
        self.incarnation = 0
        """Always 0: an operator speaks to whatever life the node is in."""
        self._node = Node(0, host, port)
        self._secret = secret
        self._name = name
        self._on_telemetry = on_telemetry
        self._link: NodeLink | None = None
        self._up = asyncio.Event()
        self._next_id = 1
        self._calls: dict[int, asyncio.Future[CommandReply]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def call(self, name: str, *, timeout_s: float = CALL_TIMEOUT_S, **args: Any) -> Any:
        """Send a command and return the body of its reply.

        Raises:
            TimeoutError: the node cannot be reached, or did not answer in time; the text says which.
            ConnectionError: the connection broke before the answer: the command may have been carried out.
            OperatorError: the node refused; the text is its reason.
        """
        if len(self._calls) >= CALLS_MAX:
            raise OperatorError(f"{CALLS_MAX} commands wait for an answer of {self._address}")
        if self._link is None:
            self._link = NodeLink(self._node, self._secret, Role.OPERATOR, self, name=self._name)
            self._link.open()
        number = self._next_id
        self._next_id += 1
        try:
            async with asyncio.timeout(timeout_s):
                while not self._link.send(codec.encode(Command(number, name, args))):
                    self._up.clear()
                    await self._up.wait()
                reply = self._calls[number] = asyncio.get_running_loop().create_future()
                answer = await reply
        except TimeoutError:
            what = "did not answer" if number in self._calls else f"cannot be reached ({self._link.failure})"
            raise TimeoutError(f"the node at {self._address} {what} within {timeout_s:g} s") from None
        finally:
            self._calls.pop(number, None)
        if not answer.ok:
            detail = answer.body.get("error") if isinstance(answer.body, dict) else None
            raise OperatorError(f"{name}: {detail or answer.body}")
        return answer.body

    async def close(self) -> None:
        """End the connection; calls without an answer fail."""
        if self._link is not None:
            await self._link.close()
            self.link_lost(self._link)
            self._link = None

    @property
    def _address(self) -> str:
        return f"{self._node.host}:{self._node.port}"

    # --- connection.LinkOwner ---------------------------------------------

    def link_up(self, link: NodeLink, incarnation: int) -> None:
        self._up.set()

    def link_lost(self, link: NodeLink) -> None:
        calls, self._calls = self._calls, {}
        for reply in calls.values():
            if not reply.done():
                reply.set_exception(
                    ConnectionError(f"the connection to {self._address} broke: {link.failure}")
                )

    def heard(self, link: NodeLink, incarnation: int, messages: list[Any]) -> None:
        for message in messages:
            if isinstance(message, CommandReply):
                reply = self._calls.get(message.id)
                if reply is not None and not reply.done():
                    reply.set_result(message)
            elif isinstance(message, Telemetry) and self._on_telemetry is not None:
                self._on_telemetry(message)
