"""Which slots the trace tells of, and what one did when it was applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from consensus.bank.machine import Applied, Result
from consensus.bank.twophase import CrossPrepared, PartDecided, PartPrepared
from consensus.effects import Event
from consensus.messages import entries
from consensus.messages.client import Status
from consensus.types import Slot, TxId

if TYPE_CHECKING:
    from consensus.paxos.context import Context
    from consensus.replica.door import Replica

_NAMES: Final[dict[type, str]] = {
    entries.OpenSession: "session",
    entries.Transact: "transfer",
    entries.Abort: "abort",
    entries.NewView: "new view",
    entries.EvictSessions: "session",
    entries.Resolve: "resolve",
    entries.CrossPrepare: "prepare",
    entries.PartPrepare: "prepare",
    entries.Decide: "decision",
    entries.PartDecide: "decision",
    entries.Finish: "finish",
    entries.Audit: "audit",
}
"""What people call an entry; any other is of a move."""


def wants_trace(ctx: Context, batch: entries.Batch) -> bool:
    """Whether a batch speaks of a transaction that is kept or in the sample."""
    for entry in batch.entries:
        if isinstance(entry, entries.Transact | entries.CrossPrepare):
            if ctx.traces(entry.session) and ctx.sampled(
                entry.session, [item.number for item in entry.items]
            ):
                return True
        elif isinstance(entry, entries.PartPrepare | entries.Decide | entries.PartDecide):
            if ctx.traced_rows(entry.rows):
                return True
        elif isinstance(entry, entries.Abort) and ctx.traces_tx(entry.session, entry.number):
            return True
    return False


def trace_applied(replica: Replica, slot: Slot, batch: entries.Batch, results: list[Result]) -> None:
    """Events of transactions that somebody watches or that are kept, and of the slot if it is traced."""
    events = replica.ctx.out.events
    traced = replica.acceptor.traced.applied(slot)
    before = len(events)
    for result in results:
        _trace_result(replica, slot, result)
    if traced or replica.ctx.tells_every_slot() or len(events) > before:
        events.insert(before, Event("paxos.applied", {"s": slot, **_contents(batch)}))


def _contents(batch: entries.Batch) -> dict[str, Any]:
    """``has``: what is in a slot, in words; ``count``: how many transactions it speaks of."""
    has: dict[str, None] = {}
    count = 0
    for entry in batch.entries:
        has[_NAMES.get(type(entry), "move")] = None
        if isinstance(entry, entries.Transact | entries.CrossPrepare):
            count += len(entry.items)
        elif isinstance(entry, entries.PartPrepare | entries.Decide | entries.PartDecide):
            count += len(entry.rows)
    return {"has": list(has) or ["no-op"], "count": count}


def _trace_result(replica: Replica, slot: Slot, result: Result) -> None:
    ctx = replica.ctx
    if isinstance(result, Applied):
        ctx.outcomes_applied += len(result.numbers)
        if result.numbers and ctx.traces(result.session):
            _trace_outcomes(replica, slot, result)
    elif isinstance(result, CrossPrepared):
        for tx in ctx.traced_rows(result.prepared):
            _trace_lock(replica, tx)
    elif isinstance(result, PartPrepared):
        for vote in ctx.traced_rows(result.votes):
            if not vote.status:
                _trace_lock(replica, TxId(vote.session, vote.number))
    elif isinstance(result, PartDecided):
        ctx.outcomes_applied += len(result.acks)
        for row in ctx.traced_rows(result.acks):
            tx = TxId(row.session, row.number)
            known = replica.machine.state.cross.finished.get(tx)
            outcome = "committed" if known is not None and known.commit else "aborted"
            ctx.event("tx.apply", tx=str(tx), s=slot, outcome=outcome)


def _trace_outcomes(replica: Replica, slot: Slot, applied: Applied) -> None:
    """Of those in the sample, and of every abort: who watches takes as many of these as it can."""
    numbers, outcomes = applied.numbers, applied.outcomes
    wanted = replica.ctx.sampled(applied.session, numbers)
    aborted = [i for i, outcome in enumerate(outcomes) if outcome.status]
    for i in sorted({*wanted, *aborted}) if aborted else wanted:
        tx, status = str(TxId(applied.session, numbers[i])), outcomes[i].status
        name = "aborted" if status else "committed"
        why = Status(status).name.lower() if status else None
        replica.ctx.event("tx.apply", tx=tx, s=slot, outcome=name, why=why)


def _trace_lock(replica: Replica, tx: TxId) -> None:
    """Locks are replicated state: every node that applies the prepare entry holds them."""
    prepared = replica.machine.state.cross.prepared.get(tx)
    if prepared is not None:
        accounts = list(prepared.legs[::2])
        replica.ctx.event("tx.lock", tx=str(tx), s=prepared.slot, accounts=accounts)
