"""Results as REST bodies and headers."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from consensus.client.results import TxResult

POSITIONS_MAX: Final = 100
"""Accounts that a Session-Position header names; a longer one (of a batch) is left out."""

encode = msgspec.json.Encoder().encode


def to_body(result: TxResult) -> dict[str, Any]:
    """A transaction as REST shows it; ``id`` None: refused before it got one."""
    body = result.to_json()
    if not result.id.session:
        body["id"] = None
    return body


def position(bodies: list[dict[str, Any]]) -> str:
    """Session-Position of answers: ``account=version`` of each account seen, separated by commas."""
    versions: dict[str, int] = {}
    for body in bodies:
        for account, seen in body["accounts"].items():
            versions[account] = max(versions.get(account, 0), seen["version"])
            if len(versions) > POSITIONS_MAX:
                return ""
    return ",".join(f"{account}={version}" for account, version in versions.items())
