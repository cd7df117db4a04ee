"""What the log says about batches of accounts, for the naive bank (``model``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from consensus.bank.sessions import unpack
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
from consensus.messages.migration import MovedAccount
from consensus.simulation.whole import Carried
from consensus.types import AccountId, ClusterId, TxId

if TYPE_CHECKING:
    from consensus.simulation.model import Bank

MoveEntry = (
    MovePrepare | MoveReserve | MoveInstall | MoveFlip | MoveActivate | MoveRollback | MoveDrop | MoveFinish
)
BatchId = tuple[ClusterId, int]


class Out(NamedTuple):
    """A batch of this source. ``end``: "" while it is taken, then "flipped" or "rolled back"."""

    destination: ClusterId
    accounts: tuple[AccountId, ...]
    end: str


class ModelMoves:
    """Batches that leave and come, in one cluster."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self.taken: dict[AccountId, int] = {}
        self.gone: set[AccountId] = set()
        """Accounts that were owned here and went elsewhere."""
        self.epochs: dict[AccountId, int] = {}
        self.out: dict[int, Out] = {}
        self.coming: dict[BatchId, str] = {}
        """"reserved", "installed", "active" or "dropped"."""
        self._installed: dict[BatchId, list[MovedAccount]] = {}
        self._parts: set[tuple[bytes, int]] = set()
        self._below: dict[ClusterId, int] = {}

    def apply(self, entry: MoveEntry, changed: set[AccountId]) -> None:
        """Run one entry."""
        if isinstance(entry, MovePrepare):
            self._prepare(entry)
        elif isinstance(entry, MoveFlip):
            self._flip(entry.number, changed)
        elif isinstance(entry, MoveRollback):
            self._leave(entry.number, "rolled back")
        elif isinstance(entry, MoveFinish):
            for number in entry.numbers:
                if number in self.out and self.out[number].end:
                    del self.out[number]
        else:
            self._arrive(entry, changed)

    # --- source ------------------------------------------------------------------------

    def _prepare(self, entry: MovePrepare) -> None:
        if (entry.plan, entry.part) in self._parts:
            return
        self._parts.add((entry.plan, entry.part))
        number = len(self._parts)
        bank = self._bank
        free = [
            account
            for account in sorted(set(entry.accounts))
            if account in bank.balances and not bank.busy({account: 0})
        ]
        if free and entry.destination != bank.own:
            self.out[number] = Out(entry.destination, tuple(free), "")
            self.taken.update(dict.fromkeys(free, number))

    def _leave(self, number: int, end: str) -> Out | None:
        batch = self.out.get(number)
        if batch is None or batch.end:
            return None
        self.out[number] = batch._replace(end=end)
        for account in batch.accounts:
            del self.taken[account]
        return batch

    def _flip(self, number: int, changed: set[AccountId]) -> None:
        batch = self._leave(number, "flipped")
        if batch is None:
            return
        bank = self._bank
        carried: dict[AccountId, Carried] = {}
        for account in batch.accounts:
            balance = bank.balances.pop(account)
            version = bank.versions.pop(account)
            carried[account] = Carried(balance, version, self.epochs.pop(account, 0) + 1)
            bank.total -= balance
            bank.owned[account].append((bank.slot, False))
            self.gone.add(account)
            changed.add(account)
        bank.whole.left((bank.own, number), batch.destination, carried)

    # --- destination ---------------------------------------------------------------------

    def _arrive(
        self, entry: MoveReserve | MoveInstall | MoveActivate | MoveDrop, changed: set[AccountId]
    ) -> None:
        batch = (entry.source, entry.number)
        if not isinstance(entry, MoveInstall):
            self._pass_below(entry.source, entry.below)
        step = self.coming.get(batch, "")
        if isinstance(entry, MoveReserve):
            if not step and not self._over(batch):
                self.coming[batch] = "reserved"
        elif isinstance(entry, MoveInstall):
            if step == "reserved":
                self._install(batch, entry)
        elif isinstance(entry, MoveActivate):
            if step == "installed":
                self.coming[batch] = "active"
                self._activate(batch, changed)
        elif step != "active" and not self._over(batch):
            self.coming[batch] = "dropped"

    def _over(self, batch: BatchId) -> bool:
        return batch[1] < self._below.get(batch[0], 0)

    def _pass_below(self, source: ClusterId, below: int) -> None:
        self._below[source] = max(below, self._below.get(source, 0))
        self.coming = {batch: step for batch, step in self.coming.items() if not self._over(batch)}

    def _install(self, batch: BatchId, entry: MoveInstall) -> None:
        if entry.accounts:
            self.coming[batch] = "installed"
            self._installed[batch] = entry.accounts
        bank = self._bank
        for moved in entry.sessions:
            outcomes = unpack(moved.outcomes)
            if not outcomes and not bank.is_news(moved.id, moved.settled_below):
                continue
            session = bank.moved_in(moved.id, isinstance(entry, MoveInstallOpen))
            session.settle(moved.settled_below)
            for number, outcome in outcomes.items():
                told = bank.whole.ended[entry.source][TxId(moved.id, number)]
                if (outcome.status, outcome.slot, outcome.legs) != told:
                    raise bank.error(f"{moved.id.hex()}:{number} was told as {outcome}, but ended as {told}")
                if number >= session.settled_below and number not in session.verdicts:
                    session.verdicts[number] = told
                    bank.ended.setdefault(TxId(moved.id, number), told)

    def _activate(self, batch: BatchId, changed: set[AccountId]) -> None:
        bank = self._bank
        accounts = self._installed.pop(batch)
        bank.whole.arrived(
            batch, bank.own, {a.id: Carried(a.balance, a.version, a.epoch + 1) for a in accounts}
        )
        for a in accounts:
            bank.balances[a.id] = a.balance
            bank.versions[a.id] = a.version
            bank.total += a.balance
            self.epochs[a.id] = a.epoch + 1
            self.gone.discard(a.id)
            changed.add(a.id)
            bank.owned.setdefault(a.id, [(0, False)]).append((bank.slot, True))
            # Versions made elsewhere were never shown here.
            history = bank.history.setdefault(a.id, [])
            while len(history) < a.version:
                history.append((bank.slot, NOWHERE))
            if len(history) == a.version:
                history.append((bank.slot, a.balance))


NOWHERE = -1
"""Balance of a version that was made in another cluster."""
