"""Reads: when a replica may answer one, and from which state.

linearizable: the leader, after a heartbeat round begun later than the read (``paxos.readindex``). ryw: any
replica whose versions are not older than those the client has seen. eventual: any replica, at once. A
stronger level may always stand in for a weaker one: lease and bounded are served as linearizable here.

Every level sees committed balances only. A linearizable read of an account that a transaction of another
coordinator has prepared here waits for the decision: the coordinator's client may know it already.
"""

from __future__ import annotations

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
from consensus.paxos.context import Context
from consensus.paxos.readindex import ReadIndex
from consensus.types import NodeId, Slot

READS_WAITING_MAX = 20_000


class Reads:
    """Reads of one node; those that wait for a round belong to a leadership."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.index = ReadIndex()
        self._waiting = 0
        self._blocked: list[tuple[int, int, ReadItem]] = []
        """(deadline_us, connection, read) of those that wait for a decision."""
        self._doubt_us = int(ctx.topology.timings.twopc_ms * 1000)

    def on_read(
        self, state: BankState, connection: int, message: Read, leads: bool, leader: NodeId, watermark: Slot
    ) -> None:
        """Answer, queue, or refuse each read of a frame. ``watermark`` is what is chosen now."""
        results: list[ReadResult] = []
        waiting: list[ReadItem] = []
        refused: dict[int, list[int]] = {}
        for item in message.items:
            reason = self._fault(state, item)
            if reason:
                refused.setdefault(reason, []).append(item.request)
            elif item.level == Level.EVENTUAL or (item.level == Level.RYW and self._fresh(state, item)):
                results.append(evaluate(state, item))
            elif not leads:
                refused.setdefault(Refusal.NOT_LEADER, []).append(item.request)
            elif self._waiting + len(waiting) >= READS_WAITING_MAX:
                refused.setdefault(Refusal.OVERLOADED, []).append(item.request)
            else:
                waiting.append(item)
        if waiting:
            self._waiting += len(waiting)
            self.index.add(watermark, (connection, waiting))
        if results:
            self._reply(connection, results, state)
        for reason, requests in refused.items():
            self.ctx.out.replies.append(ReplyTo(connection, ReadRefused(requests, reason, leader)))

    def _fault(self, state: BankState, item: ReadItem) -> int:
        for account in item.accounts:
            if account not in state.accounts:
                known = 1 <= account <= state.accounts_total
                return Refusal.WRONG_OWNER if known else -Status.UNKNOWN_ACCOUNT
        return 0

    def _fresh(self, state: BankState, item: ReadItem) -> bool:
        pairs = zip(item.accounts, item.versions, strict=False)
        return all(state.accounts[account].version >= version for account, version in pairs)

    def answer(self, state: BankState, confirmed: int) -> None:
        """Evaluate every read whose heartbeat round a majority has acknowledged."""
        by_connection: dict[int, list[ReadResult]] = {}
        for connection, items in self.index.ready(confirmed, state.slot):
            self._waiting -= len(items)
            results = by_connection.setdefault(connection, [])
            for item in items:
                if self._in_doubt(state, item):
                    self._blocked.append((self.ctx.now_us + self._doubt_us, connection, item))
                elif not self._fault(state, item):
                    results.append(evaluate(state, item))
        if self._blocked:
            self._unblock(state, by_connection)
        for connection, results in by_connection.items():
            self._reply(connection, results, state)

    def _in_doubt(self, state: BankState, item: ReadItem) -> bool:
        """Whether another coordinator's transaction holds one of the accounts."""
        cross = state.cross
        if not cross.locks:
            return False
        holders = [cross.locks[account] for account in item.accounts if account in cross.locks]
        return any(not cross.prepared[tx].coordinates for tx in holders)

    def _unblock(self, state: BankState, by_connection: dict[int, list[ReadResult]]) -> None:
        """Those whose accounts are decided go out; those whose time is over are refused."""
        still: list[tuple[int, int, ReadItem]] = []
        for blocked in self._blocked:
            deadline_us, connection, item = blocked
            if not self._in_doubt(state, item):
                by_connection.setdefault(connection, []).append(evaluate(state, item))
            elif deadline_us > self.ctx.now_us:
                still.append(blocked)
            else:
                refused = ReadRefused([item.request], Refusal.IN_DOUBT, self.ctx.me)
                self.ctx.out.replies.append(ReplyTo(connection, refused))
        self._blocked = still

    @property
    def pending(self) -> bool:
        """Whether any read waits for a round or a decision."""
        return bool(self._waiting or self._blocked)

    def clear(self, leader: NodeId) -> None:
        """The leadership ended: nothing that waits can be answered here."""
        left = self.index.drain()
        left.extend((connection, [item]) for _, connection, item in self._blocked)
        self._blocked = []
        for connection, items in left:
            requests = [item.request for item in items]
            self.ctx.out.replies.append(
                ReplyTo(connection, ReadRefused(requests, Refusal.NOT_LEADER, leader))
            )
        self._waiting = 0

    def _reply(self, connection: int, results: list[ReadResult], state: BankState) -> None:
        self.ctx.out.replies.append(ReplyTo(connection, ReadReplies(results, state.epoch)))


def evaluate(state: BankState, item: ReadItem) -> ReadResult:
    """Versions and balances of the read's accounts in the state as it is."""
    accounts = state.accounts
    values: list[int] = []
    for account_id in item.accounts:
        account = accounts[account_id]
        values += (account.version, state.committed_balance(account))
    return ReadResult(item.request, state.slot, tuple(values))
