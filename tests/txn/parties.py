"""Leaders of a coordinating and of a participating cluster, without a log: batches apply at once."""

from __future__ import annotations

from typing import TypeVar

from consensus.bank.machine import Machine, Result
from consensus.bank.twophase import Decided, PartDecided, PartPrepared
from consensus.effects import Outputs, Send
from consensus.messages.base import Message
from consensus.messages.entries import CrossPrepare, DecideRow, Entry
from consensus.messages.txn import PrepareRow, TxPrepare, TxRow
from consensus.paxos.context import Context
from consensus.shards import ShardMap
from consensus.simulation.config import topology_of
from consensus.txn.coordinator import Coordinator
from consensus.txn.groups import Groups
from consensus.txn.participant import Participant, PartWait
from consensus.txn.queue import ProposalQueue
from consensus.txn.waiting import Waiting
from consensus.types import ClusterId, NodeId, TxId
from tests.bank.batches import apply, cross, machine_of

TOPOLOGY = topology_of(nodes=3, accounts=10, balance=100, clusters=3)
M = TypeVar("M", bound=Message)


class Party:
    """What both sides have."""

    def __init__(self, node: NodeId, cluster: ClusterId, machine: Machine | None = None) -> None:
        self.ctx = Context(node, TOPOLOGY, seed=1)
        self.ctx.now_us = 1_000_000
        self.ctx.trace_level = 1
        self.groups = Groups(self.ctx)
        self.machine = machine or machine_of(cluster)

    def pass_ms(self, ms: float) -> None:
        self.ctx.now_us += int(ms * 1000)

    def take_sends(self) -> list[Send]:
        sends, self.ctx.out = self.ctx.out.sends, Outputs()
        return sends

    def told(self, kind: type[M]) -> list[tuple[tuple[NodeId, ...], M]]:
        """(receivers, message) of everything that was sent since the last look, which must be of one kind."""
        sends = self.take_sends()
        assert all(type(send.message) is kind and send.after == 0 for send in sends), sends
        return [(send.to, send.message) for send in sends if isinstance(send.message, kind)]


class Coordinating(Party):
    """The leader of cluster 1."""

    def __init__(self, machine: Machine | None = None) -> None:
        super().__init__(1, 1, machine)
        self.decides: list[DecideRow] = []
        self.finishes: list[TxRow] = []
        self.coordinator = Coordinator(
            self.ctx,
            self.groups,
            lambda: self.machine.state,
            self.decides.append,
            self.finishes.append,
            ShardMap(self.ctx.topology),
        )

    def begin(self, number: int, legs: tuple[int, ...]) -> CrossPrepare:
        """P is proposed for the next slot."""
        entry = cross(number, legs)
        for item in entry.items:
            self.coordinator.begin(entry.session, item, self.machine.state.slot + 1)
        return entry

    def apply(self, *entries: Entry) -> list[Result]:
        """Apply a slot and hand the results to the coordinator, as the replica does."""
        results = apply(self.machine, *entries)
        for result in results:
            if isinstance(result, Decided):
                self.coordinator.on_decided(result.decided)
            for tx in getattr(result, "prepared", []):
                self.coordinator.on_prepared(tx)
        return results

    def prepare(self, number: int, legs: tuple[int, ...]) -> None:
        """P proposed and applied."""
        self.apply(self.begin(number, legs))

    def wait(self, ms: float) -> None:
        """Let time pass and send what is due."""
        self.pass_ms(ms)
        self.coordinator.on_time()
        self.coordinator.flush()


class TakingPart(Party):
    """The leader of cluster 2."""

    def __init__(self, machine: Machine | None = None) -> None:
        super().__init__(4, 2, machine)
        self.queue = ProposalQueue(TOPOLOGY.limits)
        self.waiting = Waiting(lambda: self.machine.state.cross.locks)
        self.participant = Participant(
            self.ctx, self.groups, lambda: self.machine.state, self.waiting, self.queue
        )

    def ask(self, message: TxPrepare) -> None:
        self.participant.on_prepare(message)
        self.participant.flush()

    def slot(self) -> list[Entry]:
        """Propose and apply what is queued; let those go on who can."""
        entries, _ = self.queue.next_batch(self.ctx.now_us)
        freed: list[int] = []
        for result in apply(self.machine, *entries):
            if isinstance(result, PartPrepared):
                for entry in entries:
                    for row in getattr(entry, "rows", []):
                        if hasattr(row, "legs"):
                            self.waiting.unclaim(row.legs[::2], _tx(row))
                            freed += row.legs[::2]
                self.participant.on_prepared(result)
            elif isinstance(result, PartDecided):
                self.participant.on_decided(result)
                freed += result.freed
        self.go_on(freed)
        self.participant.flush()
        return entries

    def go_on(self, freed: list[int]) -> None:
        while (waiter := self.waiting.turn(freed)) is not None:
            freed = [*freed, *waiter.accounts]
            assert isinstance(waiter.payload, PartWait)
            self.participant.admit(waiter.payload.coordinator, waiter.payload.row)

    def wait(self, ms: float) -> None:
        self.pass_ms(ms)
        self.participant.on_time()
        for waiter in self.waiting.expired(self.ctx.now_us):
            self.participant.timed_out(waiter.payload)
        self.participant.flush()


def _tx(row: PrepareRow) -> TxId:
    return TxId(row.session, row.number)
