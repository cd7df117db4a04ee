"""Transactions that ended ``unknown``: the bank is asked about each until it says what became of it.

People see the outcome without asking again, and the client's session gets rid of the open number, which
would otherwise hold up what the bank can forget.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from bankweb.ledger import bodies, records
from bankweb.ledger.gateway import Legs, gateway
from bankweb.rest.problems import Problem
from bankweb.store import StoreError, writer
from consensus.types import ClusterId, TxId

_log = logging.getLogger(__name__)

DOUBTS_MAX: Final = 1_000
"""More than this are not asked about; their pages still are a way to."""
FIRST_WAIT_S: Final = 1.0
WAIT_MAX_S: Final = 30.0
TRIES_MAX: Final = 30

_tasks: set[asyncio.Task[None]] = set()


def settle_later(
    tx_id: TxId, clusters: tuple[ClusterId, ...], legs: Legs, source: str, actor: str, claim: int = 0
) -> None:
    """Begin to ask about a transaction, a second from now."""
    if len(_tasks) >= DOUBTS_MAX:
        _log.warning("%d transactions are in doubt already; %s is left to who asks for it", DOUBTS_MAX, tx_id)
        return
    task = asyncio.get_running_loop().create_task(_settle(tx_id, clusters, legs, source, actor, claim))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _settle(
    tx_id: TxId, clusters: tuple[ClusterId, ...], legs: Legs, source: str, actor: str, claim: int
) -> None:
    wait_s = FIRST_WAIT_S
    for _ in range(TRIES_MAX):
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, WAIT_MAX_S)
        try:
            result = await gateway().resolve(tx_id, legs, clusters)
            if result.final:
                await writer().write(records.end, bodies.ended(result, legs, source, actor, claim))
                return
        except (Problem, StoreError) as error:
            _log.info("%s stays in doubt: %s", tx_id, error)
    _log.warning("%s stays in doubt: cluster %s did not answer", tx_id, clusters)


async def close() -> None:
    """Stop asking."""
    tasks = list(_tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
