"""What scenario tests share: a session on a stage, transfers in it, and what became of them."""

from __future__ import annotations

from consensus.messages.client import Open, Opened, Outcome, Replies, Submit
from consensus.messages.entries import Item
from consensus.simulation.stage import Stage
from consensus.types import NodeId

SESSION = b"one session 0001"


class Teller:
    """A client of one connection. ``send`` does not wait; ``done`` knows what was answered so far."""

    def __init__(self, stage: Stage, session: bytes = SESSION, connection: int = 1) -> None:
        self.stage = stage
        self.session = session
        self.connection = connection
        self.number = 0
        self.items: dict[int, Item] = {}

    def open(self, node: NodeId) -> Teller:
        self.stage.request(node, Open(self.session), connection=self.connection)
        self.stage.quiet()
        assert any(m.session == self.session for m in self.stage.told(self.connection, Opened))
        return self

    def send(self, node: NodeId, sender: int = 1, receiver: int = 2, amount: int = 1) -> int:
        """Submit a transfer to ``node``; returns its number."""
        self.number += 1
        self.items[self.number] = Item(self.number, (sender, -amount, receiver, amount))
        self.again(node, self.number)
        return self.number

    def again(self, node: NodeId, number: int) -> None:
        """Submit a number (once more) to ``node``, under the same TxId."""
        settled = min((n for n in self.items if n not in self.done), default=self.number)
        message = Submit(self.session, min(settled, number), [self.items[number]])
        self.stage.request(node, message, connection=self.connection)

    def transfers(self, node: NodeId, count: int) -> None:
        """So many transfers, one after the other, each in a slot of its own."""
        for _ in range(count):
            number = self.send(node)
            self.stage.quiet()
            assert self.done.get(number) == 0

    @property
    def done(self) -> dict[int, int]:
        """Status by number."""
        return self.stage.outcomes(self.connection, self.session)

    def outcome(self, number: int) -> Outcome:
        """The one outcome that was ever answered for ``number``."""
        found = {
            outcome
            for reply in self.stage.told(self.connection, Replies)
            for n, outcome in zip(reply.numbers, reply.outcomes, strict=True)
            if n == number and reply.session == self.session
        }
        assert len(found) == 1
        return found.pop()
