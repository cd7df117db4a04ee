"""The worker processes on this machine, as their supervisor sees them."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from bankweb.rest.problems import Problem
from consensus.cluster import steering
from consensus.types import NodeId

_log = logging.getLogger(__name__)

OPERATIONS: Final = ("kill", "restart", "pause", "resume")
FRESH_S: Final = 1.0
"""What was learnt so recently is not asked again."""
STATUS_TIMEOUT_S: Final = 1.0

_states: dict[NodeId, str] = {}
_asked_at = 0.0


def _socket() -> Path:
    return Path(settings.BANK_DATA) / "supervisor.sock"


def state(node: NodeId) -> str:
    """``killed`` (on purpose), ``paused``, ``down`` (waits to be started again), ``running``; "" unknown."""
    return _states.get(node, "")


async def refresh() -> None:
    """Ask the supervisor how its processes are, unless that was asked a moment ago.

    Without a supervisor here (workers on other machines) nothing is known, which is no error.
    """
    global _asked_at  # noqa: PLW0603  (one supervisor per process)
    if time.monotonic() - _asked_at < FRESH_S:
        return
    _asked_at = time.monotonic()
    if not _socket().exists():
        _states.clear()
        return
    try:
        body = await steering.ask(_socket(), "status", timeout_s=STATUS_TIMEOUT_S)
    except steering.SteeringError as error:
        _log.info("%s", error)
        _states.clear()
        return
    for node, status in body["nodes"].items():
        _states[int(node)] = _word(status)


async def act(operation: str, node: NodeId) -> None:
    """Kill, restart, pause or resume a worker process.

    Raises:
        Problem: no supervisor answers here, or it refused (503, 409).
    """
    if not _socket().exists():
        raise Problem(
            "unavailable",
            f"no supervisor runs in {settings.BANK_DATA}, so the site cannot {operation} node {node}",
        )
    try:
        status = await steering.ask(_socket(), operation, node)
    except steering.SteeringError as error:
        raise Problem("conflict", str(error)) from error
    _states[node] = _word(status)


def _word(status: dict[str, Any]) -> str:
    if status.get("state") == "down":
        return "killed" if status.get("wanted") == "down" else "down"
    return str(status.get("state", ""))


def forget() -> None:
    """Know nothing; for tests."""
    global _asked_at  # noqa: PLW0603
    _asked_at = 0.0
    _states.clear()
