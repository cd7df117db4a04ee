"""The bank as a Python object: transfers, transactions, reads, resolving what is unknown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, Self, TypeVar

from consensus.client.core import TICK_S, ClientCore
from consensus.client.errors import CrossClusterError, UnknownTransactionError
from consensus.client.reads import WAIT_SHARE, PendingRead
from consensus.client.resolves import PendingResolve
from consensus.client.results import ReadValues, TxResult, from_outcome
from consensus.messages.client import Level, ReadItem
from consensus.types import LEGS_MAX, AccountId, ClusterId, NodeId, TxId

T = TypeVar("T")

INT_MAX: Final = 2**62
"""Largest absolute value of an account or delta that can be put on the wire."""
READ_ACCOUNTS_MAX: Final = 1_000
"""Accounts in one read."""


class BankClient(ClientCore):
    """A client of the whole bank. Use it on one event loop; :mod:`consensus.client.sync` is for threads.

    ::

        async with BankClient(topology, secret) as bank:
            result = await bank.transfer(1001, 1002, 5)
            print(result.outcome, result.positions)

    Args:
        topology: clusters, addresses, account ranges, the client deadline.
        secret: the cluster secret that node ports ask for.
        name: shown in the nodes' logs.
    """

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self, clusters: Iterable[ClusterId] | None = None) -> None:
        """Begin to dial. Returns at once: the bank may be down, transactions wait until their deadline.

        Args:
            clusters: clusters to dial and open a session in now; None for all. The others are dialled
                when they are first needed.
        """
        self._loop = asyncio.get_running_loop()
        self._running = True
        self._eager = set(self._lanes if clusters is None else clusters)
        for cluster in self._eager:
            self._lanes[cluster].prepare(self._session)
        self._timer = self._loop.call_later(TICK_S, self._tick)

    async def ready(self, timeout_s: float = 10.0) -> bool:
        """Wait until every cluster named to :meth:`start` has a session. False: time is up."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self._eager <= self._session.opened:
                    self._opened.clear()
                    await self._opened.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """End the connections. What is outstanding ends unknown, or refused if it was never sent."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._resolves.reset()
        self._reads.reset()
        for session in list(self._sessions.values()):
            for pending in list(session.pending.values()):
                self.give_up(pending)
        links = list(self._links.values())
        self._links.clear()
        await asyncio.gather(*(link.close() for link in links))

    @property
    def leaders(self) -> dict[ClusterId, NodeId]:
        """The node that each cluster is asked at; 0 while none is known."""
        return {cluster: lane.leadership.leader for cluster, lane in self._lanes.items()}

    # --- transactions -----------------------------------------------------

    async def transfer(
        self,
        sender: AccountId,
        receiver: AccountId,
        amount: int,
        *,
        deadline_s: float | None = None,
        tx_id: TxId | None = None,
    ) -> TxResult:
        """Move ``amount`` from ``sender`` to ``receiver``.

        Raises:
            ValueError, ClientSaturatedError, ClientError: as :meth:`submit`.
        """
        return await self.submit(
            (sender, -check_integer(amount, "amount"), receiver, amount), deadline_s=deadline_s, tx_id=tx_id
        )

    async def submit(
        self,
        legs: Sequence[int] | Sequence[Sequence[int]],
        conditions: Sequence[int] | Sequence[Sequence[int]] = (),
        *,
        deadline_s: float | None = None,
        tx_id: TxId | None = None,
        age_us: int = 0,
        keep: bool = False,
    ) -> TxResult:
        """Run a transaction of 2–16 legs, over any number of clusters, and return how it ended.

        Args:
            legs: ``[(account, delta), …]``, or the same flat.
            conditions: ``[(account, kind, value), …]``, or the same flat.
            deadline_s: seconds until the client gives up; None for the topology's client deadline.
            tx_id: an id from :meth:`new_tx_id`; None for a fresh one.
            age_us: as in :meth:`submit_nowait`.
            keep: whether a fresh id is one whose transaction nodes record in full.

        Raises:
            ValueError: something is not an integer within ±2**62, or there are too many or no legs.
            ClientSaturatedError: too many transactions wait for an answer already.
            ClientError: ``tx_id`` is not an unused id of this client.
        """
        flat_legs = flatten(legs, 2, "legs")
        flat_conditions = flatten(conditions, 3, "conditions")
        if not flat_legs:
            raise ValueError("legs: a transaction needs at least one")
        if tx_id is None and keep:
            self.require_running()
            tx_id = self.new_tx_id(keep=True)
        future: asyncio.Future[TxResult] = self.loop.create_future()
        self.submit_nowait(flat_legs, partial(_settle, future), flat_conditions, deadline_s, tx_id, age_us)
        return await future

    async def resolve(
        self, tx_id: TxId, *, cluster: ClusterId | None = None, deadline_s: float | None = None
    ) -> TxResult:
        """Make a transaction final and return how it ended.

        One that the coordinating cluster does not know is aborted for good (``coordinator_timeout``).
        Still ``unknown`` when the cluster does not answer by the deadline, or forgot the session.

        Args:
            tx_id: the transaction.
            cluster: its coordinating cluster. Not needed for a transaction of this client.
            deadline_s: seconds to wait; None for the topology's client deadline.

        Raises:
            UnknownTransactionError: not a transaction of this client, and no cluster was named.
        """
        self.require_running()
        session = self._sessions.get(tx_id.session)
        unsettled = session.unknown.get(tx_id.number) if session is not None else None
        pending = session.pending.get(tx_id.number) if session is not None else None
        if session is not None and unsettled is not None and unsettled.stored is not None:
            session.settle(tx_id.number)
            return from_outcome(
                tx_id, unsettled.clusters, unsettled.legs, unsettled.stored, unsettled.epoch, 0.0
            )
        if unsettled is not None:
            clusters, legs = unsettled.clusters, unsettled.legs
        elif pending is not None:
            clusters, legs = pending.clusters, pending.item.legs
        elif cluster in self._lanes:
            clusters, legs = (cluster,), ()
        else:
            raise UnknownTransactionError(
                f"{tx_id} is not open in this client; name the cluster that coordinates it"
            )
        now = self.now()
        until = now + (self._deadline_s if deadline_s is None else deadline_s)
        future: asyncio.Future[TxResult] = self.loop.create_future()
        self._resolves.submit(PendingResolve(tx_id, clusters, legs, [partial(_settle, future)], now, until))
        return await future

    # --- reads ------------------------------------------------------------

    def read_nowait(
        self,
        accounts: tuple[AccountId, ...],
        on_done: Callable[[ReadValues], None],
        level: Level = Level.LINEARIZABLE,
        bound_ms: int = 0,
        versions: tuple[int, ...] = (),
        deadline_s: float | None = None,
    ) -> None:
        """Read; ``on_done`` is called once, on the loop. Errors as :meth:`read`."""
        self.require_running()
        clusters = self.directory.clusters_of_accounts(accounts)
        if len(clusters) > 1:
            raise CrossClusterError(clusters)
        now = self.now()
        until = now + (self._deadline_s if deadline_s is None else deadline_s)
        wait_ms = max(1, int((until - now) * WAIT_SHARE * 1e3))
        item = ReadItem(self._reads.new_request(), accounts, level, bound_ms, versions, wait_ms)
        self._reads.submit(PendingRead(item, clusters[0], on_done, now, until))

    async def read(
        self,
        accounts: Sequence[AccountId],
        level: Level = Level.LINEARIZABLE,
        *,
        bound_ms: int = 0,
        versions: Sequence[int] = (),
        deadline_s: float | None = None,
    ) -> ReadValues:
        """Read accounts of one cluster, all at one slot.

        Args:
            accounts: up to 1,000 ids.
            level: what the answer promises, and so who is asked: docs/explanation/consistency.md.
            bound_ms: greatest age, for BOUNDED.
            versions: least version wanted of each account, for RYW, in the order of ``accounts``.
            deadline_s: seconds until the client gives up; None for the topology's client deadline.

        Raises:
            ValueError: no, too many or non-integer accounts.
            CrossClusterError: the accounts lie in several clusters.
        """
        ids = flatten(accounts, 1, "accounts")
        if not 1 <= len(ids) <= READ_ACCOUNTS_MAX:
            raise ValueError(f"accounts: 1 to {READ_ACCOUNTS_MAX} can be read at once, not {len(ids)}")
        future: asyncio.Future[ReadValues] = self.loop.create_future()
        self.read_nowait(ids, partial(_settle, future), level, bound_ms, tuple(versions), deadline_s)
        return await future


def _settle(future: asyncio.Future[T], result: T) -> None:
    if not future.done():  # it is, when who awaited it was cancelled
        future.set_result(result)


def check_integer(value: object, name: str) -> int:
    """``value`` if it can be put on the wire.

    Raises:
        ValueError: not an integer, or beyond ±2**62.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name}: must be an integer, not {value!r:.40}")
    if not -INT_MAX <= value <= INT_MAX:
        raise ValueError(f"{name}: must be within ±2**62, not {value!s:.40}")
    return value


def flatten(rows: Sequence[int] | Sequence[Sequence[int]], width: int, name: str) -> tuple[int, ...]:
    """Rows of ``width`` integers, or the same flat, as one flat tuple.

    Raises:
        ValueError: a row has another width, a value is not an integer in range, more than 16 rows
            (``width`` above 1).
    """
    flat: list[int] = []
    for row in rows:
        if isinstance(row, Sequence) and not isinstance(row, str | bytes):
            if len(row) != width:
                raise ValueError(f"{name}: each has {width} integers, not {len(row)}")
            flat.extend(check_integer(value, name) for value in row)
        else:
            flat.append(check_integer(row, name))
    if len(flat) % width:
        raise ValueError(f"{name}: {len(flat)} integers are not groups of {width}")
    if width > 1 and len(flat) // width > LEGS_MAX:
        raise ValueError(f"{name}: at most {LEGS_MAX}, not {len(flat) // width}")
    return tuple(flat)
