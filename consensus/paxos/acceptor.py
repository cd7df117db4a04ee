"""The acceptor: promises, accepted values, and what it takes to believe that a slot is chosen.

Lamport, Paxos Made Simple (2001), 2.2 and 3. The two rules that make it safe:

* After promising ballot b it accepts nothing below b. A leader of b that heard a majority thus knows every
  value that can ever be chosen below b.
* A promise or an acceptance is on the disk before anybody hears of it (``after``). What a crash takes away,
no
  one has counted.
"""

from __future__ import annotations

from typing import Any

from consensus.codec import CHUNK_BYTES
from consensus.messages.paxos import Accept, Accepted, Nack, Prepare, Promise, SlotValue
from consensus.messages.records import AcceptedValue, ChosenValue, Promised, Watermark
from consensus.paxos.context import Context
from consensus.paxos.log import Log
from consensus.paxos.traced import TracedSlots
from consensus.types import KEPT_PREFIX, Ballot, NodeId, Position, Slot

AHEAD_SLOTS_MAX = 4_096
"""Slots above the watermark an acceptor takes; beyond, it waits to be brought up to date."""
WATERMARK_RECORD_SLOTS = 256
"""A watermark that moved this far without an acceptance gets a record of its own."""


class Acceptor:
    """``promised`` never goes back, restarts included."""

    def __init__(self, ctx: Context, log: Log, promised: Ballot, learner: bool) -> None:
        self.ctx = ctx
        self.log = log
        self.promised = promised
        self.learner = learner
        self.leader: NodeId = 0
        """Whom this node follows; 0 when it knows of none."""
        self.seen: dict[Slot, tuple[Ballot, bytes]] = {}
        """A learner's memory of values proposed to it: it may learn them as chosen, and vouches for none."""
        self.durable_watermark: Slot = log.watermark
        """What records may claim as chosen: stands still while a state that was taken over is not yet on
        disk.
        """
        self.installing = False
        self.bound_until_us = 0
        """With leases, no promise is given before: a leader may rely on that (:meth:`bind`)."""
        self._recorded = log.watermark
        self.traced = TracedSlots()

    # --- promises ----------------------------------------------------------

    def promise(self, ballot: Ballot, **why: Any) -> Position:
        """Raise the promise. Returns the position to wait for before anybody may count on it.

        ``why``: fields that tell why, for the trace.
        """
        assert ballot > self.promised, f"promise {ballot} after {self.promised}"
        self.promised = ballot
        self.leader = 0
        self.ctx.event("paxos.ballot", b=list(ballot), **why)
        return self.ctx.persist(Promised(ballot))

    def bind(self) -> None:
        """A round is acknowledged now, or the process starts and an earlier life may have done so just now.

        With leases on, the leader that asked answers reads by its clock alone for a part of this time.
        """
        if self.ctx.lease_us:
            self.bound_until_us = self.ctx.now_us + self.ctx.election_min_us

    def on_prepare(self, sender: NodeId, message: Prepare) -> bool:
        """Phase 1b. Returns whether the ballot was promised."""
        if self.learner:
            return False
        if message.ballot < self.promised or (
            message.ballot == self.promised and sender != self.promised.node
        ):
            self.ctx.send((sender,), Nack(self.promised))
            return False
        if message.ballot > self.promised and self.ctx.now_us < self.bound_until_us:
            return False
        after = self.ctx.position
        if message.ballot > self.promised:
            after = self.promise(message.ballot)
        for part in self.promise_parts(message.watermark):
            self.ctx.send((sender,), part, after)
        return True

    def promise_parts(self, above: Slot) -> list[Promise]:
        """This acceptor's promise of its current ballot, in pieces of about half a frame.

        Everything above the own watermark, and of what lies between ``above`` and it, chosen, what the log
        still holds and one frame carries: the rest of that the candidate fetches as chosen values.
        """
        log = self.log
        groups: list[list[SlotValue]] = [[]]
        size = 0
        chosen_bytes = 0
        for slot in range(max(above, log.floor) + 1, log.last + 1):
            entry = log.get(slot)
            if entry is None:
                continue
            if slot <= log.watermark:
                chosen_bytes += len(entry.value)
                if chosen_bytes > CHUNK_BYTES:
                    continue
            if size + len(entry.value) > CHUNK_BYTES // 2 and groups[-1]:
                groups.append([])
                size = 0
            size += len(entry.value) + 32
            groups[-1].append(SlotValue(slot, entry.ballot, entry.chosen, entry.value))
        answer = self.ctx.draw() if len(groups) > 1 else 0
        return [
            Promise(self.promised, part, len(groups), log.watermark, log.floor, entries, answer)
            for part, entries in enumerate(groups)
        ]

    # --- acceptances ---------------------------------------------------------

    def on_accept(self, sender: NodeId, message: Accept) -> bool:
        """Phase 2b for a value from another node. Returns whether its ballot is (now) the promised one."""
        ballot = message.ballot
        if ballot < self.promised:
            self.ctx.send((sender,), Nack(self.promised))
            return False
        slot = message.slot
        log = self.log
        if self.learner:
            if slot > log.watermark and len(self.seen) < AHEAD_SLOTS_MAX:
                self.seen[slot] = (ballot, message.value)
            return True
        if slot > log.watermark + AHEAD_SLOTS_MAX:
            return True
        if slot <= log.floor:
            # Chosen long ago, and the leader of a later ballot can only propose the chosen value again.
            after = self.promise(ballot) if ballot > self.promised else self.ctx.position
        else:
            after = self.accept(ballot, slot, message.value, message.traced)
        self.ctx.send((sender,), Accepted(ballot, slot), after)
        return True

    def accept(self, ballot: Ballot, slot: Slot, value: bytes, traced: bool = False) -> Position:
        """Accept ``value`` for ``slot``; returns the position to wait for before saying so.

        ``traced``: see :class:`~consensus.messages.paxos.Accept`.
        """
        assert ballot >= self.promised and not self.learner
        log = self.log
        held = log.get(slot)
        if held is not None and held.ballot == ballot and self.promised == ballot:
            assert held.value == value, f"two values in ballot {ballot} slot {slot}"
            return self.ctx.position
        if ballot > self.promised:
            self.promised = ballot
            self.ctx.event("paxos.ballot", b=list(ballot))
        log.accept(slot, ballot, value)
        self._recorded = self.durable_watermark
        if traced or self.ctx.tells_every_slot():
            self.traced.note(slot)
            kept = (traced and KEPT_PREFIX in value) or None
            self.ctx.event("paxos.accepted", s=slot, b=list(ballot), traced=traced or None, keep=kept)
        return self.ctx.persist(AcceptedValue(ballot, slot, value, self._recorded), slot)

    # --- what is chosen --------------------------------------------------------

    def on_watermark(self, ballot: Ballot, watermark: Slot) -> bool:
        """A leader says that everything up to ``watermark`` is chosen. Returns whether all of it is held.

        Only a value accepted in this very ballot is known to be the chosen one: a value of a lower ballot may
        have been replaced by another (an Accept that got lost), so it has to be asked for.
        """
        log = self.log
        slot = log.watermark + 1
        while slot <= watermark:
            entry = log.get(slot)
            if entry is not None and (entry.chosen or entry.ballot == ballot):
                entry.chosen = True
            elif (seen := self.seen.get(slot)) is not None and seen[0] == ballot:
                self.learn(slot, ballot, seen[1])
            else:
                break
            slot += 1
        if log.advance():
            self.moved()
        return log.watermark >= watermark

    def learn(self, slot: Slot, ballot: Ballot, value: bytes) -> None:
        """Take over a value that another node knows to be chosen."""
        if slot > self.log.watermark and self.log.learn(slot, ballot, value):
            self.ctx.persist(ChosenValue(ballot, slot, value), slot)

    def moved(self) -> None:
        """The watermark moved: let the journal hear of it now and then, and forget what was only seen."""
        log = self.log
        if self.traced.chosen(log.watermark) or self.ctx.tells_every_slot():
            self.ctx.event("paxos.chosen", s=log.watermark, b=list(self.promised))
        if self.seen:
            self.seen = {slot: value for slot, value in self.seen.items() if slot > log.watermark}
        if self.installing:
            return
        self.durable_watermark = log.watermark
        if log.watermark - self._recorded >= WATERMARK_RECORD_SLOTS:
            self.record_watermark()

    def record_watermark(self, checkpoint: Slot = 0) -> None:
        """Note the watermark in the journal, if it moved since it was last noted.

        ``checkpoint``: the watermark rests on a state taken over from another node and durable at that slot.
        """
        if self.durable_watermark > self._recorded:
            self._recorded = self.durable_watermark
            self.ctx.persist(Watermark(self._recorded, checkpoint))
