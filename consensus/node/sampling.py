"""Which transactions a node's trace holds: all that are kept, and of the others a sample."""

from __future__ import annotations

import math
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from consensus.paxos.context import in_sample
from consensus.types import KEPT_PREFIX, TxId, parse_tx_id

SAMPLED_PER_S: Final = 20
"""Transactions per second recorded in full; all of them while there are fewer."""
KEPT_EVENTS_PER_S: Final = 1_000
"""Events of kept transactions recorded per second; of more, a sample, and the rest is counted as dropped."""
CLASS_PER_S: Final = 20
"""Of each class of transactions that are told of besides: so many a second, and the rest is counted."""
TIMEOUTS: Final = frozenset(("lock_timeout", "coordinator_timeout", "participant_unavailable"))
_TOKENS_MAX: Final = 2 * SAMPLED_PER_S
_KEPT_HEX: Final = KEPT_PREFIX.hex()
_HASHES: Final = 1 << 32
"""Number of values of a CRC-32."""


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
        self._limit = _HASHES
        self._seen = 0
        self._second = 0

    def takes(self, tx: str) -> bool:
        """Whether to record an event of ``tx``."""
        second = time.monotonic_ns() // 1_000_000_000
        if second != self._second:
            per_s = self._seen / max(1, second - self._second)
            share = min(1.0, KEPT_EVENTS_PER_S / per_s) if per_s else 1.0
            self._limit = int(_HASHES * share)
            self._seen = 0
            self._second = second
        self._seen += 1
        return zlib.crc32(tx.encode()) < self._limit


class Classes:
    """What is told of besides the sample: aborts, timeouts, late answers, transactions that met a move."""

    def __init__(self) -> None:
        self._told: Counter[str] = Counter()
        self._second = 0

    def takes(self, name: str) -> bool:
        """Whether another one of class ``name`` is told of in this second."""
        second = time.monotonic_ns() // 1_000_000_000
        if second != self._second:
            self._told.clear()
            self._second = second
        self._told[name] += 1
        return self._told[name] <= CLASS_PER_S


def class_of(fields: Mapping[str, Any]) -> str:
    """The class of a transaction's step that is told of besides the sample; empty: it is of none."""
    if fields.get("outcome") != "aborted":
        return ""
    return "timeout" if fields.get("why") in TIMEOUTS else "abort"


class Sampler:
    """Which transactions are recorded: :data:`SAMPLED_PER_S`, give or take a half.

    The share follows what was applied in the last second, and the choice the ids, so that the nodes of a
    cluster, which apply the same transactions, choose the same ones. The share goes by powers of two, so that
    they agree although their seconds begin at different times. Within a second in which a load begins it is
    halved as often as what was seen doubles: that second is not recorded whole.

    Args:
        applied: outcomes applied so far.
        told: gets the share when it changes: each so manyth transaction is wanted, a power of two
            (see :func:`~consensus.paxos.context.in_sample`).
    """

    def __init__(self, applied: Callable[[], int], told: Callable[[int], None]) -> None:
        self._applied = applied
        self._told = told
        self.every = 1
        self._before = 0
        """Outcomes applied when this second began."""
        self._second = 0

    def roll(self) -> None:
        """Follow the traffic; to be called whenever something happened."""
        applied = self._applied()
        second = time.monotonic_ns() // 1_000_000_000
        every = self.every
        if second != self._second:
            per_s = (applied - self._before) / max(1, second - self._second)
            every = 1 << round(math.log2(per_s / SAMPLED_PER_S)) if per_s > _TOKENS_MAX else 1
            self._before, self._second = applied, second
        while applied - self._before > every * _TOKENS_MAX:
            every <<= 1
        if every != self.every:
            self.every = every
            self._told(every)

    def holds(self, tx: str) -> bool:
        """Whether a transaction is in the sample."""
        return in_sample(*parse_tx_id(tx), self.every)

    def takes_all(self) -> bool:
        """Whether there are so few transactions that each is recorded."""
        return self.every == 1
