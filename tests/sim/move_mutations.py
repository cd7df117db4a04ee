"""Rules of migration taken away, one at a time. Numbers: see ``test_defects``."""

from __future__ import annotations

from collections.abc import Iterable

from consensus.bank import twophase
from consensus.bank.cross import Prepared
from consensus.bank.movement import Movement, accounts_of
from consensus.bank.state import BankState
from consensus.messages.entries import MoveFlip
from consensus.messages.migration import MovedAccount, MovedSession, MoveReply, Step
from consensus.messages.rows import Row
from consensus.messages.txn import PrepareRow
from consensus.migration.source import Going, Source
from consensus.txn import participant
from tests.sim.mutations import Mutation, Patch


def a_yes_is_for_whatever_legs(patch: Patch) -> None:
    """A participant says yes to a later attempt, whatever legs it holds from the earlier one."""

    def careless(prepared: Prepared, coordinator: int, row: PrepareRow) -> bool:
        return prepared.coordinator == coordinator

    patch.setattr(twophase, "same_part", careless)
    patch.setattr(participant, "same_part", careless)


def outcomes_stay_behind(patch: Patch) -> None:
    """14: the new owner of a payer does not know what the old one told its clients."""

    def bare(self: Source, number: int, since: int) -> list[tuple[list[MovedAccount], list[MovedSession]]]:
        return [(accounts_of(self._state(), number), [])]

    patch.setattr(Source, "_contents", bare)


def what_moves_in_opens_its_session(patch: Patch) -> None:
    """A session that was evicted and comes back with an account runs what it no longer knows."""
    merge = Movement._merge

    def opened(self: Movement, slot: int, moved: MovedSession, opened: bool) -> None:
        merge(self, slot, moved, True)

    patch.setattr(Movement, "_merge", opened)


def flips_before_it_is_installed(patch: Patch) -> None:
    """27: the source lets the accounts go when the destination has a place for them."""
    advance = Source._advance

    def hasty(self: Source, number: int, going: Going, message: MoveReply) -> None:
        if message.step == Step.RESERVED:
            going.deciding = self._propose(MoveFlip(number))
        else:
            advance(self, number, going, message)

    patch.setattr(Source, "_advance", hasty)


def who_makes_room_depends_on_the_process(patch: Patch) -> None:
    """A replica that has started from a checkpoint has its sessions in another order than the others."""
    restore = BankState.restore.__func__  # type: ignore[attr-defined]

    def by_id(cls: type[BankState], rows: Iterable[Row]) -> BankState:
        state: BankState = restore(cls, rows)
        state.sessions = dict(sorted(state.sessions.items()))
        return state

    patch.setattr(BankState, "restore", classmethod(by_id))
    patch.setattr(BankState, "longest_idle", lambda self: next(iter(self.sessions)))


FOUND_BY_MOVES: dict[Mutation, int] = {
    flips_before_it_is_installed: 5,
    who_makes_room_depends_on_the_process: 12,
}
"""Mutations that runs with moving accounts find, and within how many seeds."""
RARE: tuple[Mutation, ...] = (
    a_yes_is_for_whatever_legs,
    outcomes_stay_behind,
    what_moves_in_opens_its_session,
)
"""One seed in a hundred, or in a thousand, finds these; ``tests/bank`` has a scenario for each."""
