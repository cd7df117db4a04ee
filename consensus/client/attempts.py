"""Trying a transaction again that aborted because others were in its way, not because of what it asks."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from consensus.client.bank import BankClient
from consensus.client.core import age_now_us
from consensus.client.results import ABORTED, TxResult

TRANSIENT: Final = frozenset(("lock_conflict", "lock_timeout", "participant_unavailable"))
"""Abort reasons that may be gone a moment later: a lock, a cluster between two leaders."""
PAUSE_FIRST_S: Final = 0.005
PAUSE_MAX_S: Final = 0.16


async def submit_until(client: BankClient, legs: tuple[int, ...], deadline_s: float) -> TxResult:
    """Run a transaction; one that aborts for a :data:`TRANSIENT` reason is run anew until the deadline.

    Each attempt is a transaction with an outcome and an id of its own, so nothing can happen twice: one
    follows only upon the final abort of the one before. The age of the first is kept, which makes the
    transaction ever older among those it meets, until it is the one the others wait for (wait-die).

    Returns:
        The last attempt's result, with the latency of all of them.

    Raises:
        ValueError, ClientError: as :meth:`BankClient.submit`.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    age_us = age_now_us()
    pause_s = PAUSE_FIRST_S
    before_s = 0.0
    while True:
        result = await client.submit(legs, deadline_s=deadline_s - before_s, age_us=age_us)
        again_s = loop.time() - started + pause_s
        if result.outcome != ABORTED or result.reason not in TRANSIENT or again_s >= deadline_s:
            return msgspec.structs.replace(result, latency_ms=before_s * 1e3 + result.latency_ms)
        await asyncio.sleep(pause_s)
        before_s = loop.time() - started
        if before_s >= deadline_s:
            return msgspec.structs.replace(result, latency_ms=before_s * 1e3)
        pause_s = min(2 * pause_s, PAUSE_MAX_S)
