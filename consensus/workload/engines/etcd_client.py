"""What a load generator sees of etcd.

A transfer reads its accounts and puts both, if neither has changed since; a change in between starts it again
with what the refusal brought along.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterable
from typing import Any, Final

import grpc

from consensus.types import ClusterId
from consensus.workload.engines.client import EngineClient
from consensus.workload.engines.etcd import EtcdBank, key_of
from consensus.workload.engines.etcd_api import (
    MOD,
    Compare,
    EtcdApi,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)
from consensus.workload.steps import CHANGED

DEADLINE_S: Final = 3.0
CONNECTIONS: Final = 4


class EtcdClient(EngineClient):
    """Everything goes to the leader, which saves etcd a hop."""

    failures = (grpc.aio.AioRpcError,)

    def __init__(self, bank: EtcdBank) -> None:
        super().__init__(bank.topology)
        self._bank = bank
        self._open: list[EtcdApi] = []
        self._next: itertools.cycle[EtcdApi] = itertools.cycle(())

    async def start(self, clusters: Iterable[ClusterId] | None = None) -> None:
        self._open = [EtcdApi(self._bank.ports[0]) for _ in range(CONNECTIONS)]
        self._next = itertools.cycle(self._open)

    async def disconnect(self) -> None:
        await asyncio.gather(*(connection.close() for connection in self._open))

    async def transfer(self, legs: tuple[int, ...], versions: dict[int, int]) -> str | None:
        until = time.monotonic() + DEADLINE_S
        deltas = {**dict.fromkeys(versions, 0), **dict(zip(legs[::2], legs[1::2], strict=True))}
        connection = next(self._next)
        reads = _reads(deltas)
        answer = await connection.txn(TxnRequest(success=reads))
        while True:
            found = [response.response_range.kvs for response in answer.responses]
            if not all(found):
                return "unknown_account"
            held = {account: kvs[0] for account, kvs in zip(deltas, found, strict=True)}
            if any(_version(held[account]) != version for account, version in versions.items()):
                return CHANGED
            after = {account: int(held[account].value) + delta for account, delta in deltas.items()}
            if min(after.values()) < 0:
                return "insufficient_funds"
            answer = await connection.txn(
                TxnRequest(
                    compare=[
                        Compare(target=MOD, key=kv.key, mod_revision=kv.mod_revision) for kv in held.values()
                    ],
                    success=[
                        RequestOp(request_put=PutRequest(key=held[account].key, value=b"%d" % balance))
                        for account, balance in after.items()
                        if deltas[account]
                    ],
                    failure=reads,
                )
            )
            if answer.succeeded:
                return None
            if time.monotonic() > until:
                return "lock_conflict"

    async def look(self, accounts: tuple[int, ...]) -> dict[int, tuple[int, int]]:
        answer = await next(self._next).txn(TxnRequest(success=_reads(accounts)))
        found = [response.response_range.kvs[0] for response in answer.responses]
        return {account: (_version(kv), int(kv.value)) for account, kv in zip(accounts, found, strict=True)}

    def named(self, failure: Exception) -> str:
        assert isinstance(failure, grpc.aio.AioRpcError)
        return str(failure.code().name).lower()


def _version(kv: Any) -> int:
    """How often an account was changed: the first time its key was put was no change."""
    return int(kv.version) - 1


def _reads(accounts: Iterable[int]) -> list[RequestOp]:
    return [RequestOp(request_range=RangeRequest(key=key_of(account))) for account in accounts]
