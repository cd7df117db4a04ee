"""Faults that people caused and that still hold."""

from __future__ import annotations

from typing import Any, NamedTuple

from bankweb.orchestration import nodes
from bankweb.orchestration.bank import topology
from consensus.types import NodeId


class LinkFault(NamedTuple):
    """What happens to frames that node ``source`` sends to ``target``."""

    source: NodeId
    target: NodeId
    cut: bool
    delay_ms: float
    loss: float

    @property
    def is_none(self) -> bool:
        return not (self.cut or self.delay_ms or self.loss)

    def sentence(self) -> str:
        if self.cut:
            return f"link {self.source} → {self.target} cut"
        parts = [f"delayed by {self.delay_ms:g} ms"] if self.delay_ms else []
        parts += [f"loses {self.loss:.0%}"] if self.loss else []
        return f"link {self.source} → {self.target} {' and '.join(parts) or 'healed'}"


_links: dict[tuple[NodeId, NodeId], LinkFault] = {}
"""Asked for through this process. A worker that is started again has none."""


def note_link(fault: LinkFault) -> None:
    """Remember a fault that its node has confirmed."""
    if fault.is_none:
        _links.pop((fault.source, fault.target), None)
    else:
        _links[fault.source, fault.target] = fault


def forget_links(node: NodeId | None = None) -> None:
    """Forget the links that ``node`` sends on, or all."""
    for key in [key for key in _links if node is None or key[0] == node]:
        del _links[key]


def links() -> list[LinkFault]:
    return [_links[key] for key in sorted(_links)]


def active() -> list[dict[str, Any]]:
    """Faults in force, as :mod:`bankweb.observatory.context` documents them."""
    found: list[dict[str, Any]] = []
    for node in topology().nodes:
        state = nodes.state_of(node)
        if state in ("failed", "paused", "killed"):
            found.append({"kind": state, "node": node, "to": None, "text": f"node {node} {state}"})
    return found + [
        {"kind": "link", "node": fault.source, "to": fault.target, "text": fault.sentence()}
        for fault in links()
    ]
