"""The site's way into the bank: one client of ``consensus`` per process, on Daphne's loop.

No other module of the site uses ``consensus.client``'s bank client. ``client_factory`` makes it; tests
put a fake there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from django.conf import settings

from bankweb.orchestration.bank import topology
from bankweb.rest.problems import Problem, invalid, shown
from consensus.client.bank import BankClient
from consensus.client.errors import ClientError, ClientSaturatedError, CrossClusterError
from consensus.client.results import REFUSED, ReadValues, TxResult
from consensus.messages.client import Level
from consensus.types import AccountId, ClusterId, TxId

_log = logging.getLogger(__name__)

Legs = tuple[int, ...]
"""Flat: account, delta, account, delta, …"""

BATCH_OUTSTANDING_MAX: Final = 10_000
"""Transactions of batches under way at once; the rest of the client's room is left to single ones."""
YIELD_EVERY: Final = 250
"""Transactions of a batch handled in one go before others get their turn on the loop."""
_NO_ID: Final = TxId(b"", 0)


def _bank_client() -> BankClient:
    return BankClient(topology(), settings.BANK_SECRET, name="site")


client_factory: Callable[[], Any] = _bank_client


class Gateway:
    """Submits, reads, resolves. Started by its first use."""

    def __init__(self) -> None:
        self._client: Any = None
        self._batch_room = asyncio.Semaphore(BATCH_OUTSTANDING_MAX)

    async def client(self) -> Any:
        """The running client."""
        if self._client is None:
            # Nothing is awaited between the check and the assignment, so two callers cannot make two.
            self._client = client_factory()
            await self._client.start()
        return self._client

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def new_tx_ids(self, count: int) -> list[TxId]:
        """Ids to be stored before anything is submitted under them."""
        client = await self.client()
        with _problems():
            return [client.new_tx_id() for _ in range(count)]

    async def drop_tx_ids(self, tx_ids: Sequence[TxId]) -> None:
        """Give back ids under which nothing was submitted."""
        client = await self.client()
        for tx_id in tx_ids:
            client.drop_tx_id(tx_id)

    async def submit(self, legs: Legs, tx_id: TxId | None = None) -> TxResult:
        """Run one transaction.

        Raises:
            Problem: 501 across clusters, 503 when too many are waiting.
        """
        client = await self.client()
        with _problems():
            result: TxResult = await client.submit(legs, tx_id=tx_id)
            return result

    async def submit_all(self, batch: Sequence[Legs], tx_ids: Sequence[TxId] | None = None) -> list[TxResult]:
        """Run independent transactions and return their results in order.

        One that this client cannot even submit (across clusters) counts as refused, with the empty id.
        """
        client = await self.client()
        results: list[TxResult] = [None] * len(batch)
        missing = len(batch)
        finished = asyncio.Event()

        def done(index: int, result: TxResult) -> None:
            nonlocal missing
            results[index] = result
            self._batch_room.release()
            missing -= 1
            if not missing:
                finished.set()

        for index, legs in enumerate(batch):
            await self._batch_room.acquire()
            tx_id = tx_ids[index] if tx_ids is not None else None
            try:
                client.submit_nowait(legs, partial(done, index), tx_id=tx_id)
            except ClientError as error:
                done(index, _refused(error, legs, tx_id))
            if index % YIELD_EVERY == YIELD_EVERY - 1:
                await asyncio.sleep(0)
        if missing:
            await finished.wait()
        return results

    async def resolve(self, tx_id: TxId, cluster: ClusterId, deadline_s: float | None = None) -> TxResult:
        """Make a transaction final; see :meth:`BankClient.resolve`."""
        client = await self.client()
        result: TxResult = await client.resolve(tx_id, cluster=cluster, deadline_s=deadline_s)
        return result

    async def read(
        self, account: AccountId, level: Level, bound_ms: int, versions: tuple[int, ...]
    ) -> ReadValues:
        """Read one account."""
        client = await self.client()
        with _problems():
            values: ReadValues = await client.read((account,), level, bound_ms=bound_ms, versions=versions)
            return values


def _refused(error: ClientError, legs: Legs, tx_id: TxId | None) -> TxResult:
    reason = {CrossClusterError: "cross_cluster", ClientSaturatedError: "overloaded"}.get(
        type(error), "unavailable"
    )
    clusters = error.clusters if isinstance(error, CrossClusterError) else clusters_of(legs)
    return TxResult(tx_id or _NO_ID, REFUSED, reason, clusters, legs, None, 0, 0.0)


class _problems:
    """Turns what the client raises into problems."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, CrossClusterError):
            names = ", ".join(str(cluster) for cluster in error.clusters)
            detail = f"the accounts lie in clusters {names}; cross-cluster transfers arrive with 2PC"
            raise Problem("cross_cluster", detail, extra={"clusters": list(error.clusters)}) from error
        if isinstance(error, ClientSaturatedError):
            raise Problem("overloaded", str(error)) from error
        if isinstance(error, ClientError):
            raise Problem("unavailable", str(error)) from error


def clusters_of(legs: Legs) -> tuple[ClusterId, ...]:
    """The clusters that ``legs`` touch, that of the first debited leg (the coordinator) first."""
    pairs = list(zip(legs[::2], legs[1::2], strict=True))
    first = next((account for account, delta in pairs if delta < 0), legs[0] if legs else 0)
    homes = [topology().home(account) for account in (first, *legs[::2])]
    return tuple(dict.fromkeys(home.id for home in homes if home is not None))


def require_account(account: int, field: str) -> None:
    """Make sure that there is such an account.

    Raises:
        Problem: there is none (400).
    """
    last = topology().accounts
    if not 1 <= account <= last:
        raise invalid(field, f"must be an account 1..{last}, not {shown(account)}")


_gateway: Gateway | None = None


def gateway() -> Gateway:
    """The gateway of this process."""
    global _gateway  # noqa: PLW0603  (one per process, closed by shutdown)
    if _gateway is None:
        _gateway = Gateway()
    return _gateway


async def close() -> None:
    """Close the gateway; the next use opens another."""
    global _gateway
    current, _gateway = _gateway, None
    if current is not None:
        await current.close()
