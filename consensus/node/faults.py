"""Faults that people cause on purpose: a node that acts disconnected, links that cut, delay or lose.

They lie outside the replica, between it and the network, and hit messages that this node sends to other
nodes. Clients and operators are never touched by link faults, operators not even by :attr:`Faults.failed`.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from consensus.types import NodeId

DELAYED_BYTES_MAX = 8 << 20
"""Bytes held back by delays; above it messages are lost."""


class LinkFault(NamedTuple):
    """What happens to messages on the way to one node."""

    cut: bool = False
    delay_ms: float = 0.0
    loss: float = 0.0
    """Share of messages that get lost, 0–1."""


class Faults:
    """The faults of one node.

    Attributes:
        failed: the course's F: peers and clients are neither heard nor answered.
        links: faulty links, by destination. Empty means that nothing has to be looked up.
    """

    def __init__(self) -> None:
        self.failed = False
        self.links: dict[NodeId, LinkFault] = {}
        self.delayed_bytes = 0
        self._random = random.Random()

    def set_link(self, to: NodeId, fault: LinkFault) -> None:
        """Replace the fault of a link; one without effect heals it."""
        if fault == LinkFault():
            self.links.pop(to, None)
        else:
            self.links[to] = fault

    def fate(self, to: NodeId, size: int) -> tuple[str, float]:
        """What to do with a message of ``size`` bytes: (why it is lost or "", delay in seconds)."""
        fault = self.links.get(to)
        if fault is None:
            return "", 0.0
        if fault.cut:
            return "cut", 0.0
        if fault.loss and self._random.random() < fault.loss:
            return "loss", 0.0
        if fault.delay_ms and self.delayed_bytes + size > DELAYED_BYTES_MAX:
            return "delay", 0.0
        return "", fault.delay_ms / 1e3
