"""Clusters, nodes, account ranges, timings and limits: what every process is told at its start."""

from __future__ import annotations

from functools import cached_property

import msgspec

from consensus.types import AccountId, ClusterId, NodeId


class Node(msgspec.Struct, frozen=True):
    """One replica and where it listens."""

    id: NodeId
    host: str
    port: int


class Cluster(msgspec.Struct, frozen=True, dict=True):
    """A Paxos group and the accounts it owns at first: ``first_account..last_account``.

    An empty range (last < first) is a cluster that owns nothing yet.
    """

    id: ClusterId
    nodes: tuple[Node, ...]
    first_account: AccountId
    last_account: AccountId

    @cached_property
    def members(self) -> tuple[NodeId, ...]:
        return tuple(node.id for node in self.nodes)

    @property
    def first_leader(self) -> NodeId:
        """Leads a fresh incarnation without an election."""
        return self.nodes[0].id


class Timings(msgspec.Struct, frozen=True):
    """Milliseconds."""

    heartbeat_ms: float = 25
    election_min_ms: float = 100
    election_max_ms: float = 200
    resend_ms: float = 50
    batch_delay_ms: float = 5
    """A further slot goes out while one is in flight only when its batch is full or has waited this long."""
    commit_delay_ms: float = 5
    """How long a leader with nothing to propose waits before it tells followers what is chosen."""
    lock_wait_ms: float = 100
    twopc_ms: float = 500
    client_deadline_ms: float = 3000


class Limits(msgspec.Struct, frozen=True):
    """Bounds of queues, batches and logs."""

    batch_transactions: int = 512
    batch_bytes: int = 49_152
    window_slots: int = 8
    """Slots a leader may have in flight."""
    queue_transactions: int = 20_000
    """Transactions waiting for a slot, per leader; above it requests are refused as overloaded."""
    checkpoint_slots: int = 10_000
    checkpoint_bytes: int = 8 << 20
    """A checkpoint is due after this many slots or bytes of log, whichever is first."""
    retain_slots: int = 4_096
    """Chosen slots kept in memory below the checkpoint for followers that lag."""
    retain_bytes: int = 4 << 20
    """Bytes of those slots that are kept at most."""
    segment_bytes: int = 8 << 20
    peer_queue_bytes: int = 8 << 20
    """Bytes waiting for one peer or client before its connection is closed."""


class Topology(msgspec.Struct, frozen=True, dict=True):
    """The whole system. Account ids run from 1 to ``accounts``."""

    clusters: tuple[Cluster, ...]
    initial_balance: int
    timings: Timings = Timings()
    limits: Limits = Limits()
    lease: bool = False
    """Leaders answer ``lease`` reads by the clock alone; all nodes of the bank must agree on it."""

    @cached_property
    def accounts(self) -> int:
        return max((cluster.last_account for cluster in self.clusters), default=0)

    @cached_property
    def nodes(self) -> dict[NodeId, Node]:
        return {node.id: node for cluster in self.clusters for node in cluster.nodes}

    @cached_property
    def cluster_by_node(self) -> dict[NodeId, Cluster]:
        return {node.id: cluster for cluster in self.clusters for node in cluster.nodes}

    @cached_property
    def cluster_by_id(self) -> dict[ClusterId, Cluster]:
        return {cluster.id: cluster for cluster in self.clusters}

    def home(self, account: AccountId) -> Cluster | None:
        """The cluster that owned ``account`` at first; None when there is no such account."""
        for cluster in self.clusters:
            if cluster.first_account <= account <= cluster.last_account:
                return cluster
        return None
