"""The leader of one ballot: proposes values, counts acceptances, tells what is chosen.

A value is proposed for a slot at most once in a ballot, because slots are handed out here only and a leader's
ballot never changes: another ballot is another :class:`Leader`. A slot is chosen when a majority of the
*configured* members accepted it on disk; the leader's own disk counts like any other.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from consensus.messages.paxos import Accept, Accepted, Commit, Heartbeat, HeartbeatAck, NewViewNotice
from consensus.paxos.acceptor import Acceptor
from consensus.paxos.context import Context
from consensus.types import Ballot, NodeId, Position, Slot

ASK_EVERY: Final = 3
"""Of so many heartbeats one asks for answers, unless a majority was silent for as long: that halves the idle
cost.
"""
ROUNDS_NOTED_MAX: Final = 512
"""Rounds whose sending is remembered; a leader without a majority steps down long before so many."""


class Proposal:
    """A slot in flight. ``work`` is whatever the proposer wants back when it is applied."""

    __slots__ = ("accepted_by", "proposed_us", "sent_us", "traced", "value", "work")

    def __init__(self, value: bytes, work: Any, now_us: int, traced: bool) -> None:
        self.value = value
        self.work = work
        self.traced = traced
        self.accepted_by: set[NodeId] = set()
        self.proposed_us = now_us
        self.sent_us = now_us


class Peer:
    """What the leader knows of a follower."""

    __slots__ = ("applied", "heard_us", "mark", "round", "watermark")

    def __init__(self, now_us: int) -> None:
        self.heard_us = now_us
        self.mark = 0
        self.round = 0
        self.watermark: Slot = 0
        self.applied: Slot = 0


class Leader:
    """One leadership. Made when a majority promised ``ballot``, dropped when it ends."""

    def __init__(self, ctx: Context, acceptor: Acceptor, ballot: Ballot) -> None:
        assert ballot.node == ctx.me and ballot == acceptor.promised
        self.ctx = ctx
        self.acceptor = acceptor
        self.ballot = ballot
        self.next_slot: Slot = max(acceptor.log.watermark, acceptor.log.floor) + 1
        self.in_flight: dict[Slot, Proposal] = {}
        self.peers = {node: Peer(ctx.now_us) for node in ctx.others}
        self.round = 0
        self.confirmed = 0
        """Highest heartbeat round that a majority acknowledged."""
        self.confirmed_us: int | None = None
        """When that round was sent, and ``confirmed_slot``, what was chosen then."""
        self.confirmed_slot: Slot = 0
        self.heartbeat_us = ctx.now_us
        self._tend_us = ctx.now_us
        """When the next heartbeat is due."""
        self.commit_us = 0
        """When followers must be told of the watermark; 0 when they have been."""
        self.view_slot: Slot = 0
        """The slot of the own NEW-VIEW entry: before it is applied this leader answers nothing."""
        self._own: deque[tuple[Position, Slot, int]] = deque()
        self._rounds: deque[tuple[int, int, Slot]] = deque(maxlen=ROUNDS_NOTED_MAX)
        """(round, when it was sent, what was chosen then) of those that a majority has yet to acknowledge."""
        self._ask_every = 1 if ctx.lease_us else ASK_EVERY
        self._told: Slot = acceptor.log.watermark
        acceptor.leader = ctx.me

    # --- proposing ---------------------------------------------------------------

    def announce(self, first: Slot, last: Slot) -> None:
        """NEW-VIEW: this ballot leads, and proposes ``first..last`` again."""
        notice = NewViewNotice(self.ballot, self.acceptor.log.watermark, first, last)
        self.ctx.send(self.ctx.others, notice)

    def propose(self, value: bytes, work: Any = None, traced: bool = False) -> Slot:
        """Propose ``value`` for the next slot; ``work`` comes back from :meth:`take` when it is applied.

        ``traced``: see :class:`~consensus.messages.paxos.Accept`.
        """
        ctx = self.ctx
        slot = self.next_slot
        self.next_slot += 1
        proposal = Proposal(value, work, ctx.now_us, traced)
        self.in_flight[slot] = proposal
        watermark = self.acceptor.log.watermark
        self._told = watermark
        self.commit_us = 0
        position = self.acceptor.accept(self.ballot, slot, value, traced)
        self._own.append((position, slot, ctx.now_us))
        if ctx.others:
            ctx.send(ctx.others, Accept(self.ballot, slot, watermark, value, traced))
        ctx.counters["proposals_made"] += 1
        return slot

    def take(self, slot: Slot) -> Proposal | None:
        """The proposal of a slot that is about to be applied, if it was this leader's."""
        return self.in_flight.pop(slot, None)

    # --- counting ----------------------------------------------------------------

    def on_persisted(self) -> bool:
        """Own acceptances reached the disk. Returns whether the watermark moved."""
        own = self._own
        synced = self.ctx.synced
        while own and own[0][0] <= synced:
            slot = own.popleft()[1]
            self._count(slot, self.ctx.me)
        return self._advance()

    def on_accepted(self, sender: NodeId, message: Accepted) -> bool:
        peer = self.peers.get(sender)
        if peer is None or message.ballot != self.ballot:
            return False
        peer.heard_us = self.ctx.now_us
        self._count(message.slot, sender)
        return self._advance()

    def _count(self, slot: Slot, node: NodeId) -> None:
        proposal = self.in_flight.get(slot)
        if proposal is None:
            return
        proposal.accepted_by.add(node)
        if len(proposal.accepted_by) >= self.ctx.majority:
            entry = self.acceptor.log.get(slot)
            assert entry is not None and entry.value == proposal.value
            if not entry.chosen:
                entry.chosen = True
                self.ctx.counters["proposals_accepted"] += 1

    def _advance(self) -> bool:
        if not self.acceptor.log.advance():
            return False
        self.acceptor.moved()
        if not self.commit_us:
            self.commit_us = self.ctx.now_us + int(self.ctx.topology.timings.commit_delay_ms * 1000)
        return True

    # --- heartbeats ----------------------------------------------------------------

    def beat(self, ask: bool = True) -> int:
        """Send a heartbeat now; returns its round, which counts only if answers are asked for."""
        ctx = self.ctx
        self.round += 1
        watermark = self.acceptor.log.watermark
        self._told = watermark
        self.commit_us = 0
        self.heartbeat_us = ctx.now_us + ctx.heartbeat_us
        if ask:
            self._rounds.append((self.round, ctx.now_us, watermark))
        if ctx.others:
            last = self.next_slot - 1
            beat = Heartbeat(self.ballot, self.round, self.confirmed, watermark, last, ask, self._echoes())
            ctx.send(ctx.others, beat)
        if ctx.majority == 1:
            self._confirm(self.round)
        return self.round

    def _echoes(self) -> tuple[int, ...]:
        """Marks of the newest acknowledgements, by member.

        None before the own view is chosen: what an earlier leader had chosen may be above the watermark
        until then, and a follower would take an old state for a fresh one.
        """
        if self.acceptor.log.watermark < self.view_slot:
            return ()
        peers = self.peers
        return tuple([peers[member].mark if member in peers else 0 for member in self.ctx.members])

    def _confirm(self, round: int) -> None:
        """A majority acknowledged ``round``: at the time it was sent nobody else led."""
        self.confirmed = round
        rounds = self._rounds
        while rounds and rounds[0][0] <= round:
            _, self.confirmed_us, self.confirmed_slot = rounds.popleft()

    def on_heartbeat_ack(self, sender: NodeId, message: HeartbeatAck) -> bool:
        """Returns whether a further round is confirmed by a majority."""
        peer = self.peers.get(sender)
        if peer is None or message.ballot != self.ballot or message.round > self.round:
            return False
        peer.heard_us = self.ctx.now_us
        peer.watermark = message.watermark
        peer.applied = message.applied
        if message.round <= peer.round:
            return False
        peer.round = message.round
        peer.mark = message.mark
        rounds = sorted((p.round for p in self.peers.values()), reverse=True)
        confirmed = rounds[self.ctx.majority - 2]
        if confirmed <= self.confirmed:
            return False
        self._confirm(confirmed)
        return True

    # --- how old the own state can be ------------------------------------------------

    def within(self, age_us: int, applied: Slot) -> bool:
        """Whether nobody can have been told, more than ``age_us`` ago, of anything above ``applied``."""
        if self.confirmed_us is None or applied < self.confirmed_slot:
            return False
        return self.ctx.now_us - self.confirmed_us < age_us

    @property
    def lease_until_us(self) -> int:
        """Until when nobody else can have been elected, by the own clock; 0: no lease.

        Everybody in a majority acknowledged a round, and gives no promise for the least election timeout
        after that. The lease counts from before it, when the round was sent, and is shorter.
        """
        if not self.ctx.lease_us or self.confirmed_us is None:
            return 0
        return self.confirmed_us + self.ctx.lease_us

    def on_time(self) -> bool:
        """Whatever is due. Returns False when this leader has to step down."""
        ctx = self.ctx
        now = ctx.now_us
        # By a clock of its own: reads begin rounds, too, and many of them put the next heartbeat off.
        tends = now >= self._tend_us
        if tends:
            self._tend_us = now + ctx.heartbeat_us
            if not self._heard_since(ctx.election_max_us):
                ctx.event("timer.fire", name="majority_lost")
                return False
            if self._own and now - self._own[0][2] > ctx.election_max_us:
                ctx.event("timer.fire", name="disk_stalled")
                return False
        if now >= self.heartbeat_us:
            due = self.round % self._ask_every == 0
            self.beat(ask=due or not self._heard_since(ASK_EVERY * ctx.heartbeat_us))
        elif self.commit_us and now >= self.commit_us:
            self.commit_us = 0
            watermark = self.acceptor.log.watermark
            if ctx.others and watermark > self._told:
                self._told = watermark
                ctx.send(ctx.others, Commit(self.ballot, watermark))
        if tends:
            self._resend()
        return True

    def _heard_since(self, span_us: int) -> bool:
        """Whether a majority, this node included, was heard within ``span_us``."""
        since = self.ctx.now_us - span_us
        heard = sum([1 for peer in self.peers.values() if peer.heard_us >= since])
        return heard + 1 >= self.ctx.majority

    def _resend(self) -> None:
        """Accepts that got lost go out again to those who have not answered."""
        ctx = self.ctx
        before = ctx.now_us - ctx.resend_us
        for slot, proposal in self.in_flight.items():
            if proposal.sent_us <= before:
                proposal.sent_us = ctx.now_us
                silent = tuple(node for node in ctx.others if node not in proposal.accepted_by)
                if silent:
                    watermark = self.acceptor.log.watermark
                    accept = Accept(self.ballot, slot, watermark, proposal.value, proposal.traced)
                    ctx.send(silent, accept)

    def excuse_silence(self) -> None:
        """After the own clock stood still: nobody's silence in that time counts against them."""
        for peer in self.peers.values():
            peer.heard_us = self.ctx.now_us
        self.heartbeat_us = self._tend_us = self.ctx.now_us

    def wake_us(self) -> int:
        soonest = min(self.heartbeat_us, self._tend_us)
        return min(soonest, self.commit_us) if self.commit_us else soonest
