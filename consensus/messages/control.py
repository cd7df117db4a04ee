"""Handshake and steering (numbers 120–159): hello, commands, telemetry.

Rates are low here, so bodies are plain JSON-like documents.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from consensus.messages.base import Message
from consensus.types import ClusterId, NodeId

PROTOCOL_VERSION = 2


class Role(StrEnum):
    """Who is at the other end of a connection."""

    PEER = "peer"
    CLIENT = "client"
    OPERATOR = "operator"


class Hello(Message, tag=120):
    """First message of whoever dialled. The secret travels in the HTTP handshake.

    ``lease``: of a peer, whether it has leases on; None: it does not say.
    """

    version: int
    role: Role
    node: NodeId
    incarnation: int
    name: str = ""
    lease: bool | None = None


class Welcome(Message, tag=121):
    """Answer to a hello that was taken."""

    version: int
    node: NodeId
    cluster: ClusterId
    incarnation: int


class Command(Message, tag=122):
    """An order or a question to a node; ``id`` is echoed. Names are listed in node/operator.py."""

    id: int
    name: str
    args: dict[str, Any] = msgspec.field(default_factory=dict)


class CommandReply(Message, tag=123):
    id: int
    ok: bool
    body: Any
    """The result, or ``{"error": sentence}``."""


class Telemetry(Message, tag=124):
    """What a node tells the site: its status, trace events, and what it had to leave out."""

    seq: int
    status: dict[str, Any]
    events: list[dict[str, Any]]
    dropped: int = 0


ControlMessage = Hello | Welcome | Command | CommandReply | Telemetry
