"""The world of a run: virtual time, nodes, network, clients. One queue of events, nothing happens outside it.

A run is a function of its :class:`Config`. Several clusters may live in one world; each has its own checker
and clients, and ``whole`` judges what their transactions with each other do.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from hashlib import blake2b
from itertools import count
from struct import Struct as Packing
from typing import Any, Final

from consensus.codec import decode_frame, encode, frame
from consensus.effects import Cut, Disconnected, Input, Move, Receive, ReplyTo, Requests, Together, Wake
from consensus.messages.base import Message
from consensus.simulation.client import SimClient
from consensus.simulation.clock import Clock
from consensus.simulation.config import Config
from consensus.simulation.disk import Disk
from consensus.simulation.draws import Draws
from consensus.simulation.faults import Injector
from consensus.simulation.invariants import Checker, Violation
from consensus.simulation.network import QUIET, Network
from consensus.simulation.node import FAR_US, SimNode
from consensus.simulation.points import Moment
from consensus.simulation.tight import SESSION_NAMES
from consensus.simulation.tracing import Tracer
from consensus.simulation.whole import Whole, WholeError
from consensus.topology import Cluster
from consensus.types import SESSIONS_MAX, NodeId

SETTLE_US: Final = 30_000_000
"""Virtual time within which everything must be at rest once all faults have ended."""
RECOVER_US: Final = 120_000_000
SETTLE_LOOK_US: Final = 20_000
PLAN: Final = b"moves of the run"
"""Each batch that is asked for is a part of it."""
_STEP: Final = Packing("<qii")
_WAKE: Final = Wake()


class World:
    """See the module. ``steps`` counts ``Replica.step`` calls; ``now_us`` is virtual time."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.now_us = 0
        self.steps = 0
        self.hook: Callable[[Moment], None] | None = None
        """Told of every message and write before and after; it may crash nodes."""
        self.tracer: Tracer | None = None
        """Told of every step; never changes one."""
        self.network = Network(config.seed, config.profile)
        self.whole = Whole(config.topology)
        self.checkers: dict[int, Checker] = {}
        self.nodes: dict[NodeId, SimNode] = {}
        self.clients: dict[int, SimClient] = {}
        self._queue: list[tuple[int, int, Callable[[Any], None], Any]] = []
        self._order = count()
        self._disk_draws: dict[NodeId, Draws] = {}
        self._timer_draws: dict[NodeId, Draws] = {}
        self._turn_draws: dict[NodeId, Draws] = {}
        self._connections: dict[tuple[int, NodeId], int] = {}
        self._clients_of: dict[int, int] = {}
        self._connection_ids = count(1)
        self._hash = blake2b(digest_size=16)
        self._pending_hash = bytearray()
        for cluster in config.topology.clusters:
            self._build(cluster)
        self.injector = Injector(self)
        for fault in config.schedule:
            self.push(fault.at_us, self.injector.inject, fault)
        if config.audit_every_us:
            self.push(config.audit_every_us, self._audit, 1)
        self._mover = Draws(config.seed, "mover")
        if config.move_every_us:
            self.push(config.move_every_us, self._move, 1)

    def _build(self, cluster: Cluster) -> None:
        config = self.config
        sessions_max = config.tight.get(SESSION_NAMES[0], SESSIONS_MAX)
        checker = Checker(config.topology, cluster, self.whole, config.hash_every, sessions_max)
        self.checkers[cluster.id] = checker
        for member in cluster.members:
            draws = Draws(config.seed, "clock", member)
            clock = Clock(draws.below(1 << 40), draws.between(-config.drift_ppm, config.drift_ppm))
            disk = Disk(config.seed, member, config.segment_bytes)
            node = SimNode(config.seed, member, config.topology, disk, clock, checker)
            self.nodes[member] = node
            self._disk_draws[member] = Draws(config.seed, "sync", member)
            self._timer_draws[member] = Draws(config.seed, "timer", member)
            self._turn_draws[member] = Draws(config.seed, "turn", member)
            node.format()
            node.boot(bootstrap=True)
            self.push(0, self._wake, (node, node.life, 0))
        others = tuple(other for other in config.topology.clusters if other is not cluster)
        for _ in range(config.clients):
            number = len(self.clients) + 1
            self.add(SimClient(config.seed, number, cluster, config.habits, self.checkers, others))

    def add(self, client: SimClient) -> None:
        """Let a client begin now. Its number must be its own."""
        assert client.number not in self.clients
        self.clients[client.number] = client
        self.push(self.now_us, self._tick, client)

    # --- running ---------------------------------------------------------------------

    def push(self, at_us: int, act: Callable[[Any], None], argument: Any) -> None:
        """Have ``act(argument)`` happen at ``at_us``; things of one time happen in the order they came."""
        heapq.heappush(self._queue, (at_us, next(self._order), act, argument))

    def _next(self) -> None:
        at, _, act, argument = heapq.heappop(self._queue)
        if at > self.now_us:
            self.now_us = at
        act(argument)

    def run(self, steps: int) -> None:
        """Go on until ``steps`` steps are done in all.

        Raises:
            Violation: an invariant is broken.
        """
        while self.steps < steps:
            self._next()

    def run_until(self, condition: Callable[[], bool], within_us: int, look_us: int = SETTLE_LOOK_US) -> bool:
        """Go on until ``condition`` holds, which is looked at every ``look_us``; False when time runs out."""
        end = self.now_us + within_us
        while not condition():
            if self.now_us >= end:
                return False
            self.run_for(look_us)
        return True

    def run_for(self, duration_us: int) -> None:
        """Go on for so much virtual time."""
        end = self.now_us + duration_us
        while self._queue[0][0] <= end:
            self._next()
        self.now_us = end

    def recover(self, commits: int) -> None:
        """End all faults, and see that clients get on until ``commits`` transactions have committed in all.

        Raises:
            Violation: they do not.
        """
        self.injector.end_all()
        self.network.profile = QUIET
        if not self.run_until(lambda: self.committed >= commits, RECOVER_US):
            raise Violation(
                "liveness",
                f"{self.committed} of {commits} commits {RECOVER_US // 1_000_000} s after the faults",
            )

    def settle(self) -> None:
        """End all faults, let clients finish, and see that everything comes to rest.

        Raises:
            Violation: it does not, or not to the same state everywhere.
        """
        self.recover(0)
        for client in self.clients.values():
            client.draining = True
        if self.config.left_down:
            self.injector.take_minorities_down()
            self._rest()
            self.injector.start_all()
        self._rest()

    def _rest(self) -> None:
        if not self.run_until(self.at_rest, SETTLE_US):
            raise Violation(
                "liveness", f"not at rest {SETTLE_US // 1_000_000} s after the faults: {self.unrest()}"
            )
        for cluster in self.config.topology.clusters:
            replicas = {m: r for m in cluster.members if (r := self.nodes[m].replica) is not None}
            self.checkers[cluster.id].at_rest(replicas)
        try:
            self.whole.at_rest(sum(sum(c.bank.balances.values()) for c in self.checkers.values()))
        except WholeError as error:
            raise Violation("money of the whole bank", str(error)) from error

    def at_rest(self) -> bool:
        return not self.unrest()

    def unrest(self) -> str:
        """What keeps the world from being at rest, in words; empty when nothing does."""
        for client in self.clients.values():
            if not client.idle:
                return f"client {client.number} waits for {client.open_numbers}"
        for cluster in self.config.topology.clusters:
            if restless := self._unrest_in(cluster):
                return restless
        return ""

    def _unrest_in(self, cluster: Cluster) -> str:
        checker = self.checkers[cluster.id]
        leaders: list[NodeId] = []
        for member in cluster.members:
            replica = self.nodes[member].replica
            if replica is None:
                continue
            if replica.acceptor.learner:
                return f"n{member} is a learner: {replica.learner.reason}"
            if replica.machine.state.slot != checker.chosen_top:
                return f"n{member} has applied {replica.machine.state.slot} of {checker.chosen_top}"
            cross = replica.machine.state.cross
            if cross.prepared or cross.unfinished:
                return f"n{member} has {len(cross.prepared)} prepared, {len(cross.unfinished)} unfinished"
            moves = replica.machine.state.moves
            if moves.taken or moves.batches:
                return f"n{member} has batches on their way: {sorted(moves.batches)}"
            if replica.leads:
                leaders.append(member)
                if replica.leader is not None and replica.leader.in_flight:
                    return f"n{member} has slots in flight"
        if len(leaders) != 1:
            return f"leaders: {leaders}"
        followed = {r.acceptor.leader for m in cluster.members if (r := self.nodes[m].replica) is not None}
        return "" if followed == set(leaders) else f"followed are {sorted(followed)}, leads {leaders}"

    def _audit(self, number: int) -> None:
        """Begin cut ``number`` at one cluster; the others hear of it from each other. None while settling."""
        if self.injector.ended:
            return
        clusters = self.config.topology.clusters
        cluster = clusters[number % len(clusters)]
        for member in cluster.members:
            replica = self.nodes[member].replica
            if replica is not None and replica.leads and not replica.frozen:
                self.step(self.nodes[member], Cut(number))
        self.push(self.now_us + self.config.audit_every_us, self._audit, number + 1)

    def _move(self, part: int) -> None:
        """Ask a cluster to move a few of its accounts to another one. No more while settling."""
        if self.injector.ended:
            return
        draws, clusters = self._mover, self.config.topology.clusters
        source, destination = draws.pick(clusters), draws.pick(clusters)
        for member in source.members:
            replica = self.nodes[member].replica
            if replica is None or not replica.leads or replica.frozen or source is destination:
                continue
            owned = sorted(replica.machine.state.accounts)
            if owned:
                chosen = {draws.pick(owned) for _ in range(draws.between(1, 4))}
                self.step(self.nodes[member], Move(PLAN, part, destination.id, tuple(sorted(chosen))))
                break
        self.push(self.now_us + self.config.move_every_us, self._move, part + 1)

    @property
    def committed(self) -> int:
        """Transactions that clients were told are committed."""
        return sum(client.committed for client in self.clients.values())

    @property
    def trace_hash(self) -> str:
        """Hash over every input and output so far."""
        self._hash.update(self._pending_hash)
        self._pending_hash.clear()
        return self._hash.hexdigest()

    # --- nodes -----------------------------------------------------------------------

    def step(self, node: SimNode, input: Input) -> None:
        """Step a node and carry out what comes of it."""
        now = self.now_us
        replica = node.replica
        assert replica is not None
        out, leaving = node.step(now, input)
        self.steps += 1
        tracer = self.tracer
        if tracer is not None:
            tracer.stepped(self, node, out.events)
        note = self._pending_hash
        note += _STEP.pack(now, node.id, len(out.persist))
        if out.persist and self._gone("persist", "before", node, [append.record for append in out.persist]):
            return
        push = self.push
        delays = self.network.delays
        wire = self.config.wire
        hooked = self.hook is not None
        for send in leaving:
            data = encode(send.message)
            note += data
            message = data if wire else send.message
            for to in send.to:
                if hooked and self._gone("send", "before", node, send.message, to):
                    return
                arrivals = delays(node.id, to)
                number = 0
                if tracer is not None:
                    number = tracer.sent(self, node.id, to, data, send.message, lost=not arrivals)
                for delay in arrivals:
                    push(now + delay, self._deliver, (node.id, to, message, number))
                    number = 0  # a copy of it is not told of again
                if hooked and self._gone("send", "after", node, send.message, to):
                    return
        for reply in out.replies:
            note += encode(reply.message)
            if not replica.frozen:
                if tracer is not None:
                    tracer.replied(self, node.id, reply.message)
                self._send_reply(node, reply)
        if out.checkpoint is not None:
            note += out.checkpoint.state_hash
            push(now + self._sync_us(node), self._checkpoint, (node, node.life))
        self.start_write(node)
        self._schedule_wake(node, replica.wake_at_us)
        if len(note) > 1 << 16:
            self._hash.update(note)
            note.clear()

    def _put(self, node: SimNode, input: Input) -> None:
        """Something came to a node: it is taken with all else that comes in the same turn of its loop."""
        if not self.config.turn_us:
            self.step(node, input)
            return
        node.came.append(input)
        if len(node.came) == 1:
            took_us = self._turn_draws[node.id].below(self.config.turn_us)
            self.push(self.now_us + took_us, self._end_turn, (node, node.life))

    def _end_turn(self, argument: tuple[SimNode, int]) -> None:
        node, life = argument
        if node.life != life or node.replica is None or self._held_up(node, self._end_turn, argument):
            return
        if node.came:
            came, node.came = node.came, []
            self.step(node, Together(came))

    def _gone(self, act: str, phase: str, node: SimNode, about: Any, other: NodeId = 0) -> bool:
        """Tell the hook of a moment. Returns whether the node's process ended by it."""
        if self.hook is None:
            return False
        life = node.life
        self.hook(Moment(act, phase, node.id, about, other))
        return node.replica is None or node.life != life

    def start_write(self, node: SimNode) -> None:
        """Have the node's disk begin with what was appended, unless it is at it, or stuck."""
        if not node.wedged and node.disk.start_write():
            self.push(self.now_us + self._sync_us(node), self._synced, (node, node.life))

    def _sync_us(self, node: SimNode) -> int:
        draws = self._disk_draws[node.id]
        took = self.config.sync_us + draws.below(self.config.sync_us)
        if draws.chance(0.02):
            took += draws.below(20_000)
        return took * node.slowness

    def _schedule_wake(self, node: SimNode, wake_at_us: int) -> None:
        """Have the node woken when its clock shows ``wake_at_us``, or a little later, as timers are."""
        clock = node.clock
        if wake_at_us >= FAR_US:
            return
        now = self.now_us
        at = max(now, clock.world(wake_at_us)) if wake_at_us > clock.local(now) else now
        if at < node.wake_us:
            node.wake_us = at
            draws = self._timer_draws[node.id]
            late = draws.below(60_000) if draws.chance(0.002) else draws.below(40)
            self.push(at + late, self._wake, (node, node.life, at))

    def _held_up(self, node: SimNode, act: Callable[[Any], None], argument: Any) -> bool:
        """Whether the node's process stands still: what happens to it waits in its buffers."""
        until = node.clock.paused_until_us
        if until > self.now_us:
            self.push(until, act, argument)
            return True
        return False

    def _wake(self, argument: tuple[SimNode, int, int]) -> None:
        node, life, at = argument
        if node.life != life or node.replica is None or self._held_up(node, self._wake, argument):
            return
        if node.wake_us == at:
            node.wake_us = FAR_US
        due = node.replica.wake_at_us
        if node.clock.local(self.now_us) >= due:
            self.step(node, _WAKE)
        else:
            self._schedule_wake(node, due)

    def _deliver(self, argument: tuple[NodeId, NodeId, Any, int]) -> None:
        source, target, message, number = argument
        node = self.nodes[target]
        if node.replica is None:
            self._nobody_there(argument, "down")
            return
        if self._held_up(node, self._deliver, argument):
            return
        if type(message) is bytes:
            messages: list[Any] = decode_frame(frame(1, [message], 1))[1]
        else:
            messages = [message]
        if node.replica.frozen:
            self._nobody_there(argument, "failed")
            return
        if self._gone("receive", "before", node, messages[0], source):
            return
        if self.tracer is not None and number:
            self.tracer.received(self, source, target, messages[0], number)
        self._put(node, Receive(source, messages))
        if node.replica is not None:
            self._gone("receive", "after", node, messages[0], source)

    def _nobody_there(self, argument: tuple[NodeId, NodeId, Any, int], why: str) -> None:
        """A message arrives at a node that does not hear."""
        source, target, message, number = argument
        if self.tracer is not None and number:
            data = message if type(message) is bytes else encode(message)
            decoded = decode_frame(frame(1, [data], 1))[1][0]
            self.tracer.lost(self, source, target, data, decoded, number, why)

    def _synced(self, argument: tuple[SimNode, int]) -> None:
        node, life = argument
        if node.life != life or node.replica is None or self._held_up(node, self._synced, argument):
            return
        if node.wedged:
            self.push(self.now_us + 10_000, self._synced, argument)
            return
        records = node.disk.writing.records if node.disk.writing is not None else []
        if self._gone("persist", "during", node, records):
            return
        persisted = node.synced()
        if not self._gone("persist", "after", node, records):
            self.step(node, persisted)

    def _checkpoint(self, argument: tuple[SimNode, int]) -> None:
        node, life = argument
        if node.life != life or node.replica is None or self._held_up(node, self._checkpoint, argument):
            return
        done = node.write_checkpoint(self.config.checkpoint_rows)
        if done is None:
            self.push(self.now_us + self._sync_us(node), self._checkpoint, argument)
        else:
            self.push(self.now_us + self._sync_us(node), self._checkpoint_done, (node, life, done))

    def _checkpoint_done(self, argument: tuple[SimNode, int, Input]) -> None:
        node, life, done = argument
        if node.life != life or node.replica is None or self._held_up(node, self._checkpoint_done, argument):
            return
        self.step(node, done)

    def boot(self, node: SimNode) -> None:
        """Start a node's process again, unless it runs."""
        if node.replica is None:
            node.clock.paused_until_us = 0
            node.boot()
            self.push(self.now_us, self._wake, (node, node.life, self.now_us))

    # --- clients ---------------------------------------------------------------------

    def connection(self, client: int, node: NodeId) -> int:
        """Number of the client's connection to the node; a new one after a reset."""
        found = self._connections.get((client, node))
        if found is None:
            found = self._connections[client, node] = next(self._connection_ids)
            self._clients_of[found] = client
        return found

    def reset_connection(self, client: int, node: NodeId) -> None:
        """The connection breaks: frames on it are gone, the node hears of it, the client dials anew."""
        broken = self._connections.pop((client, node), None)
        if broken is None:
            return
        del self._clients_of[broken]
        target = self.nodes[node]
        self.push(self.now_us, self._disconnect, (target, target.life, broken))

    def _disconnect(self, argument: tuple[SimNode, int, int]) -> None:
        node, life, connection = argument
        if node.life != life or node.replica is None or self._held_up(node, self._disconnect, argument):
            return
        self.step(node, Disconnected(connection))

    def _tick(self, client: SimClient) -> None:
        frames, wait_us = client.tick(self.now_us)
        self._send_frames(client, frames)
        if not client.draining or not client.idle:
            self.push(self.now_us + wait_us, self._tick, client)

    def _tick_once(self, client: SimClient) -> None:
        self._send_frames(client, client.tick(self.now_us)[0])

    def _send_frames(self, client: SimClient, frames: list[tuple[NodeId, list[Message]]]) -> None:
        for target, messages in frames:
            connection = self.connection(client.number, target)
            for delay in self.network.delays(-client.number, target):
                self.push(self.now_us + delay, self._request, (target, connection, messages))

    def _request(self, argument: tuple[NodeId, int, list[Message]]) -> None:
        target, connection, messages = argument
        node = self.nodes[target]
        if node.replica is None or connection not in self._clients_of:
            return
        if not self._held_up(node, self._request, argument) and not node.replica.frozen:
            self._put(node, Requests(connection, messages))

    def _send_reply(self, node: SimNode, reply: ReplyTo) -> None:
        client = self._clients_of.get(reply.connection)
        if client is None:
            return
        for delay in self.network.delays(node.id, -client):
            self.push(self.now_us + delay, self._reply, (client, node.id, reply.message))

    def _reply(self, argument: tuple[int, NodeId, Message]) -> None:
        client_id, node, message = argument
        client = self.clients[client_id]
        if client.receive(self.now_us, node, message):
            self.push(self.now_us, self._tick_once, client)
