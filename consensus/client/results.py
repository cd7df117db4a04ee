"""What a client hands back: how a transaction ended, what a read saw."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from consensus.messages.client import Outcome, Refusal, Status
from consensus.types import AccountId, ClusterId, Slot, TxId

COMMITTED: Final = "committed"
ABORTED: Final = "aborted"
UNKNOWN: Final = "unknown"
REFUSED: Final = "refused"

PART_INTEGERS: Final = 5
"""Of each participant in ``Outcome.parts``: cluster, slot, index, round and node of the ballot."""

_STATUS_NAMES: Final = {int(status): status.name.lower() for status in Status}
_REFUSAL_NAMES: Final = {int(refusal): refusal.name.lower() for refusal in Refusal}


def status_name(status: int) -> str:
    """The reason word of an abort; a number this version does not know keeps its number."""
    return _STATUS_NAMES.get(status, f"status_{status}")


def refusal_name(refusal: int) -> str:
    """The reason word of a refusal; ``unavailable`` when no node ever answered."""
    return _REFUSAL_NAMES.get(refusal, f"refusal_{refusal}" if refusal else "unavailable")


class TxResult(msgspec.Struct, frozen=True):
    """How a transaction ended, as far as the client knows.

    ``outcome`` is ``committed`` or ``aborted`` (final, from the log), ``refused`` (nothing was done
    and nothing will be), or ``unknown`` (an attempt went unanswered: it may have committed or may
    still commit; :meth:`BankClient.resolve` makes it final). Everything that needs work to build is
    a property, because most results of a benchmark are only counted.

    Attributes:
        id: the transaction, the same over all retries.
        outcome: one of the four words above.
        reason: why it aborted or was refused, None when committed.
        clusters: the clusters touched, the coordinating one first.
        legs: flat account, delta, … as submitted; empty when only the id was known.
        stored: the outcome from the log, None unless final.
        epoch: ownership changes known to the node that answered.
        latency_ms: from the call to the answer.
    """

    id: TxId
    outcome: str
    reason: str | None
    clusters: tuple[ClusterId, ...]
    legs: tuple[int, ...]
    stored: Outcome | None
    epoch: int
    latency_ms: float

    @property
    def final(self) -> bool:
        """Whether the outcome stands in a log and can never change."""
        return self.stored is not None

    @property
    def kind(self) -> str:
        """``intra`` for one cluster, ``cross`` for several."""
        return "cross" if len(self.clusters) > 1 else "intra"

    @property
    def positions(self) -> list[dict[str, Any]]:
        """Where in the logs the outcome stands: cluster, ballot, slot, index within the slot.

        Across clusters: the coordinator's decision first, then the prepare entry of each participant.
        """
        if self.stored is None or not self.clusters:
            return []
        stored = self.stored
        found = [_position(self.clusters[0], stored.slot, stored.index, *stored.ballot)]
        parts = stored.parts
        found += [_position(*parts[at : at + PART_INTEGERS]) for at in range(0, len(parts), PART_INTEGERS)]
        return found

    @property
    def accounts(self) -> dict[AccountId, dict[str, int]]:
        """Version and balance of each account afterwards (for an abort: as it was seen, where it was)."""
        if self.stored is None:
            return {}
        values = self.stored.legs
        known = min(len(values), len(self.legs)) // 2
        return {
            self.legs[2 * i]: {"version": values[2 * i], "balance": values[2 * i + 1]}
            for i in range(known)
            if values[2 * i] >= 0
        }

    def to_json(self) -> dict[str, Any]:
        """The body REST and ``--json`` print."""
        return {
            "id": str(self.id),
            "outcome": self.outcome,
            "reason": self.reason,
            "kind": self.kind,
            "clusters": list(self.clusters),
            "positions": self.positions,
            "accounts": {str(account): value for account, value in self.accounts.items()},
            "epoch": self.epoch,
            "latency_ms": round(self.latency_ms, 3),
        }


def _position(cluster: int, slot: int, index: int, ballot_round: int, node: int) -> dict[str, Any]:
    return {"cluster": cluster, "ballot": [ballot_round, node], "slot": slot, "index": index}


class ReadValues(msgspec.Struct, frozen=True):
    """What a read saw.

    Attributes:
        outcome: ``ok`` or ``refused``. A read changes nothing, so it is never unknown.
        reason: why it was refused (a refusal, or ``unknown_account``), None when ok.
        cluster: the cluster that was asked.
        slot: the applied slot the values belong to.
        values: account to (version, balance).
        epoch: ownership changes known to the node that answered.
        latency_ms: from the call to the answer.
    """

    outcome: str
    reason: str | None
    cluster: ClusterId
    slot: Slot
    values: dict[AccountId, tuple[int, int]]
    epoch: int
    latency_ms: float


def from_outcome(
    tx_id: TxId,
    clusters: tuple[ClusterId, ...],
    legs: tuple[int, ...],
    stored: Outcome,
    epoch: int,
    latency_ms: float,
) -> TxResult:
    """A final result, from the outcome a cluster stored.

    ``clusters``: where the client believes the accounts are, the one that answered first. Of a committed
    transaction the outcome knows better: an account may have moved without the client hearing of it.
    """
    if stored.status == 0:
        if stored.parts or len(clusters) > 1:
            clusters = (*clusters[:1], *stored.parts[::PART_INTEGERS])
        return TxResult(tx_id, COMMITTED, None, clusters, legs, stored, epoch, latency_ms)
    return TxResult(tx_id, ABORTED, status_name(stored.status), clusters, legs, stored, epoch, latency_ms)
