"""Reads of one client: joined per turn of the loop, sent again while unanswered, ended at their deadline.

Linearizable and lease reads go to the leader, to any other node while there is no way to a leader: that one
asks it. The other levels are spread over the followers; what a follower cannot answer goes to the leader at
once. A read changes nothing, so it may be repeated freely and never ends ``unknown``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from consensus import codec
from consensus.client.connection import NodeLink
from consensus.client.lane import RESEND_S, Host, Lane
from consensus.client.results import ReadValues, refusal_name, status_name
from consensus.messages.client import Level, Read, ReadItem, ReadRefused, ReadReplies, Refusal
from consensus.types import ClusterId, NodeId

READS_MAX: Final = 1_000
"""Reads in one message."""
REFUSED_WAIT_S: Final = 0.02
"""Wait before a refused read is asked again."""
BOUND_MS_DEFAULT: Final = 1_000
"""Greatest age of a bounded read whose caller names none."""
FOLLOWER_LEVELS: Final = frozenset((Level.RYW, Level.BOUNDED, Level.EVENTUAL))
WAIT_SHARE: Final = 0.9
"""Of the time to the deadline: how long a node may keep a read, so that its reason arrives before the end."""

OnRead = Callable[[ReadValues], None]


class PendingRead(msgspec.Struct, gc=False, eq=False):
    """A read without an answer. ``resend_s``: when it is sent again if none comes."""

    item: ReadItem
    cluster: ClusterId
    on_done: OnRead
    started_s: float
    deadline_s: float
    resend_s: float = 0.0
    refusal: int = 0
    attempts: int = 0
    to_leader: bool = False
    """A follower could not answer: the next attempt is the leader's."""


class Reads:
    """All reads of a client that have no answer yet."""

    def __init__(self, host: Host, lanes: dict[ClusterId, Lane]) -> None:
        self._host = host
        self._lanes = lanes
        self._pending: dict[int, PendingRead] = {}
        self._next_request = 1
        self._fresh: list[PendingRead] = []
        self._flush_due = False

    def __len__(self) -> int:
        return len(self._pending)

    def new_request(self) -> int:
        """A number for a :class:`ReadItem`."""
        request = self._next_request
        self._next_request = request + 1
        return request

    def submit(self, read: PendingRead) -> None:
        """Send ``read`` at the end of this turn of the loop, or when its cluster has a leader."""
        self._pending[read.item.request] = read
        self._fresh.append(read)
        if not self._flush_due:
            self._flush_due = True
            self._host.call_soon(self._flush_fresh)

    def busy_since_s(self) -> dict[ClusterId, float]:
        """When the oldest read without an answer was asked, of each cluster that has one."""
        oldest: dict[ClusterId, float] = {}
        for read in self._pending.values():
            oldest.setdefault(read.cluster, read.started_s)
        return oldest

    def _flush_fresh(self) -> None:
        self._flush_due = False
        fresh, self._fresh = self._fresh, []
        self._send(fresh)

    def send_due(self) -> None:
        """Send what was never sent, or was not answered for a while."""
        now = self._host.now()
        self._send([read for read in self._pending.values() if read.resend_s <= now])

    def _send(self, reads: list[PendingRead]) -> None:
        resend_s = self._host.now() + RESEND_S
        links: dict[NodeId, NodeLink] = {}
        batches: dict[NodeId, list[ReadItem]] = {}
        for read in reads:
            read.resend_s = resend_s
            link = self._link_for(read)
            if link is not None:
                links[link.node.id] = link
                batches.setdefault(link.node.id, []).append(read.item)
        for node, batch in batches.items():
            for first in range(0, len(batch), READS_MAX):
                links[node].send(codec.encode(Read(batch[first : first + READS_MAX])))

    def _link_for(self, read: PendingRead) -> NodeLink | None:
        """Whom to ask now; each further attempt of what followers may answer asks another node."""
        lane = self._lanes[read.cluster]
        turn = read.item.request + read.attempts
        read.attempts += 1
        if read.item.level in FOLLOWER_LEVELS and not read.to_leader:
            return lane.follower_link(turn) if read.attempts == 1 else lane.some_link(turn)
        read.to_leader = False
        return lane.leader_link or lane.some_link(turn)

    def leader_up(self, cluster: ClusterId) -> None:
        """There is a new leader, or a new connection to it: ask it everything."""
        if self._pending:
            self._send([read for read in self._pending.values() if read.cluster == cluster])

    # --- in ---------------------------------------------------------------

    def heard_replies(self, message: ReadReplies) -> None:
        now = self._host.now()
        for result in message.results:
            read = self._pending.pop(result.request, None)
            if read is None:
                continue
            flat = result.values
            values = {account: (flat[2 * i], flat[2 * i + 1]) for i, account in enumerate(read.item.accounts)}
            latency_ms = (now - read.started_s) * 1e3
            read.on_done(ReadValues("ok", None, read.cluster, result.slot, values, message.epoch, latency_ms))

    def heard_refused(self, link: NodeLink, message: ReadRefused) -> None:
        now = self._host.now()
        elsewhere: list[PendingRead] = []
        for request in message.requests:
            read = self._pending.get(request)
            if read is None:
                continue
            if message.reason <= 0 or message.reason == Refusal.UNSUPPORTED:
                self._end(read, message.reason, now)
                continue
            read.refusal = message.reason
            read.resend_s = now + REFUSED_WAIT_S
            if message.reason == Refusal.WRONG_OWNER and not self._follow(read):
                self._end(read, message.reason, now)
                continue
            if read.item.level in FOLLOWER_LEVELS and message.reason == Refusal.NOT_LEADER:
                read.to_leader = True
                if self._lanes[read.cluster].leadership.leader not in (0, link.node.id):
                    elsewhere.append(read)
        self._send(elsewhere)
        if message.reason == Refusal.NOT_LEADER:
            for lane in self._lanes.values():
                lane.heard_redirect(link, message.leader)
        self._host.call_later(REFUSED_WAIT_S, self.send_due)

    def _follow(self, read: PendingRead) -> bool:
        """Ask the accounts' new owner. False when they have come to lie in several clusters."""
        clusters = self._host.clusters_of_accounts(read.item.accounts)
        read.cluster = clusters[0]
        return len(clusters) == 1

    def _end(self, read: PendingRead, reason: int, now: float) -> None:
        del self._pending[read.item.request]
        word = refusal_name(reason) if reason >= 0 else status_name(-reason)
        latency_ms = (now - read.started_s) * 1e3
        read.on_done(ReadValues("refused", word, read.cluster, 0, {}, 0, latency_ms))

    # --- time -------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Every 50 ms: end what is past its deadline, ask again what is unanswered."""
        for read in [read for read in self._pending.values() if now >= read.deadline_s]:
            self._end(read, read.refusal, now)
        self.send_due()

    def reset(self) -> None:
        """The client closes: end every read."""
        now = self._host.now()
        for read in list(self._pending.values()):
            self._end(read, read.refusal, now)
