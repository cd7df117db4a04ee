"""Where a transaction goes: the cluster of each account, the leader of each cluster."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from consensus.shards import ShardMap
from consensus.topology import Cluster, Topology
from consensus.types import BALLOT_NONE, AccountId, Ballot, ClusterId, NodeId

REDIRECTS_MAX: Final = 3
"""Redirections followed in a row without an outcome; after that the client asks everybody."""


class Directory:
    """Which cluster owns an account, as far as the client knows.

    The initial ranges of the topology, and what nodes have said of accounts that moved. An account
    that no cluster owns belongs to the cluster that the rest of the transaction goes to: that cluster's
    log then says ``unknown_account``.
    """

    def __init__(self, topology: Topology) -> None:
        owners = [cluster for cluster in topology.clusters if cluster.last_account >= cluster.first_account]
        owners.sort(key=lambda cluster: cluster.first_account)
        self._starts = [cluster.first_account for cluster in owners]
        self._ends = [cluster.last_account for cluster in owners]
        self._ids = [cluster.id for cluster in owners]
        self._single = {cluster.id: (cluster.id,) for cluster in topology.clusters}
        self._default = (topology.clusters[0].id,)
        self._shards = ShardMap(topology)
        self._moved = self._shards.moved

    def learn(self, owners: tuple[int, ...]) -> bool:
        """Take in flat triples account, cluster, epoch; whether any was news."""
        return self._shards.learn_rows(owners)

    def forget(self) -> None:
        """A new incarnation: every account is back in its first range."""
        self._shards.clear()

    def cluster_of(self, account: AccountId) -> ClusterId | None:
        """The owner of ``account``, None when there is no such account."""
        moved = self._moved.get(account)
        if moved is not None:
            return moved
        at = bisect_right(self._starts, account) - 1
        return self._ids[at] if at >= 0 and account <= self._ends[at] else None

    def clusters_of(self, legs: Sequence[int]) -> tuple[ClusterId, ...]:
        """The clusters that flat ``legs`` (account, delta, …) touch.

        The cluster of the first debited leg comes first: it coordinates. The rest are in leg order.
        """
        if len(legs) == 4 and legs[1] < 0:
            # The common case, one pays another.
            payer, payee = self.cluster_of(legs[0]), self.cluster_of(legs[2])
            if payer is not None and payee is not None:
                return self._single[payer] if payer == payee else (payer, payee)
        found: dict[ClusterId, None] = {}
        for debits_first in (True, False):
            for i in range(0, len(legs), 2):
                if (legs[i + 1] < 0) is debits_first and (cluster := self.cluster_of(legs[i])) is not None:
                    found[cluster] = None
        return tuple(found) if found else self._default

    def clusters_of_accounts(self, accounts: Sequence[AccountId]) -> tuple[ClusterId, ...]:
        """The clusters that own any of ``accounts``, in that order."""
        found = dict.fromkeys(
            cluster for account in accounts if (cluster := self.cluster_of(account)) is not None
        )
        return tuple(found) if found else self._default


class Leadership:
    """Who leads one cluster, as far as the client knows.

    Attributes:
        leader: the node to ask, 0 when the last one said that it does not lead.
        ballot: of the newest leadership heard of; older news is ignored.
    """

    __slots__ = ("_redirects", "ballot", "cluster", "leader")

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.leader: NodeId = cluster.first_leader
        self.ballot: Ballot = BALLOT_NONE
        self._redirects = 0

    def reset(self) -> None:
        """A new incarnation: its first leader leads, ballots start again."""
        self.leader = self.cluster.first_leader
        self.ballot = BALLOT_NONE
        self._redirects = 0

    def heard_leads(self, sender: NodeId, ballot: Ballot, leader: NodeId) -> bool:
        """``sender`` says who leads.

        Returns whether what is outstanding must be sent anew: to another node, or to one that lost the
        leadership and won it again, since it forgot what it had not answered.
        """
        before, ballot_before = self.leader, self.ballot
        if leader and leader in self.cluster.members and ballot >= self.ballot:
            self.ballot = ballot
            self.leader = leader
        elif not leader and sender == self.leader:
            self.leader = 0
        won_again = ballot_before != BALLOT_NONE and self.ballot > ballot_before
        return self.leader != before or won_again

    def heard_refusal(self, sender: NodeId, hint: NodeId) -> bool:
        """``sender`` refused as not_leader and names ``hint`` (0: nobody).

        Returns whether the node to ask changed. A hint carries no ballot, so two nodes with stale views
        could send the client to and fro: after a few in a row it is not followed any more, and the
        leader is asked for by probing.
        """
        if sender != self.leader:
            return False
        self._redirects += 1
        follow = hint in self.cluster.members and hint != sender and self._redirects <= REDIRECTS_MAX
        self.leader = hint if follow else 0
        return True

    def heard_outcome(self) -> None:
        """The leader works: redirections may be followed again."""
        self._redirects = 0
