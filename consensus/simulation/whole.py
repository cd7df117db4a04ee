"""The whole bank, judged over all clusters: one end per transaction, and money that is always all there.

Each cluster's model (``model.Bank``) tells what its log does with transactions across clusters; nothing here
looks at a replica. Knows only what atomic commitment promises (Gray and Lamport, *Consensus on Transaction
Commit*, 2006, 2): no two clusters end a transaction differently, a commit needs every cluster prepared.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from consensus.bank.audit import AuditReport, total
from consensus.topology import Topology
from consensus.types import AccountId, ClusterId, SessionId, TxId


class WholeError(AssertionError):
    """Clusters contradict each other."""


class Part(NamedTuple):
    """What a cluster prepared of a transaction: its legs, and (version, balance) of each after a commit."""

    legs: tuple[int, ...]
    after: tuple[int, ...]


class Carried(NamedTuple):
    """An account on its way: what it holds, and its epoch at the new owner."""

    balance: int
    version: int
    epoch: int


class Whole:
    """What is decided where. ``committed`` and ``aborted`` count decisions of coordinators."""

    def __init__(self, topology: Topology) -> None:
        self.clusters = frozenset(cluster.id for cluster in topology.clusters)
        self.money = topology.initial_balance * topology.accounts
        self.committed = 0
        self.aborted = 0
        self.cuts = 0
        """Audit cuts that every cluster made and that added up."""
        self.seen_versions: dict[AccountId, list[tuple[int, int]]] = {}
        """Of each account: world time, and the highest version that anybody had been told of by then."""
        self._decided: dict[TxId, bool] = {}
        self._given_up: set[tuple[TxId, ClusterId, int]] = set()
        """Attempts (coordinator and number) that a participant ended: none of them may ever commit."""
        self._told: dict[TxId, Any] = {}
        self._forgotten: dict[TxId, set[ClusterId]] = {}
        """Where an outcome was lost with a session that made room for others while its client used it."""
        self._parts: dict[TxId, dict[ClusterId, Part]] = {}
        self._due: dict[tuple[TxId, ClusterId], int] = {}
        """Money that a committed transaction has still to move in a participant."""
        self.ended: dict[ClusterId, dict[TxId, Any]] = {}
        """Every outcome of each cluster's log (``model.Verdict``)."""
        self.moved = 0
        """Accounts that have changed their owner."""
        self._owner: dict[AccountId, tuple[ClusterId, int]] = {}
        self._on_its_way: dict[tuple[ClusterId, int], tuple[ClusterId, dict[AccountId, Carried]]] = {}
        self._reports: dict[int, dict[ClusterId, AuditReport]] = {}
        self._counted = 0
        """Number of the last cut that was counted."""

    @property
    def in_flight(self) -> int:
        """What committed transactions will still add to balances somewhere, net."""
        return sum(self._due.values())

    # --- decisions -------------------------------------------------------------------

    def prepared(self, cluster: ClusterId, tx: TxId, part: Part) -> None:
        self._parts.setdefault(tx, {})[cluster] = part

    def decided(
        self, own: ClusterId, tx: TxId, at: int, commit: bool, legs: dict[ClusterId, tuple[int, ...]]
    ) -> dict[ClusterId, Part]:
        """The coordinator decided attempt ``at``; ``legs`` has those of every cluster.

        Returns what each had prepared.

        Raises:
            WholeError: it was decided otherwise before, or not everybody was prepared.
        """
        if self._forgotten.get(tx, {own}) != {own}:
            self._decided[tx] = commit
        before = self._decided.setdefault(tx, commit)
        parts = self._parts.get(tx, {})
        if before != commit or (commit and (tx, own, at) in self._given_up):
            raise WholeError(f"{tx} commits and aborts")
        if not commit:
            self.aborted += 1
            return parts
        self.committed += 1
        for cluster, wanted in legs.items():
            held = parts.get(cluster)
            if held is None:
                raise WholeError(f"{tx} commits although cluster {cluster} is not prepared")
            if held.legs != wanted:
                raise WholeError(f"{tx}: cluster {cluster} prepared {held.legs}, not {wanted}")
            if cluster != own:
                self._due[tx, cluster] = sum(wanted[1::2])
        return parts

    def settled(self, cluster: ClusterId, tx: TxId, attempt: tuple[ClusterId, int], commit: bool) -> None:
        """A participant ends what it had prepared, by a decision on ``attempt`` (coordinator and number).

        Raises:
            WholeError: not as its coordinator decided, or a second time.
        """
        self._parts[tx].pop(cluster, None)
        if commit:
            if not self._decided.get(tx):
                raise WholeError(f"{tx} commits in cluster {cluster} without a decision of its coordinator")
            if self._due.pop((tx, cluster), None) is None:
                raise WholeError(f"{tx} commits twice in cluster {cluster}")
        elif (tx, cluster) in self._due:
            raise WholeError(f"{tx} is committed, but aborts in cluster {cluster}")
        else:
            self._given_up.add((tx, *attempt))

    def told(self, tx: TxId, verdict: Any) -> None:
        """A client was told how ``tx`` ended.

        Raises:
            WholeError: another cluster, which owned the payer then, told it otherwise.
        """
        first = self._told.setdefault(tx, verdict)
        if first != verdict and tx not in self._forgotten:
            raise WholeError(f"{tx} was told as {first}, and then as {verdict}")

    def forget(self, own: ClusterId, session: SessionId, numbers: Iterable[int]) -> None:
        """Cluster ``own`` forgot outcomes that the client may still ask for.

        It refuses the session from then on, and that is checked. But a new owner of the payer does not know
        them: running once is promised while the session is in their owner's table (``docs/fault-model.md``).
        """
        for number in numbers:
            self._forgotten.setdefault(TxId(session, number), set()).add(own)

    # --- accounts that move ------------------------------------------------------------

    def left(
        self, batch: tuple[ClusterId, int], destination: ClusterId, accounts: dict[AccountId, Carried]
    ) -> None:
        """The source flipped a batch.

        Raises:
            WholeError: an account of it is not the source's, or the batch was flipped before.
        """
        if batch in self._on_its_way:
            raise WholeError(f"batch {batch} is flipped twice")
        for account, carried in accounts.items():
            owner, epoch = self._owner.get(account, (batch[0], 0))
            if (owner, epoch + 1) != (batch[0], carried.epoch):
                raise WholeError(f"cluster {batch[0]} flips account {account} of cluster {owner}")
            self._owner[account] = (0, epoch)
        self._on_its_way[batch] = (destination, accounts)

    def arrived(
        self, batch: tuple[ClusterId, int], destination: ClusterId, accounts: dict[AccountId, Carried]
    ) -> None:
        """The destination owns a batch.

        Raises:
            WholeError: nobody flipped it, it went elsewhere or twice, or something changed on the way.
        """
        if self._on_its_way.get(batch) != (destination, accounts):
            raise WholeError(f"cluster {destination} takes batch {batch}, on its way: {self._on_its_way}")
        del self._on_its_way[batch]
        self.moved += len(accounts)
        for account, carried in accounts.items():
            self._owner[account] = (destination, carried.epoch)

    # --- money -----------------------------------------------------------------------

    def cut(self, report: AuditReport) -> None:
        """A replica's report of an audit cut.

        Raises:
            WholeError: replicas report different things, or the reports do not add up.
        """
        if report.number <= self._counted:
            return
        reports = self._reports.setdefault(report.number, {})
        if reports.setdefault(report.cluster, report) != report:
            raise WholeError(f"cut {report.number}: two reports of cluster {report.cluster}")
        if reports.keys() == self.clusters:
            found, _ = total(reports.values())
            if found != self.money:
                raise WholeError(f"cut {report.number} counts {found}, not {self.money}")
            self.cuts += 1
            self._counted = report.number
            self._reports = {number: held for number, held in self._reports.items() if number > report.number}

    def at_rest(self, balances: int) -> None:
        """Nothing is on its way any more; ``balances``: the money of all clusters.

        Raises:
            WholeError: something is, or the money is not what it was.
        """
        if self._due:
            raise WholeError(f"committed, but not in every cluster: {sorted(self._due)}")
        if self._on_its_way:
            raise WholeError(f"flipped, but owned by nobody: {self._on_its_way}")
        if balances != self.money:
            raise WholeError(f"the bank holds {balances}, not {self.money}")
