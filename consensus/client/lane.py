"""The traffic of one cluster: finding its leader, submitting, sending again, taking refusals.

What goes out in one turn of the event loop leaves as one message. Nothing here makes a task or a
future per transaction, and a lane has no timer of its own: the client's tick drives it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from consensus import codec
from consensus.client.connection import NodeLink
from consensus.client.routing import Leadership
from consensus.client.session import Pending, Session
from consensus.messages.client import Leads, Open, Opened, Refusal, Refused, Submit, WhoLeads
from consensus.messages.entries import Item
from consensus.topology import Cluster
from consensus.types import AccountId, ClusterId, NodeId, SessionId

SILENT_S: Final = 0.1
"""A leader that says nothing for so long, while something is outstanding, is asked whether it still leads."""
DEAF_S: Final = 0.15
"""After this the others are asked, too: not at once, because each has to be dialled first, and a leader that
is merely slow would be slowed down further by all its clients doing so."""
PROBE_WAIT_MAX_S: Final = 0.4
"""Between two rounds of asking; it starts at ``SILENT_S`` and doubles."""
RESEND_S: Final = 0.15
"""An attempt without an answer is followed by another after this, doubled each time up to eight times."""
PATIENCE_S: Final = 0.35
"""Added to that while the leader answers other things: it works, and has the first copy."""
RETRY_MIN_S: Final = 0.005
RETRY_MAX_S: Final = 0.5
"""Bounds of the wait after a refusal; the node's ``retry_after_ms`` counts within them."""
RETRY_PLAIN_S: Final = 0.05
"""Wait after a refusal that names no time."""
SUBMIT_INTS_MAX: Final = 5_000
"""Integers (numbers, accounts, deltas) in one Submit: at most 9 bytes each, so within a 64 KiB chunk."""


class Host(Protocol):
    """What a lane needs of its client."""

    def now(self) -> float:
        """The monotonic clock, seconds."""

    def call_soon(self, callback: Callable[[], None]) -> None: ...

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None: ...

    def link(self, node: NodeId) -> NodeLink:
        """The connection to ``node``, dialled if it was not yet."""

    def session(self, session_id: SessionId) -> Session | None: ...

    def open_sessions(self) -> Iterable[Session]: ...

    def route(self, pending: Pending) -> None:
        """Submit ``pending`` (again) to the cluster that owns its payer now, as far as is known."""

    def clusters_of(self, legs: tuple[int, ...]) -> tuple[ClusterId, ...]:
        """The clusters that a transaction touches, its coordinator first."""

    def clusters_of_accounts(self, accounts: tuple[AccountId, ...]) -> tuple[ClusterId, ...]:
        """The clusters that own any of ``accounts``."""

    def give_up(self, pending: Pending) -> None:
        """End ``pending`` without an outcome: unknown, or the last refusal."""

    def session_lost(self, session: Session) -> None:
        """A cluster forgot ``session``: use it for nothing new."""

    def lane_ready(self, lane: Lane) -> None:
        """A session was opened in the lane's cluster."""

    def leader_up(self, lane: Lane) -> None:
        """There is a new leader, or a new connection to it."""


class Lane:
    """One cluster as seen by one client.

    Attributes:
        id: the cluster's id.
        leadership: who is asked, and why.
    """

    def __init__(self, cluster: Cluster, host: Host) -> None:
        self.id = cluster.id
        self.leadership = Leadership(cluster)
        self._members = cluster.members
        self._host = host
        self._queue: list[Pending] = []
        self._flush_due = False
        self._opening: dict[SessionId, float] = {}
        self._probed_s = 0.0
        self._probe_wait_s = SILENT_S

    # --- leader -----------------------------------------------------------

    @property
    def leader_link(self) -> NodeLink | None:
        """The connection to the leader, None while there is none to send on."""
        leader = self.leadership.leader
        if not leader:
            return None
        link = self._host.link(leader)
        return link if link.up else None

    def some_link(self, turn: int) -> NodeLink | None:
        """A connection to some node of the cluster, by ``turn``; None while none is up."""
        links = [link for node in self._members if (link := self._host.link(node)).up]
        return links[turn % len(links)] if links else None

    def follower_link(self, turn: int) -> NodeLink | None:
        """A connection to a follower, by ``turn``; the leader's while there is no other."""
        leader = self.leadership.leader
        links = [link for node in self._members if node != leader and (link := self._host.link(node)).up]
        return links[turn % len(links)] if links else self.leader_link

    def probe(self) -> None:
        """Ask every node of the cluster who leads; those that know nobody tell when they do."""
        now = self._host.now()
        if now - self._probed_s < self._probe_wait_s:
            return
        self._probed_s = now
        self._probe_wait_s = min(2 * self._probe_wait_s, PROBE_WAIT_MAX_S)
        question = codec.encode(WhoLeads())
        for node in self._members:
            self._host.link(node).send(question)

    def heard_leads(self, link: NodeLink, message: Leads) -> None:
        if self.leadership.heard_leads(link.node.id, message.ballot, message.leader):
            self._leader_changed()

    def heard_redirect(self, link: NodeLink, hint: NodeId) -> None:
        """A node does not lead; it names ``hint``, or 0."""
        if self.leadership.heard_refusal(link.node.id, hint):
            self._leader_changed()

    def _leader_changed(self) -> None:
        """Everything that the last leader left unanswered goes to the new one."""
        self._opening.clear()
        if not self.leadership.leader:
            self.probe()
        elif self._host.link(self.leadership.leader).up:
            self.resend_all()

    def link_up(self, link: NodeLink) -> None:
        link.send(codec.encode(WhoLeads()))
        if link.node.id == self.leadership.leader:
            self._opening.clear()
            self.resend_all()

    def link_lost(self, link: NodeLink) -> None:
        if link.node.id == self.leadership.leader:
            self.probe()

    # --- out --------------------------------------------------------------

    def submit(self, pending: Pending) -> None:
        """Send ``pending`` at the end of this turn of the loop, or as soon as a leader is there."""
        self._queue.append(pending)
        if not self._flush_due:
            self._flush_due = True
            self._host.call_soon(self.flush)

    def flush(self) -> None:
        """Send what is queued, for every session that is open in the cluster."""
        self._flush_due = False
        link = self.leader_link
        if link is None or not self._queue:
            return
        queue, self._queue = self._queue, []
        now = self._host.now()
        session: Session | None = None
        items: list[Item] = []
        size = 0
        for pending in queue:
            if pending.done:
                continue
            owner = pending.session
            if self.id not in owner.opened:
                self._queue.append(pending)
                self._open(link, owner, now)
                continue
            item = pending.item
            if owner is not session or size > SUBMIT_INTS_MAX:
                self._send(link, session, items)
                session, items, size = owner, [], 0
            items.append(item)
            size += 1 + len(item.legs) + len(item.conditions)
            pending.queued = False
            pending.sent_to = link.node.id
            pending.resend_s = now + RESEND_S * (1 << min(pending.attempts, 3))
            pending.attempts += 1
            pending.unanswered += 1
        self._send(link, session, items)

    def _send(self, link: NodeLink, session: Session | None, items: list[Item]) -> None:
        if session is not None and items:
            link.send(codec.encode(Submit(session.id, session.settled_below, items)))

    def _open(self, link: NodeLink, session: Session, now: float) -> None:
        if now - self._opening.get(session.id, 0.0) >= RESEND_S:
            self._opening[session.id] = now
            link.send(codec.encode(Open(session.id)))

    def prepare(self, session: Session) -> None:
        """Open ``session`` before it is needed, as soon as a leader is there."""
        link = self.leader_link
        if link is not None and self.id not in session.opened:
            self._open(link, session, self._host.now())

    def resend(self, pendings: Iterable[Pending]) -> None:
        """Queue further attempts; those already queued or answered are left alone."""
        for pending in pendings:
            if not pending.queued and not pending.done:
                pending.queued = True
                self.submit(pending)

    def resend_all(self) -> None:
        """Queue everything of this cluster that has no answer; open sessions that are not yet."""
        for session in self._host.open_sessions():
            self.prepare(session)
            self.resend([p for p in session.pending.values() if p.clusters[0] == self.id])
        if self._queue:
            self.flush()
        self._host.leader_up(self)

    # --- in ---------------------------------------------------------------

    def heard_opened(self, message: Opened) -> None:
        session = self._host.session(message.session)
        if session is None or message.cluster != self.id:
            return
        self._opening.pop(message.session, None)
        session.opened.add(self.id)
        self._host.lane_ready(self)
        self.flush()

    def heard_refused(self, link: NodeLink, message: Refused) -> None:
        session = self._host.session(message.session)
        if session is None:
            if message.reason == Refusal.NOT_LEADER:
                self.heard_redirect(link, message.leader)
            return
        pendings = session.pending
        refused = [p for number in message.numbers if (p := pendings.get(number)) is not None]
        for pending in refused:
            pending.refusal = message.reason
            if pending.unanswered:
                pending.unanswered -= 1
        if not message.numbers:
            # May be about an Open: a copy sent after it is not refused by this, so none is counted off.
            refused = [p for p in pendings.values() if p.clusters[0] == self.id and p.attempts]
        node = link.node.id
        self._act_on(link, session, message, [p for p in refused if not p.queued and p.sent_to == node])

    def _act_on(self, link: NodeLink, session: Session, message: Refused, refused: list[Pending]) -> None:
        reason = message.reason
        if reason == Refusal.NOT_LEADER:
            self._opening.pop(session.id, None)
            self.resend(refused)
            self.heard_redirect(link, message.leader)
        elif reason == Refusal.UNSUPPORTED:
            for pending in refused:
                self._host.give_up(pending)
        elif reason == Refusal.SESSION_UNKNOWN and self.id not in session.opened:
            self._opening.pop(session.id, None)
            self.resend(refused)
        elif reason in (Refusal.SESSION_UNKNOWN, Refusal.SESSION_EXPIRED):
            if message.numbers and not refused:
                # About a late copy of what has been answered meanwhile, here or by the payer's new owner.
                return
            # Opening it again could run a number twice whose outcome was forgotten with the session.
            self._host.session_lost(session)
            for pending in refused:
                self._host.give_up(pending)
        elif refused:
            # What the refusal taught leads elsewhere at once; the others wait for news to spread.
            wait: list[Pending] = []
            for pending in refused:
                if self._host.clusters_of(pending.item.legs)[0] == self.id:
                    wait.append(pending)
                else:
                    pending.queued = True
                    self._host.route(pending)
            if wait:
                self._retry_later(message, wait)

    def _retry_later(self, message: Refused, refused: list[Pending]) -> None:
        delay_s = message.retry_after_ms / 1e3 if message.retry_after_ms > 0 else RETRY_PLAIN_S
        if message.reason == Refusal.OVERLOADED:
            # Doubling, and a random part, so that the refused do not come back all at once.
            delay_s *= (1 << min(refused[0].attempts - 1, 3)) * random.uniform(1.0, 1.5)
        for pending in refused:
            pending.queued = True
        self._host.call_later(min(max(delay_s, RETRY_MIN_S), RETRY_MAX_S), lambda: self._requeue(refused))

    def _requeue(self, refused: list[Pending]) -> None:
        for pending in refused:
            if not pending.done:
                self._host.route(pending)

    # --- time -------------------------------------------------------------

    def tick(self, now: float, busy_since_s: float) -> None:
        """Every 50 ms while anything (reads too) waits here, since ``busy_since_s``."""
        link = self.leader_link
        silent_s = now - max(link.heard_s, busy_since_s) if link is not None else DEAF_S
        if silent_s <= SILENT_S:
            self._probe_wait_s = SILENT_S
        elif silent_s < DEAF_S and link is not None:
            link.send(codec.encode(WhoLeads()))
        else:
            self.probe()
        if self._queue:
            self.flush()

    def patience_s(self, now: float) -> float:
        """How much longer than usual to wait for an answer before sending again."""
        leader = self.leadership.leader
        talks = leader and now - self._host.link(leader).heard_s < SILENT_S
        return PATIENCE_S if talks else 0.0

    def reset(self) -> None:
        """A new incarnation: what was queued was given up by the client, leaders start again."""
        self.leadership.reset()
        self._queue.clear()
        self._opening.clear()
