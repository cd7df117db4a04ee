"""Applying what is chosen, and the checkpoints that follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from consensus.bank.machine import Machine
from consensus.bank.state import BankState
from consensus.codec import decode_batch
from consensus.messages.entries import Batch
from consensus.replica.results import Results
from consensus.replica.tracing import trace_applied
from consensus.txn.queue import Group
from consensus.types import Slot

if TYPE_CHECKING:
    from consensus.replica.door import Replica

APPLY_SLOTS_MAX: Final = 64
"""Slots applied in one step; a node that is far behind goes on in the next."""


class Work(NamedTuple):
    """What a leader wants back when its proposal is applied."""

    batch: Batch
    groups: list[Group]


class Applier:
    """Moves the state machine up to the watermark."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._log = replica.acceptor.log
        self._results = Results(replica)
        self._slots_since = 0
        self._bytes_since = 0
        self._checkpointing: Slot = 0
        """Slot of the checkpoint that is being written; 0 while none is."""
        self._replaces = bool(replica.damage)
        """What the disk holds is no earlier state of this one: the next checkpoint leaves nothing of it."""
        self._install_slot: Slot = 0
        """Slot of the last state that was taken over from another node."""

    @property
    def behind(self) -> bool:
        """Whether chosen slots wait for the next step."""
        return self._replica.machine.state.slot < self._log.watermark

    def run(self) -> None:
        """Apply chosen slots in order, at most :data:`APPLY_SLOTS_MAX` of them."""
        replica = self._replica
        log = self._log
        machine = replica.machine
        slot = machine.state.slot
        if slot >= log.watermark:
            return
        last = min(log.watermark, slot + APPLY_SLOTS_MAX)
        leader = replica.leader
        while slot < last:
            slot += 1
            entry = log.get(slot)
            assert entry is not None and entry.chosen
            proposal = leader.take(slot) if leader is not None else None
            work: Work | None = proposal.work if proposal is not None else None
            batch = work.batch if work is not None else decode_batch(entry.value)
            results = machine.apply(slot, batch)
            self._slots_since += 1
            self._bytes_since += len(entry.value)
            trace_applied(replica, slot, batch, results)
            if leader is not None:
                if work is not None:
                    self._time(work)
                self._results.handle(batch, results)
        self._after(leader is not None)

    def _after(self, leads: bool) -> None:
        replica = self._replica
        if replica.reads.pending:
            leader = replica.leader if leads else None
            replica.reads.answer(replica.machine.state, leader.confirmed if leader is not None else 0)
        limits = replica.ctx.limits
        due = self._slots_since >= limits.checkpoint_slots or self._bytes_since >= limits.checkpoint_bytes
        if due and not self._checkpointing and not replica.acceptor.installing:
            self._begin_checkpoint(everything=False)

    def _time(self, work: Work) -> None:
        counters = self._replica.ctx.counters
        now = self._replica.ctx.now_us
        for group in work.groups:
            count = len(group.items)
            counters["transaction_time_ms_count"] += count
            counters["transaction_time_ms_sum"] += count * (now - group.arrived_us) / 1000

    # --- checkpoints -----------------------------------------------------------------

    def _begin_checkpoint(self, everything: bool) -> None:
        replica = self._replica
        capture = replica.machine.state.capture(everything or self._replaces)
        replica.ctx.out.checkpoint = capture
        self._checkpointing = capture.slot
        self._slots_since = 0
        self._bytes_since = 0

    def checkpoint_done(self, slot: Slot) -> None:
        """The checkpoint is durable: forget the log below it, but for what lagging followers may ask for."""
        replica = self._replica
        assert slot == self._checkpointing, f"checkpoint of slot {slot} done, {self._checkpointing} was begun"
        self._checkpointing = 0
        self._replaces = False
        acceptor = replica.acceptor
        if acceptor.installing:
            if self._install_slot > slot:
                self._begin_checkpoint(everything=True)
                return
            acceptor.installing = False
            acceptor.durable_watermark = self._log.watermark
            acceptor.record_watermark(checkpoint=slot)
            replica.learner.check()
        limits = replica.ctx.limits
        self._log.truncate(self._log.retained_from(slot, limits.retain_slots, limits.retain_bytes))
        replica.ctx.out.truncate_to = slot

    def install(self, state: BankState) -> None:
        """Go on from a state that another node sent. Its checkpoint replaces the one on disk."""
        replica = self._replica
        replica.machine = Machine(state, replica.ctx.cluster.id)
        acceptor = replica.acceptor
        acceptor.installing = True
        self._install_slot = state.slot
        self._log.jump(state.slot)
        if not self._checkpointing:
            self._begin_checkpoint(everything=True)
