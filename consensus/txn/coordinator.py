"""The coordinator's leader: sends prepares, counts votes, proposes and sends decisions.

Everything here is volatile: what must survive is in the log (P, then C or A). A new leader rebuilds it from
the state: what is prepared without a decision is asked for again with a fresh deadline, what is decided is
sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from consensus.bank.cross import Prepared, Unfinished, others_of
from consensus.bank.state import BankState
from consensus.bank.twophase import decision_row, part_rows
from consensus.messages.client import Status
from consensus.messages.entries import CrossItem, DecideRow
from consensus.messages.txn import (
    MOVED,
    DecisionRow,
    PrepareRow,
    TxAck,
    TxDecision,
    TxPrepare,
    TxRow,
    TxVote,
    VoteRow,
)
from consensus.paxos.context import Context
from consensus.shards import ShardMap
from consensus.txn.doubts import verdict
from consensus.txn.groups import Groups
from consensus.types import ClusterId, SessionId, Slot, TxId

ROWS_MAX: Final = 512
"""Rows of one message."""
NOT_TOLD: Final = (-1, -1)
"""Version and balance of a leg whose cluster did not say."""


class OpenTx:
    """A transaction that waits for votes. ``prepared`` is set when its own P is applied."""

    __slots__ = ("at", "deadline_us", "prepared", "rows", "sent_us", "started_us", "votes")

    def __init__(self, at: Slot, rows: dict[ClusterId, PrepareRow], now_us: int, deadline_us: int) -> None:
        self.at = at
        self.rows = rows
        self.votes: dict[ClusterId, VoteRow] = {}
        self.prepared: Prepared | None = None
        self.started_us = now_us
        self.sent_us = now_us
        self.deadline_us = deadline_us


class Unacked:
    """A decision that some participants have not acknowledged."""

    __slots__ = ("row", "sent_us", "waiting")

    def __init__(self, row: DecisionRow, waiting: set[ClusterId], now_us: int) -> None:
        self.row = row
        self.waiting = waiting
        self.sent_us = now_us


class Coordinator:
    """Open transactions of one leadership of the coordinating cluster."""

    def __init__(
        self,
        ctx: Context,
        groups: Groups,
        state: Callable[[], BankState],
        decide: Callable[[DecideRow], None],
        finish: Callable[[TxRow], None],
        shards: ShardMap,
    ) -> None:
        self._ctx = ctx
        self._shards = shards
        self._groups = groups
        self._state = state
        self._decide = decide
        self._finish = finish
        self._deadline_us = int(ctx.topology.timings.twopc_ms * 1000)
        self._open: dict[TxId, OpenTx] = {}
        self._unacked: dict[TxId, Unacked] = {}
        self._look_us = 0
        """Nothing has to be sent again or given up before."""
        self._prepares: dict[tuple[ClusterId, bool], list[PrepareRow]] = {}
        self._decisions: dict[tuple[ClusterId, bool], list[DecisionRow]] = {}

    def knows(self, tx: TxId) -> bool:
        return tx in self._open

    # --- phase one -------------------------------------------------------------------

    def begin(self, session: SessionId, item: CrossItem, at: Slot) -> None:
        """The own P is proposed for slot ``at``: ask the participants in parallel."""
        tx = TxId(session, item.number)
        rows = part_rows(session, item, at, self._ctx.cluster.id)
        now = self._ctx.now_us
        self._open[tx] = OpenTx(at, rows, now, now + self._deadline_us)
        for cluster, row in rows.items():
            self._prepares.setdefault((cluster, False), []).append(row)
        self._ctx.counters["twopc_coordinator"] += 1

    def on_prepared(self, tx: TxId) -> None:
        """The own P is applied, its locks are held."""
        prepared = self._state().cross.prepared.get(tx)
        if prepared is None:
            return
        open_ = self._open.get(tx)
        if open_ is None or open_.at != prepared.at:
            self._adopt(prepared)
            return
        open_.prepared = prepared
        self._look_us = min(self._look_us, open_.deadline_us)
        self._maybe_decide(tx, open_)

    def drop(self, tx: TxId) -> None:
        """The P had no effect, or was decided without votes."""
        self._open.pop(tx, None)

    def take_back(self, tx: TxId, item: CrossItem) -> None:
        """The P that was just applied prepared nothing: tell whom it had asked, once.

        A participant that does not hear it holds locks until it asks. Where the entry itself ended the
        attempt, the decision it left is sent until acknowledged (:meth:`on_decided`), and not from here.
        """
        state = self._state()
        at = state.slot
        unfinished = state.cross.unfinished.get(tx)
        if unfinished is not None and unfinished.at == at:
            return
        for cluster in others_of(item.homes, self._ctx.cluster.id):
            if verdict(state, tx, cluster, at) is False:
                row = DecisionRow(tx.session, tx.number, at, False)
                self._decisions.setdefault((cluster, False), []).append(row)

    def on_votes(self, message: TxVote) -> None:
        for row in message.rows:
            tx = TxId(row.session, row.number)
            if row.status == MOVED:
                self._shards.learn_rows(row.legs)
            open_ = self._open.get(tx)
            if open_ is None or open_.at != row.at or message.participant not in open_.rows:
                continue
            if message.participant not in open_.votes:
                open_.votes[message.participant] = row
                self._maybe_decide(tx, open_)

    def _maybe_decide(self, tx: TxId, open_: OpenTx) -> None:
        votes = open_.votes
        if open_.prepared is None or not votes:
            return
        for vote in votes.values():
            if vote.status:
                self._propose(tx, DecideRow(tx.session, tx.number, vote.status, _legs(open_, commit=False)))
                return
        if len(votes) == len(open_.rows):
            parts: list[int] = []
            for cluster, vote in sorted(votes.items()) if len(votes) > 1 else votes.items():
                parts += (cluster, vote.slot, vote.index, *vote.ballot)
            legs = _legs(open_, commit=True)
            self._propose(tx, DecideRow(tx.session, tx.number, Status.COMMITTED, legs, tuple(parts)))

    def _propose(self, tx: TxId, row: DecideRow) -> None:
        open_ = self._open.pop(tx)
        self._ctx.counters["twopc_time_ms_count"] += 1
        self._ctx.counters["twopc_time_ms_sum"] += (self._ctx.now_us - open_.started_us) / 1000
        self._decide(row)

    # --- phase two -------------------------------------------------------------------

    def on_decided(self, decided: list[tuple[TxId, Unfinished]]) -> None:
        """Decisions are applied: tell the participants."""
        wanted = set(self._ctx.traced_rows([tx for tx, _ in decided]))
        commits = 0
        for tx, unfinished in decided:
            self._open.pop(tx, None)
            commits += unfinished.commit
            if tx in wanted:
                outcome = "committed" if unfinished.commit else "aborted"
                self._ctx.event("tx.decide", tx=str(tx), s=self._state().slot, outcome=outcome)
            self._send_decision(tx, unfinished)
        self._ctx.counters["twopc_commits"] += commits
        self._ctx.counters["twopc_aborts"] += len(decided) - commits

    def _send_decision(self, tx: TxId, unfinished: Unfinished) -> None:
        row = decision_row(tx, unfinished)
        if not unfinished.participants:
            self._finish(TxRow(tx.session, tx.number, unfinished.at))
            return
        self._unacked[tx] = Unacked(row, set(unfinished.participants), self._ctx.now_us)
        for cluster in unfinished.participants:
            self._decisions.setdefault((cluster, False), []).append(row)

    def on_acks(self, message: TxAck) -> None:
        for row in message.rows:
            tx = TxId(row.session, row.number)
            unacked = self._unacked.get(tx)
            if unacked is None or row.at != unacked.row.at:
                # An earlier attempt at the same transaction was decided, too: who has acknowledged that one
                # may still have to hear of this.
                continue
            unacked.waiting.discard(message.participant)
            if not unacked.waiting:
                del self._unacked[tx]
                self._finish(TxRow(tx.session, tx.number, unacked.row.at))

    # --- time, beginnings, ends --------------------------------------------------------

    def adopt(self) -> None:
        """A new leadership: take up what the state says is open."""
        for prepared in list(self._state().cross.prepared.values()):
            if prepared.coordinates:
                self._adopt(prepared)
        for tx, unfinished in self._state().cross.unfinished.items():
            self._send_decision(tx, unfinished)

    def _adopt(self, prepared: Prepared) -> None:
        item = CrossItem(
            prepared.number, prepared.age_us, prepared.all_legs, prepared.homes, prepared.conditions
        )
        self.begin(prepared.session, item, prepared.at)
        self._open[prepared.tx].prepared = prepared

    def on_time(self) -> None:
        """Send again what went unanswered; abort what ran out of time."""
        now = self._ctx.now_us
        if now < self._look_us:
            return
        resend_us = self._ctx.resend_us
        # What begins from now on is not due before.
        look_us = now + resend_us
        late: list[TxId] = []
        for tx, open_ in self._open.items():
            if now >= open_.deadline_us and open_.prepared is not None:
                late.append(tx)
                continue
            if now - open_.sent_us >= resend_us:
                open_.sent_us = now
                for cluster, row in open_.rows.items():
                    if cluster not in open_.votes:
                        self._prepares.setdefault((cluster, True), []).append(row)
            look_us = min(look_us, open_.sent_us + resend_us)
            if open_.prepared is not None:
                look_us = min(look_us, open_.deadline_us)
        for tx in late:
            status = Status.PARTICIPANT_UNAVAILABLE
            self._propose(tx, DecideRow(tx.session, tx.number, status, _legs(self._open[tx], commit=False)))
        for unacked in self._unacked.values():
            if now - unacked.sent_us >= resend_us:
                unacked.sent_us = now
                for cluster in unacked.waiting:
                    self._decisions.setdefault((cluster, True), []).append(unacked.row)
            look_us = min(look_us, unacked.sent_us + resend_us)
        self._look_us = look_us

    @property
    def busy(self) -> bool:
        """Whether :meth:`on_time` has to be called within the re-send time."""
        return bool(self._open or self._unacked)

    def flush(self) -> None:
        """Send what gathered in this step, many transactions to a message."""
        if not self._prepares and not self._decisions:
            return
        below = self._state().cross.own_finished_below(self._state().slot + 1)
        own = self._ctx.cluster.id
        audit = self._state().audit
        for (cluster, everyone), rows in self._prepares.items():
            for i in range(0, len(rows), ROWS_MAX):
                self._groups.send(cluster, TxPrepare(own, below, rows[i : i + ROWS_MAX], audit), everyone)
        for (cluster, everyone), decisions in self._decisions.items():
            for i in range(0, len(decisions), ROWS_MAX):
                self._groups.send(
                    cluster, TxDecision(own, below, decisions[i : i + ROWS_MAX], audit), everyone
                )
        self._prepares = {}
        self._decisions = {}

    def clear(self) -> None:
        self._open.clear()
        self._unacked.clear()
        self._look_us = 0
        self._prepares.clear()
        self._decisions.clear()


def _pairs(flat: tuple[int, ...]) -> list[tuple[int, int]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def _before(legs: tuple[int, ...], after: tuple[int, ...]) -> list[tuple[int, int]]:
    """(version, balance) of prepared legs without what was prepared."""
    deltas = legs[1::2]
    told = zip(deltas, _pairs(after), strict=True)
    return [(version - (delta != 0), balance - delta) for delta, (version, balance) in told]


def _legs(open_: OpenTx, commit: bool) -> tuple[int, ...]:
    """Version and balance of every leg, in order, after a commit, or as an abort found them.

    (-1, -1) where no vote told them.
    """
    prepared = open_.prepared
    assert prepared is not None
    if commit and len(prepared.homes) == 2 and len(open_.votes) == 1:
        # A transfer between two clusters: the own leg's values and the participant's, in leg order.
        (vote,) = open_.votes.values()
        if len(prepared.after) == len(vote.legs) == 2:
            first = prepared.homes[0] == prepared.coordinator
            return prepared.after + vote.legs if first else vote.legs + prepared.after
    told: dict[ClusterId, Iterator[tuple[int, int]]] = {}
    for cluster, vote in open_.votes.items():
        if vote.status == MOVED:
            continue
        yes = not vote.status and not commit
        told[cluster] = iter(_before(open_.rows[cluster].legs, vote.legs) if yes else _pairs(vote.legs))
    own = prepared.after
    told[prepared.coordinator] = iter(_pairs(own) if commit else _before(prepared.legs, own))
    flat: list[int] = []
    for home in prepared.homes:
        flat += next(told.get(home, iter(())), NOT_TOLD)
    return tuple(flat)
