"""Logs of a node: one JSON object per line on stderr, never synced.

``structlog`` formats what the standard library's loggers are told. Its package imports terminal libraries
when it finds them, three quarters of its own load time and 15 MB that a worker has no use for, so they are
hidden from it while it loads.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

import msgspec

_NOT_NEEDED: Final = ("rich", "better_exceptions", "colorama", "greenlet", "twisted")
_encode: Final = msgspec.json.Encoder(enc_hook=str).encode


def configure(node: int, level: str = "INFO") -> None:
    """Send all logs to stderr as JSON lines that name the node."""
    structlog = _load()

    def add_node(logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
        return {"node": node, **event}

    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            add_node,
            structlog.processors.JSONRenderer(serializer=_serialize),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)


def _serialize(event: dict[str, Any], **_: Any) -> str:
    return _encode(event).decode()


def _load() -> Any:
    hidden = [name for name in _NOT_NEEDED if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # the documented way to make an import fail
    try:
        import structlog
    finally:
        for name in hidden:
            del sys.modules[name]
    return structlog
