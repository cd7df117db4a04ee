"""Strict serializability by version order, in time proportional to the history.

Every reply names versions, so the order of an account's writers is known and need not be searched (Adya,
Weak Consistency, 1999, 4.2; Kingsbury and Alvaro, Elle, 2020). Each account is a chain of versions: the
writer of a version, whoever saw it, the writer of the next. Real time is a second chain. If the two together
have no cycle, a topological order is a serial execution that respects real time, and the replay of balances
says that it is one of the bank.
"""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Final

from consensus.checker.graph import Graph
from consensus.checker.history import TRANSFER, History, Operation
from consensus.checker.verdict import Anomaly

SUBSET_MAX: Final = 12
"""Unanswered transfers on one account among which sums are tried; among more, only their number counts."""


class Chain:
    """One account: the writer and readers of each version that a reply named, and the balances they imply."""

    def __init__(self, account: int, version: int, balance: int) -> None:
        self.account = account
        self.first = version
        self.writers: dict[int, Operation] = {}
        self.readers: dict[int, list[Operation]] = {}
        self.balances: dict[int, tuple[int, Operation | None]] = {version: (balance, None)}
        self.unknown: list[Operation] = []
        self.anomalies: list[Anomaly] = []

    def write(self, operation: Operation, version: int, balance: int) -> None:
        """``operation`` made ``version``; before it the balance was less by its delta."""
        other = self.writers.setdefault(version, operation)
        if other is not operation:
            text = f"two committed transfers made version {version} of account {self.account}"
            self.anomalies.append(Anomaly("lost_update", text, (other.words(), operation.words())))
            return
        self._balance(operation, version, balance)
        self._balance(operation, version - 1, balance - operation.deltas[self.account])

    def read(self, operation: Operation, version: int, balance: int) -> None:
        self.readers.setdefault(version, []).append(operation)
        self._balance(operation, version, balance)

    def _balance(self, operation: Operation, version: int, balance: int) -> None:
        if version < self.first or balance < 0:
            text = f"account {self.account} has version {version} with balance {balance}"
            self.anomalies.append(Anomaly("impossible_value", text, (operation.words(),)))
            return
        known, source = self.balances.setdefault(version, (balance, operation))
        if known != balance:
            text = f"version {version} of account {self.account} has balance {known} and balance {balance}"
            words = "the genesis" if source is None else source.words()
            self.anomalies.append(Anomaly("wrong_balance", text, (words, operation.words())))

    def fill(self) -> None:
        """Give each version without a writer an unanswered transfer, or report that none can have made it."""
        versions = sorted(self.balances)
        for low, high in pairwise(versions):
            if high in self.writers:
                continue
            change, steps = self.balances[high][0] - self.balances[low][0], high - low
            free = self.unknown
            if steps == 1:
                fitting = [one for one in free if one.deltas[self.account] == change]
                if len(fitting) == 1:
                    self.writers[high] = fitting[0]
                    free.remove(fitting[0])
                possible = bool(fitting)
            elif len(free) <= SUBSET_MAX:
                changes = [one.deltas[self.account] for one in free]
                possible = any(sum(some) == change for some in combinations(changes, steps))
            else:
                possible = len(free) >= steps
            if not possible:
                text = (
                    f"account {self.account} went from version {low} to {high} with {change:+d}, and no "
                    "committed or unanswered transfer did that"
                )
                source = self.balances[high][1]
                self.anomalies.append(
                    Anomaly("aborted_read", text, () if source is None else (source.words(),))
                )


def check(history: History) -> list[Anomaly]:
    """Anomalies of the chains, else a cycle of chains and real time if there is one.

    Every anomaly is a real one. Without unanswered transfers nothing is missed; with them, a version that
    several could have made is not attributed, so an anomaly that hinges on which it was may be missed.
    """
    chains = {a: Chain(a, seen.version, seen.balance) for a, seen in history.genesis.items()}
    for operation in history.operations:
        writes = operation.invoke.op == TRANSFER
        if writes and operation.answer is None:
            for account in operation.deltas:
                chains[account].unknown.append(operation)
        for account, seen in operation.seen.items():
            if writes and operation.outcome == "ok":
                chains[account].write(operation, seen.version, seen.balance)
            else:
                chains[account].read(operation, seen.version, seen.balance)
    found: list[Anomaly] = []
    for chain in chains.values():
        chain.fill()
        found += chain.anomalies
    cycle = _graph(history, chains).smallest_cycle()
    if cycle:
        text = f"{len(cycle)} operations each have to come before the next, and the last before the first"
        lines = tuple(f"{one.words()}; before the next because of {why}" for one, why in cycle)
        found.append(Anomaly("cycle", text, lines))
    return found


def _graph(history: History, chains: dict[int, Chain]) -> Graph:
    graph = Graph(history.operations)
    for chain in chains.values():
        last = -1
        why = f"the versions of account {chain.account}"
        for version in sorted(chain.readers.keys() | chain.writers.keys()):
            begin, end = graph.helper(why), graph.helper(why)
            graph.edge(begin, end)
            writer = chain.writers.get(version)
            if last >= 0:
                graph.edge(last, begin)
            if writer is not None:
                graph.edge(graph.node(writer), begin)
                if last >= 0:
                    graph.edge(last, graph.node(writer))
            for reader in chain.readers.get(version, ()):
                if reader is not writer:
                    graph.edge(begin, graph.node(reader))
                    graph.edge(graph.node(reader), end)
            last = end
    graph.real_time()
    return graph
