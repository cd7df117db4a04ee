"""The replica: one node of one cluster, as a function of what happens to it.

``step(now_us, input) -> Outputs`` is the only way in. Same inputs, same outputs, byte for byte: there is no
clock, randomness or I/O behind it. ``dispatch`` routes messages, ``apply`` runs what is chosen, ``admission``
and ``reads`` face the clients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from consensus.bank.machine import Machine
from consensus.codec import encode_batch
from consensus.effects import (
    CheckpointDone,
    Cut,
    Disconnected,
    Freeze,
    Input,
    Move,
    Outputs,
    Persisted,
    Receive,
    Recovered,
    ReplyTo,
    Requests,
    Thaw,
    Together,
    Wake,
)
from consensus.messages.client import Leads, Open, Read, Refusal, Refused, ResolveRequest, Submit, WhoLeads
from consensus.messages.entries import Batch, CrossPrepare, DecideRow, Finish, NewView, ViewSlot
from consensus.messages.records import LearnerMark, SegmentHead
from consensus.migration.destination import Destination
from consensus.migration.source import Source
from consensus.paxos.acceptor import Acceptor
from consensus.paxos.catchup import Catchup
from consensus.paxos.context import Context
from consensus.paxos.election import Election, Won
from consensus.paxos.leader import Leader
from consensus.paxos.learner import Learner
from consensus.replica.admission import Admission
from consensus.replica.apply import Applier, Work
from consensus.replica.dispatch import foreign_handlers, handlers
from consensus.replica.reads import Reads
from consensus.replica.recovery import rebuild
from consensus.replica.tracing import wants_trace
from consensus.replica.transfer import Transfer
from consensus.shards import ShardMap
from consensus.topology import Topology
from consensus.txn.coordinator import Coordinator
from consensus.txn.doubts import Doubts
from consensus.txn.groups import Groups
from consensus.txn.participant import Participant, PartWait
from consensus.txn.queue import ProposalQueue
from consensus.txn.waiting import Waiter, Waiting
from consensus.types import AccountId, Ballot, NodeId, Slot

FRESH_GRACE_US: Final = 3_000_000
"""How long the followers of a brand-new incarnation wait for its first leader before they campaign."""
EARLY_MAX: Final = 2_000
"""Request frames a leader holds back until its view is established."""
TOLD_SLOTS_MAX: Final = 32
"""Slots proposed again that the trace names, the lowest ones."""
FAR_US: Final = 1 << 62


class Replica:
    """See the module. ``trace_level`` 0 reports elections and what is kept, 1 slots and transactions too."""

    def __init__(
        self, node: NodeId, topology: Topology, recovered: Recovered, seed: int, wall_offset_us: int = 0
    ) -> None:
        self.ctx = Context(node, topology, seed, wall_offset_us)
        self.topology = topology
        self.incarnation = recovered.incarnation
        rebuilt = rebuild(recovered, topology, self.ctx.cluster)
        self.damage = rebuilt.damage
        self.machine = Machine(rebuilt.state, self.ctx.cluster.id)
        self.checkpoint: Slot = rebuilt.state.slot
        """Slot of the last durable checkpoint."""
        promised = rebuilt.promised
        self._fresh = recovered.bootstrap
        if recovered.bootstrap:
            promised = Ballot(1, self.ctx.cluster.first_leader)
        self.acceptor = Acceptor(self.ctx, rebuilt.log, promised, rebuilt.learner)
        self.election = Election(self.ctx, self.acceptor)
        self.catchup = Catchup(self.ctx, self.acceptor)
        self.learner = Learner(self.ctx, self.acceptor, self.election)
        self.leader: Leader | None = None
        self.shards = ShardMap(topology)
        self.queue = ProposalQueue(topology.limits)
        self.waiting = Waiting(lambda: self.machine.state.cross.locks)
        self.admission = Admission(self.ctx, self.queue, self.waiting, self.shards)
        self.groups = Groups(self.ctx)
        self.coordinator = Coordinator(
            self.ctx,
            self.groups,
            lambda: self.machine.state,
            self._decide,
            self.queue.add_finish,
            self.shards,
        )
        self.doubts = Doubts(
            self.ctx,
            self.groups,
            lambda: self.machine.state,
            self._advance,
        )
        self.participant = Participant(
            self.ctx, self.groups, lambda: self.machine.state, self.waiting, self.queue
        )
        moving = (self.ctx, self.groups, lambda: self.machine.state, self.shards, self.queue.add_control)
        self.source = Source(*moving)
        self.destination = Destination(*moving)
        self.waiting.give_way = self._gives_way
        self._left: list[AccountId] = []
        """Accounts of waiters that gave way in this step: others may be first now."""
        self.reads = Reads(self.ctx, lambda: self.leader, self.shards)
        self.transfer = Transfer(self.ctx)
        self.applier = Applier(self)
        self.frozen = False
        self.wake_at_us = 0
        """When to step with :class:`Wake` at the latest. At or before ``now_us``: in this turn of the loop.
        """
        self._started = False
        self._request_wake = False
        self.established = False
        """Whether this leadership has taken up its work."""
        self._tidy = False
        self._early: list[Requests] = []
        self._clients: set[int] = set()
        self._messages = handlers(self)
        self._foreign = foreign_handlers(self)
        """Other clusters' nodes may speak of transactions only."""
        self._inputs: dict[type, Callable[[Any], None]] = {
            Receive: self._receive,
            Persisted: self._persisted,
            Requests: self._requests,
            Wake: self._wake,
            Disconnected: self._disconnected,
            CheckpointDone: self._checkpoint_done,
            Freeze: self._freeze,
            Thaw: self._thaw,
            Cut: self._cut,
            Move: self._move,
            Together: self._together,
        }

    # --- the door --------------------------------------------------------------------

    def step(self, now_us: int, input: Input) -> Outputs:
        """Take one input at ``now_us`` (which never goes back) and return what has to happen."""
        ctx = self.ctx
        assert now_us >= ctx.now_us, "the clock went back"
        ctx.now_us = now_us
        out = ctx.out = Outputs()
        if not self._started:
            self._start()
        self._inputs[type(input)](input)
        self.applier.run()
        if self.leader is not None and not self.frozen and not self._request_wake:
            self._flush()
        self.wake_at_us = self._next_wake()
        return out

    @property
    def position(self) -> int:
        """Journal records appended since the start."""
        return self.ctx.position

    @property
    def trace_level(self) -> int:
        return self.ctx.trace_level

    @trace_level.setter
    def trace_level(self, level: int) -> None:
        self.ctx.trace_level = level

    def sample(self, every: int, slots: bool = True) -> None:
        """Tell of each so manyth transaction (see :func:`~consensus.paxos.context.in_sample`), if of any.

        ``slots``: of every slot, too; else of those with such transactions in them.
        """
        self.ctx.sample_every = every
        self.ctx.tells_slots = slots

    def segment_head(self) -> SegmentHead:
        """First record of a journal segment that begins now."""
        acceptor = self.acceptor
        return SegmentHead(self.incarnation, acceptor.promised, acceptor.durable_watermark, acceptor.learner)

    @property
    def leads(self) -> bool:
        """Whether this node leads and has established its view: only then it answers."""
        leader = self.leader
        return leader is not None and self.machine.state.slot >= leader.view_slot

    # --- start and time ----------------------------------------------------------------

    def _start(self) -> None:
        self._started = True
        self.acceptor.bind()
        ctx = self.ctx
        if self.acceptor.learner:
            ctx.persist(LearnerMark(True))
            self.learner.start()
            self.election.deadline_us = FAR_US
            return
        if not self._fresh:
            self.election.rest()
            return
        ctx.event("paxos.ballot", b=list(self.acceptor.promised))
        if ctx.me == ctx.cluster.first_leader:
            self._lead(self.acceptor.promised)
        else:
            self.acceptor.leader = ctx.cluster.first_leader
            self.election.rest(FRESH_GRACE_US)

    def _wake(self, _: Wake) -> None:
        late_us = self.ctx.now_us - self.wake_at_us
        self._request_wake = False
        if self.frozen:
            return
        now = self.ctx.now_us
        if self.leader is not None:
            if not self.leader.on_time():
                self.step_down()
            elif self.established:
                self._tidy = True
                self.coordinator.on_time()
                self.participant.on_time()
                self.source.on_time()
                self.destination.on_time()
                self._give_up_waiting()
        elif self.acceptor.learner:
            if self.learner.retry_us and now >= self.learner.retry_us:
                self.learner.on_time()
        elif now >= self.election.deadline_us:
            if self.wake_at_us and late_us > self.ctx.heartbeat_us:
                # The own process stood still: the leader may have been heard in that time.
                self.election.rest()
            else:
                self.won(self.election.on_time())
        if self.catchup.retry_us and now >= self.catchup.retry_us:
            self.catchup.on_time()
        if self.transfer.retry_us and now >= self.transfer.retry_us:
            self.transfer.on_time()
        if self.reads.pending:
            self.reads.on_time(self.machine.state, self.acceptor.leader)

    def _next_wake(self) -> int:
        if self.frozen:
            return FAR_US
        now = self.ctx.now_us
        if self._request_wake or self.applier.behind:
            return now
        leader = self.leader
        if leader is not None:
            at = leader.wake_us()
            if self.queue.pending and 0 < len(leader.in_flight) < self.ctx.limits.window_slots:
                at = min(at, self.queue.oldest_us + self._batch_delay_us)
            if self.waiting.waiting:
                at = min(at, self.waiting.wake_us())
        else:
            at = self.learner.retry_us or FAR_US if self.acceptor.learner else self.election.deadline_us
        if self.catchup.retry_us:
            at = min(at, self.catchup.retry_us)
        if self.transfer.retry_us:
            at = min(at, self.transfer.retry_us)
        if self.reads.pending:
            at = min(at, self.reads.wake_us())
        return max(at, now)

    def _freeze(self, _: Freeze) -> None:
        if not self.frozen:
            self.frozen = True
            self.ctx.event("node.fail")

    def _thaw(self, _: Thaw) -> None:
        if not self.frozen:
            return
        self.frozen = False
        self.ctx.event("node.recover", why="asked to")
        if self.leader is not None:
            self.leader.excuse_silence()
        elif not self.acceptor.learner:
            self.election.rest()

    def _together(self, input: Together) -> None:
        """The turn is over with the last of them: requests need not wait for a wake."""
        inputs = self._inputs
        for one in input.inputs:
            inputs[type(one)](one)
        self._request_wake = False

    # --- other nodes, the disk -----------------------------------------------------------

    def _receive(self, input: Receive) -> None:
        if self.frozen:
            return
        messages = self._messages if input.sender in self.ctx.others else self._foreign
        for message in input.messages:
            handler = messages.get(type(message))
            if handler is not None:
                handler(input.sender, message)

    def _persisted(self, input: Persisted) -> None:
        ctx = self.ctx
        assert ctx.synced <= input.position <= ctx.position
        ctx.synced = input.position
        if self.leader is not None:
            self.leader.on_persisted()
        else:
            self.won(self.election.on_persisted())

    def _checkpoint_done(self, input: CheckpointDone) -> None:
        self.checkpoint = max(self.checkpoint, input.slot)
        self.applier.checkpoint_done(input.slot)

    # --- leading ---------------------------------------------------------------------------

    def won(self, won: Won | None) -> None:
        """A majority promised: propose again what may be chosen, then the own NEW-VIEW entry."""
        if won is None or won.ballot != self.acceptor.promised:
            return
        self.ctx.counters["elections_won"] += 1
        log = self.acceptor.log
        slots: list[ViewSlot] = []
        carried = sorted(won.values)[:TOLD_SLOTS_MAX]
        leader = self._lead(won.ballot, quorum=list(won.quorum), again=carried or None)
        first = leader.next_slot
        last = max(won.values, default=first - 1)
        leader.announce(first, last)
        noop = encode_batch(Batch(won.ballot, self._stamp_us(), []))
        for slot in range(first, last + 1):
            value = won.values.get(slot)
            bytes_ = noop if value is None else value.value
            accepted = Ballot(0, 0) if value is None else value.ballot
            slots.append(ViewSlot(slot, accepted, 0 if value is None else len(bytes_)))
            leader.propose(bytes_, traced=True)
        view = NewView(won.ballot, log.watermark, slots, self.checkpoint)
        leader.view_slot = leader.propose(
            encode_batch(Batch(won.ballot, self._stamp_us(), [view])), traced=True
        )

    def _lead(self, ballot: Ballot, **why: Any) -> Leader:
        # Reads of a follower, which waited for another leader's index.
        self.reads.clear(self.ctx.me)
        leader = self.leader = Leader(self.ctx, self.acceptor, ballot)
        self.election.deadline_us = FAR_US
        # A state that arrives now would replace the log under the slots proposed again.
        self.transfer.stop()
        self.catchup.stop()
        told = self.acceptor.log.watermark
        self.ctx.event("paxos.leader", b=list(ballot), leader=self.ctx.me, w=told, **why)
        leader.beat()
        self.tell_clients()
        return leader

    def step_down(self) -> None:
        """End the leadership: refuse what was not proposed, leave the rest to the next leader."""
        assert self.leader is not None
        self.leader = None
        self.established = False
        if self.acceptor.leader == self.ctx.me:
            self.acceptor.leader = 0
        self.election.rest()
        hint = self.acceptor.leader
        self.admission.clear(hint)
        self.coordinator.clear()
        self._left.clear()
        self.participant.clear()
        self.source.clear()
        self.destination.clear()
        self.reads.clear(hint)
        early, self._early = self._early, []
        for requests in early:
            self._refuse_all(requests)
        self.ctx.event(
            "paxos.leader", b=list(self.acceptor.promised), leader=hint, w=self.acceptor.log.watermark
        )
        self.tell_clients()

    def follow(self, sender: NodeId, ballot: Ballot) -> None:
        """A valid message of the leader of ``ballot``, which this node has promised."""
        if self.leader is not None and ballot > self.leader.ballot:
            self.step_down()
        if not self.acceptor.learner:
            self.election.heard_leader(sender)
        if self.acceptor.leader != sender:
            self.acceptor.leader = sender
            self.ctx.event("paxos.leader", b=list(ballot), leader=sender, w=self.acceptor.log.watermark)
            self.tell_clients()

    def tell_clients(self) -> None:
        """Clients learn at once who leads, so that they need not wait for an answer that will not come."""
        leads = Leads(self.ctx.cluster.id, self.acceptor.promised, self.acceptor.leader)
        self.ctx.out.replies.extend(ReplyTo(connection, leads) for connection in sorted(self._clients))

    def _stamp_us(self) -> int:
        return self.ctx.now_us + self.ctx.wall_offset_us

    @property
    def _batch_delay_us(self) -> int:
        return int(self.topology.timings.batch_delay_ms * 1000)

    def _flush(self) -> None:
        """Propose what waits, as far as the batching rule lets it; start a round for waiting reads."""
        leader = self.leader
        assert leader is not None
        if not self.leads:
            return
        if not self.established:
            self._establish()
        while self._left:
            left, self._left = self._left, []
            self.freed(left)
        queue = self.queue
        while queue.pending and len(leader.in_flight) < self.ctx.limits.window_slots:
            waited = self.ctx.now_us - queue.oldest_us >= self._batch_delay_us
            if leader.in_flight and not queue.full and not waited:
                break
            self._propose(leader)
        if self._tidy and queue.finishes and not leader.in_flight:
            self._propose(leader)
        self._tidy = False
        self.coordinator.flush()
        self.participant.flush()
        if self.reads.index.waiting and not self.reads.index.round_open:
            self.reads.index.start(leader.beat())
            self.reads.answer(self.machine.state, leader.confirmed)

    def _propose(self, leader: Leader) -> None:
        entries, groups = self.queue.next_batch(self.ctx.now_us)
        batch = Batch(leader.ballot, self._stamp_us(), entries)
        slot = leader.propose(encode_batch(batch), Work(batch, groups), traced=wants_trace(self.ctx, batch))
        for entry in entries:
            if type(entry) is CrossPrepare:
                for item in entry.items:
                    self.coordinator.begin(entry.session, item, slot)

    def _establish(self) -> None:
        """The view is applied: take up what is open, and the requests that came too early."""
        self.established = True
        self.coordinator.adopt()
        self.participant.adopt()
        assert self.leader is not None
        self.source.adopt(self.leader.ballot)
        self.destination.adopt()
        early, self._early = self._early, []
        for requests in early:
            self._serve(requests)

    def _decide(self, row: DecideRow) -> None:
        self.queue.add_decide(row, self.ctx.now_us)

    def _advance(self) -> None:
        """Have a slot proposed, if only with an entry that does nothing, unless one is going to be."""
        if not self.queue.pending:
            self.queue.add_control(Finish([]))

    def freed(self, accounts: list[AccountId]) -> None:
        """Locks fell, or those ahead left: whoever waits for ``accounts`` and can go on does."""
        while self.waiting.waiting and (waiter := self.waiting.turn(accounts)) is not None:
            accounts = [*accounts, *waiter.accounts]
            if isinstance(waiter.payload, PartWait):
                self.participant.admit(waiter.payload.coordinator, waiter.payload.row)
            else:
                self.admission.go_on(waiter)

    def _gives_way(self, waiter: Waiter) -> None:
        self.participant.gives_way(waiter.payload)
        self._left.extend(waiter.accounts)

    def _give_up_waiting(self) -> None:
        for waiter in self.waiting.expired(self.ctx.now_us):
            if isinstance(waiter.payload, PartWait):
                self.participant.timed_out(waiter.payload)
            else:
                self.admission.timed_out(waiter)
            self.freed(list(waiter.accounts))

    # --- clients ---------------------------------------------------------------------------

    def _requests(self, input: Requests) -> None:
        """Requests only queue; they are proposed at the next wake, together with those of the same turn."""
        if self.frozen:
            return
        self._clients.add(input.connection)
        if self.leader is not None and not self.leads and len(self._early) < EARLY_MAX:
            self._early.append(input)
            return
        self._serve(input)
        if self.leader is not None:
            self._request_wake = True

    def _serve(self, input: Requests) -> None:
        connection = input.connection
        state = self.machine.state
        leads = self.leads
        for message in input.messages:
            kind = type(message)
            if kind is Read:
                hint = self.acceptor.leader
                watermark = self.acceptor.log.watermark
                self.reads.on_read(state, connection, message, leads, hint, watermark)
            elif kind is WhoLeads:
                leads_now = Leads(self.ctx.cluster.id, self.acceptor.promised, self.acceptor.leader)
                self.ctx.out.replies.append(ReplyTo(connection, leads_now))
            elif not leads:
                self._refuse(connection, message)
            elif kind is Submit:
                self.admission.submit(state, connection, message)
            elif kind is Open:
                self.admission.open(state, connection, message)
            elif kind is ResolveRequest:
                self.admission.resolve(state, connection, message)

    def _refuse(self, connection: int, message: Any) -> None:
        numbers = [item.number for item in message.items] if type(message) is Submit else []
        if type(message) is ResolveRequest:
            numbers = message.numbers
        hint = self.acceptor.leader
        if type(message) in (Submit, Open, ResolveRequest):
            refused = Refused(message.session, numbers, Refusal.NOT_LEADER, hint)
            self.ctx.out.replies.append(ReplyTo(connection, refused))

    def _refuse_all(self, requests: Requests) -> None:
        for message in requests.messages:
            self._refuse(requests.connection, message)

    def _cut(self, input: Cut) -> None:
        if self.established and input.number > self.machine.state.audit:
            self.queue.cut(input.number)

    def _move(self, input: Move) -> None:
        """What became of it stands in the state, now or soon; a leader that cannot begin it does nothing."""
        if self.established:
            self.source.request(*input)

    def _disconnected(self, input: Disconnected) -> None:
        self._clients.discard(input.connection)
        self.admission.disconnected(input.connection)
