"""Migrations as operators see them: plain values out of a replica's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from consensus.bank.moves import Phase
from consensus.messages.migration import Step

if TYPE_CHECKING:
    from consensus.replica.door import Replica

PHASES: Final = {
    0: "nothing_taken",
    Phase.TAKEN: "taken",
    Phase.FLIPPED: "flipped",
    Phase.ROLLED_BACK: "rolled_back",
}
STEPS: Final = {
    Step.RESERVED: "reserved",
    Step.INSTALLED: "installed",
    Step.ACTIVE: "active",
    Step.DROPPED: "dropped",
}
MAP_MAX: Final = 2_000
"""Rows of the map in one answer."""


def part(replica: Replica, plan: bytes, number: int) -> dict[str, Any]:
    """What a part of a plan has become at this source, as far as it is applied here.

    ``phase`` is "unknown" before its entry is applied; ``over``: the destination has activated or dropped it;
    ``out_ms``: how long its accounts were out of service, None where another leader took them.
    """
    moves = replica.machine.state.moves
    answer = moves.parts.get((plan, number))
    if answer is None:
        return {"batch": None, "phase": "unknown", "taken": [], "over": False, "out_ms": None}
    over = answer.number not in moves.batches
    return {
        "batch": answer.number,
        "phase": PHASES[answer.phase],
        "taken": list(answer.taken),
        "over": over,
        "out_ms": replica.source.out_ms.get(answer.number),
    }


def batches(replica: Replica) -> dict[str, Any]:
    """Batches that leave and that come, and how far each is here."""
    moves = replica.machine.state.moves
    leaving = [
        {
            "batch": number,
            "plan": batch.part[0].hex(),
            "part": batch.part[1],
            "to": batch.destination,
            "phase": PHASES[batch.phase],
            "accounts": list(batch.accounts),
        }
        for number, batch in sorted(moves.batches.items())
    ]
    arriving = [
        {
            "from": source,
            "batch": number,
            "step": STEPS[batch.step],
            "accounts": [moved.id for moved in batch.accounts],
        }
        for (source, number), batch in sorted(moves.incoming.items())
    ]
    return {"leaving": leaving, "arriving": arriving, "epoch": replica.machine.state.epoch}


def shard_map(replica: Replica, after: int, limit: int) -> dict[str, Any]:
    """Accounts that have moved, as this node knows: rows of account, cluster, epoch; ``next`` to go on."""
    rows = replica.shards.rows(after, limit)
    following = rows[-1][0] if len(rows) == limit else None
    return {"moved": len(replica.shards), "rows": [list(row) for row in rows], "next": following}
