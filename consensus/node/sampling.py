"""Which transactions a node's trace holds: all that are kept, and of the others a sample."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping
from typing import Any, Final

from consensus.types import KEPT_PREFIX, TxId

SAMPLED_PER_S: Final = 20
"""Transactions per second recorded in full; all of them while there are fewer."""
KEPT_EVENTS_PER_S: Final = 1_000
"""Events of kept transactions recorded per second; of more, a sample, and the rest is counted as dropped."""
_TOKENS_MAX: Final = 2 * SAMPLED_PER_S
_KEPT_HEX: Final = KEPT_PREFIX.hex()


def is_kept(tx: str) -> bool:
    """Whether a transaction, by the outward form of its id, is recorded in full."""
    return tx.startswith(_KEPT_HEX)


def kept_in(message: Any) -> list[str]:
    """Ids of the kept transactions that a message between clusters speaks of."""
    return [str(TxId(row.session, row.number)) for row in message.rows if row.session.startswith(KEPT_PREFIX)]


class KeptLimit:
    """Lets up to :data:`KEPT_EVENTS_PER_S` events of kept transactions pass, whole transactions beyond that.

    The share follows the last second; which transactions are in it is a hash of their ids, so that all nodes
    choose the same ones.
    """

    def __init__(self) -> None:
        self._limit = 1 << 32
        self._seen = 0
        self._second = 0

    def takes(self, tx: str) -> bool:
        """Whether to record an event of ``tx``."""
        second = time.monotonic_ns() // 1_000_000_000
        if second != self._second:
            per_s = self._seen / max(1, second - self._second)
            share = min(1.0, KEPT_EVENTS_PER_S / per_s) if per_s else 1.0
            self._limit = int((1 << 32) * share)
            self._seen = 0
            self._second = second
        self._seen += 1
        return zlib.crc32(tx.encode()) < self._limit


class Sampler:
    """Which transactions are recorded: about :data:`SAMPLED_PER_S`, and aborts up to as many again.

    The share follows the traffic of the last second, and the choice a hash of the id, so that nodes
    which see the same traffic choose the same transactions.
    """

    def __init__(self) -> None:
        self._limit = 1 << 32
        self._seen = 0
        self._aborts = 0
        self._second = 0

    def takes(self, fields: Mapping[str, Any]) -> bool:
        """Whether to record an event with these fields."""
        second = time.monotonic_ns() // 1_000_000_000
        if second != self._second:
            per_s = self._seen / max(1, second - self._second)
            self._limit = (1 << 32) if per_s <= _TOKENS_MAX else int((1 << 32) * SAMPLED_PER_S / per_s)
            self._seen = self._aborts = 0
            self._second = second
        self._seen += 1
        if fields.get("outcome") == "aborted" and self._aborts < SAMPLED_PER_S:
            self._aborts += 1
            return True
        return zlib.crc32(str(fields.get("tx")).encode()) < self._limit
