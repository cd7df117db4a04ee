"""A second, naive bank: what the log means, written from the rules and not from ``consensus.bank``.

It keeps everything for ever and looks everything up, so that it is slow, obvious, and fit to judge the real
one: balances, versions, sessions, and the outcome of every transaction that ever ran. Balances here are the
committed ones: what is prepared holds its accounts and changes nothing before its decision.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, NamedTuple

from consensus.messages.client import Status
from consensus.messages.entries import (
    Abort,
    Audit,
    Batch,
    Condition,
    CrossItem,
    CrossPrepare,
    Decide,
    DecideRow,
    Entry,
    EvictSessions,
    Finish,
    Item,
    NewView,
    OpenSession,
    PartDecide,
    PartPrepare,
    Resolve,
    Transact,
)
from consensus.messages.txn import MOVED, PrepareRow
from consensus.simulation.moved import ModelMoves, MoveEntry
from consensus.simulation.whole import Part, Whole, WholeError
from consensus.types import AMOUNT_MAX, BALANCE_MAX, SESSIONS_MAX, AccountId, ClusterId, SessionId, Slot, TxId

OPEN_SPAN: Final = 16_384


class Verdict(NamedTuple):
    """How a transaction ended: status, slot of the entry that ended it, versions and balances of its legs."""

    status: int
    slot: Slot
    legs: tuple[int, ...]


class Held(NamedTuple):
    """A prepared transaction: who coordinates it, its number there, the own legs; at its coordinator all."""

    coordinator: ClusterId
    at: Slot
    legs: tuple[int, ...]
    all_legs: tuple[int, ...] = ()
    homes: tuple[ClusterId, ...] = ()


Snapshot = dict[TxId, Held]
"""What is prepared at one slot."""


class ModelError(AssertionError):
    """The log itself breaks a rule of the bank."""


class ModelSession:
    """Numbers below ``settled_below`` are done with; ``verdicts`` has how others ended.

    ``used``: the slot in which an entry last spoke of it. ``opened``: by its client; else only accounts that
    moved in speak of it, and nobody knows what it ran here before.
    """

    __slots__ = ("opened", "settled_below", "used", "verdicts")

    def __init__(self, slot: Slot, opened: bool = True) -> None:
        self.opened = opened
        self.settled_below = 0
        self.used = slot
        self.verdicts: dict[int, Verdict] = {}

    def takes(self, number: int) -> bool:
        return self.opened and self.spans(number)

    def spans(self, number: int) -> bool:
        return self.settled_below <= number < self.settled_below + OPEN_SPAN

    def settle(self, below: int) -> None:
        if below > self.settled_below:
            self.settled_below = below
            self.verdicts = {number: kept for number, kept in self.verdicts.items() if number >= below}


class Bank:
    """The state after every chosen slot so far."""

    def __init__(
        self,
        first: AccountId,
        last: AccountId,
        balance: int,
        accounts_total: int,
        own: ClusterId,
        whole: Whole,
        sessions_max: int = SESSIONS_MAX,
    ) -> None:
        self.sessions_max = sessions_max
        self.own = own
        self.whole = whole
        self.slot: Slot = 0
        self.accounts_total = accounts_total
        self.balances = dict.fromkeys(range(first, last + 1), balance)
        self.versions = dict.fromkeys(self.balances, 0)
        self.total = sum(self.balances.values())
        self.sessions: dict[SessionId, ModelSession] = {}
        self.evicted: set[SessionId] = set()
        self.displaced = 0
        """Sessions that made room for one that moved in."""
        self.ended: dict[TxId, Verdict] = {}
        """Every outcome there ever was; never forgotten."""
        whole.ended[own] = self.ended
        self.views = 0
        self.history: dict[AccountId, list[tuple[Slot, int]]] = {
            account: [(0, balance)] for account in self.balances
        }
        """Per account and version: the slot that made it, and the balance."""
        self.owned: dict[AccountId, list[tuple[Slot, bool]]] = {
            account: [(0, True)] for account in self.balances
        }
        """Per account: from which slots on it is owned here, or not."""
        self.moves = ModelMoves(self)
        self.held: Snapshot = {}
        self.unfinished: set[TxId] = set()
        self.audit = 0
        self._finished: dict[TxId, tuple[ClusterId, Slot, bool]] = {}
        self._below: dict[ClusterId, Slot] = {}
        self._snapshots: list[tuple[Slot, Snapshot]] = [(0, {})]

    def held_at(self, slot: Slot) -> Snapshot:
        """What was prepared after ``slot``."""
        found = bisect_right(self._snapshots, slot, key=lambda snapshot: snapshot[0])
        return self._snapshots[found - 1][1]

    def owned_at(self, account: AccountId, slot: Slot) -> bool:
        """Whether the account was owned here after ``slot``."""
        owned = self.owned.get(account, [])
        found = bisect_right(owned, slot, key=lambda since: since[0])
        return bool(found) and owned[found - 1][1]

    def is_news(self, session: SessionId, settled_below: int) -> bool:
        """Whether a mark that comes without outcomes is kept: it is higher, or there is room for it."""
        known = self.sessions.get(session)
        if known is None:
            return len(self.sessions) < self.sessions_max
        return settled_below > known.settled_below

    def moved_in(self, session: SessionId, opened: bool) -> ModelSession:
        """The session, made where there is none; the one that was idle for longest makes room for it."""
        if session not in self.sessions and len(self.sessions) >= self.sessions_max:
            idle = min(self.sessions, key=lambda other: (self.sessions[other].used, other))
            self._evict(idle)
            self.displaced += 1
        found = self.sessions.setdefault(session, ModelSession(self.slot, opened))
        found.used = self.slot
        return found

    def _evict(self, session: SessionId) -> None:
        gone = self.sessions.pop(session, None)
        if gone is not None:
            self.evicted.add(session)
            self.whole.forget(self.own, session, gone.verdicts)

    def _used(self, session: SessionId) -> ModelSession | None:
        """The session that an entry speaks of, if there is one."""
        found = self.sessions.get(session)
        if found is not None:
            found.used = self.slot
        return found

    def error(self, text: str) -> ModelError:
        return ModelError(text)

    def apply(self, slot: Slot, batch: Batch) -> set[AccountId]:
        """Run a slot. Returns the accounts that changed.

        Raises:
            ModelError: what was chosen cannot be right (a transaction runs twice, money appears).
        """
        if slot != self.slot + 1:
            raise ModelError(f"slot {slot} after {self.slot}")
        self.slot = slot
        changed: set[AccountId] = set()
        held = dict(self.held)
        for entry in batch.entries:
            if isinstance(entry, Transact):
                self._transact(entry, changed)
            elif isinstance(entry, CrossPrepare | PartPrepare | Decide | PartDecide | Finish | Audit):
                try:
                    self._cross(entry, changed)
                except WholeError as error:
                    raise ModelError(str(error)) from error
            elif isinstance(entry, OpenSession):
                if entry.session in self.sessions:
                    self.sessions[entry.session].opened = True
                elif len(self.sessions) < self.sessions_max:
                    self.sessions[entry.session] = ModelSession(slot)
            elif isinstance(entry, MoveEntry):
                try:
                    self.moves.apply(entry, changed)
                except WholeError as error:
                    raise ModelError(str(error)) from error
            elif isinstance(entry, Abort):
                self._finish(entry.session, [entry.number], (entry.payer,), entry.reason)
            elif isinstance(entry, Resolve):
                self._finish(entry.session, entry.numbers, entry.payers, Status.COORDINATOR_TIMEOUT)
            elif isinstance(entry, EvictSessions):
                for session in entry.sessions:
                    self._evict(session)
            else:
                assert isinstance(entry, NewView)
                self.views += 1
        if self.held != held:
            self._snapshots.append((slot, dict(self.held)))
        if changed and sum(self.balances.values()) != self.total:
            raise ModelError(f"slot {slot}: the total is {sum(self.balances.values())}, not {self.total}")
        return changed

    def _transact(self, entry: Transact, changed: set[AccountId]) -> None:
        session = self._used(entry.session)
        if session is None:
            return
        session.settle(entry.settled_below)
        for item in entry.items:
            if item.number in session.verdicts or not session.takes(item.number):
                continue
            if TxId(entry.session, item.number) in self.held:
                continue
            verdict = self._run(item, changed)
            if verdict is not None:
                self._end(entry.session, session, item.number, verdict)

    def _finish(
        self, session_id: SessionId, numbers: list[int], payers: tuple[AccountId, ...], reason: int
    ) -> None:
        session = self._used(session_id)
        if session is None:
            return
        for i, number in enumerate(numbers):
            payer = payers[i] if i < len(payers) else 0
            if TxId(session_id, number) in self.held or payer in self.moves.taken or payer in self.moves.gone:
                continue
            if number not in session.verdicts and session.takes(number):
                self._end(session_id, session, number, Verdict(reason, self.slot, ()))

    def _end(self, session_id: SessionId, session: ModelSession, number: int, verdict: Verdict) -> None:
        tx = TxId(session_id, number)
        before = self.ended.setdefault(tx, verdict)
        if before is not verdict:
            raise ModelError(f"{tx} ended at slot {before.slot} and again at {verdict.slot}")
        session.verdicts[number] = verdict

    def _run(self, item: Item, changed: set[AccountId]) -> Verdict | None:
        legs = dict(zip(item.legs[::2], item.legs[1::2], strict=False))
        status = self._status(item, legs)
        if status is None:
            return None
        if not _shape(item) or any(account not in self.balances for account in legs):
            return Verdict(status, self.slot, ())
        if status == Status.COMMITTED:
            self._move(legs, changed)
        return Verdict(status, self.slot, self._seen(legs))

    def _move(self, legs: dict[AccountId, int], changed: set[AccountId]) -> None:
        for account, delta in legs.items():
            if delta:
                self.balances[account] += delta
                self.versions[account] += 1
                self.history[account].append((self.slot, self.balances[account]))
                changed.add(account)
            if self.balances[account] < 0:
                raise ModelError(f"slot {self.slot}: account {account} is at {self.balances[account]}")

    def _seen(self, legs: dict[AccountId, int]) -> tuple[int, ...]:
        """Version and balance of each account as they are, flat."""
        return tuple([x for account in legs for x in (self.versions[account], self.balances[account])])

    def _status(self, item: Item, legs: dict[AccountId, int]) -> Status | None:
        """How the transaction ends now; None when it has no effect (another cluster's account, a lock)."""
        if not _shape(item):
            return Status.INVALID
        missing = [account for account in legs if account not in self.balances]
        if any(1 <= account <= self.accounts_total for account in missing):
            return None
        if any(account in self.moves.taken for account in legs):
            return None
        if missing:
            return Status.UNKNOWN_ACCOUNT
        if self.busy(legs):
            return None
        return self._judge(legs, item.conditions)

    def busy(self, legs: dict[AccountId, int]) -> bool:
        """Whether an account is locked by a prepared transaction, or taken by a batch."""
        if any(account in self.moves.taken for account in legs):
            return True
        return any(account in held.legs[::2] for held in self.held.values() for account in legs)

    def _judge(self, legs: dict[AccountId, int], conditions: tuple[int, ...]) -> Status:
        for account, delta in legs.items():
            if self.balances[account] + delta < 0:
                return Status.INSUFFICIENT_FUNDS
            if self.balances[account] + delta > BALANCE_MAX:
                return Status.INVALID
        for account, kind, value in _triples(conditions):
            if account not in legs:
                continue
            if kind == Condition.BALANCE_AT_LEAST and self.balances[account] < value:
                return Status.INSUFFICIENT_FUNDS
            if kind == Condition.VERSION_EQUALS and self.versions[account] != value:
                return Status.CONDITION_FAILED
        return Status.COMMITTED

    # --- across clusters -----------------------------------------------------------------

    def _cross(self, entry: Entry, changed: set[AccountId]) -> None:
        if isinstance(entry, CrossPrepare):
            session = self._used(entry.session)
            if session is not None:
                session.settle(entry.settled_below)
                for item in entry.items:
                    self._prepare(TxId(entry.session, item.number), session, item)
        elif isinstance(entry, PartPrepare):
            self._pass_below(entry.coordinator, entry.finished_below)
            for row in entry.rows:
                self._prepare_part(entry.coordinator, row)
        elif isinstance(entry, Decide):
            for decision in entry.rows:
                self._decide(decision, changed)
        elif isinstance(entry, PartDecide):
            self._pass_below(entry.coordinator, entry.finished_below)
            for told in entry.rows:
                self._decide_part(
                    entry.coordinator, TxId(told.session, told.number), told.at, told.commit, changed
                )
        elif isinstance(entry, Finish):
            self.unfinished -= {TxId(row.session, row.number) for row in entry.rows}
        else:
            assert isinstance(entry, Audit)
            self.audit = max(self.audit, entry.number)

    def _prepare(self, tx: TxId, session: ModelSession, item: CrossItem) -> None:
        if item.number in session.verdicts or tx in self.held or not session.takes(item.number):
            return
        if tx in self.unfinished:
            return
        own = _own(item.legs, item.homes, self.own)
        status = Status.INVALID
        seen: tuple[int, ...] = ()
        if _shape(item) and len(item.homes) == len(item.legs) // 2:
            missing = [account for account in own if account not in self.balances]
            gone = any(1 <= account <= self.accounts_total for account in missing)
            if gone or any(account in self.moves.taken for account in own):
                self.unfinished.add(tx)
                return
            if missing:
                status = Status.UNKNOWN_ACCOUNT
            elif self.busy(own):
                return
            else:
                status = self._judge(own, item.conditions)
                seen = self._in_place(item.legs, item.homes, {self.own: self._seen(own)})
        if status:
            self._end(tx.session, session, tx.number, Verdict(status, self.slot, seen))
            self.whole.decided(self.own, tx, self.slot, False, {})
            self.unfinished.add(tx)
            return
        self.held[tx] = Held(self.own, self.slot, _flat(own), item.legs, item.homes)
        self.whole.prepared(self.own, tx, self._part(own))

    def _prepare_part(self, coordinator: ClusterId, row: PrepareRow) -> None:
        tx = TxId(row.session, row.number)
        held = self.held.get(tx)
        if held is not None:
            if held.coordinator == coordinator and held.legs == row.legs and row.at > held.at:
                self.held[tx] = held._replace(at=row.at)
            return
        if row.at < self._below.get(coordinator, 0) or self._is_over(tx, coordinator, row.at):
            return
        legs = dict(zip(row.legs[::2], row.legs[1::2], strict=True))
        if any(account not in self.balances for account in legs) or self.busy(legs):
            return
        if self._judge(legs, row.conditions) == Status.COMMITTED:
            self.held[tx] = Held(coordinator, row.at, row.legs)
            self.whole.prepared(self.own, tx, self._part(legs))

    def _part(self, legs: dict[AccountId, int]) -> Part:
        after: list[int] = []
        for account, delta in legs.items():
            after += (self.versions[account] + (delta != 0), self.balances[account] + delta)
        return Part(_flat(legs), tuple(after))

    def _decide(self, row: DecideRow, changed: set[AccountId]) -> None:
        tx = TxId(row.session, row.number)
        held = self.held.get(tx)
        if held is None or not held.homes:
            return
        del self.held[tx]
        self.unfinished.add(tx)
        legs = {home: _flat(_own(held.all_legs, held.homes, home)) for home in held.homes}
        if row.status == MOVED:
            return
        parts = self.whole.decided(self.own, tx, held.at, not row.status, legs)
        if row.status == Status.COMMITTED:
            after = self._in_place(held.all_legs, held.homes, {c: part.after for c, part in parts.items()})
            if row.legs != after:
                raise ModelError(f"{tx} tells {row.legs}, not {after}")
            self._commit(held.legs, changed)
        else:
            own = _own(held.all_legs, held.homes, self.own)
            told = zip(held.homes, _twos(row.legs), strict=True)
            if [pair for home, pair in told if home == self.own] != _twos(self._seen(own)):
                raise ModelError(f"{tx} aborts and tells {row.legs}")
        session = self.sessions.get(row.session)
        if session is not None and session.spans(row.number):
            self._end(row.session, session, row.number, Verdict(row.status, self.slot, row.legs))

    def _commit(self, legs: tuple[int, ...], changed: set[AccountId]) -> None:
        self._move(dict(zip(legs[::2], legs[1::2], strict=True)), changed)
        self.total += sum(legs[1::2])

    def _decide_part(
        self, coordinator: ClusterId, tx: TxId, at: Slot, commit: bool, changed: set[AccountId]
    ) -> None:
        held = self.held.get(tx)
        if held is not None and held.coordinator == coordinator:
            if at < held.at:
                return
            del self.held[tx]
            self.whole.settled(self.own, tx, (coordinator, at), commit)
            if commit:
                self._commit(held.legs, changed)
        if not self._is_over(tx, coordinator, at) and at >= self._below.get(coordinator, 0):
            self._finished[tx] = (coordinator, at, commit)

    def _is_over(self, tx: TxId, coordinator: ClusterId, at: Slot) -> bool:
        finished = self._finished.get(tx)
        return finished is not None and (finished[2] or (finished[0] == coordinator and finished[1] >= at))

    def _pass_below(self, coordinator: ClusterId, at: Slot) -> None:
        if at > self._below.get(coordinator, 0):
            self._below[coordinator] = at
            gone = [tx for tx, (c, number, _) in self._finished.items() if c == coordinator and number < at]
            for tx in gone:
                del self._finished[tx]

    def _in_place(
        self, legs: tuple[int, ...], homes: tuple[ClusterId, ...], told: dict[ClusterId, tuple[int, ...]]
    ) -> tuple[int, ...]:
        """(version, balance) of each leg in its place; (-1, -1) where its cluster told nothing."""
        rest = {cluster: list(values) for cluster, values in told.items()}
        flat: list[int] = []
        for home in homes:
            values = rest.get(home)
            flat += (values.pop(0), values.pop(0)) if values else (-1, -1)
        return tuple(flat)


def _own(legs: tuple[int, ...], homes: tuple[ClusterId, ...], cluster: ClusterId) -> dict[AccountId, int]:
    """Legs that lie in ``cluster``."""
    pairs = zip(legs[::2], legs[1::2], homes, strict=False)
    return {account: delta for account, delta, home in pairs if home == cluster}


def _flat(legs: dict[AccountId, int]) -> tuple[int, ...]:
    return tuple([x for pair in legs.items() for x in pair])


def _twos(flat: tuple[int, ...]) -> list[tuple[int, int]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def _triples(conditions: tuple[int, ...]) -> list[tuple[int, int, int]]:
    return [(conditions[i], conditions[i + 1], conditions[i + 2]) for i in range(0, len(conditions), 3)]


def _shape(item: Item | CrossItem) -> bool:
    """2–16 legs on distinct accounts that sum to zero, within limits; conditions on accounts among them."""
    if len(item.legs) % 2 or not 2 <= len(item.legs) // 2 <= 16:
        return False
    accounts, deltas = item.legs[::2], item.legs[1::2]
    if len(set(accounts)) != len(accounts) or sum(deltas) != 0:
        return False
    if any(abs(delta) > AMOUNT_MAX for delta in deltas):
        return False
    if len(item.conditions) % 3 or len(item.conditions) > 48:
        return False
    kinds = (Condition.BALANCE_AT_LEAST, Condition.VERSION_EQUALS)
    return all(account in accounts and kind in kinds for account, kind, _ in _triples(item.conditions))
