"""Node 1 leads a cluster of three. The others answer at once, unless they are told to be silent."""

from __future__ import annotations

from collections import deque
from typing import Any

from consensus.effects import (
    Append,
    CheckpointDone,
    Disconnected,
    Event,
    Input,
    Persisted,
    Receive,
    Recovered,
    Requests,
    Send,
    Wake,
)
from consensus.messages.base import Message
from consensus.messages.client import Open, Opened, Outcome, Refused, Replies, Submit
from consensus.messages.entries import Entry, Item
from consensus.messages.paxos import Accept, Accepted, Heartbeat, HeartbeatAck, Prepare
from consensus.replica.door import Replica
from consensus.simulation.config import topology_of
from consensus.topology import Limits
from consensus.types import Ballot, SessionId

ALICE: SessionId = b"a" * 16
BOB: SessionId = b"b" * 16
CONNECTION = 7
LATER = Ballot(2, 2)


def pay(sender: int, receiver: int, amount: int) -> tuple[int, ...]:
    return (sender, -amount, receiver, amount)


class Leading:
    """A replica that leads, its clock, and everything it has said."""

    def __init__(self, limits: Limits | None = None, sessions: tuple[SessionId, ...] = (ALICE,)) -> None:
        self.topology = topology_of(nodes=3, accounts=10, balance=100, limits=limits, clusters=3)
        self.replica = Replica(1, self.topology, Recovered(1, bootstrap=True, learner=False), seed=1)
        self.now_us = 1_000_000
        self.answering = True
        """Whether the others acknowledge what they get."""
        self.replies: list[tuple[int, Message]] = []
        self.sent: list[Send] = []
        """What went to other clusters, and to the own one besides accepts and heartbeats."""
        self.records: list[Append] = []
        self.proposed: list[Accept] = []
        self.events: list[Event] = []
        self._inputs: deque[Input] = deque()
        self.feed(Wake())
        for session in sessions:
            self.ask(Open(session))
        assert len(self.told(Opened)) == len(sessions)

    # --- input ---------------------------------------------------------------------

    def feed(self, input: Input) -> None:
        """Step with an input, and with everything that follows from it at this moment."""
        self._inputs.append(input)
        steps = 0
        while self._inputs:
            steps += 1
            assert steps < 1_000, "the replica does not come to rest"
            self._step(self._inputs.popleft())
            if not self._inputs and self.replica.wake_at_us <= self.now_us:
                self._inputs.append(Wake())

    def _step(self, input: Input) -> None:
        out = self.replica.step(self.now_us, input)
        self.replies += [(reply.connection, reply.message) for reply in out.replies]
        self.records += out.persist
        self.events += out.events
        if out.persist:
            self._inputs.append(Persisted(self.replica.position))
        if out.checkpoint is not None:
            while out.checkpoint.take(100):
                pass
            self._inputs.append(CheckpointDone(out.checkpoint.slot))
        for send in out.sends:
            message = send.message
            if isinstance(message, Accept):
                self.proposed.append(message)
                answer: Message = Accepted(message.ballot, message.slot)
            elif isinstance(message, Heartbeat):
                answer = HeartbeatAck(message.ballot, message.round, message.watermark, message.watermark)
                if not message.ask:
                    continue
            else:
                self.sent.append(send)
                continue
            if self.answering:
                self._inputs.extend(Receive(node, [answer]) for node in send.to)

    def ask(self, *messages: Any, connection: int = CONNECTION) -> None:
        self.feed(Requests(connection, list(messages)))

    def submit(
        self, *items: Item, session: SessionId = ALICE, below: int = 0, connection: int = CONNECTION
    ) -> None:
        self.ask(Submit(session, below, list(items)), connection=connection)

    def hear(self, sender: int, *messages: Message) -> None:
        self.feed(Receive(sender, list(messages)))

    def hang_up(self, connection: int) -> None:
        self.feed(Disconnected(connection))

    def wait(self, ms: float) -> None:
        """Let time pass, waking the replica whenever it asks to be."""
        until = self.now_us + int(ms * 1000)
        while self.replica.wake_at_us <= until:
            self.now_us = max(self.now_us, self.replica.wake_at_us)
            self.feed(Wake())
        self.now_us = until

    def depose(self) -> None:
        """Node 2 asks for promises in a higher ballot."""
        self.hear(2, Prepare(LATER, 0))
        assert self.replica.leader is None

    # --- output --------------------------------------------------------------------

    def told(self, kind: type[Any], connection: int | None = CONNECTION) -> list[Any]:
        """Replies of a kind on a connection since the last look; the rest stays."""
        found: list[Any] = []
        rest: list[tuple[int, Message]] = []
        for to, message in self.replies:
            if isinstance(message, kind) and connection in (None, to):
                found.append(message)
            else:
                rest.append((to, message))
        self.replies = rest
        return found

    def outcomes(self, connection: int = CONNECTION) -> dict[int, Outcome]:
        """Outcomes told since the last look."""
        replies: list[Replies] = self.told(Replies, connection)
        return {n: o for r in replies for n, o in zip(r.numbers, r.outcomes, strict=True)}

    def refusals(self, connection: int = CONNECTION) -> dict[int, int]:
        """Refused numbers and why, since the last look."""
        return {n: r.reason for r in self.told(Refused, connection) for n in r.numbers}

    def apply(self, *entries: Entry) -> None:
        """Entries get into the log some other way than by a client's request."""
        for entry in entries:
            assert self.replica.queue.add_control(entry)
        self.feed(Wake())

    def balance(self, account: int) -> int:
        return self.replica.machine.state.accounts[account].balance
