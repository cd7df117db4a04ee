"""A cluster's state machine fed by hand: three clusters of ten accounts, 100 on each."""

from __future__ import annotations

from consensus.bank.machine import Applied, Machine, Result
from consensus.bank.state import BankState, all_rows
from consensus.messages.client import Outcome
from consensus.messages.entries import Batch, CrossItem, CrossPrepare, Entry, Item, OpenSession, Transact
from consensus.messages.rows import Row
from consensus.types import Ballot, ClusterId, SessionId

BALLOT = Ballot(1, 1)
BALANCE = 100
ACCOUNTS = 10
CLUSTERS = 3
ALICE: SessionId = b"a" * 16
BOB: SessionId = b"b" * 16
NOBODY: SessionId = b"n" * 16


def machine_of(cluster: ClusterId = 1, sessions: tuple[SessionId, ...] = (ALICE, BOB)) -> Machine:
    """Cluster 1 owns 1–10, cluster 2 owns 11–20, and so on. Slot 1 opens ``sessions``."""
    last = cluster * ACCOUNTS
    machine = Machine(BankState.genesis(CLUSTERS * ACCOUNTS, last - ACCOUNTS + 1, last, BALANCE), cluster)
    apply(machine, *map(OpenSession, sessions))
    return machine


def home(account: int) -> ClusterId:
    return (account - 1) // ACCOUNTS + 1


def apply(machine: Machine, *entries: Entry, ballot: Ballot = BALLOT) -> list[Result]:
    """Apply the entries as the next slot."""
    return machine.apply(machine.state.slot + 1, Batch(ballot, machine.state.slot, list(entries)))


def applied(machine: Machine, entry: Entry) -> Applied:
    """What an entry did for its session."""
    result = apply(machine, entry)[0]
    assert isinstance(result, Applied)
    return result


def pay(sender: int, receiver: int, amount: int) -> tuple[int, ...]:
    return (sender, -amount, receiver, amount)


def transact(
    number: int,
    legs: tuple[int, ...],
    conditions: tuple[int, ...] = (),
    session: SessionId = ALICE,
    below: int = 0,
) -> Transact:
    return Transact(session, below, [Item(number, legs, conditions)])


def run(machine: Machine, number: int, legs: tuple[int, ...], conditions: tuple[int, ...] = ()) -> Outcome:
    """The outcome of one transaction of Alice's."""
    done = applied(machine, transact(number, legs, conditions))
    assert done.numbers == [number] and not done.refused, done
    return done.outcomes[0]


def cross(
    number: int,
    legs: tuple[int, ...],
    conditions: tuple[int, ...] = (),
    session: SessionId = ALICE,
    homes: tuple[ClusterId, ...] | None = None,
) -> CrossPrepare:
    """P at the coordinator."""
    where = tuple(home(account) for account in legs[::2]) if homes is None else homes
    return CrossPrepare(session, 0, [CrossItem(number, 5, legs, where, conditions)])


def balances(machine: Machine) -> list[int]:
    return [account.balance for account in machine.state.accounts.values()]


def versions(machine: Machine) -> list[int]:
    return [account.version for account in machine.state.accounts.values()]


def rows_of(state: BankState) -> list[Row]:
    """Every row of the state as it is."""
    return list(all_rows(state.capture(everything=True)))


def copy_of(machine: Machine) -> Machine:
    """A replica that took the state over."""
    return Machine(BankState.restore(rows_of(machine.state)), machine.own)


def replicated(each: int, money: int) -> dict[ClusterId, list[Machine]]:
    """Two clusters of two replicas; ``each`` accounts in a cluster, ``money`` in an account."""
    return {
        cluster: [
            Machine(BankState.genesis(2 * each, (cluster - 1) * each + 1, cluster * each, money), cluster)
            for _ in range(2)
        ]
        for cluster in (1, 2)
    }


def apply_to_both(replicas: list[Machine], *entries: Entry) -> list[Result]:
    """The same batch on both replicas of a cluster, which must do the same with it."""
    first, second = replicas
    slot = first.state.slot + 1
    batch = Batch(Ballot(1, first.own), slot, list(entries))
    results = first.apply(slot, batch)
    assert second.apply(slot, batch) == results
    return results
