"""The bank for callers without an event loop: a thread runs one for them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, Self, TypeVar

from consensus.client.bank import BankClient
from consensus.client.results import ReadValues, TxResult
from consensus.messages.client import Level
from consensus.topology import Topology
from consensus.types import AccountId, ClusterId, TxId

T = TypeVar("T")


class SyncBankClient:
    """:class:`~consensus.client.bank.BankClient` with blocking calls; any number of threads may use it.

    ::

        with SyncBankClient(topology, secret) as bank:
            print(bank.transfer(1001, 1002, 5).outcome)
    """

    def __init__(self, topology: Topology, secret: str, *, name: str = "sync-client") -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()
        self._client = self._run(self._start(topology, secret, name))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _start(self, topology: Topology, secret: str, name: str) -> BankClient:
        client = BankClient(topology, secret, name=name)
        await client.start()
        return client

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def ready(self, timeout_s: float = 10.0) -> bool:
        """As :meth:`BankClient.ready`."""
        return self._run(self._client.ready(timeout_s))

    def transfer(
        self, sender: AccountId, receiver: AccountId, amount: int, *, deadline_s: float | None = None
    ) -> TxResult:
        """As :meth:`BankClient.transfer`."""
        return self._run(self._client.transfer(sender, receiver, amount, deadline_s=deadline_s))

    def submit(
        self,
        legs: Sequence[int] | Sequence[Sequence[int]],
        conditions: Sequence[int] | Sequence[Sequence[int]] = (),
        *,
        deadline_s: float | None = None,
    ) -> TxResult:
        """As :meth:`BankClient.submit`."""
        return self._run(self._client.submit(legs, conditions, deadline_s=deadline_s))

    def resolve(
        self, tx_id: TxId, *, cluster: ClusterId | None = None, deadline_s: float | None = None
    ) -> TxResult:
        """As :meth:`BankClient.resolve`."""
        return self._run(self._client.resolve(tx_id, cluster=cluster, deadline_s=deadline_s))

    def read(
        self,
        accounts: Sequence[AccountId],
        level: Level = Level.LINEARIZABLE,
        *,
        bound_ms: int = 0,
        versions: Sequence[int] = (),
        deadline_s: float | None = None,
    ) -> ReadValues:
        """As :meth:`BankClient.read`."""
        return self._run(
            self._client.read(accounts, level, bound_ms=bound_ms, versions=versions, deadline_s=deadline_s)
        )

    def close(self) -> None:
        """Close the client and end its thread. A second call does nothing."""
        if self._loop.is_closed():
            return
        self._run(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
