"""Coming back after losing the disk: a node that may have forgotten a promise must not vote as if it had not.

The danger: it acknowledged a value or a promise, forgot it, and now helps another majority. So it takes no
part until

1. *every* other member has answered it, a majority of the cluster being others that did not lose their disks,
   and it has adopted the highest promise among the answers. A ballot it may have promised, and for which its
   promise may still be counted, is promised by its candidate, who is one of those asked, and whose answer
   names that ballot. (A majority of the others is not enough when there are five: the candidate may be the
   one that was not asked.)
2. it has seen a leader at or above that promise confirm, by a majority that does not count this node, a round
   that began after the leader answered this node's question, and
3. it holds every chosen value up to the highest slot that leader had proposed by then. Whatever it may once
   have accepted lies at or below that, and is decided. A heartbeat of before its loss would name too low a
   slot.

Answers carry a number drawn anew by each process, so that none given to an earlier one is counted.
"""

from __future__ import annotations

from consensus.messages.paxos import Heartbeat, LearnerQuery, LearnerReply
from consensus.messages.records import LearnerMark
from consensus.paxos.acceptor import Acceptor
from consensus.paxos.context import Context
from consensus.paxos.election import Election
from consensus.types import Ballot, NodeId, Slot


class Learner:
    """The way of one node from learner to voter. Idle when the node votes."""

    def __init__(self, ctx: Context, acceptor: Acceptor, election: Election) -> None:
        self.ctx = ctx
        self.election = election
        self.acceptor = acceptor
        self.retry_us = 0
        self.reason = ""
        """Why the node does not vote yet, for people."""
        self._nonce = ctx.draw()
        self._answers: dict[NodeId, LearnerReply] = {}
        self._leading: dict[Ballot, int] = {}
        """Ballots whose leader answered, and the heartbeat round it was at then."""
        self._adopted = False
        self._goal: Slot | None = None

    def start(self) -> None:
        """Begin to ask; called once, at the start of a process that lost its disk."""
        self.reason = "asking the others what they have promised"
        self.retry_us = self.ctx.now_us
        if len(self.ctx.members) == 1:
            self.reason = "the only member of its cluster lost its disk: nobody can bring it back"
            self.retry_us = 0

    def on_time(self) -> None:
        """Ask all others, until one of them turns out to lead and says how far to catch up."""
        if self._goal is not None:
            self.retry_us = 0
            return
        self.retry_us = self.ctx.now_us + 4 * self.ctx.resend_us
        self.ctx.send(self.ctx.others, LearnerQuery(self._nonce))

    def on_query(self, sender: NodeId, message: LearnerQuery, leading_round: int) -> None:
        """Answered by every node, once what it promised is on disk. ``leading_round``: 0 unless it leads."""
        acceptor = self.acceptor
        reply = LearnerReply(message.nonce, acceptor.promised, acceptor.learner, leading_round)
        self.ctx.send((sender,), reply, self.ctx.position)

    def on_reply(self, sender: NodeId, message: LearnerReply) -> None:
        if not self.acceptor.learner or message.nonce != self._nonce:
            return
        if message.round:
            self._leading.setdefault(message.promised, message.round)
        if self._adopted:
            return
        self._answers[sender] = message
        damaged = sum([answer.learner for answer in self._answers.values()])
        if len(self.ctx.others) - damaged < self.ctx.majority:
            self.reason = "too many members lost their disks: no majority can vouch for the rest"
            return
        silent = [f"n{node}" for node in self.ctx.others if node not in self._answers]
        if silent:
            self.reason = f"waiting to hear what {', '.join(silent)} promised"
            return
        self._adopted = True
        self.reason = "waiting for a leader that has a majority without this node"
        highest = max([answer.promised for answer in self._answers.values()])
        if highest > self.acceptor.promised:
            self.acceptor.promise(highest)

    def on_heartbeat(self, message: Heartbeat) -> None:
        """A leader at or above the adopted promise. Its rounds are confirmed without this node's voice."""
        if not self._adopted:
            return
        if self._goal is None:
            answered_at = self._leading.get(message.ballot)
            if answered_at is not None and message.confirmed > answered_at:
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
