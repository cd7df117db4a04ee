"""What the clients of other engines share: the two calls of a load generator, each a task until it ends."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, ClassVar

from consensus.client.results import ABORTED, COMMITTED, UNKNOWN, ReadValues, TxResult
from consensus.client.routing import Directory
from consensus.messages.client import Level
from consensus.messages.entries import Condition
from consensus.topology import Topology
from consensus.types import ClusterId, TxId


class EngineClient:
    """As :class:`consensus.client.bank.BankClient` for a load. ``failures``: what a call raises that fails.

    Kinds and clusters of transfers are those they would have on the shards of ``topology``.
    """

    failures: ClassVar[tuple[type[Exception], ...]]
    _numbers = itertools.count()

    def __init__(self, topology: Topology) -> None:
        self.directory = Directory(topology)
        self._tasks: set[asyncio.Task[None]] = set()

    # --- of a subclass -----------------------------------------------------------------------

    async def start(self, clusters: Iterable[ClusterId] | None = None) -> None:
        """Open every connection."""
        raise NotImplementedError

    async def disconnect(self) -> None:
        """Close what :meth:`start` opened."""
        raise NotImplementedError

    async def transfer(self, legs: tuple[int, ...], versions: dict[int, int]) -> str | None:
        """Carry out a transfer: None when it committed, else why it did not.

        ``versions``: by account, the one that it must still have, else the answer is
        :data:`~consensus.workload.steps.CHANGED`.
        """
        raise NotImplementedError

    async def look(self, accounts: tuple[int, ...]) -> dict[int, tuple[int, int]]:
        """Version and balance of each account, all at one point of time that is not before the call."""
        raise NotImplementedError

    def named(self, failure: Exception) -> str:
        return type(failure).__name__

    # --- for a load --------------------------------------------------------------------------

    async def ready(self, timeout_s: float = 10.0) -> bool:
        return True

    async def close(self) -> None:
        await asyncio.gather(*self._tasks)
        await self.disconnect()

    def submit_nowait(
        self,
        legs: Sequence[int],
        on_done: Callable[[TxResult], None],
        conditions: Sequence[int] = (),
        deadline_s: float | None = None,
        tx_id: TxId | None = None,
        age_us: int = 0,
    ) -> None:
        """Run a transfer; ``on_done`` is called once, on the loop. There is no age here."""
        self._spawn(self._submit(tuple(legs), _versions(conditions), on_done))

    def read_nowait(
        self,
        accounts: tuple[int, ...],
        on_done: Callable[[ReadValues], None],
        level: Level = Level.LINEARIZABLE,
        bound_ms: int = 0,
        versions: tuple[int, ...] = (),
        deadline_s: float | None = None,
    ) -> None:
        """A read that is never stale, whatever the level."""
        self._spawn(self._read(accounts, on_done))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _submit(
        self, legs: tuple[int, ...], versions: dict[int, int], on_done: Callable[[TxResult], None]
    ) -> None:
        began = time.monotonic()
        outcome = UNKNOWN
        try:
            reason = await self.transfer(legs, versions)
            outcome = ABORTED if reason else COMMITTED
        except self.failures as failure:
            reason = self.named(failure)
        latency_ms = 1e3 * (time.monotonic() - began)
        tx_id = TxId(type(self).__name__.encode().ljust(16, b"\0"), next(self._numbers))
        clusters = self.directory.clusters_of(legs)
        on_done(TxResult(tx_id, outcome, reason, clusters, legs, None, 0, latency_ms))

    async def _read(self, accounts: tuple[int, ...], on_done: Callable[[ReadValues], None]) -> None:
        began = time.monotonic()
        values: dict[int, tuple[int, int]] = {}
        outcome, reason = "ok", None
        try:
            values = await self.look(accounts)
        except self.failures as failure:
            outcome, reason = "refused", self.named(failure)
        latency_ms = 1e3 * (time.monotonic() - began)
        (cluster,) = self.directory.clusters_of_accounts(accounts[:1])
        on_done(ReadValues(outcome, reason, cluster, 0, values, 0, latency_ms))


def _versions(conditions: Sequence[int]) -> dict[int, int]:
    """Flat conditions of a mix, all of which ask for a version, by account."""
    kinds = set(conditions[1::3])
    assert kinds <= {Condition.VERSION_EQUALS}, f"the engine knows no conditions of kinds {kinds}"
    return dict(zip(conditions[::3], conditions[2::3], strict=True))
