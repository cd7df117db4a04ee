"""Reads: when a replica may answer one, and from which state.

linearizable: the leader, after a heartbeat round begun later than the read (``paxos.readindex``); any other
node, once it has applied what the leader had chosen, which it asks for (``paxos.indexquery``). lease: the
leader, at once, while its lease holds; else like linearizable. bounded: any replica that knows its state to
be new enough (``paxos.freshness``). ryw: any replica whose versions are not older than those the client has
seen. eventual: any replica, at once. A leader that cannot keep a weaker promise keeps the strong one.

Every level sees committed balances only. A linearizable read of an account that a transaction of another
coordinator has prepared here waits for the decision: the coordinator's client may know it already. So does,
at the leader, a lease or bounded one; a follower sends the latter on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from consensus.bank.state import BankState
from consensus.effects import ReplyTo
from consensus.messages.client import (
    Level,
    Read,
    ReadItem,
    ReadRefused,
    ReadReplies,
    ReadResult,
    Refusal,
    Status,
)
from consensus.messages.paxos import IndexQuery, IndexReply
from consensus.paxos.context import Context
from consensus.paxos.freshness import Freshness
from consensus.paxos.indexquery import FAR_US, IndexQueries
from consensus.paxos.leader import Leader
from consensus.paxos.readindex import ReadIndex
from consensus.shards import ShardMap
from consensus.types import AccountId, NodeId, Slot

READS_WAITING_MAX = 20_000
WAIT_MS_MAX: Final = 60_000
"""A node keeps no read longer than this, whatever its client says."""


class Asked(NamedTuple):
    """Reads of one frame that wait for a round here, and until when each may wait for a decision."""

    connection: int
    items: list[tuple[ReadItem, int]]


class Question(NamedTuple):
    """A follower's question, in the same queue: it joins a round as a read does."""

    sender: NodeId
    nonce: int
    watermark: Slot


class Held(NamedTuple):
    """A read that waits for a decision (linearizable) or for a version (ryw)."""

    until_us: int
    item: ReadItem
    reason: int
    """Why it is refused when its time is over."""


class Reads:
    """Reads of one node. ``leadership`` tells its :class:`Leader`, while it has one."""

    def __init__(self, ctx: Context, leadership: Callable[[], Leader | None], shards: ShardMap) -> None:
        self.ctx = ctx
        self._shards = shards
        self.index = ReadIndex()
        self.queries = IndexQueries(ctx)
        self.fresh = Freshness(ctx)
        self._leadership = leadership
        self._waiting = 0
        self._questions: dict[NodeId, int] = {}
        """Nonce of each follower's question that waits for a round: a copy of it need not wait, too."""
        self._held: dict[tuple[int, int], Held] = {}
        """By connection and request: a read that is asked again waits once."""
        self._held_until_us = FAR_US

    # --- in --------------------------------------------------------------------------

    def on_read(
        self, state: BankState, connection: int, message: Read, leads: bool, leader: NodeId, watermark: Slot
    ) -> None:
        """Answer, queue, or refuse each read of a frame. ``watermark`` is what is chosen now."""
        results: list[ReadResult] = []
        leased: list[ReadResult] = []
        waiting: list[tuple[ReadItem, int]] = []
        refused: dict[int, list[int]] = {}
        foreign: list[AccountId] = []
        for item in message.items:
            reason = self._fault(state, item)
            if reason:
                refused.setdefault(reason, []).append(item.request)
                foreign += item.accounts
            elif self._weak(state, item, leads):
                results.append(evaluate(state, item))
            elif leads and self._leased(state, item):
                leased.append(evaluate(state, item))
            elif not leads and (not leader or item.level == Level.BOUNDED):
                refused.setdefault(Refusal.NOT_LEADER, []).append(item.request)
            elif self._count + len(waiting) >= READS_WAITING_MAX:
                refused.setdefault(Refusal.OVERLOADED, []).append(item.request)
            elif leads:
                waiting.append((item, self._until_us(item)))
            elif item.level == Level.RYW:
                until_us = min(self._until_us(item), self.ctx.now_us + self.ctx.heartbeat_us)
                self._hold(connection, Held(until_us, item, Refusal.NOT_LEADER))
            else:
                until_us = self._until_us(item)
                self.queries.add((connection, item, until_us), until_us)
        if waiting:
            self._waiting += len(waiting)
            self.index.add(watermark, Asked(connection, waiting))
        self.queries.ask(leader)
        self._reply(connection, results, state)
        if leased:
            current = self._leadership()
            assert current is not None
            message_out = ReadReplies(leased, state.epoch)
            self.ctx.out.replies.append(ReplyTo(connection, message_out, current.lease_until_us))
        for reason, requests in refused.items():
            self._refuse(connection, requests, reason, leader, foreign)

    def on_query(self, sender: NodeId, message: IndexQuery, watermark: Slot) -> None:
        """A follower of this leader wants an index."""
        if self._questions.get(sender) == message.nonce or self._count >= READS_WAITING_MAX:
            return  # it asks again
        self._questions[sender] = message.nonce
        self._waiting += 1
        self.index.add(watermark, Question(sender, message.nonce, watermark))

    def on_index(self, message: IndexReply, state: BankState, leader: NodeId) -> None:
        """The leader's answer: reads may go, and the next question may be asked."""
        if self.queries.on_reply(message):
            self.queries.ask(leader)
            self.answer(state, 0)

    # --- which level is kept how -------------------------------------------------------

    def _fault(self, state: BankState, item: ReadItem) -> int:
        for account in item.accounts:
            if account not in state.accounts:
                known = 1 <= account <= state.accounts_total
                return Refusal.WRONG_OWNER if known else -Status.UNKNOWN_ACCOUNT
        return 0

    def _weak(self, state: BankState, item: ReadItem, leads: bool) -> bool:
        """Whether the state as it is keeps what an eventual, ryw or bounded read was promised."""
        level = item.level
        if level == Level.RYW:
            pairs = zip(item.accounts, item.versions, strict=False)
            return all(state.accounts[account].version >= version for account, version in pairs)
        if level != Level.BOUNDED:
            return level == Level.EVENTUAL
        leader = self._leadership() if leads else None
        known = self.fresh if leader is None else leader
        return known.within(item.bound * 1000, state.slot) and not self._in_doubt(state, item)

    def _leased(self, state: BankState, item: ReadItem) -> bool:
        """Whether nobody else can have been elected yet."""
        leader = self._leadership()
        if item.level != Level.LEASE or leader is None or self.ctx.now_us >= leader.lease_until_us:
            return False
        return not self._in_doubt(state, item)

    def _in_doubt(self, state: BankState, item: ReadItem) -> bool:
        """Whether another coordinator's transaction holds one of the accounts."""
        cross = state.cross
        if not cross.locks:
            return False
        holders = [cross.locks[account] for account in item.accounts if account in cross.locks]
        return any(not cross.prepared[tx].coordinates for tx in holders)

    # --- waiting -----------------------------------------------------------------------

    @property
    def _count(self) -> int:
        return self._waiting + len(self._held) + len(self.queries)

    @property
    def pending(self) -> bool:
        """Whether any read waits for a round, an index, a decision or a version."""
        return bool(self._waiting or self._held or self.queries)

    def _until_us(self, item: ReadItem) -> int:
        wait_ms = item.wait_ms if item.wait_ms > 0 else self.ctx.topology.timings.twopc_ms
        return self.ctx.now_us + int(min(wait_ms, WAIT_MS_MAX) * 1000)

    def _hold(self, connection: int, held: Held) -> None:
        self._held.setdefault((connection, held.item.request), held)
        self._held_until_us = min(self._held_until_us, held.until_us)

    def answer(self, state: BankState, confirmed: int) -> None:
        """Evaluate what can be: ``confirmed`` is the round that a majority has acknowledged."""
        found: dict[int, list[ReadResult]] = {}
        for entry in self.index.ready(confirmed, state.slot):
            if isinstance(entry, Question):
                self._waiting -= 1
                if self._questions.get(entry.sender) == entry.nonce:
                    del self._questions[entry.sender]
                self.ctx.send((entry.sender,), IndexReply(entry.nonce, entry.watermark))
                continue
            self._waiting -= len(entry.items)
            for item, until_us in entry.items:
                self._evaluate(state, entry.connection, item, until_us, found)
        for connection, item, until_us in self.queries.ready(state.slot):
            self._evaluate(state, connection, item, until_us, found)
        if self._held:
            self._release(state, found)
        for connection, results in found.items():
            self._reply(connection, results, state)

    def _evaluate(
        self,
        state: BankState,
        connection: int,
        item: ReadItem,
        until_us: int,
        found: dict[int, list[ReadResult]],
    ) -> None:
        reason = self._fault(state, item)
        if reason:
            self._refuse(connection, [item.request], reason, self.ctx.me, item.accounts)
        elif self._in_doubt(state, item):
            self._hold(connection, Held(until_us, item, Refusal.IN_DOUBT))
        else:
            found.setdefault(connection, []).append(evaluate(state, item))

    def _release(self, state: BankState, found: dict[int, list[ReadResult]]) -> None:
        """Those whose accounts are decided, or whose versions have come, go out."""
        done: list[tuple[int, int]] = []
        for key, held in self._held.items():
            if reason := self._fault(state, held.item):
                self._refuse(key[0], [held.item.request], reason, self.ctx.me, held.item.accounts)
            elif self._may_go(state, held):
                found.setdefault(key[0], []).append(evaluate(state, held.item))
            else:
                continue
            done.append(key)
        for key in done:
            del self._held[key]

    def _may_go(self, state: BankState, held: Held) -> bool:
        if held.reason == Refusal.IN_DOUBT:
            return not self._in_doubt(state, held.item)
        return self._weak(state, held.item, leads=False)

    def on_time(self, state: BankState, leader: NodeId) -> None:
        """Ask again, and refuse those whose time is over."""
        current = self._leadership()
        self.answer(state, current.confirmed if current is not None else 0)
        for connection, item, _ in self.queries.expired():
            self._refuse(connection, [item.request], Refusal.UNAVAILABLE, leader)
        self.queries.ask(leader)
        if self.ctx.now_us < self._held_until_us:
            return
        over = [(key, held) for key, held in self._held.items() if held.until_us <= self.ctx.now_us]
        for key, held in over:
            del self._held[key]
            self._refuse(key[0], [held.item.request], held.reason, leader)
        self._held_until_us = min((held.until_us for held in self._held.values()), default=FAR_US)

    def wake_us(self) -> int:
        """When something here is due; rounds are the leader's."""
        return min(self._held_until_us if self._held else FAR_US, self.queries.wake_us())

    def clear(self, leader: NodeId) -> None:
        """A leadership ended, or began: nothing that waits can be answered here."""
        left: list[tuple[int, int]] = [*self._held]
        self._held.clear()
        for entry in self.index.drain():
            if isinstance(entry, Asked):
                left.extend((entry.connection, item.request) for item, _ in entry.items)
        left.extend((connection, item.request) for connection, item, _ in self.queries.drain())
        by_connection: dict[int, list[int]] = {}
        for connection, request in left:
            by_connection.setdefault(connection, []).append(request)
        for connection, requests in by_connection.items():
            self._refuse(connection, requests, Refusal.NOT_LEADER, leader)
        self._waiting = 0
        self._questions.clear()

    # --- out ---------------------------------------------------------------------------

    def _reply(self, connection: int, results: list[ReadResult], state: BankState) -> None:
        if results:
            self.ctx.out.replies.append(ReplyTo(connection, ReadReplies(results, state.epoch)))

    def _refuse(
        self,
        connection: int,
        requests: list[int],
        reason: int,
        leader: NodeId,
        accounts: Iterable[AccountId] = (),
    ) -> None:
        """``accounts``: those asked for; the client is told where they went if they are not here."""
        owners = self._shards.hints(accounts) if reason == Refusal.WRONG_OWNER else ()
        self.ctx.out.replies.append(ReplyTo(connection, ReadRefused(requests, reason, leader, owners)))


def evaluate(state: BankState, item: ReadItem) -> ReadResult:
    """Versions and balances of the read's accounts in the state as it is."""
    accounts = state.accounts
    values: list[int] = []
    for account_id in item.accounts:
        account = accounts[account_id]
        values += (account.version, state.committed_balance(account))
    return ReadResult(item.request, state.slot, tuple(values))
