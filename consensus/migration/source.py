"""The source's leader: takes a batch through reserve, install, flip; rolls back what takes too long.

Everything here is volatile. What was decided is in the log: a new leader finds taken batches and begins them
anew with a fresh deadline, and tells the destination again what was flipped or rolled back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from consensus.bank.movement import Left, Taken, accounts_of, sessions_of
from consensus.bank.moves import Part, Phase
from consensus.bank.state import BankState
from consensus.messages.entries import Entry, MoveFinish, MovePrepare
from consensus.messages.entries import MoveFlip as FlipEntry
from consensus.messages.entries import MoveRollback as RollbackEntry
from consensus.messages.migration import (
    MapNews,
    MoveActivate,
    MovedAccount,
    MovedSession,
    MoveFlip,
    MoveInstall,
    MoveReply,
    MoveReserve,
    MoveResolve,
    MoveRollback,
    Step,
)
from consensus.paxos.context import Context
from consensus.shards import ShardMap
from consensus.txn.groups import Groups
from consensus.types import AccountId, Ballot, ClusterId, Slot

ACCOUNTS_MAX: Final = 64
"""Of one batch: they are out of service together, and a batch has to fit into an entry."""
OUT_KEPT: Final = 1_024
OPEN_MAX: Final = 64
"""Batches under way from one source."""
FLIP_WITHIN_US: Final = 300_000
"""A batch that is not flipped by then is rolled back: nobody waits longer for its accounts."""


Chunk = tuple[list[MovedAccount], list[MovedSession]]
CHUNKS: Final = 1 << 12
NODES: Final = 1 << 16
"""More than a batch and a bank have: by these the chunks of all leaderships have numbers of their own."""


class Going:
    """A batch under way. ``chunk`` is the next one of its contents to be applied at the destination."""

    __slots__ = (
        "chunk",
        "chunks",
        "deadline_us",
        "deciding",
        "destination",
        "phase",
        "reserved",
        "sent_us",
        "told_slot",
    )

    def __init__(self, destination: ClusterId, phase: int, deadline_us: int) -> None:
        self.destination = destination
        self.phase = phase
        self.deadline_us = deadline_us
        self.deciding = False
        """Flip or rollback is proposed."""
        self.reserved = False
        self.chunks: list[Chunk] = []
        self.told_slot = 0
        """The contents tell of sessions as they were after this slot."""
        self.chunk = 0
        self.sent_us = 0


class Source:
    """Batches that leave, in one leadership of their cluster. ``propose`` is False when too much waits."""

    def __init__(
        self,
        ctx: Context,
        groups: Groups,
        state: Callable[[], BankState],
        shards: ShardMap,
        propose: Callable[[Entry], bool],
    ) -> None:
        self._ctx = ctx
        self._groups = groups
        self._state = state
        self._shards = shards
        self._propose = propose
        self._asked: set[Part] = set()
        self._going: dict[int, Going] = {}
        self._first_chunk = 0
        self._told: dict[ClusterId, Slot] = {}
        """Up to which slot a destination knows what clients here have settled."""
        self._taken_us: dict[int, int] = {}
        self.out_ms: dict[int, float] = {}
        """How long accounts of the last batches were out of service: from taken to active or rolled back."""

    def refusal(self, plan: bytes, part: int, destination: ClusterId, count: int) -> str | None:
        """Why a part of a plan cannot be begun now, or None."""
        if self._known((plan, part)):
            return None
        if destination not in self._ctx.topology.cluster_by_id or destination == self._ctx.cluster.id:
            return f"cluster {destination} is not another cluster of this bank"
        if not 0 < count <= ACCOUNTS_MAX:
            return f"a batch has 1–{ACCOUNTS_MAX} accounts, not {count}"
        if len(self._asked) + len(self._going) >= OPEN_MAX:
            return f"{OPEN_MAX} batches are under way from this cluster; ask again later"
        return None

    def request(
        self, plan: bytes, part: int, destination: ClusterId, accounts: tuple[AccountId, ...]
    ) -> None:
        """Begin a part of a plan, once. What became of it is in the state (``moves.parts``), now or soon."""
        if self._known((plan, part)) or self.refusal(plan, part, destination, len(accounts)) is not None:
            return
        if self._propose(MovePrepare(plan, part, destination, accounts)):
            self._asked.add((plan, part))

    def _known(self, part: Part) -> bool:
        return part in self._state().moves.parts or part in self._asked

    # --- what the log did ----------------------------------------------------------------

    def on_taken(self, taken: Taken) -> None:
        self._asked.discard((taken.plan, taken.part))
        number = taken.answer.number
        if number in self._going or number not in self._state().moves.batches:
            return
        self._event("mig.start", number)
        self._taken_us[number] = self._ctx.now_us
        self._begin(number)

    def on_left(self, left: Left) -> None:
        """Flipped or rolled back: the destination has to know, whatever happens here."""
        flipped = left.phase == Phase.FLIPPED
        self._event("mig.flip" if flipped else "mig.abort", left.number)
        if flipped:
            self._announce(left.accounts)
        else:
            self._back_in_service(left.number)
        self._begin(left.number)

    def _begin(self, number: int) -> None:
        batch = self._state().moves.batches.get(number)
        if batch is None:
            return
        now = self._ctx.now_us
        going = Going(batch.destination, batch.phase, now + FLIP_WITHIN_US)
        if batch.phase == Phase.TAKEN:
            going.chunks = self._contents(number, self._told.get(batch.destination, 0))
            going.told_slot = self._state().slot
        self._going[number] = going
        self._send(number, going)

    def _announce(self, accounts: tuple[AccountId, ...]) -> None:
        """Tell every node of the other clusters. Whoever misses it learns when it asks the old owner."""
        forwards = self._state().moves.forwards
        rows: list[int] = []
        for account in accounts:
            forward = forwards[account]
            self._shards.learn(account, forward.cluster, forward.epoch)
            rows += (account, forward.cluster, forward.epoch)
        nodes = tuple(
            node
            for cluster in self._ctx.topology.clusters
            if cluster.id != self._ctx.cluster.id
            for node in cluster.members
        )
        self._ctx.send(nodes, MapNews(self._ctx.cluster.id, tuple(rows)))

    # --- what the destination says --------------------------------------------------------------

    def on_reply(self, message: MoveReply) -> None:
        going = self._going.get(message.number)
        if going is None or going.destination != message.destination:
            return
        if going.phase == Phase.ROLLED_BACK:
            if message.step == Step.DROPPED:
                self._finish(message.number)
        elif going.phase == Phase.TAKEN and not going.deciding:
            self._advance(message.number, going, message)

    def _advance(self, number: int, going: Going, message: MoveReply) -> None:
        if message.step == Step.INSTALLED:
            told = self._told.get(going.destination, 0)
            self._told[going.destination] = max(told, going.told_slot)
            going.deciding = self._propose(FlipEntry(number))
        elif message.step == Step.DROPPED:
            going.deciding = self._propose(RollbackEntry(number))
        elif message.step == Step.RESERVED:
            if not going.reserved:
                going.reserved = True
                if len(going.chunks) > 1:
                    self._send(number, going)
            elif message.chunk == self._first_chunk + going.chunk and going.chunk + 1 < len(going.chunks):
                going.chunk += 1
                self._send(number, going)

    def _contents(self, number: int, since: Slot) -> list[Chunk]:
        """The last chunk has the accounts, and the outcomes that are left: mostly all there are."""
        state = self._state()
        told = sessions_of(state, number, self._ctx.limits.batch_bytes // 4, since) or [[]]
        return [*(([], sessions) for sessions in told[:-1]), (accounts_of(state, number), told[-1])]

    def on_activate(self, message: MoveActivate) -> None:
        going = self._going.get(message.number)
        if going is None or going.destination != message.destination or going.phase != Phase.FLIPPED:
            return
        self._event("mig.done", message.number)
        self._back_in_service(message.number)
        self._finish(message.number)

    def _back_in_service(self, number: int) -> None:
        taken_us = self._taken_us.pop(number, None)
        if taken_us is not None:
            self.out_ms[number] = (self._ctx.now_us - taken_us) / 1_000
            if len(self.out_ms) > OUT_KEPT:
                del self.out_ms[next(iter(self.out_ms))]

    def _finish(self, number: int) -> None:
        if self._propose(MoveFinish([number])):
            del self._going[number]

    def on_resolve(self, message: MoveResolve) -> None:
        """A destination in doubt. A batch that is not under way here any more is over, or never was."""
        batches = self._state().moves.batches
        for number in message.numbers:
            going = self._going.get(number)
            if going is not None:
                self._send(number, going)
            elif number not in batches:
                rollback = MoveRollback(self._ctx.cluster.id, number, self._below, self._state().audit)
                self._groups.send(message.destination, rollback)

    # --- time, beginnings, ends ---------------------------------------------------------------------

    def on_time(self) -> None:
        """Send again what went unanswered; roll back what is late."""
        now = self._ctx.now_us
        batches = self._state().moves.batches
        for number, going in list(self._going.items()):
            if number not in batches:
                # Its end was logged by an earlier leader of this cluster.
                del self._going[number]
            elif going.phase == Phase.TAKEN and now >= going.deadline_us and not going.deciding:
                going.deciding = self._propose(RollbackEntry(number))
            elif now - going.sent_us >= self._ctx.resend_us:
                self._send(number, going, again=True)

    def adopt(self, ballot: Ballot) -> None:
        """A new leadership: take up what the state says is under way; know where accounts went."""
        moves = self._state().moves
        # What an earlier leader's chunk was answered with must not count for one of this one's.
        self._first_chunk = (ballot.round * NODES + ballot.node) * CHUNKS
        for account, forward in moves.forwards.items():
            self._shards.learn(account, forward.cluster, forward.epoch)
        for number in moves.batches:
            self._begin(number)

    def clear(self) -> None:
        self._asked.clear()
        self._going.clear()
        self._told.clear()
        self._taken_us.clear()

    # --- sending ------------------------------------------------------------------------------------

    @property
    def _below(self) -> int:
        return self._state().moves.below

    def _event(self, kind: str, number: int) -> None:
        batch = self._state().moves.batches.get(number)
        if batch is not None:
            plan, part = batch.part
            fields = {"plan": plan.hex(), "part": part, "batch": number, "to": batch.destination}
            if kind == "mig.flip":
                forwards = self._state().moves.forwards
                fields["epochs"] = [forwards[account].epoch for account in batch.accounts]
            self._ctx.event(kind, **fields, accounts=list(batch.accounts))

    def _send(self, number: int, going: Going, again: bool = False) -> None:
        """What the destination has to hear now. To all its nodes when the one that led did not answer."""
        own = self._ctx.cluster.id
        audit = self._state().audit
        going.sent_us = self._ctx.now_us
        message: MoveInstall | MoveFlip | MoveRollback
        if going.phase == Phase.FLIPPED:
            message = MoveFlip(own, number, self._below, audit)
        elif going.phase == Phase.ROLLED_BACK:
            message = MoveRollback(own, number, self._below, audit)
        else:
            accounts, sessions = going.chunks[going.chunk]
            chunk = self._first_chunk + going.chunk
            message = MoveInstall(own, number, self._below, accounts, sessions, audit, chunk)
            if not going.reserved:
                count = len(self._state().moves.batches[number].accounts)
                reserve = MoveReserve(own, number, self._below, count, audit)
                self._groups.send(going.destination, reserve, everyone=again)
                if len(going.chunks) > 1:
                    return
        self._groups.send(going.destination, message, everyone=again)
