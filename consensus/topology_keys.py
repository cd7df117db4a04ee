"""The keys of a topology file: what each means (written beside it) and what it may be."""

from __future__ import annotations

from typing import Final, NamedTuple

from consensus.codec import FRAME_BYTES_MAX
from consensus.types import BALANCE_MAX

ACCOUNTS_MAX: Final = 10_000_000
"""Each node keeps every account of its cluster in memory; about 200 bytes each."""
FILE_BYTES_MAX: Final = 1 << 20
ID_MAX: Final = 65_535
PORT_MAX: Final = 65_535
BASE_PORT: Final = 7101
MANY_NODES: Final = 15
"""Above this many nodes :func:`generate` doubles the election timeouts: they usually share one machine."""


class TopologyError(ValueError):
    """The file or the topology is not usable; the text names the key."""


class Key(NamedTuple):
    """What a key means, and the least and greatest value it may have."""

    comment: str
    least: float
    most: float


TOP: Final = {
    "initial_balance": Key("Money on each account in a fresh incarnation.", 0, BALANCE_MAX),
}
LEASE_COMMENT: Final = (
    "true: a leader answers lease reads by its clock alone, and nobody promises a ballot for\n"
    "# election_min_ms after an acknowledged heartbeat or a start. The same on every node; off by default."
)

CLUSTER_COMMENTS: Final = {
    "id": "Number of the cluster; unique.",
    "first_account": "Accounts it owns at first, both ends included; all ranges together are 1..N.",
    "last_account": "first_account - 1 means that it owns none yet.",
    "nodes": "Its replicas. The first one leads a fresh incarnation.",
}
NODE_COMMENT: Final = (
    "id: unique in the whole file · host: name or address the node listens on · port: 1-65535"
)

TIMINGS: Final = {
    "heartbeat_ms": Key("How often a leader tells its followers that it lives.", 1, 60_000),
    "election_min_ms": Key(
        "A follower that hears no leader for a time drawn between these two stands for election.", 4, 600_000
    ),
    "election_max_ms": Key(
        "Must be above election_min_ms; the spread keeps two candidates apart.", 5, 600_000
    ),
    "resend_ms": Key("Unanswered messages are sent again after this.", 1, 60_000),
    "batch_delay_ms": Key(
        "A further slot goes out while one is in flight when its batch is full or has waited this long.",
        0,
        1_000,
    ),
    "commit_delay_ms": Key(
        "How long a leader with nothing to propose waits before it tells followers what is chosen.", 0, 1_000
    ),
    "lock_wait_ms": Key(
        "How long a transaction waits for its accounts before it aborts with lock_timeout.", 1, 600_000
    ),
    "twopc_ms": Key("How long a coordinator waits for votes. Above lock_wait_ms.", 2, 600_000),
    "client_deadline_ms": Key("When a client gives up waiting for an outcome. Above twopc_ms.", 3, 3_600_000),
}

LIMITS: Final = {
    "batch_transactions": Key("Transactions in one slot.", 1, 16_384),
    "batch_bytes": Key("Bytes of one slot's value.", 2_048, FRAME_BYTES_MAX // 2),
    "window_slots": Key("Slots a leader may have in flight.", 1, 1_024),
    "queue_transactions": Key(
        "Transactions waiting at a leader; above it requests are refused as overloaded.", 1, 10_000_000
    ),
    "checkpoint_slots": Key("A checkpoint is due after this many slots ...", 1, 10_000_000),
    "checkpoint_bytes": Key("... or this many bytes of log, whichever is first.", 4_096, 1 << 32),
    "retain_slots": Key(
        "Chosen slots kept in memory below the checkpoint, for followers that lag.", 0, 10_000_000
    ),
    "retain_bytes": Key("Bytes of those slots that are kept at most.", 0, 1 << 32),
    "segment_bytes": Key("Size of one journal segment. Must hold at least two batches.", 65_536, 1 << 30),
    "peer_queue_bytes": Key(
        "Bytes waiting for one peer or client before its connection is closed.", FRAME_BYTES_MAX, 1 << 30
    ),
}
