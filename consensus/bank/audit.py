"""One consistent cut over all clusters.

After Chandy and Lamport, Distributed Snapshots (1985), with log entries as markers.
AUDIT(k) is an entry of each cluster's log. Messages between clusters carry the sender's k, and a cluster that
sees a higher one logs AUDIT(k) before it takes the message. So nothing that happened after one cluster's cut
can be part of another's, and the money that is on its way can be counted from the reports alone
(:func:`total`).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from consensus.bank.cross import tx_key
from consensus.bank.moves import Phase
from consensus.bank.state import BankState
from consensus.messages.migration import Step
from consensus.types import ClusterId, Slot


class PreparedPart(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A prepared transaction in one cluster at its cut; ``delta``: what it changed the balances there by."""

    tx: bytes
    coordinator: ClusterId
    delta: int


class LeavingPart(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A batch of accounts that this cluster has flipped and whose destination may not own it yet."""

    number: int
    destination: ClusterId
    accounts: int
    money: int


class ArrivedPart(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A batch of another cluster that is owned, and counted, here."""

    source: ClusterId
    number: int


class AuditReport(msgspec.Struct, frozen=True):
    """What one cluster holds at its cut. ``balances`` counts the deltas of prepared transactions in."""

    number: int
    cluster: ClusterId
    slot: Slot
    accounts: int
    balances: int
    prepared: list[PreparedPart]
    committed: list[bytes]
    """Transactions this cluster coordinated and committed, not yet acknowledged by every participant."""
    leaving: list[LeavingPart] = []
    arrived: list[ArrivedPart] = []


def report(state: BankState, own: ClusterId, number: int) -> AuditReport:
    """The report of a cut at the state's slot."""
    cross = state.cross
    parts = [
        PreparedPart(tx_key(tx), prepared.coordinator, sum(prepared.legs[1::2]))
        for tx, prepared in sorted(cross.prepared.items())
    ]
    committed = [tx_key(tx) for tx, unfinished in sorted(cross.unfinished.items()) if unfinished.commit]
    leaving = [
        LeavingPart(n, batch.destination, len(batch.accounts), batch.money)
        for n, batch in sorted(state.moves.batches.items())
        if batch.phase == Phase.FLIPPED
    ]
    arrived = [
        ArrivedPart(*batch)
        for batch, arriving in sorted(state.moves.incoming.items())
        if arriving.step == Step.ACTIVE
    ]
    balances = sum([account.balance for account in state.accounts.values()])
    return AuditReport(
        number, own, state.slot, len(state.accounts), balances, parts, committed, leaving, arrived
    )


def total(reports: Iterable[AuditReport]) -> tuple[int, int]:
    """(money of the whole bank, money that is on its way) from one report of each cluster, of the same cut.

    A prepared transaction's deltas count when its coordinator had committed it at its own cut, and do not
    when it had not: a commit after that cut reaches nobody before theirs. A batch of accounts counts at its
    destination when that owned it at its cut, else, if the source had flipped it, on its way. The destination
    remembers a batch until the source is done with it, so that it is never counted twice.
    """
    held = list(reports)
    committed = {(r.cluster, tx) for r in held for tx in r.committed}
    arrived = {(r.cluster, part.source, part.number) for r in held for part in r.arrived}
    money = 0
    in_flight = 0
    for r in held:
        money += r.balances
        for part in r.prepared:
            if (part.coordinator, part.tx) in committed:
                in_flight += abs(part.delta)
            else:
                money -= part.delta
        for batch in r.leaving:
            if (batch.destination, r.cluster, batch.number) not in arrived:
                money += batch.money
                in_flight += batch.money
    return money, in_flight
