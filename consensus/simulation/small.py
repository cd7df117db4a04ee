"""One replica of a small world as a state among states: what it is, and what each event makes of it.

A replica's step is a function, so its state is known by the inputs that led to it. :class:`Local` keeps those
and a key: everything of the replica that decides about votes, promises and chosen values, without clocks. Two
replicas with the same key are one state, and what an event does to a state is worked out once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from consensus.codec import encode
from consensus.effects import Input, Persisted, Receive, Recovered, Requests, Send, Wake
from consensus.messages.base import Message
from consensus.messages.client import Open
from consensus.messages.paxos import HeartbeatAck, Nack, PreVote, PreVoteReply
from consensus.messages.records import AcceptedValue, Record, SegmentHead
from consensus.paxos.election import Phase
from consensus.replica.door import Replica
from consensus.replica.recovery import rebuild
from consensus.topology import Topology
from consensus.types import Ballot, NodeId, Slot

START_US: Final = 1_000_000
WAKES_MAX: Final = 50
UNHEARD: Final = frozenset((PreVote, PreVoteReply, HeartbeatAck, Nack))
"""Not carried: anybody may be granted a pre-vote at any time here, acknowledgements choose nothing, and a
leader that is not told of a higher ballot goes on, which is the worse case.
"""


class Vote(NamedTuple):
    """``node`` has ``value`` for ``slot`` in ``ballot`` on its disk."""

    node: NodeId
    slot: Slot
    ballot: Ballot
    value: bytes


class Done(NamedTuple):
    """What came of an event: the state after it, messages that left, and votes that reached the disk."""

    after: Local
    sent: list[tuple[NodeId, Message]]
    votes: list[Vote]


class Budget(NamedTuple):
    """What a node has done of that which is bounded."""

    campaigns: int = 0
    restarts: int = 0


class Local:
    """A state of one node: that of ``run``, which is not needed any more.

    Attributes:
        inputs: since the start of the process, each with its time.
        records: what was on the disk then; ``durable`` is what is there now.
        chosen: values by slot that the node takes for chosen.
        key: what tells it from other states; ``disk``: with what a restart would find.
    """

    def __init__(self, run: Run, budget: Budget, disk: bool) -> None:
        replica = run.replica
        self.node = run.node
        self.inputs = tuple(run.inputs)
        self.records = run.found
        self.fresh = run.fresh
        self.budget = budget
        self.promised = replica.acceptor.promised
        self.leads = replica.leads
        self.watermark = replica.acceptor.log.watermark
        self.accepted = {slot: entry.ballot for slot, entry in _entries(replica).items()}
        self.preparing = replica.election._ballot if replica.election.phase is Phase.PREPARE else None
        self.promises = frozenset(replica.election._promises) if self.preparing else frozenset()
        leader = replica.leader
        self.ballot = leader.ballot if leader is not None else None
        self.counting: dict[Slot, frozenset[NodeId]] = {}
        """Slots in flight that are not chosen yet, and who has accepted them."""
        if leader is not None:
            self.counting = {s: frozenset(p.accepted_by) for s, p in leader.in_flight.items()}
        self.may_tell = replica.leader is not None and replica.leader.commit_us > 0
        self.may_campaign = replica.leader is None
        self.chosen = {slot: entry.value for slot, entry in _entries(replica).items() if entry.chosen}
        for slot in self.chosen:
            self.counting.pop(slot, None)
        found = _disk(run.records, replica.topology, run.node) if disk else None
        self.key = (run.node, budget, _key(replica), found)

    def run(self, topology: Topology) -> Run:
        """The replica in this state, to go on with."""
        run = Run(self.node, topology, self.records, self.fresh)
        for now_us, input in self.inputs:
            run.feed(now_us, input)
        return run


class Run:
    """A replica on its way: steps it, syncs at once, and notes what came of it."""

    def __init__(self, node: NodeId, topology: Topology, records: tuple[Record, ...], fresh: bool) -> None:
        recovered = Recovered(1, bootstrap=fresh, learner=False, records=list(records))
        self.replica = Replica(node, topology, recovered, seed=node)
        self.node = node
        self.fresh = fresh
        self.now_us = START_US
        self.found = records
        self.records = records
        self.inputs: list[tuple[int, Input]] = []
        self.sends: list[Send] = []
        self.votes: list[Vote] = []
        self.unsynced_sends: list[Send] = []
        """Those that left before anything of the last event was on the disk."""

    def feed(self, now_us: int, input: Input) -> None:
        """Step with an input from outside, and with what follows from it at once."""
        self.inputs.append((now_us, input))
        self.now_us = now_us
        self._step(input)
        for _ in range(WAKES_MAX):
            if self.replica.wake_at_us > self.now_us:
                return
            self._step(Wake())
        raise AssertionError(f"node {self.node} does not come to rest")

    def _step(self, input: Input) -> None:
        replica = self.replica
        synced = replica.ctx.synced
        out = replica.step(self.now_us, input)
        self.sends += out.sends
        self.unsynced_sends += [send for send in out.sends if send.after <= synced]
        for append in out.persist:
            record = append.record
            self.records = (*self.records, record)
            if isinstance(record, AcceptedValue):
                self.votes.append(Vote(self.node, record.slot, record.ballot, record.value))
        if out.persist:
            self._step(Persisted(replica.position))

    def wake_until(self, condition: Callable[[], bool]) -> None:
        """Let time pass, from one wake to the next, until ``condition`` holds."""
        for _ in range(WAKES_MAX):
            if condition():
                return
            self.feed(self.replica.wake_at_us, Wake())
        raise AssertionError(f"node {self.node}: waited in vain")


def begin(node: NodeId, topology: Topology, asks: int, disk: bool) -> Done:
    """A node of a new bank, started; the first leader has proposed for ``asks`` slots.

    That they are proposed from the start leaves nothing out: a message may be late.
    """
    head = SegmentHead(1, Ballot(1, topology.cluster_by_node[node].first_leader), 0, False)
    run = Run(node, topology, (head,), fresh=True)
    run.feed(START_US, Wake())
    if run.replica.leads:
        for number in range(asks):
            _ask(run, number)
    return Done(Local(run, Budget(), disk), _heard(run.sends), run.votes)


def act(
    local: Local,
    topology: Topology,
    event: str,
    message: tuple[NodeId, Message] | None = None,
    crash: bool = False,
    disk: bool = False,
) -> Done:
    """``event`` happens to ``local``: ``message`` (with its sender) arrives if there is one.

    ``crash``: the process dies before the disk has anything of it; event ``restart``: between two events.
    """
    run = local.run(topology)
    before, kept = len(run.sends), run.records
    run.votes, run.unsynced_sends = [], []
    budget = local.budget
    if message is not None:
        source, content = message
        run.feed(run.now_us, Receive(source, [content]))
    elif event == "campaign":
        budget = budget._replace(campaigns=budget.campaigns + 1)
        _campaign(run)
    elif event == "tell":
        leader = run.replica.leader
        assert leader is not None
        run.wake_until(lambda: leader.commit_us == 0)
    if not crash and event != "restart":
        return Done(Local(run, budget, disk), _heard(run.sends[before:]), run.votes)
    budget = budget._replace(restarts=budget.restarts + 1)
    again = Run(local.node, topology, kept, fresh=False)
    again.feed(run.now_us, Wake())
    return Done(Local(again, budget, disk), _heard(run.unsynced_sends if crash else []), [])


def _ask(run: Run, number: int) -> None:
    """A client opens a session: an entry of a slot of its own, once the batch has waited."""
    leader = run.replica.leader
    assert leader is not None
    slot = leader.next_slot
    run.feed(run.now_us, Requests(number, [Open(bytes([number]) * 16)]))
    run.wake_until(lambda: leader.next_slot > slot)


def _campaign(run: Run) -> None:
    """The election timeout passes, and another node grants the pre-vote."""
    election = run.replica.election
    run.wake_until(lambda: election.phase is Phase.PREVOTE)
    other = run.replica.ctx.others[0]
    reply = PreVoteReply(election._ballot, True, run.replica.acceptor.promised)
    run.feed(run.now_us, Receive(other, [reply]))


def _heard(sends: list[Send]) -> list[tuple[NodeId, Message]]:
    return [(to, send.message) for send in sends if type(send.message) not in UNHEARD for to in send.to]


# --- keys ----------------------------------------------------------------------------------


def _entries(replica: Replica) -> dict[Slot, Any]:
    log = replica.acceptor.log
    slots = range(log.floor + 1, log.last + 1)
    return {slot: entry for slot in slots if (entry := log.get(slot)) is not None}


def _key(replica: Replica) -> tuple[Any, ...]:
    acceptor, election, leader, catchup = replica.acceptor, replica.election, replica.leader, replica.catchup
    idle = election.phase is Phase.IDLE
    chosen = {slot for slot, entry in _entries(replica).items() if entry.chosen}
    return (
        acceptor.promised,
        acceptor.log.watermark,
        tuple((s, e.ballot, e.chosen, e.value) for s, e in _entries(replica).items()),
        None
        if idle
        else (
            election.phase,
            election._ballot,
            election.target,
            election.source,
            tuple(
                (sender, tuple(encode(part) for part in parts))
                for sender, parts in sorted(election._promises.items())
            ),
        ),
        None
        if leader is None
        else (
            leader.ballot,
            leader.next_slot,
            leader.view_slot,
            leader.commit_us > 0,
            tuple(
                (slot, proposal.value, () if slot in chosen else tuple(sorted(proposal.accepted_by)))
                for slot, proposal in leader.in_flight.items()
            ),
        ),
        (catchup.target, catchup.source, catchup.too_old) if catchup.retry_us else None,
        replica.machine.state.slot,
    )


def _disk(records: tuple[Record, ...], topology: Topology, node: NodeId) -> tuple[Any, ...]:
    """What a process that starts now would find."""
    found = rebuild(
        Recovered(1, bootstrap=False, learner=False, records=list(records)),
        topology,
        topology.cluster_by_node[node],
    )
    log = found.log
    entries = [(s, e) for s in range(log.floor + 1, log.last + 1) if (e := log.get(s)) is not None]
    return (found.promised, log.watermark, tuple((s, e.ballot, e.chosen, e.value) for s, e in entries))
