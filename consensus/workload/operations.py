"""Mixes of several kinds of operation, and where their customers and tellers lie.

An operation reads accounts, or runs a transaction, or does both: reads first and then decides by what it saw,
on the condition that nothing changed since. A cluster's last accounts are the vaults of its tellers: what is
deposited comes out of a vault and what is drawn goes into one, so no operation makes or destroys money.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from consensus.messages.entries import Condition
from consensus.topology import Topology
from consensus.types import AccountId, ClusterId
from consensus.workload.distribution import Picker, picker
from consensus.workload.generator import LoadError, Mix

VAULT_SHARE: Final = 0.01
"""Of a cluster's accounts; at least one. Enough that a vault is neither hot nor soon empty."""


class Seen(NamedTuple):
    """An account as a read found it."""

    version: int
    balance: int


class Write(NamedTuple):
    """A transaction: flat legs and flat conditions as ``submit_nowait`` takes them."""

    legs: tuple[int, ...]
    conditions: tuple[int, ...] = ()


class Operation(msgspec.Struct, frozen=True):
    """What one client does next.

    Attributes:
        kind: its name in results.
        reads: accounts to read first, all at one point of time; empty for none.
        legs: the transaction to run, where nothing has to be read for it.
        decide: the transaction to run, given what ``reads`` saw, in their order. None: ``reads`` was all.
    """

    kind: str
    reads: tuple[AccountId, ...] = ()
    legs: tuple[int, ...] = ()
    decide: Callable[[Sequence[Seen]], Write] | None = None


class Operations(Protocol):
    """Draws operations."""

    def operation(self) -> Operation: ...


class Branch(NamedTuple):
    """The customers and tellers of one cluster.

    Attributes:
        first: first account of the first customer; those of the others follow.
        customers: how many there are.
        pick: draws the index of a customer.
        vault: first account of the tellers.
        vaults: how many there are.
    """

    first: AccountId
    customers: int
    pick: Picker
    vault: AccountId
    vaults: int


def branches(topology: Topology, mix: Mix, seed: int, width: int) -> dict[ClusterId, Branch]:
    """The branch of every cluster with accounts.

    Args:
        topology: where accounts lie at first.
        mix: ``distribution`` and ``skewness`` say who is popular, among the customers of a branch.
        seed: decides who that is.
        width: accounts of a customer.

    Raises:
        LoadError: a cluster has too few accounts, or there is no second cluster to pay to.
    """
    found: dict[ClusterId, Branch] = {}
    for cluster in topology.clusters:
        count = cluster.last_account - cluster.first_account + 1
        if count <= 0:
            continue
        vaults = max(1, int(count * VAULT_SHARE))
        customers = (count - vaults) // width
        if customers < 2:
            raise LoadError(
                f"cluster {cluster.id} has {count} accounts; two customers and a teller need {2 * width + 1}"
            )
        pick = picker(mix.distribution, customers, skewness=mix.skewness, seed=f"{seed}/{cluster.id}")
        vault = cluster.last_account - vaults + 1
        found[cluster.id] = Branch(cluster.first_account, customers, pick, vault, vaults)
    if mix.cross_pct and len(found) < 2:
        raise LoadError("cross-shard: needs two clusters with accounts or more")
    return found


def unchanged(accounts: Sequence[AccountId], seen: Sequence[Seen]) -> tuple[int, ...]:
    """Conditions: nobody changed ``accounts`` since they were ``seen``."""
    conditions: list[int] = []
    for account, (version, _) in zip(accounts, seen, strict=True):
        conditions += (account, Condition.VERSION_EQUALS, version)
    return tuple(conditions)
