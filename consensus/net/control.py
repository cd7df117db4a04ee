"""The connection that a node opens to the site, to be steered and to tell what it does.

Seen from the protocol, the site is an operator that was dialled: the node says hello first, then answers
commands. The node goes on working while the site is away.
"""

from __future__ import annotations

import ssl
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from consensus import codec
from consensus.messages.control import PROTOCOL_VERSION, Command, Hello, Role, Welcome
from consensus.net.redial import Redial, Target
from consensus.net.wire import Wire
from consensus.types import NodeId

BACK_OFF_S: Final = (0.1, 3.0)


class ControlOwner(Protocol):
    """What the node does with operators."""

    incarnation: int

    def operator_frame(self, wire: Wire, messages: list[Any]) -> None:
        """Commands that came on ``wire``."""

    def operator_lost(self, wire: Wire) -> None:
        """Nothing can be answered on ``wire`` any more."""


def parse_url(url: str) -> Target:
    """Read ``ws://host:port/path`` (or ``wss``).

    Raises:
        ValueError: the url has another form; the text says what is wrong.
    """
    try:
        parts = urlsplit(url)
        standard = {"ws": 80, "wss": 443}[parts.scheme]
        port = parts.port or standard
    except (KeyError, ValueError) as error:
        raise ValueError(f"--control {url!r}: must look like ws://host:port/ws/worker/") from error
    if not parts.hostname:
        raise ValueError(f"--control {url!r}: the host is missing")
    tls = ssl.create_default_context() if parts.scheme == "wss" else None
    return Target("the site", parts.hostname, port, parts.path or "/", tls)


class Control:
    """Keeps the connection to the site up."""

    def __init__(self, target: Target, secret: str, me: NodeId, owner: ControlOwner) -> None:
        self._me = me
        self._owner = owner
        self._redial = Redial(target, secret, self._up, self._frame, owner.operator_lost, BACK_OFF_S)

    def start(self) -> None:
        self._redial.start()

    async def stop(self) -> None:
        await self._redial.stop()

    def stamp(self, incarnation: int) -> None:
        """Frames that leave from now on say that the node lives in ``incarnation``."""
        if self._redial.wire is not None:
            self._redial.wire.incarnation = incarnation

    def check_alive(self) -> None:
        if self._redial.wire is not None:
            self._redial.wire.check_alive()

    def _up(self, wire: Wire) -> None:
        wire.allowed = frozenset((Command, Welcome))
        wire.incarnation = self._owner.incarnation
        hello = Hello(PROTOCOL_VERSION, Role.OPERATOR, self._me, wire.incarnation, f"node-{self._me}")
        wire.send(codec.encode(hello))
        wire.flush()  # the hello is a frame of its own
        self._redial.good()

    def _frame(self, incarnation: int, messages: list[Any]) -> None:
        wire = self._redial.wire
        if wire is not None:
            self._owner.operator_frame(wire, [one for one in messages if isinstance(one, Command)])
