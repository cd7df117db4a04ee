"""Reads: when a replica may answer one, and from which state.

linearizable: the leader, after a heartbeat round begun later than the read (``paxos.readindex``). ryw: any replica whose
versions are not older than those the client has seen. eventual: any replica, at once. The weaker level of two may
always be served as the stronger: lease and bounded are served as linearizable here.
"""

from __future__ import annotations

from consensus.bank.state import BankState
from consensus.effects import ReplyTo
from consensus.messages.client import Level, Read, ReadItem, ReadRefused, ReadReplies, ReadResult, Refusal, Status
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
            results.extend([evaluate(state, item) for item in items if not self._fault(state, item)])
        for connection, results in by_connection.items():
            self._reply(connection, results, state)

    def clear(self, leader: NodeId) -> None:
        """The leadership ended: nothing that waits can be answered here."""
        for connection, items in self.index.drain():
            requests = [item.request for item in items]
            self.ctx.out.replies.append(ReplyTo(connection, ReadRefused(requests, Refusal.NOT_LEADER, leader)))
        self._waiting = 0

    def _reply(self, connection: int, results: list[ReadResult], state: BankState) -> None:
        self.ctx.out.replies.append(ReplyTo(connection, ReadReplies(results, state.epoch)))


def evaluate(state: BankState, item: ReadItem) -> ReadResult:
    """Versions and balances of the read's accounts in the state as it is."""
    accounts = state.accounts
    values: list[int] = []
    for account_id in item.accounts:
        account = accounts[account_id]
        values += (account.version, account.balance)
    return ReadResult(item.request, state.slot, tuple(values))
