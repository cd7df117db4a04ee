"""What a load generator sees of a sharded PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import asyncpg

from consensus.types import ClusterId
from consensus.workload.engines.client import EngineClient
from consensus.workload.engines.postgres import DATABASE, USER, PostgresBank

PAY: Final = "SELECT pay($1::integer[], $2::bigint[], $3::integer[], $4::integer[])"
READ: Final = "SELECT id, version, balance FROM accounts WHERE id = ANY ($1::integer[])"
LOCKED: Final = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)


class _Part(NamedTuple):
    """What a transfer is on one shard: the arguments of ``pay``."""

    accounts: list[int]
    deltas: list[int]
    seen: list[int]
    versions: list[int]


class _AbortError(Exception):
    """The function said no."""


class PostgresClient(EngineClient):
    """``clients``: operations in flight at most, each on connections of its own."""

    failures = (asyncpg.PostgresError, OSError, asyncpg.InterfaceError)
    _names = itertools.count()

    def __init__(self, bank: PostgresBank, clients: int) -> None:
        super().__init__(bank.topology)
        self._bank = bank
        self._clients = max(1, clients)
        self._pools: dict[ClusterId, Any] = {}

    async def start(self, clusters: Iterable[ClusterId] | None = None) -> None:
        """Open every connection; PostgreSQL has a process for each."""
        for cluster, shard in self._bank.shards.items():
            self._pools[cluster] = await asyncpg.create_pool(
                host=str(self._bank.socket),
                port=shard.primary.port,
                user=USER,
                database=DATABASE,
                min_size=self._clients,
                max_size=self._clients,
            )

    async def disconnect(self) -> None:
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))

    async def transfer(self, legs: tuple[int, ...], versions: dict[int, int]) -> str | None:
        parts = self._parts(legs, versions)
        try:
            if len(parts) > 1:
                await self._across(parts)
                return None
            ((cluster, part),) = parts.items()
            async with self._pools[cluster].acquire() as connection:
                return await connection.fetchval(PAY, *part) or None
        except _AbortError as error:
            return str(error)
        except LOCKED:
            return "lock_timeout"

    async def look(self, accounts: tuple[int, ...]) -> dict[int, tuple[int, int]]:
        """From the primary, in one statement: all of one snapshot."""
        (cluster,) = self.directory.clusters_of_accounts(accounts)
        async with self._pools[cluster].acquire() as connection:
            rows = await connection.fetch(READ, accounts)
        return {account: (version, balance) for account, version, balance in rows}

    def _parts(self, legs: tuple[int, ...], versions: dict[int, int]) -> dict[ClusterId, _Part]:
        parts: dict[ClusterId, _Part] = {}

        def part(account: int) -> _Part:
            (cluster,) = self.directory.clusters_of_accounts((account,))
            return parts.setdefault(cluster, _Part([], [], [], []))

        for account, delta in zip(legs[::2], legs[1::2], strict=True):
            found = part(account)
            found.accounts.append(account)
            found.deltas.append(delta)
        for account, version in versions.items():
            found = part(account)
            found.seen.append(account)
            found.versions.append(version)
        return parts

    async def _across(self, parts: dict[ClusterId, _Part]) -> None:
        """Two-phase commit by the client: prepare on every primary at once, then commit on every one."""
        name = f"p{os.getpid()}-{next(self._names)}"
        connections = {cluster: await self._pools[cluster].acquire() for cluster in sorted(parts)}
        try:
            prepared = await asyncio.gather(
                *(self._prepare(connections[cluster], name, part) for cluster, part in parts.items()),
                return_exceptions=True,
            )
            failed = [error for error in prepared if isinstance(error, BaseException)]
            verb = "ROLLBACK" if failed else "COMMIT"
            held = [
                c for c, answer in zip(parts, prepared, strict=True) if not isinstance(answer, BaseException)
            ]
            await asyncio.gather(*(connections[c].execute(f"{verb} PREPARED '{name}'") for c in held))
            if failed:
                raise failed[0]
        finally:
            for cluster, connection in connections.items():
                await self._pools[cluster].release(connection)

    async def _prepare(self, connection: Any, name: str, part: _Part) -> None:
        await connection.execute("BEGIN")
        try:
            reason = await connection.fetchval(PAY, *part)
            if reason:
                raise _AbortError(reason)
            await connection.execute(f"PREPARE TRANSACTION '{name}'")
        except BaseException:
            await connection.execute("ROLLBACK")
            raise
