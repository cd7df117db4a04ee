"""The steps of kept transactions: what nodes tell of each, held here at first, then stored beside it.

Nodes report events of kept transactions at every level (docs/trace.md, "Kept transactions"), each a while
after the other. What came is written to the database when nothing new has come for :data:`QUIET_S`.
"""

from __future__ import annotations

import asyncio
import logging
import time
import zlib
from typing import Any, Final, NamedTuple

import msgspec

from bankweb.ledger import records
from bankweb.orchestration.hub import hub
from bankweb.store import StoreError, read, writer
from consensus.trace import events
from consensus.types import KEPT_PREFIX, NodeId

_log = logging.getLogger(__name__)
_encode: Final = msgspec.json.Encoder().encode

HELD_MAX: Final = 1_000
"""Transactions in memory; of more the oldest go, stored or not."""
STEPS_MAX: Final = 500
"""Events of one transaction; retries and re-sent messages beyond that are left out."""
QUIET_S: Final = 2.5
"""Longer than nodes take between two reports while nobody looks."""
TRIES_MAX: Final = 4
_KEPT_HEX: Final = KEPT_PREFIX.hex()


class Told(NamedTuple):
    """Events by time, and whether more may come."""

    steps: list[dict[str, Any]]
    settled: bool


class _Held:
    __slots__ = ("events", "heard_at", "is_stored")

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.heard_at = 0.0
        self.is_stored = False


class Steps:
    """A :class:`bankweb.orchestration.hub.Listener`."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def heard(
        self, node: NodeId, status: dict[str, Any], reported: list[dict[str, Any]], dropped: int
    ) -> None:
        for event in reported:
            tx = event.get("tx")
            if isinstance(tx, str) and tx.startswith(_KEPT_HEX) and not events.problems(event):
                self._take(tx, event)

    def came(self, node: NodeId) -> None:
        """Nothing to do."""

    def went(self, node: NodeId) -> None:
        """Nothing to do."""

    def happened(self, event: dict[str, Any]) -> None:
        """What the site does is no step."""

    def _take(self, tx: str, event: dict[str, Any]) -> None:
        held = self._held.get(tx)
        if held is None:
            if len(self._held) >= HELD_MAX:
                del self._held[next(iter(self._held))]
            held = self._held[tx] = _Held()
        if len(held.events) >= STEPS_MAX:
            return
        held.events.append(event)
        held.heard_at = time.monotonic()
        if len(held.events) == 1 or held.is_stored:
            held.is_stored = False
            task = asyncio.get_running_loop().create_task(self._store_when_quiet(tx, held))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _store_when_quiet(self, tx: str, held: _Held) -> None:
        """Write what is held of ``tx``; a few times, since its own row may come later."""
        for _ in range(TRIES_MAX):
            while (wait_s := held.heard_at + QUIET_S - time.monotonic()) > 0:  # noqa: ASYNC110 (for quiet)
                await asyncio.sleep(wait_s)
            count = len(held.events)
            body = zlib.compress(_encode(_by_time(held.events)), 1)
            try:
                is_kept = await writer().write(records.keep_steps, records.Steps(tx, body))
                if is_kept and len(held.events) == count:
                    held.is_stored = True
                    return
            except StoreError as error:
                _log.warning("the steps of %s are not stored: %s", tx, error)
            held.heard_at = time.monotonic()

    async def find(self, tx: str) -> Told:
        """What is known of a transaction's steps."""
        held = self._held.get(tx)
        if held is not None:
            return Told(_by_time(held.events), held.is_stored)
        body = await read(records.steps, tx)
        if body is None:
            return Told([], False)
        return Told(msgspec.json.decode(zlib.decompress(body)), True)

    async def close(self) -> None:
        """Stop waiting; what is not stored is lost."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _by_time(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(found, key=lambda event: (event["ts"], event.get("n", 0), event.get("ns", 0)))


_steps: Steps | None = None


def steps() -> Steps:
    """Those of this process, listening to its worker hub."""
    global _steps  # noqa: PLW0603  (one per process)
    if _steps is None:
        _steps = Steps()
        hub().listeners.append(_steps)
    return _steps


async def close() -> None:
    """End it; the next use makes another. For the end of the process, and for tests."""
    global _steps
    current, _steps = _steps, None
    if current is not None:
        await current.close()
