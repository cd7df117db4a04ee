"""The client's engine: sessions, lanes, answers, deadlines. Callbacks only, no task per transaction."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from consensus.client.connection import NodeLink
from consensus.client.errors import ClientError, ClientSaturatedError
from consensus.client.lane import Lane
from consensus.client.reads import Reads
from consensus.client.resolves import Resolves
from consensus.client.results import REFUSED, UNKNOWN, TxResult, from_outcome, refusal_name
from consensus.client.routing import Directory
from consensus.client.session import OnDone, Pending, Session, Unsettled
from consensus.messages.client import Leads, Opened, ReadRefused, ReadReplies, Refused, Replies
from consensus.messages.control import Role
from consensus.messages.entries import Item
from consensus.topology import Topology
from consensus.types import (
    AMBIENT_PREFIX,
    KEPT_PREFIX,
    AccountId,
    ClusterId,
    NodeId,
    SessionId,
    TxId,
)

TICK_S: Final = 0.05
OUTSTANDING_MAX: Final = 16_384
"""Transactions without an answer in one client, over all its sessions."""
SESSIONS_KEPT_MAX: Final = 16
"""Earlier sessions whose unknown transactions the client still knows how to resolve."""

_log = logging.getLogger(__name__)


def age_now_us() -> int:
    """Wall clock, µs: the age of a wish that begins now (see ``submit_nowait``)."""
    return time.time_ns() // 1_000


class ClientCore:
    """Everything of the client that runs on the event loop; see :class:`consensus.client.bank.BankClient`.

    One session per client. A new one is begun when the old one cannot go on: an unknown transaction
    that nobody resolved keeps its number open, and the span of open numbers is bounded; or the
    cluster forgot the session; or the bank was reset.
    """

    def __init__(self, topology: Topology, secret: str, *, name: str = "client") -> None:
        self.topology = topology
        self.directory = Directory(topology)
        self.incarnation = 0
        """Life of the bank that the client talks to; 0 until a node told it."""
        self._secret = secret
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._links: dict[NodeId, NodeLink] = {}
        self._lanes: dict[ClusterId, Lane] = {
            cluster.id: Lane(cluster, self) for cluster in topology.clusters
        }
        self._lane_by_node = {node: self._lanes[c.id] for c in topology.clusters for node in c.members}
        self._reads = Reads(self, self._lanes)
        self._resolves = Resolves(self, self._lanes)
        self._session = Session()
        self._marked: dict[bytes, Session] = {}
        """By the prefix of their ids, sessions of transactions told from others by it."""
        self._sessions: dict[SessionId, Session] = {self._session.id: self._session}
        self._eager: set[ClusterId] = set()
        self._opened = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._running = False
        self._deadline_s = topology.timings.client_deadline_ms / 1e3

    # --- the lanes' view (lane.Host) --------------------------------------

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise ClientError("the client is not started; call start() first")
        return self._loop

    def require_running(self) -> None:
        """Raise ClientError before :meth:`start` and after :meth:`close`."""
        if not self._running:
            raise ClientError("the client is not started, or closed")

    def now(self) -> float:
        # Not the loop's time: uvloop's counts whole milliseconds and stands still within a turn.
        return time.monotonic()

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.loop.call_soon(callback)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        self.loop.call_later(delay_s, callback)

    def link(self, node: NodeId) -> NodeLink:
        link = self._links.get(node)
        if link is None:
            address = self.topology.nodes[node]
            link = NodeLink(address, self._secret, Role.CLIENT, self, name=self._name)
            self._links[node] = link
            if self._running:
                link.open()
        return link

    def session(self, session_id: SessionId) -> Session | None:
        return self._sessions.get(session_id)

    def open_sessions(self) -> Iterable[Session]:
        return list(self._sessions.values())

    def lane_ready(self, lane: Lane) -> None:
        self._opened.set()

    def leader_up(self, lane: Lane) -> None:
        self._reads.leader_up(lane.id)
        self._resolves.leader_up(lane.id)

    def session_lost(self, session: Session) -> None:
        _log.warning("a cluster forgot session %s of %s; going on in a new one", session.id.hex(), self._name)
        if session is self._session:
            self._new_session()
        elif self._marked.get(session.prefix) is session:
            del self._marked[session.prefix]

    # --- submit -----------------------------------------------------------

    def submit_nowait(
        self,
        legs: tuple[int, ...],
        on_done: OnDone,
        conditions: tuple[int, ...] = (),
        deadline_s: float | None = None,
        tx_id: TxId | None = None,
        age_us: int = 0,
    ) -> TxId:
        """Submit a transaction; ``on_done`` is called once with its :class:`TxResult`, on the loop.

        The hot path: no task, no future. Call it on the event loop only.

        Args:
            legs: flat account, delta, …; integers within ±2**62. What else is wrong with them
                (not summing to zero, no such account) the cluster answers as an abort.
            on_done: must not block.
            conditions: flat triples account, kind, value (see ``messages.entries.Condition``).
            deadline_s: seconds until the client gives up; None for the topology's client deadline.
            tx_id: an id from :meth:`new_tx_id` that was not used yet; None for a fresh one.
            age_us: :func:`age_now_us` at the first attempt, given to each further one (under its own id) when
                attempts at the same wish lose lock conflicts: it gets older than its rivals that way. 0: now.

        Raises:
            ClientSaturatedError: too many transactions wait for an answer already.
            ClientError: not started, or ``tx_id`` is not an unused one of this client.
        """
        if not self._running:
            self.require_running()
        clusters = self.directory.clusters_of(legs)
        session = self._session
        if tx_id is not None:
            session, number = self._reserved(tx_id)
        else:
            if session.full:
                session = self._next_session()
            number = session.take_number()
            tx_id = TxId(session.id, number)
        now = time.monotonic()
        deadline = now + (self._deadline_s if deadline_s is None else deadline_s)
        pending = Pending(Item(number, legs, conditions, age_us), session, clusters, on_done, now, deadline)
        session.pending[number] = pending
        self._lanes[clusters[0]].submit(pending)
        return tx_id

    def new_tx_id(self, *, keep: bool = False, ambient: bool = False) -> TxId:
        """Reserve an id, to store it before the transaction is submitted under it.

        A reserved id that is never used keeps its session's numbers open; call :meth:`drop_tx_id`.

        Args:
            keep: nodes record the transaction in full (see ``types.KEPT_PREFIX``).
            ambient: its id tells that nobody asked for it (see ``types.AMBIENT_PREFIX``).
        """
        prefix = KEPT_PREFIX if keep else AMBIENT_PREFIX if ambient else b""
        session = self._marked.get(prefix) if prefix else self._session
        if session is None or session.full:
            session = self._next_session(prefix)
        return TxId(session.id, session.reserve())

    def drop_tx_id(self, tx_id: TxId) -> None:
        """Give an id back that nothing was submitted under."""
        session, number = self._reserved(tx_id)
        session.settle(number)

    def _reserved(self, tx_id: TxId) -> tuple[Session, int]:
        session = self._sessions.get(tx_id.session)
        if session is None or not session.is_reserved(tx_id.number):
            raise ClientError(
                f"{tx_id} is not an unused id of this client; use resolve() for one that was submitted"
            )
        return session, tx_id.number

    def _next_session(self, prefix: bytes = b"") -> Session:
        outstanding = sum(len(session.pending) for session in self._sessions.values())
        if outstanding >= OUTSTANDING_MAX:
            raise ClientSaturatedError(
                f"{outstanding} transactions wait for an answer; submit more slowly or wait for some to end"
            )
        return self._new_session(prefix)

    def _new_session(self, prefix: bytes = b"") -> Session:
        fresh = Session(prefix=prefix)
        if prefix:
            self._marked[prefix] = fresh
        else:
            self._session = fresh
        used = list(self._marked.values())
        kept = [session for session in self._sessions.values() if not session.idle or session in used]
        spare = len(kept) - SESSIONS_KEPT_MAX
        idle = [session for session in kept if not session.pending and session not in used]
        for session in idle[: max(spare, 0)]:
            kept.remove(session)
        self._sessions = {session.id: session for session in [*kept, self._session, fresh]}
        for cluster in self._eager:
            self._lanes[cluster].prepare(fresh)
        return fresh

    # --- connections (connection.LinkOwner) -------------------------------

    def link_up(self, link: NodeLink, incarnation: int) -> None:
        if self._take_incarnation(incarnation):
            self._lane_by_node[link.node.id].link_up(link)

    def link_lost(self, link: NodeLink) -> None:
        self._lane_by_node[link.node.id].link_lost(link)

    def heard(self, link: NodeLink, incarnation: int, messages: list[Any]) -> None:
        """Messages of one frame."""
        if incarnation != self.incarnation and not self._take_incarnation(incarnation):
            return
        for message in messages:
            kind = type(message)
            if kind is Replies:
                self._heard_replies(link, message)
            elif kind is ReadReplies:
                self._reads.heard_replies(message)
            elif kind is Refused:
                if message.owners:
                    self.directory.learn(message.owners)
                self._resolves.heard_refused(message)
                self._lane_by_node[link.node.id].heard_refused(link, message)
            elif kind is ReadRefused:
                if message.owners:
                    self.directory.learn(message.owners)
                self._reads.heard_refused(link, message)
            elif kind is Leads:
                self._lane_by_node[link.node.id].heard_leads(link, message)
            elif kind is Opened:
                self._lane_by_node[link.node.id].heard_opened(message)

    def _heard_replies(self, link: NodeLink, message: Replies) -> None:
        session = self._sessions.get(message.session)
        now = self.now()
        epoch = message.epoch
        self._lane_by_node[link.node.id].leadership.heard_outcome()
        asked = len(self._resolves)
        for number, outcome in zip(message.numbers, message.outcomes, strict=False):
            if asked:
                tx_id = TxId(message.session, number)
                if self._resolves.heard_outcome(tx_id, outcome, epoch) and session is not None:
                    session.settle(number)
            if session is None:
                continue
            pending = session.pending.pop(number, None)
            if pending is None:
                unsettled = session.unknown.get(number)
                if unsettled is not None:
                    unsettled.stored, unsettled.epoch = outcome, epoch
                continue
            session.settle(number)
            pending.done = True
            result = from_outcome(
                TxId(session.id, number),
                pending.clusters,
                pending.item.legs,
                outcome,
                epoch,
                (now - pending.started_s) * 1e3,
            )
            self._call(pending, result)

    def clusters_of(self, legs: tuple[int, ...]) -> tuple[ClusterId, ...]:
        return self.directory.clusters_of(legs)

    def clusters_of_accounts(self, accounts: tuple[AccountId, ...]) -> tuple[ClusterId, ...]:
        return self.directory.clusters_of_accounts(accounts)

    def route(self, pending: Pending) -> None:
        pending.clusters = self.directory.clusters_of(pending.item.legs)
        self._lanes[pending.clusters[0]].submit(pending)

    def _call(self, pending: Pending, result: TxResult) -> None:
        try:
            pending.on_done(result)
        except Exception:
            _log.exception("the callback of transaction %s failed", result.id)

    def _take_incarnation(self, incarnation: int) -> bool:
        """Returns false for a node that still lives in an earlier incarnation."""
        if incarnation < self.incarnation:
            return False
        if incarnation > self.incarnation:
            before, self.incarnation = self.incarnation, incarnation
            if before:
                self._reset()
        return True

    def _reset(self) -> None:
        """The bank was reset: what was outstanding may have happened in the life that is gone."""
        _log.info("the bank was reset (incarnation %d)", self.incarnation)
        before = list(self._sessions.values())
        self._sessions.clear()
        self._marked.clear()
        self.directory.forget()
        for lane in self._lanes.values():
            lane.reset()
        self._new_session()
        self._resolves.reset()
        for session in before:
            for pending in list(session.pending.values()):
                self.give_up(pending)

    # --- time -------------------------------------------------------------

    def give_up(self, pending: Pending) -> None:
        """End ``pending`` without an outcome: unknown if an attempt went unanswered, else refused."""
        session, number = pending.session, pending.item.number
        if session.pending.pop(number, None) is None:
            return
        pending.done = True
        reason = refusal_name(pending.refusal)
        outcome = REFUSED
        if pending.unanswered:
            outcome = UNKNOWN
            reason = reason if pending.refusal else "no_answer"
            session.hold_unknown(number, Unsettled(pending.clusters, pending.item.legs))
        else:
            session.settle(number)
        latency_ms = (self.now() - pending.started_s) * 1e3
        legs = pending.item.legs
        self._call(
            pending,
            TxResult(TxId(session.id, number), outcome, reason, pending.clusters, legs, None, 0, latency_ms),
        )

    def _tick(self) -> None:
        """Every 50 ms: deadlines, further attempts, silent leaders."""
        self._timer = self.loop.call_later(TICK_S, self._tick)
        now = self.now()
        oldest: dict[ClusterId, float] = {}
        patience: dict[ClusterId, float] = {}
        for session in list(self._sessions.values()):
            overdue = []
            for pending in session.pending.values():
                if now >= pending.deadline_s:
                    overdue.append(pending)
                    continue
                cluster = pending.clusters[0]
                if cluster not in oldest:
                    oldest[cluster] = pending.started_s
                    patience[cluster] = self._lanes[cluster].patience_s(now)
                if not pending.queued and now >= pending.resend_s + patience[cluster]:
                    self._lanes[cluster].resend((pending,))
            for pending in overdue:
                self.give_up(pending)
        for questions in (self._reads, self._resolves):
            if questions:
                questions.tick(now)
                for cluster, since in questions.busy_since_s().items():
                    oldest[cluster] = min(since, oldest.get(cluster, since))
        for cluster in self._eager - self._session.opened:
            self._lanes[cluster].prepare(self._session)
            oldest[cluster] = 0.0
        for cluster, since in oldest.items():
            self._lanes[cluster].tick(now, since)
