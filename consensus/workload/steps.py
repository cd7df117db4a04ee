"""A client of a mix whose operations may take two steps: read, then decide and write."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from consensus.client.results import COMMITTED, ReadValues, TxResult
from consensus.messages.client import Level
from consensus.workload.operations import Operation, Operations, Seen
from consensus.workload.stream import RETRIED, Client, Stream

CHANGED: Final = "condition_failed"
"""Somebody changed what was read before it was written: the operation begins anew."""


class StepClient(Client):
    """One operation in flight, of as many steps as it needs.

    An operation counts once, with the latency of all its steps and attempts: as a read if it writes nothing,
    else as a transfer, and under its own kind besides.
    """

    __slots__ = ("_on_looked", "_on_seen", "_operation", "_operations")

    retried = RETRIED | {CHANGED}

    def __init__(self, stream: Stream, operations: Operations) -> None:
        super().__init__(stream, None)
        self._operations = operations
        self._operation = Operation("none")
        self._on_seen = self._seen
        self._on_looked = self._looked

    def next(self, meant_s: float, legs: tuple[int, int, int, int] | None = None) -> None:
        assert legs is None, "a replay has transfers only"
        self._meant_s = meant_s
        self._operation = self._operations.operation()
        self._attempts = 1
        self._age_us = 0
        self._submit()

    def _submit(self) -> None:
        """The first step of an attempt."""
        operation = self._operation
        if not operation.reads:
            self._stream.client.submit_nowait(operation.legs, self._on_transfer, age_us=self._age_us)
            return
        stream = self._stream
        accounts = operation.reads
        if len(stream.client.directory.clusters_of_accounts(accounts)) > 1:
            # Accounts of one customer that were moved apart: only a transaction sees both at one time.
            legs = tuple(value for account in accounts for value in (account, 0))
            stream.client.submit_nowait(legs, self._on_looked, age_us=self._age_us)
            return
        level = Level.LINEARIZABLE
        versions: tuple[int, ...] = ()
        if operation.decide is None:
            level = stream.level
            if level == Level.RYW:
                versions = tuple(stream.versions.get(account, 0) for account in accounts)
        stream.client.read_nowait(accounts, self._on_seen, level, stream.bound_ms, versions)

    def _seen(self, values: ReadValues) -> None:
        operation = self._operation
        if operation.decide is None or values.outcome != "ok":
            self._read_done(values)
            return
        self._write([Seen(*values.values[account]) for account in operation.reads])

    def _looked(self, result: TxResult) -> None:
        """A transaction without deltas ended: it read."""
        if self._operation.decide is None or result.outcome != COMMITTED or result.stored is None:
            self._transfer_done(result)
            return
        found = result.accounts
        self._write([Seen(**found[account]) for account in self._operation.reads])

    def _write(self, seen: Sequence[Seen]) -> None:
        assert self._operation.decide is not None
        legs, conditions = self._operation.decide(seen)
        self._stream.client.submit_nowait(legs, self._on_transfer, conditions, age_us=self._age_us)

    def _count_transfer(self, result: TxResult, latency_ms: float) -> None:
        super()._count_transfer(result, latency_ms)
        tally = self._stream.run.tally
        tally.operation(self._operation.kind, result.outcome == COMMITTED, latency_ms)

    def _read_done(self, values: ReadValues) -> None:
        run = self._stream.run
        if run.measuring:
            latency_ms = (time.monotonic() - self._meant_s) * 1e3
            run.tally.operation(self._operation.kind, values.outcome == "ok", latency_ms)
        super()._read_done(values)
