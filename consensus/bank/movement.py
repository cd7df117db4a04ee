"""Rules of the migration entries: what they do at the source and at the destination of a batch.

The source's log decides: a batch is flipped or rolled back there, whichever entry comes first. Until the flip
is applied at the source the accounts are owned there; from then on nobody may change them until the
destination has applied MoveActivate, which only a flip can bring about. So every (account, epoch)
has at most one owner, and the money of a batch in between is counted with the source's flip (``bank.audit``).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from consensus.bank.moves import Arriving, Forward, Leaving, PartAnswer, Phase
from consensus.bank.sessions import Session, unpack
from consensus.bank.state import Account, BankState
from consensus.messages.entries import (
    MoveActivate,
    MoveDrop,
    MoveFinish,
    MoveFlip,
    MoveInstall,
    MoveInstallOpen,
    MovePrepare,
    MoveReserve,
    MoveRollback,
)
from consensus.messages.migration import MovedAccount, MovedSession, Step
from consensus.types import SESSIONS_MAX, AccountId, ClusterId, Slot

OUTCOME_BYTES: Final = 64
INTEGER_BYTES: Final = 9
"""What an outcome without its legs, and each integer of them, take up at most."""

NO_OUTCOMES: Final = Session(b"").pack()
MARK_BYTES: Final = 32
"""What a session without outcomes takes up at most."""

MoveEntry = (
    MovePrepare | MoveReserve | MoveInstall | MoveFlip | MoveActivate | MoveRollback | MoveDrop | MoveFinish
)


class Taken(NamedTuple):
    """A part of a plan and the batch it became, now or before."""

    plan: bytes
    part: int
    answer: PartAnswer


class Left(NamedTuple):
    """A batch of this source has been flipped or rolled back; ``accounts`` are no longer taken."""

    number: int
    phase: int
    accounts: tuple[AccountId, ...]


class Arrived(NamedTuple):
    """How far a batch of ``source`` is here; ``accounts`` are owned here from now on."""

    source: ClusterId
    number: int
    step: int
    accounts: tuple[AccountId, ...]


MoveResult = Taken | Left | Arrived


class Movement:
    """Applies the entries 13–20 to the state of cluster ``own``."""

    def __init__(self, state: BankState, own: ClusterId) -> None:
        self.state = state
        self.own = own

    def apply(self, slot: Slot, entry: MoveEntry) -> MoveResult | None:
        """Apply one entry; None when there is nothing to tell anybody."""
        if isinstance(entry, MovePrepare):
            return self._prepare(slot, entry)
        if isinstance(entry, MoveFlip):
            return self._flip(entry.number)
        if isinstance(entry, MoveRollback):
            return self._rollback(entry.number)
        if isinstance(entry, MoveFinish):
            for number in entry.numbers:
                self.state.moves.finish(number)
            return None
        if isinstance(entry, MoveInstall):
            return self._install(slot, entry)
        self.state.moves.pass_below(entry.source, entry.below)
        if isinstance(entry, MoveReserve):
            return self._reserve(entry)
        if isinstance(entry, MoveActivate):
            return self._activate(entry)
        return self._drop(entry)

    # --- source -------------------------------------------------------------------------

    def _prepare(self, slot: Slot, entry: MovePrepare) -> Taken:
        moves = self.state.moves
        part = (entry.plan, entry.part)
        known = moves.parts.get(part)
        if known is not None:
            return Taken(*part, known)
        taken: list[AccountId] = []
        if entry.destination != self.own:
            locks = self.state.cross.locks
            taken.extend(
                account
                for account in sorted(set(entry.accounts))
                if account in self.state.accounts and account not in locks and account not in moves.taken
            )
        answer = PartAnswer(moves.next_number, tuple(taken), Phase.TAKEN if taken else 0)
        moves.answer(part, answer)
        if taken:
            moves.take(answer.number, Leaving(part, entry.destination, answer.taken, slot))
        return Taken(*part, answer)

    def _flip(self, number: int) -> Left | None:
        """The accounts leave. Whoever looks for them here is told where they went."""
        state = self.state
        batch = state.moves.batches.get(number)
        if batch is None or batch.phase != Phase.TAKEN:
            return None
        money = 0
        for account_id in batch.accounts:
            account = state.accounts[account_id]
            assert account_id not in state.cross.locks
            state.changing(account)
            money += account.balance
            del state.accounts[account_id]
            state.moves.forward(account_id, Forward(batch.destination, account.epoch + 1))
        state.epoch += 1
        state.moves.release(number, Phase.FLIPPED, money)
        return Left(number, Phase.FLIPPED, batch.accounts)

    def _rollback(self, number: int) -> Left | None:
        batch = self.state.moves.batches.get(number)
        if batch is None or batch.phase != Phase.TAKEN:
            return None
        self.state.moves.release(number, Phase.ROLLED_BACK)
        return Left(number, Phase.ROLLED_BACK, batch.accounts)

    # --- destination ----------------------------------------------------------------------

    def _reserve(self, entry: MoveReserve) -> Arrived:
        moves = self.state.moves
        batch = (entry.source, entry.number)
        if entry.number < moves.moves_below.get(entry.source, 0):
            # A late copy: the source is done with this batch and asks for nothing.
            return Arrived(*batch, Step.UNKNOWN, ())
        if batch not in moves.incoming:
            moves.arrive(batch, Arriving(Step.RESERVED))
        return Arrived(*batch, moves.step(batch), ())

    def _install(self, slot: Slot, entry: MoveInstall) -> Arrived:
        moves = self.state.moves
        batch = (entry.source, entry.number)
        if moves.step(batch) == Step.RESERVED:
            if entry.accounts:
                moves.arrive(batch, Arriving(Step.INSTALLED, tuple(entry.accounts)))
            for moved in entry.sessions:
                self._merge(slot, moved, isinstance(entry, MoveInstallOpen))
        return Arrived(*batch, moves.step(batch), ())

    def _merge(self, slot: Slot, moved: MovedSession, opened: bool) -> None:
        """Know what the source's clients were told, so that their retries run nothing here.

        ``opened``: what becomes of a session that is not here yet.
        """
        sessions = self.state.sessions
        session = sessions.get(moved.id)
        outcomes = unpack(moved.outcomes)
        if not outcomes:
            # Only how far the client has settled: of use where it is news, and nobody makes room for it.
            known = session is not None and session.settled_below >= moved.settled_below
            if known or (session is None and len(sessions) >= SESSIONS_MAX):
                return
        if session is not None:
            del sessions[moved.id]
        else:
            if len(sessions) >= SESSIONS_MAX:
                idle = self.state.longest_idle()
                del sessions[idle]
                self.state.touch_session(idle)
            session = Session(moved.id, 0, slot, opened)
        session.used_slot = slot
        sessions[moved.id] = session
        session.settle(moved.settled_below)
        for number, outcome in outcomes.items():
            if number >= session.settled_below:
                session.outcomes.setdefault(number, outcome)
        self.state.touch_session(moved.id)

    def _activate(self, entry: MoveActivate) -> Arrived:
        state = self.state
        batch = (entry.source, entry.number)
        arriving = state.moves.incoming.get(batch)
        if arriving is None or arriving.step != Step.INSTALLED:
            return Arrived(*batch, state.moves.step(batch), ())
        for moved in arriving.accounts:
            assert moved.id not in state.accounts, f"account {moved.id} has two owners"
            account = Account(moved.id, moved.balance, moved.version, moved.epoch + 1)
            state.changing(account)
            state.accounts[moved.id] = account
            state.moves.forward(moved.id, None)
        state.epoch += 1
        state.moves.arrive(batch, Arriving(Step.ACTIVE))
        return Arrived(*batch, Step.ACTIVE, tuple([moved.id for moved in arriving.accounts]))

    def _drop(self, entry: MoveDrop) -> Arrived:
        """Also of a batch that is not known here: a reserve that comes late must not revive it."""
        moves = self.state.moves
        batch = (entry.source, entry.number)
        if moves.step(batch) != Step.ACTIVE and entry.number >= moves.moves_below.get(entry.source, 0):
            moves.arrive(batch, Arriving(Step.DROPPED))
        return Arrived(*batch, moves.step(batch), ())


def accounts_of(state: BankState, number: int) -> list[MovedAccount]:
    """The accounts of batch ``number``, which must be taken, at its source. Nothing changes them there."""
    batch = state.moves.batches[number]
    assert batch.phase == Phase.TAKEN
    held = [state.accounts[account] for account in batch.accounts]
    return [MovedAccount(a.id, a.balance, a.version, a.epoch) for a in held]


def sessions_of(state: BankState, number: int, bytes_max: int, since: Slot = 0) -> list[list[MovedSession]]:
    """What is known of transactions that an account of the batch paid, in chunks of about ``bytes_max``.

    Stored outcomes, and how far clients have settled others: a late copy of one that was settled here may
    reach the new owner. The latter only of sessions used in slot ``since`` or later: the destination knows it
    of others.

    No more of it comes while the batch is taken: transactions find its accounts refused, and giving up on one
    stores nothing. Less outcomes may be left later, when clients have settled some.
    """
    payers = set(state.moves.batches[number].accounts)
    chunks: list[list[MovedSession]] = []
    room = 0
    for session in state.sessions.values():
        paid = [(n, outcome) for n, outcome in session.outcomes.items() if outcome.payer in payers]
        if not paid and session.settled_below and session.used_slot >= since:
            if room <= 0:
                chunks.append([])
                room = bytes_max
            chunks[-1].append(MovedSession(session.id, session.settled_below, NO_OUTCOMES))
            room -= MARK_BYTES
        while paid:
            if room <= 0:
                chunks.append([])
                room = bytes_max
            part = Session(session.id)
            while paid and room > 0:
                n, outcome = paid.pop()
                part.outcomes[n] = outcome
                room -= OUTCOME_BYTES + INTEGER_BYTES * (len(outcome.legs) + len(outcome.parts))
            chunks[-1].append(MovedSession(session.id, session.settled_below, part.pack()))
    return chunks
