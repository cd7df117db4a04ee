"""What a leader does with requests before they are entries: duplicates, ownership, queueing, batching.

A transaction's outcome comes from applying an entry and from nowhere else. Everything refused here has no effect and
is not remembered, so that the client may try again under the same TxId.
"""

from __future__ import annotations

from collections import deque

from consensus.bank.machine import Applied
from consensus.bank.state import BankState
from consensus.effects import ReplyTo
from consensus.messages.base import Message
from consensus.messages.client import Open, Opened, Refusal, Refused, Replies, ResolveRequest, Submit
from consensus.messages.entries import Entry, EvictSessions, Item, OpenSession, Resolve, Transact
from consensus.paxos.context import Context
from consensus.types import SESSIONS_MAX, NodeId, SessionId

CONTROL_QUEUE_MAX = 4_096
"""Entries other than transactions that may wait for a slot."""
OVERLOADED_RETRY_MS = 20


class Group:
    """Transactions of one session that wait together."""

    __slots__ = ("arrived_us", "items", "session", "settled_below")

    def __init__(self, session: SessionId, settled_below: int, items: list[Item], arrived_us: int) -> None:
        self.session = session
        self.settled_below = settled_below
        self.items = items
        self.arrived_us = arrived_us


class Admission:
    """Queue of one leadership; emptied when it ends."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.queued = 0
        """Transactions waiting for a slot."""
        self.oldest_us = 0
        """When the first of them arrived."""
        self._groups: deque[Group] = deque()
        self._control: deque[Entry] = deque()
        self._open: dict[SessionId, set[int]] = {}
        """Numbers queued or in flight, so that a copy of one is not proposed beside it."""
        self._connections: dict[SessionId, int] = {}
        self._sessions_of: dict[int, set[SessionId]] = {}

    # --- requests ------------------------------------------------------------------

    def submit(self, state: BankState, connection: int, message: Submit) -> None:
        """Queue what is new of a client's transactions; answer what is known."""
        session = state.sessions.get(message.session)
        if session is None:
            self._refuse(connection, message.session, [i.number for i in message.items], Refusal.SESSION_UNKNOWN)
            return
        self.attach(connection, message.session)
        if self.queued + len(message.items) > self.ctx.limits.queue_transactions:
            self._refuse(connection, message.session, [i.number for i in message.items], Refusal.OVERLOADED)
            return
        open_numbers = self._open.get(message.session)
        if open_numbers is None:
            open_numbers = self._open[message.session] = set()
        fresh: list[Item] = []
        known: list[int] = []
        refused: dict[Refusal, list[int]] = {}
        outcomes = session.outcomes
        for item in message.items:
            number = item.number
            if number in open_numbers:
                continue
            if number in outcomes:
                known.append(number)
            elif not session.takes(number):
                late = number < session.settled_below
                reason = Refusal.SESSION_EXPIRED if late else Refusal.OVERLOADED
                refused.setdefault(reason, []).append(number)
            elif foreign(state, item.legs):
                refused.setdefault(Refusal.WRONG_OWNER, []).append(number)
            else:
                open_numbers.add(number)
                fresh.append(item)
        if fresh:
            self._enqueue(Group(message.session, message.settled_below, fresh, self.ctx.now_us))
        if known:
            self._reply(connection, Replies(message.session, known, [outcomes[n] for n in known], state.epoch))
        for reason, numbers in refused.items():
            self._refuse(connection, message.session, numbers, reason)

    def open(self, state: BankState, connection: int, message: Open) -> None:
        self.attach(connection, message.session)
        session = state.sessions.get(message.session)
        if session is not None:
            self._reply(connection, Opened(message.session, self.ctx.cluster.id, session.settled_below))
            return
        if len(self._control) >= CONTROL_QUEUE_MAX:
            self._refuse(connection, message.session, [], Refusal.OVERLOADED)
            return
        if len(state.sessions) + len(self._control) >= SESSIONS_MAX:
            self._control.append(EvictSessions([next(iter(state.sessions))]))
        self._control.append(OpenSession(message.session))

    def resolve(self, state: BankState, connection: int, message: ResolveRequest) -> None:
        """Answer what is decided, say in_doubt for what is on its way, and settle the rest through the log."""
        session = state.sessions.get(message.session)
        if session is None:
            self._refuse(connection, message.session, message.numbers, Refusal.SESSION_EXPIRED)
            return
        self.attach(connection, message.session)
        open_numbers = self._open.get(message.session, set())
        known = [n for n in message.numbers if n in session.outcomes]
        pending = [n for n in message.numbers if n in open_numbers]
        rest = [n for n in message.numbers if n not in session.outcomes and n not in open_numbers]
        if known:
            self._reply(connection, Replies(message.session, known, [session.outcomes[n] for n in known], state.epoch))
        if pending:
            self._refuse(connection, message.session, pending, Refusal.IN_DOUBT)
        if rest and len(self._control) < CONTROL_QUEUE_MAX:
            self._control.append(Resolve(message.session, rest))
        elif rest:
            self._refuse(connection, message.session, rest, Refusal.OVERLOADED)

    def attach(self, connection: int, session: SessionId) -> None:
        """Answers for ``session`` go to this connection from now on."""
        before = self._connections.get(session)
        if before == connection:
            return
        if before is not None:
            self._sessions_of[before].discard(session)
        self._connections[session] = connection
        self._sessions_of.setdefault(connection, set()).add(session)

    def disconnected(self, connection: int) -> None:
        for session in self._sessions_of.pop(connection, ()):
            del self._connections[session]

    # --- batching --------------------------------------------------------------------

    def _enqueue(self, group: Group) -> None:
        if not self._groups:
            self.oldest_us = group.arrived_us
        last = self._groups[-1] if self._groups else None
        if last is not None and last.session == group.session:
            last.items.extend(group.items)
            last.settled_below = max(last.settled_below, group.settled_below)
        else:
            self._groups.append(group)
        self.queued += len(group.items)

    @property
    def pending(self) -> bool:
        return bool(self._groups or self._control)

    @property
    def full(self) -> bool:
        """Whether what waits fills a batch."""
        return self.queued >= self.ctx.limits.batch_transactions

    def next_batch(self) -> tuple[list[Entry], list[Group]]:
        """Take the entries of the next slot, within the limits of a batch."""
        entries: list[Entry] = []
        taken: list[Group] = []
        limits = self.ctx.limits
        room_items = limits.batch_transactions
        room_bytes = limits.batch_bytes
        while self._control and room_bytes > 0:
            entry = self._control.popleft()
            room_bytes -= 64 + (16 * len(entry.numbers) if isinstance(entry, Resolve) else 0)
            entries.append(entry)
        while self._groups and room_items > 0 and room_bytes > 0:
            group = self._groups[0]
            count = 0
            for item in group.items:
                size = 12 + 9 * (len(item.legs) + len(item.conditions))
                if count >= room_items or size > room_bytes:
                    break
                room_bytes -= size
                count += 1
            if count == len(group.items):
                self._groups.popleft()
            else:
                rest = Group(group.session, group.settled_below, group.items[count:], group.arrived_us)
                group.items = group.items[:count]
                self._groups[0] = rest
                room_items = count
            if count:
                entries.append(Transact(group.session, group.settled_below, group.items))
                taken.append(group)
                room_items -= count
                self.queued -= count
                room_bytes -= 32
        self.oldest_us = self._groups[0].arrived_us if self._groups else 0
        return entries, taken

    # --- answers ---------------------------------------------------------------------

    def answer(self, state: BankState, results: list[Applied]) -> None:
        """Send what applying a batch did to the clients that wait for it."""
        counters = self.ctx.counters
        for applied in results:
            session = applied.session
            connection = self._connections.get(session)
            open_numbers = self._open.get(session)
            numbers = applied.numbers
            if numbers:
                if open_numbers is not None:
                    open_numbers.difference_update(numbers)
                failed = sum(1 for outcome in applied.outcomes if outcome.status)
                counters["transactions_total"] += len(numbers)
                counters["transactions_failed"] += failed
                counters["transactions_committed"] += len(numbers) - failed
                if connection is not None:
                    self._reply(connection, Replies(session, numbers, applied.outcomes, state.epoch))
            for number, reason in applied.refused:
                if open_numbers is not None:
                    open_numbers.discard(number)
                if connection is not None:
                    self._refuse(connection, session, [number] if number else [], reason)
            if applied.opened and connection is not None:
                below = state.sessions[session].settled_below
                self._reply(connection, Opened(session, self.ctx.cluster.id, below))
            if open_numbers is not None and not open_numbers:
                self._open.pop(session, None)

    def clear(self, leader: NodeId) -> None:
        """The leadership ended: what was not proposed is refused, what was is left to the next leader."""
        for group in self._groups:
            connection = self._connections.get(group.session)
            if connection is not None:
                numbers = [item.number for item in group.items]
                self._refuse(connection, group.session, numbers, Refusal.NOT_LEADER, leader)
        self._groups.clear()
        self._control.clear()
        self._open.clear()
        self.queued = 0
        self.oldest_us = 0

    @property
    def connections(self) -> list[int]:
        """Client connections with a session here."""
        return [connection for connection, sessions in self._sessions_of.items() if sessions]

    def _reply(self, connection: int, message: Message) -> None:
        self.ctx.out.replies.append(ReplyTo(connection, message))

    def _refuse(
        self, connection: int, session: SessionId, numbers: list[int], reason: Refusal, leader: NodeId = 0
    ) -> None:
        retry_ms = OVERLOADED_RETRY_MS if reason == Refusal.OVERLOADED else 0
        self._reply(connection, Refused(session, numbers, reason, leader, retry_ms))


def foreign(state: BankState, legs: tuple[int, ...]) -> bool:
    """Whether some leg's account exists, but not in this cluster."""
    accounts = state.accounts
    for account in legs[::2]:
        if account not in accounts and 1 <= account <= state.accounts_total:
            return True
    return False


