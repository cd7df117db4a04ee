"""The destination's leader: logs what the source says, answers how far a batch is, asks when in doubt.

It decides nothing. What it has installed becomes its own only by the source's flip, and is forgotten only by
the source's rollback.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from consensus.bank.movement import Arrived
from consensus.bank.moves import BatchId
from consensus.bank.state import BankState
from consensus.messages.entries import Entry, MoveDrop
from consensus.messages.entries import MoveActivate as ActivateEntry
from consensus.messages.entries import MoveInstall as InstallEntry
from consensus.messages.entries import MoveReserve as ReserveEntry
from consensus.messages.migration import (
    MoveActivate,
    MoveFlip,
    MoveInstall,
    MoveReply,
    MoveReserve,
    MoveResolve,
    MoveRollback,
    Step,
)
from consensus.paxos.context import Context
from consensus.shards import ShardMap
from consensus.txn.groups import Groups
from consensus.types import ClusterId

NO_CHUNK: Final = -1
OPEN_STEPS: Final = (Step.RESERVED, Step.INSTALLED)


class Destination:
    """Batches that come, in one leadership of their cluster."""

    def __init__(
        self,
        ctx: Context,
        groups: Groups,
        state: Callable[[], BankState],
        shards: ShardMap,
        propose: Callable[[Entry], bool],
    ) -> None:
        self._ctx = ctx
        self._groups = groups
        self._state = state
        self._shards = shards
        self._propose = propose
        self._doubt_us = int(ctx.topology.timings.twopc_ms * 1000)
        self._logging: dict[BatchId, int] = {}
        """Batches with an entry on its way through the log, and the chunk it holds."""
        self._behind: dict[BatchId, int] = {}
        """Batches with contents right behind their MoveReserve in the log, and the chunk that is."""
        self._doubts: dict[BatchId, int] = {}
        """Batches neither active nor dropped, and when to ask (again) about each."""

    # --- what the source says -----------------------------------------------------------------

    def on_reserve(self, message: MoveReserve) -> None:
        batch = (message.source, message.number)
        step = self._state().moves.step(batch)
        if step != Step.UNKNOWN or self._over(batch):
            self._reply(batch, step)
        else:
            self._log(batch, ReserveEntry(*batch, message.below))

    def on_install(self, message: MoveInstall) -> None:
        batch = (message.source, message.number)
        step = self._state().moves.step(batch)
        entry = InstallEntry(*batch, message.accounts, message.sessions)
        if step == Step.RESERVED:
            self._log(batch, entry, message.chunk)
        elif step == Step.UNKNOWN and batch in self._logging:
            # Its reserve is on its way. Should that be lost and this not, this has no effect.
            if batch not in self._behind and self._propose(entry):
                self._behind[batch] = message.chunk
        else:
            self._reply(batch, step)

    def on_flip(self, message: MoveFlip) -> None:
        batch = (message.source, message.number)
        step = self._state().moves.step(batch)
        if step == Step.INSTALLED:
            self._log(batch, ActivateEntry(*batch, message.below))
        elif step == Step.ACTIVE:
            self._activated(batch)

    def on_rollback(self, message: MoveRollback) -> None:
        batch = (message.source, message.number)
        step = self._state().moves.step(batch)
        if step == Step.DROPPED or self._over(batch):
            self._reply(batch, Step.DROPPED)
        elif step != Step.ACTIVE:
            self._log(batch, MoveDrop(*batch, message.below))

    def _over(self, batch: BatchId) -> bool:
        return batch[1] < self._state().moves.moves_below.get(batch[0], 0)

    def _log(self, batch: BatchId, entry: Entry, chunk: int = NO_CHUNK) -> None:
        """One entry of a batch at a time; the source sends again."""
        if batch not in self._logging and self._propose(entry):
            self._logging[batch] = chunk

    # --- what the log did --------------------------------------------------------------------------

    def on_arrived(self, arrived: Arrived) -> None:
        batch = (arrived.source, arrived.number)
        chunk = self._logging.pop(batch, NO_CHUNK)
        if batch in self._behind:
            self._logging[batch] = self._behind.pop(batch)
        if arrived.step in OPEN_STEPS:
            self._doubts[batch] = self._ctx.now_us + self._doubt_us
        else:
            self._doubts.pop(batch, None)
        if arrived.accounts:
            own = self._ctx.cluster.id
            accounts = self._state().accounts
            epochs = [accounts[account].epoch for account in arrived.accounts]
            for account, epoch in zip(arrived.accounts, epochs, strict=True):
                self._shards.learn(account, own, epoch)
            told = {"accounts": list(arrived.accounts), "epochs": epochs}
            self._ctx.event("map.epoch", epoch=self._state().epoch, **told)
        if arrived.step == Step.ACTIVE:
            self._activated(batch)
        else:
            self._reply(batch, arrived.step, chunk)

    # --- time, beginnings, ends ----------------------------------------------------------------------

    def on_time(self) -> None:
        """Ask about batches of which nothing was heard for a while."""
        now = self._ctx.now_us
        asks: dict[ClusterId, list[int]] = {}
        steps = self._state().moves.step
        for batch, ask_us in list(self._doubts.items()):
            if steps(batch) not in OPEN_STEPS:
                del self._doubts[batch]
            elif now >= ask_us:
                self._doubts[batch] = now + self._ctx.resend_us
                asks.setdefault(batch[0], []).append(batch[1])
        own = self._ctx.cluster.id
        for source, numbers in asks.items():
            message = MoveResolve(own, source, numbers, self._state().audit)
            self._groups.send(source, message, everyone=True)

    def adopt(self) -> None:
        """A new leadership: know which accounts came here; ask about batches that are open."""
        own = self._ctx.cluster.id
        state = self._state()
        for account in state.accounts.values():
            if account.epoch:
                self._shards.learn(account.id, own, account.epoch)
        for batch, arriving in state.moves.incoming.items():
            if arriving.step in OPEN_STEPS:
                self._doubts[batch] = self._ctx.now_us + self._ctx.resend_us

    def clear(self) -> None:
        self._logging.clear()
        self._behind.clear()
        self._doubts.clear()

    # --- sending ----------------------------------------------------------------------------------------

    def _reply(self, batch: BatchId, step: int, chunk: int = NO_CHUNK) -> None:
        own = self._ctx.cluster.id
        self._groups.send(batch[0], MoveReply(own, *batch, step, self._state().audit, chunk))

    def _activated(self, batch: BatchId) -> None:
        self._groups.send(batch[0], MoveActivate(self._ctx.cluster.id, *batch, self._state().audit))
