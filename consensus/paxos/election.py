"""Becoming the leader: pre-vote, prepare, and taking over what may have been chosen.

Pre-vote (Ongaro, Raft dissertation, 9.6) asks a majority whether a ballot would be promised before any
promise is raised, so that a node that cannot hear its leader, while others can, does not depose it.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple

from consensus.messages.paxos import Nack, Prepare, PreVote, PreVoteReply, Promise, SlotValue
from consensus.paxos.acceptor import Acceptor
from consensus.paxos.context import Context
from consensus.types import Ballot, NodeId, Position, Slot


class Phase(Enum):
    IDLE = "idle"
    PREVOTE = "prevote"
    PREPARE = "prepare"
    RECOVER = "recover"
    """A majority promised; the candidate is bringing itself up to the highest watermark among them."""


class Won(NamedTuple):
    """A majority promised ``ballot`` and everything up to the log's watermark is held.

    ``values`` has, for each slot above the watermark that anybody in the quorum reported, the value to
    propose again: the chosen one, or the one accepted in the highest ballot.
    """

    ballot: Ballot
    values: dict[Slot, SlotValue]
    quorum: tuple[NodeId, ...] = ()
    """Who promised, this node included."""


class Election:
    """Timers and votes of a node that is not the leader."""

    def __init__(self, ctx: Context, acceptor: Acceptor) -> None:
        self.ctx = ctx
        self.acceptor = acceptor
        self.phase = Phase.IDLE
        self.deadline_us = 0
        self._timeout_us = ctx.election_timeout_us()
        self.heard_us = -(1 << 62)
        """When a valid message of a live leader last arrived, and from whom."""
        self._heard: NodeId = 0
        self.target: Slot = 0
        """Watermark to reach before NEW-VIEW, and ``source``, who has it."""
        self.source: NodeId = 0
        self._ballot = Ballot(0, 0)
        self._round_seen = 0
        self._votes: set[NodeId] = set()
        self._own_promise: Position = 0
        self._parts: dict[tuple[NodeId, int], dict[int, Promise]] = {}
        """Pieces that came, by sender and answer: a repeated Prepare may have been answered twice."""
        self._promises: dict[NodeId, list[Promise]] = {}

    # --- timers --------------------------------------------------------------

    def rest(self, extra_us: int = 0) -> None:
        """Wait a full (newly drawn) election timeout from now, and ``extra_us``, before campaigning."""
        self.phase = Phase.IDLE
        self._timeout_us = self.ctx.election_timeout_us()
        self.deadline_us = self.ctx.now_us + self._timeout_us + extra_us

    def heard_leader(self, leader: NodeId) -> None:
        """A valid message of a leader whose ballot is the promised one."""
        self._heard = leader
        self.heard_us = self.ctx.now_us
        self.phase = Phase.IDLE
        self.deadline_us = self.ctx.now_us + self._timeout_us

    def on_time(self) -> Won | None:
        """The election deadline passed: campaign (anew)."""
        assert not self.acceptor.learner
        ctx = self.ctx
        self.acceptor.leader = 0
        self.phase = Phase.PREVOTE
        self.deadline_us = ctx.now_us + ctx.election_timeout_us()
        self._ballot = Ballot(max(self.acceptor.promised.round, self._round_seen) + 1, ctx.me)
        self._votes = {ctx.me}
        ctx.counters["elections_started"] += 1
        ctx.event("timer.fire", name="election", **self._why())
        ctx.send(ctx.others, PreVote(self._ballot, self.acceptor.log.watermark))
        return self._prepare() if len(self._votes) >= ctx.majority else None

    def _why(self) -> dict[str, Any]:
        """For the trace: for how long which leader was not heard, as far as there was one."""
        if self.heard_us < 0:
            return {}
        return {"since_ms": (self.ctx.now_us - self.heard_us) / 1000, "silent": self._heard}

    # --- pre-vote --------------------------------------------------------------

    def on_prevote(self, sender: NodeId, message: PreVote) -> None:
        """Grant unless this node promised more, or hears its leader."""
        if self.acceptor.learner:
            return
        ctx = self.ctx
        granted = (
            message.ballot > self.acceptor.promised
            and ctx.now_us - self.heard_us >= ctx.election_min_us
            and ctx.now_us >= self.acceptor.bound_until_us
        )
        ctx.send((sender,), PreVoteReply(message.ballot, granted, self.acceptor.promised))

    def on_prevote_reply(self, sender: NodeId, message: PreVoteReply) -> Won | None:
        self._round_seen = max(self._round_seen, message.promised.round)
        if self.phase is not Phase.PREVOTE or message.ballot != self._ballot or not message.granted:
            return None
        self._votes.add(sender)
        return self._prepare() if len(self._votes) >= self.ctx.majority else None

    # --- prepare -----------------------------------------------------------------

    def _prepare(self) -> Won | None:
        ctx = self.ctx
        if self._ballot <= self.acceptor.promised or ctx.now_us < self.acceptor.bound_until_us:
            self.rest()
            return None
        self.phase = Phase.PREPARE
        self.deadline_us = ctx.now_us + ctx.election_timeout_us()
        self._parts = {}
        self._promises = {}
        self._own_promise = self.acceptor.promise(self._ballot, why="heartbeat_timeout", **self._why())
        ctx.send(ctx.others, Prepare(self._ballot, self.acceptor.log.watermark), self._own_promise)
        return None

    def on_persisted(self) -> Won | None:
        """The own promise counts once it is on the disk."""
        if self.phase is not Phase.PREPARE or self._own_promise > self.ctx.synced:
            return None
        if self.ctx.me not in self._promises:
            self._promises[self.ctx.me] = self.acceptor.promise_parts(self.acceptor.log.watermark)
            return self._count()
        return None

    def on_promise(self, sender: NodeId, message: Promise) -> Won | None:
        if self.phase is not Phase.PREPARE or message.ballot != self._ballot:
            return None
        if not 0 <= message.part < message.parts:
            return None
        parts = self._parts.setdefault((sender, message.answer), {})
        parts[message.part] = message
        if len(parts) == message.parts and sender not in self._promises:
            self._promises[sender] = [parts[part] for part in range(message.parts)]
            return self._count()
        return None

    def _count(self) -> Won | None:
        if len(self._promises) < self.ctx.majority or self.ctx.me not in self._promises:
            return None
        self.phase = Phase.RECOVER
        for parts in self._promises.values():
            for part in parts:
                for value in part.entries:
                    if value.chosen:
                        self.acceptor.learn(value.slot, value.ballot, value.value)
        if self.acceptor.log.advance():
            self.acceptor.moved()
        self.target, self.source = max(
            (parts[0].watermark, sender) for sender, parts in self._promises.items()
        )
        return self.on_progress()

    def on_progress(self) -> Won | None:
        """Chosen values arrived: the view may start when nothing the quorum knows as chosen is missing.

        Filling gaps only above the highest watermark of the quorum is what keeps a candidate that is behind
        from proposing no-ops for slots that were chosen and truncated elsewhere.
        """
        if self.phase is not Phase.RECOVER:
            return None
        log = self.acceptor.log
        self.deadline_us = self.ctx.now_us + self.ctx.election_timeout_us()
        if log.watermark < self.target:
            return None
        values: dict[Slot, SlotValue] = {}
        for parts in self._promises.values():
            for part in parts:
                for value in part.entries:
                    if value.slot <= log.watermark:
                        continue
                    best = values.get(value.slot)
                    if best is None or (value.chosen, value.ballot) > (best.chosen, best.ballot):
                        values[value.slot] = value
        self.phase = Phase.IDLE
        quorum = tuple(sorted(self._promises))
        self._promises = {}
        self._parts = {}
        return Won(self._ballot, values, quorum)

    # --- losing ------------------------------------------------------------------

    def on_nack(self, message: Nack) -> None:
        """Somebody promised more: start over later, with a higher round."""
        self._round_seen = max(self._round_seen, message.ballot.round)
        if self.phase is not Phase.IDLE and message.ballot > self._ballot:
            self.rest()

    def saw(self, ballot: Ballot) -> None:
        """Remember a ballot that was refused to this node as leader."""
        self._round_seen = max(self._round_seen, ballot.round)
