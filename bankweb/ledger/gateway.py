"""The site's way into the bank: one client of ``consensus`` per process, on Daphne's loop.

No other module of the site uses ``consensus.client``'s bank client. ``client_factory`` makes it; tests
put a fake there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import msgspec
from django.conf import settings

from bankweb.orchestration.bank import topology
from bankweb.rest.problems import Problem, invalid, shown
from consensus.client.bank import BankClient
from consensus.client.errors import ClientError, ClientSaturatedError
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


class Reservation:
    """Ids of transactions, kept open at the bank until their answers are stored here.

    A client tells the bank below which number it holds all outcomes, and the bank forgets those. The guard
    is a number below ``tx_ids`` that nothing is submitted under: while it is open, so are they. Were the
    site killed with an outcome in hand but not stored, the bank could still be asked.
    """

    def __init__(self, client: Any, guard: TxId, tx_ids: list[TxId]) -> None:
        self.tx_ids = tx_ids
        self._client = client
        self._guard: TxId | None = guard

    def release(self) -> None:
        """The answers are stored."""
        guard, self._guard = self._guard, None
        if guard is not None:
            _drop(self._client, guard)

    def drop(self) -> None:
        """Nothing was submitted under any of the ids, and nothing will be."""
        self.release()
        for tx_id in self.tx_ids:
            _drop(self._client, tx_id)


def _drop(client: Any, tx_id: TxId) -> None:
    # After a reset the client has forgotten its sessions with all their ids.
    with contextlib.suppress(ClientError):
        client.drop_tx_id(tx_id)


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

    async def reserve(self, count: int) -> Reservation:
        """Ids to be stored before anything is submitted under them. A single one is kept in full."""
        client = await self.client()
        with _problems():
            while True:
                guard = client.new_tx_id(keep=count == 1)
                tx_ids = [client.new_tx_id(keep=count == 1) for _ in range(count)]
                if guard.session == tx_ids[0].session:
                    return Reservation(client, guard, tx_ids)
                # A session ended just between them; the next one has room.
                Reservation(client, guard, tx_ids).drop()

    async def submit(self, legs: Legs, tx_id: TxId | None = None) -> TxResult:
        """Run one transaction; nodes record all of its steps.

        Raises:
            Problem: 503 when too many are waiting.
        """
        client = await self.client()
        with _problems():
            result: TxResult = await client.submit(legs, tx_id=tx_id, keep=True)
            return result

    async def submit_ambient(self, legs: Legs) -> TxResult:
        """Run one transaction that nobody asked for; its id tells so.

        Raises:
            Problem: 503 when too many are waiting.
        """
        client = await self.client()
        with _problems():
            result: TxResult = await client.submit(legs, tx_id=client.new_tx_id(ambient=True))
            return result

    async def submit_all(self, batch: Sequence[Legs], tx_ids: Sequence[TxId] | None = None) -> list[TxResult]:
        """Run independent transactions and return their results in order.

        One that this client cannot even submit (too many wait) counts as refused, with the empty id.
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

    async def resolve(self, tx_id: TxId, legs: Legs, clusters: tuple[ClusterId, ...] = ()) -> TxResult:
        """Make a transaction final (:meth:`BankClient.resolve`). ``clusters`` if its legs are not known."""
        client = await self.client()
        clusters = clusters or clusters_of(legs)
        result: TxResult = await client.resolve(tx_id, cluster=clusters[0])
        return msgspec.structs.replace(result, legs=legs or result.legs, clusters=clusters)

    async def read(
        self, account: AccountId, level: Level, bound_ms: int, versions: tuple[int, ...]
    ) -> ReadValues:
        """Read one account."""
        client = await self.client()
        with _problems():
            values: ReadValues = await client.read((account,), level, bound_ms=bound_ms, versions=versions)
            return values


def _refused(error: ClientError, legs: Legs, tx_id: TxId | None) -> TxResult:
    reason = "overloaded" if isinstance(error, ClientSaturatedError) else "unavailable"
    return TxResult(tx_id or _NO_ID, REFUSED, reason, clusters_of(legs), legs, None, 0, 0.0)


class _problems:
    """Turns what the client raises into problems."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
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
