"""What the parts of a replica share during a step: the clock, the outputs, the journal position."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol, TypeVar
from zlib import crc32

from consensus.effects import Append, Event, Outputs, Send
from consensus.messages.base import Message
from consensus.messages.records import Record
from consensus.topology import Cluster, Topology
from consensus.types import KEPT_PREFIX, NodeId, Position, SessionId, Slot, majority

LEASE_SHARE: Final = 0.6
"""Of the least election timeout: the leader's clock may run slower than the others' by as much."""
TOGETHER: Final = 4
"""Transactions of a session that follow each other and are sampled together; a power of two."""
_TOGETHER_BITS: Final = TOGETHER.bit_length() - 1
_MASK = (1 << 64) - 1


class AboutTx(Protocol):
    """A row about one transaction."""

    @property
    def session(self) -> SessionId: ...

    @property
    def number(self) -> int: ...


R = TypeVar("R", bound=AboutTx)


class Context:
    """One per replica. ``now_us`` and ``out`` are set anew for every step."""

    def __init__(self, node: NodeId, topology: Topology, seed: int, wall_offset_us: int = 0) -> None:
        self.wall_offset_us = wall_offset_us
        """Wall clock minus ``now_us``: stamps batches and the age of transactions, decides nothing."""
        self.me = node
        self.topology = topology
        self.cluster: Cluster = topology.cluster_by_node[node]
        self.members = self.cluster.members
        self.others = tuple(member for member in self.members if member != node)
        self.majority = majority(len(self.members))
        timings = topology.timings
        self.heartbeat_us = int(timings.heartbeat_ms * 1000)
        self.election_min_us = int(timings.election_min_ms * 1000)
        self.election_max_us = int(timings.election_max_ms * 1000)
        self.resend_us = int(timings.resend_ms * 1000)
        self.limits = topology.limits
        self.lease_us = int(timings.election_min_ms * 1000 * LEASE_SHARE) if topology.lease else 0
        """How long a leader may rely on a majority after a round was sent; 0: leases are off."""
        self.now_us = 0
        self.out = Outputs()
        self.position: Position = 0
        self.synced: Position = 0
        self.trace_level = 0
        """-1: nobody watches; 0: elections and what is kept; 1: slots and transactions, too."""
        self.sample_every = 1
        """While somebody watches, events of each so manyth transaction are wanted, see :func:`in_sample`."""
        self.tells_slots = True
        """While somebody watches: of every slot, not only of those whose Accept is marked as traced."""
        self.outcomes_applied = 0
        """Outcomes applied since this process began, which a sample is a share of."""
        self.counters: dict[str, float] = dict.fromkeys(COUNTERS, 0)
        self._seed = seed & _MASK
        self.life = _mix(self._seed ^ 0x5851F42D4C957F2D) >> 2
        """Names this process: where it starts to count what no other life of the node may count, too."""
        self._draws = 0

    def persist(self, record: Record, slot: Slot = 0) -> Position:
        """Append a record to the journal; returns its position."""
        self.position += 1
        self.out.persist.append(Append(record, slot))
        return self.position

    def send(self, to: tuple[NodeId, ...], message: Message, after: Position = 0) -> None:
        """Send to nodes of the cluster once the journal is synced up to ``after`` (0: at once)."""
        self.out.sends.append(Send(to, message, after))

    def tells_every_slot(self) -> bool:
        """Whether events of every slot are wanted."""
        return self.trace_level > 0 and self.tells_slots

    def traces(self, session: SessionId) -> bool:
        """Whether events of some transactions of a session are wanted: somebody watches, or they are kept."""
        return self.trace_level > 0 or session.startswith(KEPT_PREFIX)

    def traces_tx(self, session: SessionId, number: int) -> bool:
        """Whether events of this one are: it is kept, or somebody watches and it is in the sample."""
        if self.trace_level > 0 and in_sample(session, number, self.sample_every):
            return True
        return session.startswith(KEPT_PREFIX)

    def sampled(self, session: SessionId, numbers: Sequence[int]) -> list[int]:
        """Places in ``numbers`` of those transactions of ``session`` whose events are wanted.

        As :meth:`traces_tx`, for many at once: nearly all of a heavy load are not.
        """
        rest = (self.sample_every << _TOGETHER_BITS) - TOGETHER
        if session.startswith(KEPT_PREFIX) or (self.trace_level > 0 and not rest):
            return list(range(len(numbers)))
        if self.trace_level <= 0:
            return []
        start = crc32(session)
        lowest = start + min(numbers, default=0)
        if lowest & rest:
            # The next group begins where all bits below its size are 0.
            lowest += -lowest & (rest | (TOGETHER - 1))
        if lowest > start + max(numbers, default=-1):
            return []
        return [i for i, n in enumerate(numbers) if not (start + n) & rest]

    def traced_rows(self, rows: Iterable[R]) -> list[R]:
        """Rows about transactions whose events are wanted. As :meth:`traces_tx`, for many at once."""
        watched = self.trace_level > 0
        rest = (self.sample_every << _TOGETHER_BITS) - TOGETHER
        wanted: list[R] = []
        before = b""
        kept, start = False, 0
        for row in rows:
            session = row.session
            if session != before:
                before, kept, start = session, session.startswith(KEPT_PREFIX), crc32(session)
            if kept or (watched and not (start + row.number) & rest):
                wanted.append(row)
        return wanted

    def event(self, kind: str, **fields: Any) -> None:
        self.out.events.append(Event(kind, fields))

    def election_timeout_us(self) -> int:
        """Next timeout of this node's own sequence, uniform in [election_min, election_max)."""
        span = max(1, self.election_max_us - self.election_min_us)
        return self.election_min_us + self.draw() % span

    def draw(self) -> int:
        """The next number of this node's own sequence, 63 bits."""
        self._draws += 1
        return _mix(self._seed + self._draws * 0x9E3779B97F4A7C15) >> 1


def in_sample(session: SessionId, number: int, every: int) -> bool:
    """Whether a transaction is in the sample of each ``every``th one, a power of two.

    :data:`TOGETHER` that follow each other in a session are in it together: what comes together goes into one
    slot, whose messages, told of once, are about all of them. Sessions begin at different places, every node
    takes the same ones, a smaller sample is part of each greater one, and the least number from which on one
    is in it is known without a look at those before.
    """
    return not (crc32(session) + number) & ((every << _TOGETHER_BITS) - TOGETHER)


def _mix(x: int) -> int:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014): 64 well mixed bits of ``x``."""
    x &= _MASK
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & _MASK
    return x ^ (x >> 31)


COUNTERS = (
    "transactions_total",
    "transactions_committed",
    "transactions_failed",
    "twopc_coordinator",
    "twopc_participant",
    "twopc_commits",
    "twopc_aborts",
    "transaction_time_ms_sum",
    "transaction_time_ms_count",
    "twopc_time_ms_sum",
    "twopc_time_ms_count",
    "elections_started",
    "elections_won",
    "proposals_made",
    "proposals_accepted",
    "locks_acquired",
    "locks_timed_out",
)
"""Resettable counters of the contract; ``uptime_s`` is the shell's."""
