"""Read-only views of a replica, as JSON-like data, for operators and pages. Nothing here changes anything."""

from __future__ import annotations

from bisect import bisect_right
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from consensus.bank.state import Account, BankState
from consensus.codec import CodecError, decode_batch
from consensus.messages.entries import Batch
from consensus.types import AccountId, Slot, parse_tx_id

if TYPE_CHECKING:
    from consensus.replica.door import Replica

ACCOUNTS_MAX: Final = 10_000
LOG_MAX: Final = 500
ENDS_MAX: Final = 500


def status(replica: Replica) -> dict[str, Any]:
    """The status document (keys in docs/protocol.md, "Status")."""
    acceptor = replica.acceptor
    log = acceptor.log
    leader = replica.leader
    state = replica.machine.state
    if acceptor.learner:
        role = "learner"
    elif leader is not None:
        role = "leader"
    else:
        role = "follower" if acceptor.leader else "candidate"
    hash_slot = max(replica.machine.hashes, default=0)
    return {
        "node": replica.ctx.me,
        "cluster": replica.ctx.cluster.id,
        "incarnation": replica.incarnation,
        "role": role,
        "state": "failed" if replica.frozen else "up",
        "ballot": list(acceptor.promised),
        "leader": acceptor.leader,
        "established": replica.leads,
        "watermark": log.watermark,
        "applied": state.slot,
        "proposed": leader.next_slot - 1 if leader is not None else log.last,
        "checkpoint": replica.checkpoint,
        "lag": max(0, max(replica.catchup.target, log.watermark) - state.slot),
        "queue": replica.queue.queued,
        "in_flight": len(leader.in_flight) if leader is not None else 0,
        "sessions": len(state.sessions),
        "epoch": state.epoch,
        "counters": dict(replica.ctx.counters),
        "hash": {"slot": hash_slot, "hash": replica.machine.hashes.get(hash_slot, b"").hex()},
        "note": replica.learner.reason or replica.damage,
    }


def accounts(
    replica: Replica,
    ids: list[AccountId] | None = None,
    after: AccountId = 0,
    limit: int = 1_000,
    changed: bool = False,
) -> dict[str, Any]:
    """Rows ``[id, balance, version, epoch]`` of this replica's own applied state.

    Either those of ``ids`` (missing ones are left out), or up to ``limit`` ids above ``after`` in ascending
    order, ``changed``: only those with a version above 0. ``next`` is the id to go on after, or None.
    """
    state = replica.machine.state
    if ids is not None:
        held = [a for a in map(state.accounts.get, ids[:ACCOUNTS_MAX]) if a is not None]
        return {"applied": state.slot, "accounts": [_row(state, a) for a in held], "next": None}
    limit = max(1, min(limit, ACCOUNTS_MAX))
    if changed:
        order = sorted(a.id for a in state.accounts.values() if a.version and a.id > after)
        start = 0
    else:
        order = sorted(state.accounts)
        start = bisect_right(order, after)
    page = order[start : start + limit]
    more = len(order) > start + limit
    rows = [_row(state, state.accounts[account]) for account in page]
    return {"applied": state.slot, "accounts": rows, "next": page[-1] if more else None}


def _row(state: BankState, account: Account) -> list[int]:
    return [account.id, state.committed_balance(account), account.version, account.epoch]


def summary(replica: Replica, first: AccountId, last: AccountId) -> dict[str, Any]:
    """Count, least, greatest and sum of the balances of the held accounts ``first..last``."""
    state = replica.machine.state
    balances = [state.committed_balance(a) for a in state.accounts.values() if first <= a.id <= last]
    return {
        "applied": state.slot,
        "count": len(balances),
        "min": min(balances, default=None),
        "max": max(balances, default=None),
        "total": sum(balances),
    }


def log(replica: Replica, after: Slot = 0, limit: int = 100) -> dict[str, Any]:
    """Slots above ``after`` that the log still holds, with their entries spelled out."""
    held = replica.acceptor.log
    limit = max(1, min(limit, LOG_MAX))
    rows: list[dict[str, Any]] = []
    slot = max(after, held.floor)
    while slot < held.last and len(rows) < limit:
        slot += 1
        entry = held.get(slot)
        if entry is None:
            continue
        applied = slot <= replica.machine.state.slot
        state = "applied" if applied else "chosen" if entry.chosen else "accepted"
        rows.append({"slot": slot, "ballot": list(entry.ballot), "state": state, **_batch(entry.value)})
    return {"floor": held.floor, "entries": rows, "next": slot if slot < held.last else None}


def _batch(value: bytes) -> dict[str, Any]:
    try:
        batch = decode_batch(value)
    except CodecError as error:
        return {"stamp_us": None, "proposed_in": None, "entries": [], "note": str(error)}
    return {"stamp_us": batch.stamp_us, "proposed_in": list(batch.ballot), "entries": entries(batch)}


def entries(batch: Batch) -> list[dict[str, Any]]:
    """A batch's entries as documents: the kind, and the fields with bytes as hex."""
    return [
        {
            "kind": type(entry).__name__,
            **{name: _plain(getattr(entry, name)) for name in entry.__struct_fields__},
        }
        for entry in batch.entries
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value


def views(replica: Replica) -> dict[str, Any]:
    """Every NEW-VIEW that was chosen in this incarnation (the last 1,000)."""
    return {
        "views": [
            {
                "number": view.number,
                "slot": view.slot,
                "ballot": list(view.body.ballot),
                "leader": view.body.ballot.node,
                "watermark": view.body.watermark,
                "checkpoint": view.body.checkpoint,
                "slots": [
                    {"slot": s.slot, "ballot": list(s.accepted), "bytes": s.size_bytes}
                    for s in view.body.slots
                ],
            }
            for view in replica.machine.state.views
        ]
    }


def hash_at(replica: Replica, slot: Slot = 0) -> dict[str, Any]:
    """State hash at ``slot`` (one of those kept), or at the applied slot when 0."""
    if slot:
        kept = replica.machine.hashes.get(slot)
        return {"slot": slot, "hash": None if kept is None else kept.hex()}
    return {"slot": replica.machine.state.slot, "hash": replica.machine.state.digest().hex()}


def locks(replica: Replica) -> dict[str, Any]:
    """Held locks, and who waits for one (waiting is the leader's)."""
    cross = replica.machine.state.cross
    held = [
        {"account": account, "tx": str(tx), "coordinator": cross.prepared[tx].coordinator}
        for account, tx in sorted(cross.locks.items())
    ]
    waiting = [
        {"tx": str(waiter.tx), "accounts": list(waiter.accounts)}
        for waiter in replica.waiting.waiting.values()
    ]
    return {"locks": held, "waiting": waiting}


def wal(replica: Replica) -> dict[str, Any]:
    """The undo log: for each account a prepared transaction holds, the delta an abort would take back."""
    cross = replica.machine.state.cross
    return {
        "records": [
            {
                "account": account,
                "delta": delta,
                "tx": str(cross.locks[account]),
                "prepared_in": cross.prepared[cross.locks[account]].slot,
            }
            for account, delta in sorted(cross.undo.items())
        ],
        "unfinished": [
            {"tx": str(tx), "number": u.at, "commit": u.commit, "participants": list(u.participants)}
            for tx, u in cross.unfinished.items()
        ],
    }


def ends(replica: Replica, txs: list[str]) -> dict[str, Any]:
    """How transactions across clusters ended here, as applied.

    ``finished``: those this cluster took part in and remembers, newest first. ``known``: of ``txs``, which
    this cluster coordinates, the ones it knows the end of; ``number`` is that of the attempt while a
    participant may not have applied it yet, else None.
    """
    state = replica.machine.state
    cross = state.cross
    finished = [
        {"tx": str(tx), "coordinator": row.coordinator, "number": row.at, "commit": row.commit}
        for tx, row in islice(reversed(cross.finished.items()), ENDS_MAX)
    ]
    known = []
    for text in txs[:ENDS_MAX]:
        tx = parse_tx_id(text)
        open_one = cross.unfinished.get(tx)
        session = state.sessions.get(tx.session)
        outcome = None if session is None else session.outcomes.get(tx.number)
        if open_one is not None:
            known.append({"tx": text, "number": open_one.at, "commit": open_one.commit})
        elif outcome is not None:
            known.append({"tx": text, "number": None, "commit": not outcome.status})
    return {"applied": state.slot, "finished": finished, "known": known}
