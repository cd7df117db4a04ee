"""Messages from the other nodes of the cluster, and which part of the replica each is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from consensus.messages.migration import (
    MapNews,
    MigrationMessage,
    MoveActivate,
    MoveFlip,
    MoveInstall,
    MoveReply,
    MoveReserve,
    MoveResolve,
    MoveRollback,
)
from consensus.messages.paxos import (
    Accept,
    Accepted,
    Chosen,
    Commit,
    Fetch,
    Heartbeat,
    HeartbeatAck,
    IndexQuery,
    IndexReply,
    LearnerQuery,
    LearnerReply,
    Nack,
    NewViewNotice,
    Prepare,
    PreVote,
    PreVoteReply,
    Promise,
    StateChunk,
    StateRequest,
)
from consensus.messages.txn import (
    TxAck,
    TxDecision,
    TxnMessage,
    TxPending,
    TxPrepare,
    TxResolve,
    TxVote,
)
from consensus.types import Ballot, ClusterId, NodeId, Slot

if TYPE_CHECKING:
    from consensus.replica.door import Replica


def handlers(replica: Replica) -> dict[type, Callable[[NodeId, Any], None]]:
    """One handler per message type."""
    dispatch = Dispatch(replica)
    return {
        Accept: dispatch.on_accept,
        Accepted: dispatch.on_accepted,
        Heartbeat: dispatch.on_heartbeat,
        HeartbeatAck: dispatch.on_heartbeat_ack,
        Commit: dispatch.on_commit,
        NewViewNotice: dispatch.on_new_view,
        Nack: dispatch.on_nack,
        PreVote: dispatch.on_prevote,
        PreVoteReply: dispatch.on_prevote_reply,
        Prepare: dispatch.on_prepare,
        Promise: dispatch.on_promise,
        Fetch: dispatch.on_fetch,
        Chosen: dispatch.on_chosen,
        StateRequest: dispatch.on_state_request,
        StateChunk: dispatch.on_state_chunk,
        LearnerQuery: dispatch.on_learner_query,
        LearnerReply: dispatch.on_learner_reply,
        IndexQuery: dispatch.on_index_query,
        IndexReply: dispatch.on_index_reply,
        **foreign_handlers(replica),
    }


def foreign_handlers(replica: Replica) -> dict[type, Callable[[NodeId, Any], None]]:
    """Handlers of messages between clusters."""
    dispatch = CrossDispatch(replica)
    return {
        TxPrepare: dispatch.on_prepare,
        TxVote: dispatch.on_votes,
        TxDecision: dispatch.on_decision,
        TxAck: dispatch.on_acks,
        TxResolve: dispatch.on_resolve,
        TxPending: dispatch.on_pending,
        **migration_handlers(replica),
    }


def migration_handlers(replica: Replica) -> dict[type, Callable[[NodeId, Any], None]]:
    """Handlers of messages about batches of accounts."""
    dispatch = MoveDispatch(replica)
    return {
        MoveReserve: dispatch.on_reserve,
        MoveInstall: dispatch.on_install,
        MoveFlip: dispatch.on_flip,
        MoveRollback: dispatch.on_rollback,
        MoveReply: dispatch.on_reply,
        MoveActivate: dispatch.on_activate,
        MoveResolve: dispatch.on_resolve,
        MapNews: dispatch.on_news,
    }


class Dispatch:
    """Handlers ``(sender, message)``. What a leader sends must come from the node of its ballot."""

    def __init__(self, replica: Replica) -> None:
        self._r = replica

    # --- from a leader ---------------------------------------------------------------

    def on_accept(self, sender: NodeId, message: Accept) -> None:
        r = self._r
        if message.ballot.node == sender and r.acceptor.on_accept(sender, message):
            r.follow(sender, message.ballot)
            self._watermark(sender, message.ballot, message.watermark)

    def on_heartbeat(self, sender: NodeId, message: Heartbeat) -> None:
        r = self._r
        if not self._adopt(sender, message.ballot):
            return
        self._watermark(sender, message.ballot, message.watermark)
        if r.acceptor.learner:
            r.learner.on_heartbeat(message)
            return
        fresh = r.reads.fresh
        fresh.heard(message)
        if message.ask:
            log = r.acceptor.log
            applied = r.machine.state.slot
            r.acceptor.bind()
            ack = HeartbeatAck(message.ballot, message.round, log.watermark, applied, fresh.mark())
            r.ctx.send((sender,), ack)

    def on_commit(self, sender: NodeId, message: Commit) -> None:
        if message.ballot >= self._r.acceptor.promised and self._adopt(sender, message.ballot):
            self._watermark(sender, message.ballot, message.watermark)

    def on_new_view(self, sender: NodeId, message: NewViewNotice) -> None:
        if self._adopt(sender, message.ballot):
            self._watermark(sender, message.ballot, message.watermark)

    def _adopt(self, sender: NodeId, ballot: Ballot) -> bool:
        """Follow the leader of ``ballot``, unless a higher one was promised (then say so)."""
        r = self._r
        if ballot.node != sender:
            return False
        if ballot < r.acceptor.promised:
            r.ctx.send((sender,), Nack(r.acceptor.promised))
            return False
        if ballot > r.acceptor.promised and not r.acceptor.learner:
            r.acceptor.promise(ballot)
        r.follow(sender, ballot)
        return True

    def _watermark(self, sender: NodeId, ballot: Ballot, watermark: Slot) -> None:
        r = self._r
        if watermark <= r.acceptor.log.watermark:
            return
        if r.acceptor.on_watermark(ballot, watermark):
            r.catchup.settled()
            self._progress()
        elif not r.transfer.active:
            r.catchup.need(watermark, sender)

    # --- to a leader -------------------------------------------------------------------

    def on_accepted(self, sender: NodeId, message: Accepted) -> None:
        if self._r.leader is not None:
            self._r.leader.on_accepted(sender, message)

    def on_heartbeat_ack(self, sender: NodeId, message: HeartbeatAck) -> None:
        r = self._r
        if r.leader is not None and r.leader.on_heartbeat_ack(sender, message) and r.reads.pending:
            r.reads.answer(r.machine.state, r.leader.confirmed)

    def on_nack(self, sender: NodeId, message: Nack) -> None:
        r = self._r
        if r.leader is None:
            r.election.on_nack(message)
        elif message.ballot > r.leader.ballot:
            r.election.saw(message.ballot)
            r.step_down()

    # --- follower reads ----------------------------------------------------------------

    def on_index_query(self, sender: NodeId, message: IndexQuery) -> None:
        r = self._r
        if r.leads:
            r.reads.on_query(sender, message, r.acceptor.log.watermark)

    def on_index_reply(self, sender: NodeId, message: IndexReply) -> None:
        r = self._r
        r.reads.on_index(message, r.machine.state, r.acceptor.leader)

    # --- elections ---------------------------------------------------------------------

    def on_prevote(self, sender: NodeId, message: PreVote) -> None:
        if self._r.leader is None:
            self._r.election.on_prevote(sender, message)

    def on_prevote_reply(self, sender: NodeId, message: PreVoteReply) -> None:
        if self._r.leader is None:
            self._r.won(self._r.election.on_prevote_reply(sender, message))

    def on_prepare(self, sender: NodeId, message: Prepare) -> None:
        r = self._r
        if message.ballot.node != sender or not r.acceptor.on_prepare(sender, message):
            return
        if r.leader is not None and message.ballot > r.leader.ballot:
            r.step_down()
        elif r.leader is None:
            r.election.rest()

    def on_promise(self, sender: NodeId, message: Promise) -> None:
        r = self._r
        if r.leader is None:
            r.won(r.election.on_promise(sender, message))
            self._recover()

    def _recover(self) -> None:
        """A candidate that is behind its quorum brings itself up first."""
        r = self._r
        log = r.acceptor.log
        if r.leader is None and r.election.target > log.watermark and not r.transfer.active:
            r.catchup.need(r.election.target, r.election.source)

    # --- values and state from others ----------------------------------------------------

    def on_fetch(self, sender: NodeId, message: Fetch) -> None:
        self._r.catchup.on_fetch(sender, message)

    def on_chosen(self, sender: NodeId, message: Chosen) -> None:
        r = self._r
        if r.catchup.on_chosen(sender, message):
            self._progress()
        if r.catchup.too_old and r.leader is None and not r.transfer.active:
            r.transfer.begin(sender)

    def on_state_request(self, sender: NodeId, message: StateRequest) -> None:
        self._r.transfer.on_request(sender, message, self._r.machine.state)

    def on_state_chunk(self, sender: NodeId, message: StateChunk) -> None:
        r = self._r
        state = r.transfer.on_chunk(sender, message)
        if state is None:
            return
        r.catchup.too_old = False
        if state.slot > r.acceptor.log.watermark:
            r.applier.install(state)
            self._progress()
        if r.catchup.target > r.acceptor.log.watermark:
            r.catchup.need(r.catchup.target, sender)

    def on_learner_query(self, sender: NodeId, message: LearnerQuery) -> None:
        leader = self._r.leader
        self._r.learner.on_query(sender, message, leader.round if leader is not None else 0)

    def on_learner_reply(self, sender: NodeId, message: LearnerReply) -> None:
        self._r.learner.on_reply(sender, message)

    def _progress(self) -> None:
        """The watermark moved: somebody may have waited for it."""
        r = self._r
        if r.reads.pending and r.leader is None:
            r.reads.answer(r.machine.state, 0)
        if r.leader is None:
            r.won(r.election.on_progress())
        if r.acceptor.learner:
            r.learner.check()


class GroupDispatch:
    """Messages between clusters, addressed to a group: its leader acts on them, others pass them on."""

    def __init__(self, replica: Replica) -> None:
        self._r = replica

    def _mine(self, sender: NodeId, cluster: ClusterId, message: TxnMessage | MigrationMessage) -> bool:
        """Whether this node acts on the message; else it goes to the leader, once."""
        r = self._r
        if r.established:
            r.groups.heard(cluster, sender)
            if message.audit > r.machine.state.audit:
                r.queue.cut(message.audit)
            return True
        leader = r.acceptor.leader
        if leader and leader != r.ctx.me and sender not in r.ctx.others:
            r.ctx.send((leader,), message)
        return False


class MoveDispatch(GroupDispatch):
    """Migration: what the source's leader says goes to the destination, and the other way round."""

    def on_reserve(self, sender: NodeId, message: MoveReserve) -> None:
        if self._mine(sender, message.source, message):
            self._r.destination.on_reserve(message)

    def on_install(self, sender: NodeId, message: MoveInstall) -> None:
        if self._mine(sender, message.source, message):
            self._r.destination.on_install(message)

    def on_flip(self, sender: NodeId, message: MoveFlip) -> None:
        if self._mine(sender, message.source, message):
            self._r.destination.on_flip(message)

    def on_rollback(self, sender: NodeId, message: MoveRollback) -> None:
        if self._mine(sender, message.source, message):
            self._r.destination.on_rollback(message)

    def on_reply(self, sender: NodeId, message: MoveReply) -> None:
        if self._mine(sender, message.destination, message):
            self._r.source.on_reply(message)

    def on_activate(self, sender: NodeId, message: MoveActivate) -> None:
        if self._mine(sender, message.destination, message):
            self._r.source.on_activate(message)

    def on_resolve(self, sender: NodeId, message: MoveResolve) -> None:
        if self._mine(sender, message.destination, message):
            self._r.source.on_resolve(message)

    def on_news(self, sender: NodeId, message: MapNews) -> None:
        """Every node keeps it: a follower may lead soon."""
        self._r.shards.learn_rows(message.rows)


class CrossDispatch(GroupDispatch):
    """Two-phase commit."""

    def on_prepare(self, sender: NodeId, message: TxPrepare) -> None:
        if self._mine(sender, message.coordinator, message):
            self._r.participant.on_prepare(message)

    def on_decision(self, sender: NodeId, message: TxDecision) -> None:
        if self._mine(sender, message.coordinator, message):
            left = self._r.participant.on_decision(message)
            if left:
                self._r.freed(left)

    def on_votes(self, sender: NodeId, message: TxVote) -> None:
        if self._mine(sender, message.participant, message):
            self._r.coordinator.on_votes(message)

    def on_acks(self, sender: NodeId, message: TxAck) -> None:
        if self._mine(sender, message.participant, message):
            self._r.coordinator.on_acks(message)

    def on_pending(self, sender: NodeId, message: TxPending) -> None:
        """Undecided: the participant keeps asking at its own pace."""
        if self._r.established:
            self._r.groups.heard(message.coordinator, sender)

    def on_resolve(self, sender: NodeId, message: TxResolve) -> None:
        """A participant in doubt."""
        if self._mine(sender, message.participant, message):
            self._r.doubts.on_resolve(message)
