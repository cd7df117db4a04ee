"""The coordinator's answers to participants in doubt: what the log says, or makes it say.

A commit stays among the unfinished until every participant has acknowledged it. Somebody who asks about a
transaction that ended and is not among them holds a copy of its prepare that came after all that (from a
leader that was deposed without knowing it, or late by the network): it is told to take it back. Whatever the
state does not settle for ever is put into the log first: a leader that has been deposed without knowing it
may never have heard of a session that another one has opened and used since.
"""

from __future__ import annotations

from collections.abc import Callable

from consensus.bank.state import BankState
from consensus.messages.entries import Resolve
from consensus.messages.txn import DecisionRow, TxDecision, TxPending, TxResolve, TxRow
from consensus.paxos.context import Context
from consensus.txn.groups import Groups
from consensus.types import ClusterId, SessionId, Slot, TxId


class Doubts:
    """Questions of one leadership. Each that goes to the log is kept until that has answered."""

    def __init__(
        self,
        ctx: Context,
        groups: Groups,
        state: Callable[[], BankState],
        pending: Callable[[TxId], bool],
        propose: Callable[[Resolve], bool],
    ) -> None:
        self._ctx = ctx
        self._groups = groups
        self._state = state
        self._pending = pending
        self._propose = propose
        self.asked: dict[TxId, dict[ClusterId, Slot]] = {}
        """Who asked about what has a Resolve on its way, and under which number. No longer than the queue."""

    def on_resolve(self, message: TxResolve) -> None:
        state = self._state()
        decisions: list[DecisionRow] = []
        pending: list[TxRow] = []
        for row in message.rows:
            tx = TxId(row.session, row.number)
            unfinished = state.cross.unfinished.get(tx)
            session = state.sessions.get(row.session)
            if unfinished is not None:
                decisions.append(DecisionRow(row.session, row.number, row.at, unfinished.commit))
            elif tx in state.cross.prepared or self._pending(tx):
                pending.append(row)
            elif session is not None and (
                row.number in session.outcomes or row.number < session.settled_below
            ):
                decisions.append(DecisionRow(row.session, row.number, row.at, False))
            else:
                if tx in self.asked or self._propose(Resolve(row.session, [row.number])):
                    self.asked.setdefault(tx, {})[message.participant] = row.at
                pending.append(row)
        own = self._ctx.cluster.id
        if decisions:
            self._send(message.participant, decisions)
        if pending:
            self._groups.send(message.participant, TxPending(own, pending, state.audit))

    def on_resolved(self, session: SessionId, numbers: list[int]) -> None:
        """The log said something of these: answer those whose question it ends."""
        cross = self._state().cross
        answers: dict[ClusterId, list[DecisionRow]] = {}
        for number in numbers:
            tx = TxId(session, number)
            asked = self.asked.pop(tx, None)
            if asked is None or tx in cross.prepared or tx in cross.unfinished:
                continue
            for cluster, at in asked.items():
                answers.setdefault(cluster, []).append(DecisionRow(session, number, at, False))
        for cluster, rows in answers.items():
            self._send(cluster, rows)

    def _send(self, participant: ClusterId, rows: list[DecisionRow]) -> None:
        state = self._state()
        below = state.cross.own_finished_below(state.slot + 1)
        decision = TxDecision(self._ctx.cluster.id, below, rows, state.audit)
        self._groups.send(participant, decision)

    def clear(self) -> None:
        self.asked.clear()
