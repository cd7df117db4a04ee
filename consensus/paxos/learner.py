"""Coming back after losing the disk: a node that may have forgotten a promise must not vote as if it had not.

The danger: it acknowledged a value or a promise, forgot it, and now helps another majority. So it takes no part until

1. it has adopted the highest promise of a majority of *other* nodes that did not lose theirs (any ballot it may have
   promised and that could matter has a majority of its own, of which one is among those asked),
2. it has seen a leader at or above that ballot whose majority does not count it, and
3. it holds every chosen value up to the highest slot that leader had proposed then: whatever it may once have accepted
   lies at or below that, and is decided.
"""

from __future__ import annotations

from consensus.messages.paxos import Heartbeat, LearnerQuery, LearnerReply
from consensus.messages.records import LearnerMark
from consensus.paxos.acceptor import Acceptor
from consensus.paxos.context import Context
from consensus.paxos.election import Election
from consensus.types import BALLOT_NONE, Ballot, NodeId, Slot


class Learner:
    """The way of one node from learner to voter. Idle when the node votes."""

    def __init__(self, ctx: Context, acceptor: Acceptor, election: Election) -> None:
        self.ctx = ctx
        self.election = election
        self.acceptor = acceptor
        self.retry_us = 0
        self.reason = ""
        """Why the node does not vote yet, for people."""
        self._nonce = 0
        self._replies: dict[NodeId, LearnerReply] = {}
        self._adopted = False
        self._seen: tuple[Ballot, int] | None = None
        """Ballot and round of the leader when it was first heard after the adoption."""
        self._goal: Slot | None = None

    def start(self) -> None:
        """Begin to ask; called once, at the start of a process that lost its disk."""
        self.reason = "asking the others what they have promised"
        self.retry_us = self.ctx.now_us
        if len(self.ctx.members) == 1:
            self.reason = "the only member of its cluster lost its disk: nobody can bring it back"
            self.retry_us = 0

    def on_time(self) -> None:
        if self._adopted:
            self.retry_us = 0
            return
        self._nonce += 1
        self._replies = {}
        self.retry_us = self.ctx.now_us + 4 * self.ctx.resend_us
        self.ctx.send(self.ctx.others, LearnerQuery(self._nonce))

    def on_query(self, sender: NodeId, message: LearnerQuery) -> None:
        """Answered by every node; what a promise says must be on disk first."""
        reply = LearnerReply(message.nonce, self.acceptor.promised, self.acceptor.learner)
        self.ctx.send((sender,), reply, self.ctx.position)

    def on_reply(self, sender: NodeId, message: LearnerReply) -> None:
        if not self.acceptor.learner or self._adopted or message.nonce != self._nonce:
            return
        self._replies[sender] = message
        whole = [reply for reply in self._replies.values() if not reply.learner]
        if len(whole) < self.ctx.majority:
            damaged = sum(1 for reply in self._replies.values() if reply.learner)
            if len(self.ctx.others) - damaged < self.ctx.majority:
                self.reason = "too many members of the cluster lost their disks: no majority can vouch for the rest"
            return
        highest = max(reply.promised for reply in whole)
        self._adopted = True
        self.retry_us = 0
        self.reason = "waiting for a leader that has a majority without this node"
        if highest > self.acceptor.promised and highest > BALLOT_NONE:
            self.acceptor.promise(highest)

    def on_heartbeat(self, message: Heartbeat) -> None:
        """A leader at or above the adopted promise. Its rounds are confirmed without this node's voice."""
        if not self._adopted:
            return
        if self._goal is None:
            if self._seen is None or self._seen[0] != message.ballot:
                self._seen = (message.ballot, message.round)
            elif message.confirmed >= self._seen[1]:
                self._goal = message.last
                self.reason = f"catching up to slot {message.last}"
        self.check()

    def check(self) -> None:
        """Vote again once everything up to the goal is held."""
        if self._goal is None or self.acceptor.log.watermark < self._goal:
            return
        if self.acceptor.installing:
            return
        self.acceptor.learner = False
        self.acceptor.seen.clear()
        self.reason = ""
        self.election.rest()
        self.ctx.persist(LearnerMark(False))
        self.ctx.event("node.recover", why="rebuilt from its peers")
