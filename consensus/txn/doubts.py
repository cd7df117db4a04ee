"""The coordinator's answers to participants in doubt: what its log says of one attempt.

An attempt's number is the slot of its prepare entry, and nothing but that slot can prepare it. So once the
log is applied up to there the state knows: the transaction is prepared, its decision is not acknowledged yet,
or the attempt is over. Who holds an attempt that is over has a copy of its prepare that prepared nothing, or
came after everybody had acknowledged the decision (from a leader that was deposed without knowing it, or late
by the network), and takes it back. That holds on a leader that has been deposed without knowing it, too: what
it has applied is final. Whether the *transaction* ends is not decided here: a client may be about to try
again.
"""

from __future__ import annotations

from collections.abc import Callable

from consensus.bank.state import BankState
from consensus.messages.txn import DecisionRow, TxDecision, TxPending, TxResolve, TxRow
from consensus.paxos.context import Context
from consensus.txn.groups import Groups
from consensus.types import ClusterId, Slot, TxId


class Doubts:
    """Answers of one leadership. Nothing is kept: who is not answered asks again."""

    def __init__(
        self,
        ctx: Context,
        groups: Groups,
        state: Callable[[], BankState],
        advance: Callable[[], None],
    ) -> None:
        self._ctx = ctx
        self._groups = groups
        self._state = state
        self._advance = advance

    def on_resolve(self, message: TxResolve) -> None:
        decisions: list[DecisionRow] = []
        pending: list[TxRow] = []
        ahead = False
        for row in message.rows:
            commit = verdict(self._state(), TxId(row.session, row.number), message.participant, row.at)
            if commit is None:
                pending.append(row)
                ahead = ahead or row.at > self._state().slot
            else:
                decisions.append(DecisionRow(row.session, row.number, row.at, commit))
        if ahead:
            # A deposed leader gave that number to an entry that was not chosen; it is at most a window ahead.
            self._advance()
        own = self._ctx.cluster.id
        state = self._state()
        if decisions:
            below = state.cross.own_finished_below(state.slot + 1)
            self._groups.send(message.participant, TxDecision(own, below, decisions, state.audit))
        if pending:
            self._groups.send(message.participant, TxPending(own, pending, state.audit))


def verdict(state: BankState, tx: TxId, participant: ClusterId, at: Slot) -> bool | None:
    """How attempt ``at`` ended for ``participant``: committed, taken back, or None while that is open."""
    unfinished = state.cross.unfinished.get(tx)
    if unfinished is not None and unfinished.commit:
        return participant in unfinished.participants
    prepared = state.cross.prepared.get(tx)
    if prepared is not None and prepared.coordinates:
        return None
    if at <= state.slot:
        return False
    session = state.sessions.get(tx.session)
    if session is not None and (tx.number in session.outcomes or tx.number < session.settled_below):
        # No entry prepares it any more, whatever its slot.
        return False
    return None
