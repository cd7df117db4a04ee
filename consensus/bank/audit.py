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
from consensus.bank.state import BankState
from consensus.types import ClusterId, Slot


class PreparedPart(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A prepared transaction in one cluster at its cut; ``delta``: what it changed the balances there by."""

    tx: bytes
    coordinator: ClusterId
    delta: int


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


def report(state: BankState, own: ClusterId, number: int) -> AuditReport:
    """The report of a cut at the state's slot."""
    cross = state.cross
    parts = [
        PreparedPart(tx_key(tx), prepared.coordinator, sum(prepared.legs[1::2]))
        for tx, prepared in sorted(cross.prepared.items())
    ]
    committed = [tx_key(tx) for tx, unfinished in sorted(cross.unfinished.items()) if unfinished.commit]
    balances = sum([account.balance for account in state.accounts.values()])
    return AuditReport(number, own, state.slot, len(state.accounts), balances, parts, committed)


def total(reports: Iterable[AuditReport]) -> tuple[int, int]:
    """(money of the whole bank, money that is on its way) from one report of each cluster, of the same cut.

    A prepared transaction's deltas count when its coordinator had committed it at its own cut, and do not
    when it had not: a commit after that cut reaches nobody before theirs.
    """
    held = list(reports)
    committed = {(r.cluster, tx) for r in held for tx in r.committed}
    money = 0
    in_flight = 0
    for r in held:
        money += r.balances
        for part in r.prepared:
            if (part.coordinator, part.tx) in committed:
                in_flight += abs(part.delta)
            else:
                money -= part.delta
    return money, in_flight
