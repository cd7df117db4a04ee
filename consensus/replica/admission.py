"""What a leader does with requests before they are entries: duplicates, ownership, locks, queueing.

A transaction's outcome comes from applying an entry and from nowhere else. Everything refused here has no
effect and is not remembered, so that the client may try again under the same TxId.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from typing import Final

from consensus.bank.machine import NO_NUMBER, Applied
from consensus.bank.rules import first_debited, well_formed
from consensus.bank.state import BankState
from consensus.effects import ReplyTo
from consensus.messages.base import Message
from consensus.messages.client import Open, Opened, Refusal, Refused, Replies, ResolveRequest, Status, Submit
from consensus.messages.entries import Abort, CrossItem, EvictSessions, Item, OpenSession, Resolve
from consensus.paxos.context import Context
from consensus.shards import ShardMap
from consensus.txn.queue import Group, ProposalQueue, resolve_room
from consensus.txn.waiting import Age, Waiter, Waiting
from consensus.types import (
    KEPT_PREFIX,
    LEGS_MAX,
    OPEN_NUMBERS_MAX,
    SESSION_BYTES,
    SESSIONS_MAX,
    AccountId,
    NodeId,
    SessionId,
    TxId,
)

RETRY_MS: Final = {Refusal.OVERLOADED: 20, Refusal.MIGRATING: 5, Refusal.WRONG_OWNER: 5}
"""When to try again; a batch of accounts is on its way for some milliseconds."""
ITEM_INTEGERS_MAX = 5 * LEGS_MAX
"""Integers of the longest transaction that is well formed: a leg has two, a condition three."""
NUMBER_MAX = 10**18
"""Above every number of a transaction; fits the tables' integers."""
RESOLVE_MAX = 1_000
"""Transactions of one Resolve entry and of one answer to it."""


class ItemWait:
    """Payload of a waiter: a client's transaction. ``cross`` is None within one cluster."""

    __slots__ = ("arrived_us", "cross", "item", "settled_below")

    def __init__(self, item: Item, cross: CrossItem | None, settled_below: int, arrived_us: int) -> None:
        self.item = item
        self.cross = cross
        self.settled_below = settled_below
        self.arrived_us = arrived_us


class Admission:
    """Requests of one leadership; emptied when it ends."""

    def __init__(self, ctx: Context, queue: ProposalQueue, waiting: Waiting, shards: ShardMap) -> None:
        self.ctx = ctx
        self.shards = shards
        self.queue = queue
        self.waiting = waiting
        self._lock_wait_us = int(ctx.topology.timings.lock_wait_ms * 1000)
        self._open: dict[SessionId, set[int]] = {}
        """Numbers waiting, queued or in flight, so that a copy of one is not proposed beside it."""
        self._connections: dict[SessionId, int] = {}
        self._sessions_of: dict[int, set[SessionId]] = {}

    # --- requests ------------------------------------------------------------------

    def submit(self, state: BankState, connection: int, message: Submit) -> None:
        """Queue what is new of a client's transactions; answer what is known."""
        if message.settled_below > NUMBER_MAX or len(message.session) != SESSION_BYTES:
            self._refuse(connection, message.session, [i.number for i in message.items], Refusal.UNSUPPORTED)
            return
        self.attach(connection, message.session)
        waiting = self.queue.queued + len(self.waiting.waiting)
        if waiting + len(message.items) > self.ctx.limits.queue_transactions:
            self._refuse(connection, message.session, [i.number for i in message.items], Refusal.OVERLOADED)
            return
        open_numbers = self._open.setdefault(message.session, set())
        fresh: list[Item] = []
        known: list[int] = []
        refused: dict[Refusal, list[int]] = {}
        foreign: list[AccountId] = []
        # A session that is not known here goes to the log: only that can say it is gone. This node may have
        # been deposed without knowing it yet, and another leader may have opened it.
        session = state.sessions.get(message.session)
        outcomes = session.outcomes if session is not None else {}
        below = max(message.settled_below, session.settled_below if session is not None else 0)
        accounts = state.accounts
        prepared = state.cross.prepared
        unlocked = self.waiting.idle()
        for item in message.items:
            number = item.number
            if number in open_numbers:
                continue
            if number in outcomes:
                known.append(number)
            elif not below <= number < below + OPEN_NUMBERS_MAX:
                reason = Refusal.SESSION_EXPIRED if number < below else Refusal.OVERLOADED
                refused.setdefault(reason, []).append(number)
            elif prepared and (held := prepared.get(TxId(message.session, number))) and held.coordinates:
                # Prepared by an earlier leader: its decision is the answer, no entry of ours.
                open_numbers.add(number)
            elif unlocked and fits(item) and accounts.keys() >= set(item.legs[::2]):
                open_numbers.add(number)
                fresh.append(item)
            else:
                reason_ = self._place(state, message, item, fresh)
                if reason_ is None:
                    open_numbers.add(number)
                    unlocked = unlocked and self.waiting.idle()
                else:
                    refused.setdefault(reason_, []).append(number)
                    if reason_ == Refusal.WRONG_OWNER:
                        foreign += item.legs[::2]
        if fresh:
            self.queue.add_transactions(Group(message.session, message.settled_below, fresh, self.ctx.now_us))
            if self.ctx.traces(message.session):
                for place in self.ctx.sampled(message.session, [item.number for item in fresh]):
                    self._trace(message.session, fresh[place])
        if known:
            self._reply(
                connection, Replies(message.session, known, [outcomes[n] for n in known], state.epoch)
            )
        for reason, numbers in refused.items():
            hints = self.shards.hints(foreign) if reason == Refusal.WRONG_OWNER else ()
            self._refuse(connection, message.session, numbers, reason, owners=hints)

    def _place(self, state: BankState, message: Submit, item: Item, fresh: list[Item]) -> Refusal | None:
        """Find a transaction's place: in this cluster or across, at once or behind a lock."""
        if not well_formed(item.legs, item.conditions):
            # The log says that it is invalid; it need not be as long there.
            fresh.append(item if fits(item) else Item(item.number, ()))
            return None
        tx = TxId(message.session, item.number)
        cross: CrossItem | None = None
        accounts = item.legs[::2]
        homes = self._homes(state, item)
        own = self.ctx.cluster.id
        if homes and any(home != own for home in homes):
            if coordinator(item.legs, homes) != own:
                return Refusal.WRONG_OWNER
            age_us = item.age_us or self.ctx.now_us + self.ctx.wall_offset_us
            cross = CrossItem(item.number, age_us, item.legs, homes, item.conditions)
            accounts = tuple([a for a, home in zip(accounts, homes, strict=False) if home == own])
            if not state.moves.taken.keys().isdisjoint(accounts):
                # Its prepare entry would be refused, when others had been asked to prepare already.
                return Refusal.MIGRATING
            self._trace_if_sampled(message.session, item)
        wait = ItemWait(item, cross, message.settled_below, self.ctx.now_us)
        if self.waiting.free(accounts):
            if cross is None:
                fresh.append(item)
            else:
                self._admit(tx, accounts, wait)
            return None
        age = Age(cross.age_us, tx) if cross is not None else None
        deadline = self.ctx.now_us + self._lock_wait_us
        arrived_us = self.ctx.now_us + self.ctx.wall_offset_us
        waiter = Waiter(tx, tuple(sorted(set(accounts))), age, deadline, wait, arrived_us)
        if cross is None:
            self._trace_if_sampled(message.session, item)
        return None if self.waiting.enter(waiter) else Refusal.OVERLOADED

    def _homes(self, state: BankState, item: Item) -> tuple[int, ...]:
        """Cluster of each leg. An account that exists nowhere counts as this cluster's: its log says so."""
        own = self.ctx.cluster.id
        homes: list[int] = []
        for account in item.legs[::2]:
            if account in state.accounts:
                homes.append(own)
            else:
                home = self.shards.owner(account)
                homes.append(own if home is None else home)
        return tuple(homes)

    def _admit(self, tx: TxId, accounts: tuple[AccountId, ...], wait: ItemWait) -> None:
        """The accounts are free: queue the transaction's entry, with the locks claimed if it needs any."""
        if wait.cross is None:
            group = Group(tx.session, wait.settled_below, [wait.item], wait.arrived_us)
            self.queue.add_transactions(group)
            return
        self.waiting.claim(accounts, Age(wait.cross.age_us, tx))
        self.ctx.counters["locks_acquired"] += 1
        self.queue.add_cross(tx.session, wait.settled_below, wait.cross, self.ctx.now_us)

    def go_on(self, waiter: Waiter) -> None:
        """A waiting client transaction has its turn."""
        self._admit(waiter.tx, waiter.accounts, waiter.payload)

    def timed_out(self, waiter: Waiter) -> None:
        """The lock wait is over: give up, through the log."""
        self._give_up(waiter.tx, waiter.payload.item)

    def _give_up(self, tx: TxId, item: Item) -> None:
        self.ctx.counters["locks_timed_out"] += 1
        session, number = tx
        if self.queue.add_control(Abort(session, number, Status.LOCK_TIMEOUT, first_debited(item.legs))):
            return
        self._open.get(session, set()).discard(number)
        connection = self._connections.get(session)
        if connection is not None:
            self._refuse(connection, session, [number], Refusal.OVERLOADED)

    def again(self, state: BankState, session: SessionId, item: Item | CrossItem) -> None:
        """An entry met a lock and had no effect: queue the transaction anew."""
        if isinstance(item, CrossItem):
            item = Item(item.number, item.legs, item.conditions, item.age_us)
        fresh: list[Item] = []
        message = Submit(session, 0, [])
        if self._place(state, message, item, fresh) is not None:
            self._give_up(TxId(session, item.number), item)
        elif fresh:
            self.queue.add_transactions(Group(session, 0, fresh, self.ctx.now_us))

    def open(self, state: BankState, connection: int, message: Open) -> None:
        if len(message.session) != SESSION_BYTES:
            self._refuse(connection, message.session[:SESSION_BYTES], [], Refusal.UNSUPPORTED)
            return
        self.attach(connection, message.session)
        session = state.sessions.get(message.session)
        if session is not None and session.opened:
            self._reply(connection, Opened(message.session, self.ctx.cluster.id, session.settled_below))
            return
        entry = OpenSession(message.session)
        if self.queue.has_control(entry):
            return
        if session is None and state.sessions and len(state.sessions) + self.queue.control >= SESSIONS_MAX:
            self.queue.add_control(EvictSessions([state.longest_idle()]))
        if not self.queue.add_control(entry):
            self._refuse(connection, message.session, [], Refusal.OVERLOADED)

    def resolve(self, state: BankState, connection: int, message: ResolveRequest) -> None:
        """Answer what is decided, say in_doubt for what is on its way, settle the rest through the log."""
        if len(message.session) != SESSION_BYTES:
            self._refuse(connection, message.session, message.numbers, Refusal.UNSUPPORTED)
            return
        self.attach(connection, message.session)
        most = min(RESOLVE_MAX, resolve_room(self.ctx.limits.batch_bytes))
        for first in range(0, len(message.numbers), most):
            numbers = message.numbers[first : first + most]
            payers = message.payers[first : first + most]
            self._resolve(state, connection, message.session, dict(zip_longest(numbers, payers, fillvalue=0)))

    def _resolve(
        self, state: BankState, connection: int, session_id: SessionId, numbers: dict[int, AccountId]
    ) -> None:
        """``numbers``: with the payer of each, 0 where it is not known."""
        open_numbers = self._open.get(session_id, set())
        session = state.sessions.get(session_id)
        outcomes = session.outcomes if session is not None else {}
        known = [n for n in numbers if n in outcomes]
        rest = [n for n in numbers if n not in outcomes and n not in open_numbers]
        pending = [n for n in numbers if n not in outcomes and n in open_numbers]
        if known:
            self._reply(connection, Replies(session_id, known, [outcomes[n] for n in known], state.epoch))
        if rest and not self.queue.add_control(Resolve(session_id, rest, tuple([numbers[n] for n in rest]))):
            pending.extend(rest)
        if pending:
            self._refuse(connection, session_id, pending, Refusal.IN_DOUBT)

    def _trace_if_sampled(self, session: SessionId, item: Item) -> None:
        if self.ctx.traces_tx(session, item.number):
            self._trace(session, item)

    def _trace(self, session: SessionId, item: Item) -> None:
        """Who pays first, who gets first, how much is paid in all."""
        pairs = list(zip(item.legs[::2], item.legs[1::2], strict=False))
        payer = next((account for account, delta in pairs if delta < 0), None)
        payee = next((account for account, delta in pairs if delta > 0), None)
        if payer is None or payee is None:
            return
        paid = -sum(delta for _, delta in pairs if delta < 0)
        parties = {"from": payer, "to": payee, "amt": paid}
        tx = str(TxId(session, item.number))
        keep = session.startswith(KEPT_PREFIX) or None
        self.ctx.event("tx.submit", tx=tx, legs=list(item.legs), keep=keep, **parties)

    # --- connections ---------------------------------------------------------------

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

    # --- answers ---------------------------------------------------------------------

    def answer(self, state: BankState, applied: Applied, items: dict[int, Item] | None) -> None:
        """Send what an entry did to the client that waits. ``items``: the entry's, if this leader made it."""
        session = applied.session
        connection = self._connections.get(session)
        open_numbers = self._open.get(session)
        numbers = applied.numbers
        if numbers:
            if open_numbers is not None:
                open_numbers.difference_update(numbers)
            self._count(applied)
            if connection is not None:
                self._reply(connection, Replies(session, numbers, applied.outcomes, state.epoch))
        for number, reason in applied.refused:
            if reason == Refusal.LOCKED and items is not None and number in items:
                self.again(state, session, items[number])
                continue
            if open_numbers is not None:
                open_numbers.discard(number)
            if connection is not None:
                asked = items.get(number) if items is not None and reason == Refusal.WRONG_OWNER else None
                hints = () if asked is None else self.shards.hints(asked.legs[::2])
                self._refuse(
                    connection, session, [] if number == NO_NUMBER else [number], reason, owners=hints
                )
        opened = state.sessions.get(session) if applied.opened else None
        if opened is not None and connection is not None:
            # Else a later entry of the same slot evicted it, and its client asks again.
            self._reply(connection, Opened(session, self.ctx.cluster.id, opened.settled_below))
        if open_numbers is not None and not open_numbers:
            del self._open[session]

    def _count(self, applied: Applied) -> None:
        counters = self.ctx.counters
        failed = sum([1 for outcome in applied.outcomes if outcome.status])
        counters["transactions_total"] += len(applied.numbers)
        counters["transactions_failed"] += failed
        counters["transactions_committed"] += len(applied.numbers) - failed

    def clear(self, leader: NodeId) -> None:
        """The leadership ended: what was not proposed is refused, what was is left to the next leader."""
        lost = self.queue.clear()
        lost.extend(
            (waiter.tx.session, [waiter.tx.number])
            for waiter in self.waiting.clear()
            if isinstance(waiter.payload, ItemWait)
        )
        for session, numbers in lost:
            connection = self._connections.get(session)
            if connection is not None:
                self._refuse(connection, session, numbers, Refusal.NOT_LEADER, leader)
        self._open.clear()

    def _reply(self, connection: int, message: Message) -> None:
        self.ctx.out.replies.append(ReplyTo(connection, message))

    def _refuse(
        self,
        connection: int,
        session: SessionId,
        numbers: list[int],
        reason: Refusal,
        leader: NodeId = 0,
        owners: tuple[int, ...] = (),
    ) -> None:
        retry_ms = RETRY_MS.get(reason, 0)
        self._reply(connection, Refused(session, numbers, reason, leader, retry_ms, owners))


def fits(item: Item) -> bool:
    """Whether a transaction is no longer than a well-formed one may be."""
    return len(item.legs) + len(item.conditions) <= ITEM_INTEGERS_MAX


def coordinator(legs: tuple[int, ...], homes: Iterable[int]) -> int:
    """The cluster of the first debited leg; of the first leg when none is debited."""
    pairs = list(zip(homes, legs[1::2], strict=False))
    return next((home for home, delta in pairs if delta < 0), pairs[0][0])
