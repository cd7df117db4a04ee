"""Results as REST bodies and headers."""

from __future__ import annotations

from typing import Any

import msgspec

from bankweb.ledger.gateway import Legs
from bankweb.ledger.records import Ended
from consensus.client.results import TxResult

encode = msgspec.json.Encoder().encode


def to_body(result: TxResult) -> dict[str, Any]:
    """A transaction as REST shows it; ``id`` None: refused before it got one."""
    body = result.to_json()
    if not result.id.session:
        body["id"] = None
    return body


def ended(result: TxResult, legs: Legs, source: str, actor: str, claim: int = 0) -> Ended:
    """What is to be stored of a transaction that ended."""
    body = to_body(result)
    return Ended(
        str(result.id), result.outcome, encode(body), legs, source, actor, claim, result.final, position(body)
    )


def position(body: dict[str, Any]) -> str:
    """Session-Position of an answer: ``account=version`` of each account seen, separated by commas."""
    return ",".join(f"{account}={seen['version']}" for account, seen in body["accounts"].items())
