"""What a transfer costs in processor time: every replica of a bank in one process, without sockets and disk.

Time is virtual and moves in rounds, in which every queue is emptied once: the same work is done on every
machine and in every run, and two versions of the code can be compared on a busy one. What is left out
(threads, sockets, the kernel, waiting) is what :mod:`consensus.workload.floor` consists of.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import random
import sys
from collections import defaultdict
from time import process_time_ns
from typing import Final

import msgspec

from consensus.codec import decode_frame, encode, frame
from consensus.effects import Input, Persisted, Receive, Recovered, Requests, Together, Wake
from consensus.messages.base import Message
from consensus.messages.client import Open, Opened, Refused, Replies, Submit
from consensus.messages.entries import Item
from consensus.replica.door import Replica
from consensus.topology import Topology
from consensus.topology_file import generate
from consensus.types import ClusterId, NodeId

ROUND_US: Final = 500
"""Virtual time between two rounds: about what a message or a sync takes."""
CONNECTION: Final = 1
ROUNDS_MAX: Final = 1_000_000


class Cost(msgspec.Struct, frozen=True):
    """Of one load. Times are processor microseconds per committed transfer, summed over all such nodes."""

    cross_pct: float
    clients: int
    leaders_us: float
    followers_us: float
    messages: float
    """Between nodes, per transfer."""
    message_bytes: float
    journal_bytes: float
    """Of all replicas, per transfer."""
    slots: float
    committed: int


class _Lane:
    """The client's side of one cluster: a session at its leader, and what is open in it."""

    def __init__(self, cluster: ClusterId, leader: NodeId) -> None:
        self.cluster = cluster
        self.leader = leader
        self.session = cluster.to_bytes(16, "big")
        self.opened = False
        self.next = 0
        self.open: set[int] = set()
        self.waiting: list[Item] = []


class Bench:
    """A bank of ``topology`` with ``clients`` transfers in flight, ``cross_pct`` percent of them across."""

    def __init__(self, topology: Topology, clients: int, cross_pct: float, seed: int = 1) -> None:
        self.topology = topology
        self.now_us = 1_000_000
        self.committed = 0
        self.refused = 0
        self.messages = 0
        self.message_bytes = 0
        self.journal_bytes = 0
        self.spent_ns: dict[NodeId, int] = defaultdict(int)
        self._cross = cross_pct / 100
        self._clients = clients
        self._draw = random.Random(seed)
        self._inbox: dict[NodeId, list[tuple[NodeId, bytes]]] = defaultdict(list)
        self._asked: dict[NodeId, list[Message]] = defaultdict(list)
        self._gated: dict[NodeId, list[tuple[int, tuple[NodeId, ...], bytes]]] = defaultdict(list)
        self._replicas: dict[NodeId, Replica] = {}
        for cluster in topology.clusters:
            for member in cluster.members:
                recovered = Recovered(incarnation=1, bootstrap=True, learner=False)
                self._replicas[member] = Replica(member, topology, recovered, member)
        self._lanes = {c.id: _Lane(c.id, c.first_leader) for c in topology.clusters}
        for lane in self._lanes.values():
            self._asked[lane.leader].append(Open(lane.session))

    def run(self, transfers: int) -> None:
        """Rounds until ``transfers`` more have committed."""
        goal = self.committed + transfers
        for _ in range(ROUNDS_MAX):
            if self.committed >= goal:
                return
            self._round()
        raise RuntimeError(f"{self.committed} of {goal} transfers committed after {ROUNDS_MAX} rounds")

    def drain(self) -> int:
        """Begin nothing more, let everything end; returns the money in all accounts of the leaders."""
        self._clients = 0
        states = [self._replicas[lane.leader].machine.state for lane in self._lanes.values()]
        for _ in range(ROUNDS_MAX):
            if not any(lane.open for lane in self._lanes.values()) and not any(
                state.cross.prepared or state.cross.unfinished for state in states
            ):
                return sum(account.balance for state in states for account in state.accounts.values())
            self._round()
        raise RuntimeError("what is open does not end")

    def cost(self, transfers: int) -> Cost:
        """Measure ``transfers`` of them; call :meth:`run` before, to warm up."""
        spent, slots = dict(self.spent_ns), self._slots()
        before = (self.committed, self.messages, self.message_bytes, self.journal_bytes)
        self.run(transfers)
        done = self.committed - before[0]
        leaders = {lane.leader for lane in self._lanes.values()}
        used = {node: (self.spent_ns[node] - spent.get(node, 0)) / 1_000 for node in self._replicas}
        return Cost(
            cross_pct=100 * self._cross,
            clients=self._clients,
            leaders_us=sum(us for node, us in used.items() if node in leaders) / done,
            followers_us=sum(us for node, us in used.items() if node not in leaders) / done,
            messages=(self.messages - before[1]) / done,
            message_bytes=(self.message_bytes - before[2]) / done,
            journal_bytes=(self.journal_bytes - before[3]) / done,
            slots=(self._slots() - slots) / done,
            committed=done,
        )

    def _slots(self) -> int:
        return sum(self._replicas[lane.leader].machine.state.slot for lane in self._lanes.values())

    # --- rounds ------------------------------------------------------------------------

    def _round(self) -> None:
        self.now_us += ROUND_US
        self._submit()
        inbox, self._inbox = self._inbox, defaultdict(list)
        asked, self._asked = self._asked, defaultdict(list)
        for node, replica in self._replicas.items():
            begun = process_time_ns()
            leaving: dict[NodeId, list[bytes]] = {}
            came: list[Input] = [Receive(sender, decode_frame(data)[1]) for sender, data in inbox[node]]
            if asked[node]:
                data = frame(1, map(encode, asked[node]), len(asked[node]))
                came.append(Requests(CONNECTION, decode_frame(data)[1]))
            if came:
                self._step(node, replica, Together(came), leaving)
            if replica.wake_at_us <= self.now_us:
                self._step(node, replica, Wake(), leaving)
            for target, encoded in leaving.items():
                data = frame(1, encoded, len(encoded))
                self.messages += len(encoded)
                self.message_bytes += len(data)
                self._inbox[target].append((node, data))
            # What was appended in this round is on the disk at its end.
            if replica.position > replica.ctx.synced:
                self._sync(node, replica)
            self.spent_ns[node] += process_time_ns() - begun

    def _sync(self, node: NodeId, replica: Replica) -> None:
        leaving: dict[NodeId, list[bytes]] = {}
        position = replica.position
        for _, to, data in self._gated.pop(node, []):
            for target in to:
                leaving.setdefault(target, []).append(data)
        self._step(node, replica, Persisted(position), leaving)
        for target, encoded in leaving.items():
            data = frame(1, encoded, len(encoded))
            self.messages += len(encoded)
            self.message_bytes += len(data)
            self._inbox[target].append((node, data))

    def _step(self, node: NodeId, replica: Replica, input: Input, leaving: dict[NodeId, list[bytes]]) -> None:
        out = replica.step(self.now_us, input)
        for append in out.persist:
            self.journal_bytes += len(encode(append.record))
        synced = replica.ctx.synced
        for to, message, after in out.sends:
            data = encode(message)
            if after > synced:
                self._gated[node].append((after, to, data))
                continue
            for target in to:
                leaving.setdefault(target, []).append(data)
        for reply in out.replies:
            self._heard(node, encode(reply.message))

    # --- the client --------------------------------------------------------------------

    def _heard(self, node: NodeId, data: bytes) -> None:
        (message,) = decode_frame(frame(1, [data], 1))[1]
        if isinstance(message, Opened):
            self._lanes[message.cluster].opened = True
        elif isinstance(message, Replies | Refused):
            lane = next(lane for lane in self._lanes.values() if lane.session == message.session)
            lane.open.difference_update(message.numbers)
            if isinstance(message, Replies):
                self.committed += sum(not outcome.status for outcome in message.outcomes)
            else:
                self.refused += len(message.numbers)

    def _submit(self) -> None:
        if not all(lane.opened for lane in self._lanes.values()):
            return
        draw = self._draw
        clusters = self.topology.clusters
        fresh: dict[ClusterId, list[Item]] = defaultdict(list)
        flying = sum(len(lane.open) for lane in self._lanes.values())
        for _ in range(self._clients - flying):
            home = clusters[draw.randrange(len(clusters))]
            away = home
            if len(clusters) > 1 and draw.random() < self._cross:
                others = [cluster for cluster in clusters if cluster is not home]
                away = others[draw.randrange(len(others))]
            payer = draw.randrange(home.first_account, home.last_account + 1)
            payee = draw.randrange(away.first_account, away.last_account + 1)
            if payer == payee:
                continue
            lane = self._lanes[home.id]
            amount = draw.randrange(1, 11)
            fresh[home.id].append(Item(lane.next, (payer, -amount, payee, amount)))
            lane.open.add(lane.next)
            lane.next += 1
        for cluster, items in fresh.items():
            lane = self._lanes[cluster]
            self._asked[lane.leader].append(Submit(lane.session, min(lane.open), items))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m consensus.workload.cost", description=__doc__)
    parser.add_argument("--cross-shard", type=float, nargs="*", default=[0.0, 20.0, 80.0], metavar="PCT")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--transfers", type=int, default=20_000)
    parser.add_argument("--profile", action="store_true", help="which functions the time goes to")
    options = parser.parse_args(argv)
    say = sys.stdout.write
    say("across  clients  leaders us  followers us  sum us  messages  bytes sent  bytes journal  slots\n")
    for cross_pct in options.cross_shard:
        bench = Bench(generate(balance=100_000), options.clients, cross_pct)
        bench.run(options.transfers // 10)
        profile = cProfile.Profile() if options.profile else None
        if profile is not None:
            profile.enable()
        cost = bench.cost(options.transfers)
        if profile is not None:
            profile.disable()
        both = cost.leaders_us + cost.followers_us
        say(
            f"{cost.cross_pct:4.0f} %  {cost.clients:7}  {cost.leaders_us:10.1f}  {cost.followers_us:12.1f}"
            f"  {both:6.1f}  {cost.messages:8.2f}  {cost.message_bytes:10.0f}  {cost.journal_bytes:13.0f}"
            f"  {cost.slots:5.3f}\n"
        )
        if profile is not None:
            pstats.Stats(profile).sort_stats("tottime").print_stats(45)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
