"""What a test set must come to, from the course's own rule and nothing of the bank's code.

A transfer commits exactly when a majority of each cluster it touches is up and the sender has the money. A
failed node keeps the balances it had; a live one has all that was committed, as far as its cluster can still
decide.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Expected:
    """What is to be expected.

    Attributes:
        outcomes: per command ``committed``, ``aborted`` (for want of money), ``none`` (a cluster cannot
            decide: whatever the client was told, nothing committed) or ``ok``.
        reads: per command the balance read; None where nobody may answer.
        balances: account → node → balance.
    """

    outcomes: list[str] = field(default_factory=list)
    reads: list[int | None] = field(default_factory=list)
    balances: dict[int, dict[int, int]] = field(default_factory=dict)


class Oracle:
    """Clusters of ``size`` nodes with consecutive ids and equal, consecutive account ranges."""

    def __init__(self, clusters: int = 3, size: int = 3, accounts: int = 9_000, balance: int = 10) -> None:
        self.size = size
        self.range = accounts // clusters
        self.balance = balance
        self.members = {c: range(c * size + 1, c * size + size + 1) for c in range(clusters)}

    def cluster(self, account: int) -> int:
        return (account - 1) // self.range

    def run(self, live: Iterable[int], commands: Iterable[tuple[str, tuple[int, ...]]]) -> Expected:
        """``commands``: ("transfer", (s, r, amount)), ("read", (s,)), ("fail", (n,)), ("recover", (n,))."""
        up = set(live)
        expected = Expected()
        held: dict[int, dict[int, int]] = {node: {} for nodes in self.members.values() for node in nodes}
        named: set[int] = set()

        def able(cluster: int) -> bool:
            return 2 * sum(node in up for node in self.members[cluster]) > self.size

        state: dict[int, dict[int, int]] = {cluster: {} for cluster in self.members}
        for kind, fields in commands:
            read: int | None = None
            if kind == "fail":
                up.discard(fields[0])
                outcome = "ok"
            elif kind == "recover":
                up.add(fields[0])
                outcome = "ok"
            else:
                named.update(fields[:2] if kind == "transfer" else fields)
                touched = [self.cluster(account) for account in (fields if kind == "read" else fields[:2])]
                if not all(map(able, touched)):
                    outcome = "none"
                elif kind == "read":
                    outcome, read = "ok", state[touched[0]].get(fields[0], self.balance)
                else:
                    outcome = self._transfer(state[touched[0]], state[touched[1]], *fields)
            expected.outcomes.append(outcome)
            expected.reads.append(read)
            for cluster in self.members:
                if able(cluster):
                    for node in self.members[cluster]:
                        if node in up:
                            held[node] = dict(state[cluster])
        for account in sorted(named):
            nodes = self.members[self.cluster(account)]
            expected.balances[account] = {node: held[node].get(account, self.balance) for node in nodes}
        return expected

    def _transfer(
        self, from_: dict[int, int], to: dict[int, int], sender: int, receiver: int, amount: int
    ) -> str:
        if from_.get(sender, self.balance) < amount:
            return "aborted"
        from_[sender] = from_.get(sender, self.balance) - amount
        to[receiver] = to.get(receiver, self.balance) + amount
        return "committed"
