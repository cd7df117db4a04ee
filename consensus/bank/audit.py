"""One consistent cut over all clusters.

After Chandy and Lamport, Distributed Snapshots (1985), with log entries as markers.
AUDIT(k) is an entry of each cluster's log. Messages between clusters carry the sender's k, and a cluster that
sees a higher one logs AUDIT(k) before it takes the message. So nothing that happened after one cluster's cut
can be part of another's, and the money that is on its way can be counted from the reports alone
(:func:`total`).
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

import msgspec

from consensus.bank.cross import tx_key
from consensus.bank.moves import Phase
from consensus.bank.state import BankState
from consensus.messages.migration import Step
from consensus.types import AccountId, ClusterId, Slot


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


class AccountCut:
    """Every account of one cluster at its cut, deltas of prepared transactions counted in.

    ``flat``: number, balance, version of one account after the other, by number. ``held``: account to (delta
    of a prepared transaction, key of that transaction).
    """

    __slots__ = ("flat", "held")

    def __init__(self, state: BankState) -> None:
        self.flat = array("q")
        for number in sorted(state.accounts):
            account = state.accounts[number]
            self.flat.extend((number, account.balance, account.version))
        cross = state.cross
        self.held = {account: (delta, tx_key(cross.locks[account])) for account, delta in cross.undo.items()}

    def rows(self, after: AccountId, limit: int) -> tuple[list[list[Any]], AccountId | None]:
        """``limit`` rows ``[number, balance, version, delta, key]``, keys in hex; where to go on after."""
        numbers = self.flat[::3]
        start = bisect_right(numbers, after)
        rows: list[list[Any]] = []
        for i in range(start, min(start + limit, len(numbers))):
            number, balance, version = self.flat[3 * i : 3 * i + 3]
            delta, key = self.held.get(number, (0, b""))
            rows.append([number, balance, version, delta, key.hex()])
        more = start + limit < len(numbers)
        return rows, rows[-1][0] if more else None


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
    committed = commits(held)
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


def commits(reports: Iterable[AuditReport]) -> set[tuple[ClusterId, bytes]]:
    """(coordinator, key) of the transactions that their coordinator had committed at its cut."""
    return {(r.cluster, tx) for r in reports for tx in r.committed}


def counted(
    rows: Iterable[list[Any]], report: AuditReport, committed: set[tuple[ClusterId, bytes]]
) -> list[tuple[AccountId, int, int]]:
    """(number, balance, version) of accounts at the cut of ``report``, from rows of :class:`AccountCut`.

    Their balances add up to what :func:`total` counts of this cluster.
    """
    coordinators = {part.tx: part.coordinator for part in report.prepared}
    found: list[tuple[AccountId, int, int]] = []
    for number, balance, version, delta, key in rows:
        tx = bytes.fromhex(key)
        if tx and (coordinators[tx], tx) not in committed:
            balance -= delta
        elif tx and delta:
            version += 1
        found.append((number, balance, version))
    return found


def to_document(report: AuditReport) -> dict[str, Any]:
    """A report as JSON-like data; keys of transactions are hex."""
    return {
        **msgspec.structs.asdict(report),
        "prepared": [[part.tx.hex(), part.coordinator, part.delta] for part in report.prepared],
        "committed": [tx.hex() for tx in report.committed],
        "leaving": [list(msgspec.structs.astuple(batch)) for batch in report.leaving],
        "arrived": [list(msgspec.structs.astuple(batch)) for batch in report.arrived],
    }


def from_document(document: dict[str, Any]) -> AuditReport:
    """The report that :func:`to_document` told.

    Raises:
        ValueError: the document is none (``msgspec.ValidationError`` is one).
    """
    prepared = [[bytes.fromhex(tx), *rest] for tx, *rest in document["prepared"]]
    committed = [bytes.fromhex(tx) for tx in document["committed"]]
    return msgspec.convert({**document, "prepared": prepared, "committed": committed}, AuditReport)
