"""The state of one cluster's bank at one slot: accounts, sessions, views. Rows in, rows out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, islice, takewhile
from struct import Struct as Packing
from typing import Final

import msgspec

from consensus.bank.cross import CrossState
from consensus.bank.crossrows import CROSS_TABLES, cross_keys, cross_row, restore_cross
from consensus.bank.hashing import LEAF_BITS, StateHash
from consensus.bank.moves import MOVE_TABLES, MoveState, move_keys, move_row, restore_move
from consensus.bank.sessions import Session
from consensus.messages.entries import NewView
from consensus.messages.rows import TABLES, Row
from consensus.types import AccountId, SessionId, Slot

VIEWS_MAX: Final = 1_000
META: Final = ("slot", "accounts_total", "epoch", "views_total", "audit")
"""Numbers of the state that have a meta row each."""
_ACCOUNT = Packing("<4q")
_view_encoder = msgspec.msgpack.Encoder()
_view_decoder = msgspec.msgpack.Decoder(NewView)


class StateError(ValueError):
    """Rows do not make up a state, or not the one their hash names."""


class Account(msgspec.Struct, gc=False):
    """``version`` counts committed changes; ``epoch`` counts changes of owner."""

    id: AccountId
    balance: int
    version: int = 0
    epoch: int = 0


class View(msgspec.Struct, frozen=True):
    """A NEW-VIEW that was chosen, with the slot of its own entry."""

    number: int
    slot: Slot
    body: NewView


class BankState:
    """All that apply reads and writes. Mutated only by :class:`consensus.bank.machine.Machine`."""

    def __init__(self, accounts_total: int) -> None:
        self.slot: Slot = 0
        self.accounts_total = accounts_total
        self.epoch = 0
        self.accounts: dict[AccountId, Account] = {}
        self.sessions: dict[SessionId, Session] = {}
        """In the order of their last use, as far as slots tell it: ``used_slot`` never falls."""
        self.views: deque[View] = deque(maxlen=VIEWS_MAX)
        self.views_total = 0
        self.audit = 0
        """Number of the last audit cut."""
        self.cross = CrossState()
        self.moves = MoveState()
        # Changed since the hash was last brought up to date …
        self.touched_accounts: set[AccountId] = set()
        self.touched_sessions: set[SessionId] = set()
        # … and since the last checkpoint was captured.
        self.dirty_accounts: set[AccountId] = set()
        self.dirty_sessions: set[SessionId] = set()
        self.dirty_views: list[View] = []
        self.dirty_rows: set[tuple[str, int | bytes]] = set()
        """Of the tables about transactions across clusters and about migrations."""
        self.captures: list[StateCapture] = []
        self._hash = StateHash()

    @classmethod
    def genesis(cls, accounts_total: int, first: AccountId, last: AccountId, balance: int) -> BankState:
        """Slot 0: accounts ``first..last``, each with ``balance``."""
        state = cls(accounts_total)
        for account in range(first, last + 1):
            state.accounts[account] = Account(account, balance)
        state.touched_accounts.update(state.accounts)
        return state

    # --- changing ----------------------------------------------------------

    def changing(self, account: Account) -> None:
        """To be called before ``account`` changes: captures keep it as it is, the hash looks at it again."""
        for capture in self.captures:
            capture.keep(account.id)
        self.touched_accounts.add(account.id)

    def touch_session(self, session: SessionId) -> None:
        self.touched_sessions.add(session)

    def committed_balance(self, account: Account) -> int:
        """The balance without what a prepared transaction, not yet decided here, has changed."""
        return account.balance - self.cross.undo.get(account.id, 0)

    # --- hash ------------------------------------------------------------

    def digest(self) -> bytes:
        """16-byte canonical hash of the whole state at the current slot."""
        for leaf in {account >> LEAF_BITS for account in self.touched_accounts}:
            self._hash.put(("a", leaf), self._leaf(leaf))
        for session_id in self.touched_sessions:
            session = self.sessions.get(session_id)
            packed = None if session is None else msgspec.msgpack.encode(_session_row(session))
            self._hash.put(("s", session_id), packed)
        for changed in chain(self.cross.take_changes(), self.moves.touched):
            row = self._table_row(*changed)
            self._hash.put(changed, None if row is None else msgspec.msgpack.encode(row))
            self.dirty_rows.add(changed)
        self.moves.touched.clear()
        self.dirty_accounts |= self.touched_accounts
        self.dirty_sessions |= self.touched_sessions
        self.touched_accounts.clear()
        self.touched_sessions.clear()
        self._hash.put("meta", msgspec.msgpack.encode(self._meta()))
        return self._hash.digest()

    def _leaf(self, leaf: int) -> bytes | None:
        first = leaf << LEAF_BITS
        held = [a for a in map(self.accounts.get, range(first, first + (1 << LEAF_BITS))) if a is not None]
        return b"".join([_ACCOUNT.pack(a.id, a.balance, a.version, a.epoch) for a in held]) or None

    def _table_row(self, table: str, key: int | bytes) -> Row | None:
        return (
            cross_row(self.cross, table, key) if table in CROSS_TABLES else move_row(self.moves, table, key)
        )

    def _table_keys(self) -> Iterator[tuple[str, int | bytes]]:
        yield from cross_keys(self.cross)
        yield from move_keys(self.moves)

    def _meta(self) -> list[tuple[str, int]]:
        return [(name, getattr(self, name)) for name in META]

    def add_view(self, slot: Slot, body: NewView) -> None:
        """Remember a NEW-VIEW; the oldest is dropped above :data:`VIEWS_MAX`."""
        if len(self.views) == VIEWS_MAX:
            self._hash.put(("v", self.views[0].number), None)
        view = View(self.views_total, slot, body)
        self.views_total += 1
        self.views.append(view)
        self.dirty_views.append(view)
        self._hash.put(("v", view.number), msgspec.msgpack.encode(_view_row(view)))

    def longest_idle(self) -> SessionId:
        """The session that makes room for another: of those last used in the lowest slot the lowest id.

        The order within a slot is none that a replica could know after a restart, so ids decide.
        """
        sessions = iter(self.sessions.values())
        first = next(sessions)
        as_long = takewhile(lambda session: session.used_slot == first.used_slot, sessions)
        return min([first.id, *[session.id for session in as_long]])

    # --- rows ------------------------------------------------------------

    def capture(self, everything: bool) -> StateCapture:
        """The rows at this slot: all of them, or those that changed since the last such capture."""
        return StateCapture(self, everything)

    @classmethod
    def restore(cls, rows: Iterable[Row]) -> BankState:
        """Build the state from a complete set of rows and check it against its hash.

        Raises:
            StateError: rows are missing or damaged.
        """
        state = cls(0)
        meta: dict[str, object] = {}
        for row in rows:
            if row.values is None:
                raise StateError(f"a whole state deletes nothing, but {row.table}[{row.key!r}] is a deletion")
            try:
                _check_kinds(row)
                _RESTORE[row.table](state, meta, row)
            except (KeyError, TypeError, ValueError, OverflowError, msgspec.DecodeError) as error:
                raise StateError(f"row {row.table}[{row.key!r}] is damaged: {error}") from error
        try:
            for name in META:
                number = meta[name]
                if not isinstance(number, int):
                    raise StateError(f"the meta row {name} is not a number")
                setattr(state, name, number)
            named = meta["hash"]
        except KeyError as error:
            raise StateError(f"the meta row {error} is missing") from error
        state.views = deque(sorted(state.views, key=lambda view: view.number), maxlen=VIEWS_MAX)
        state.sessions = dict(sorted(state.sessions.items(), key=lambda item: item[1].used_slot))
        state.touched_accounts.update(state.accounts)
        state.touched_sessions.update(state.sessions)
        state.cross.index()
        state.moves.index()
        state.moves.touched.update(move_keys(state.moves))
        for view in state.views:
            state._hash.put(("v", view.number), msgspec.msgpack.encode(_view_row(view)))
        if state.digest() != named:
            raise StateError(f"the state at slot {state.slot} does not have the hash it was stored with")
        state.dirty_accounts.clear()
        state.dirty_sessions.clear()
        state.dirty_rows.clear()
        return state


class StateCapture:
    """Rows of a state at exactly one slot, handed out while the state goes on changing.

    Accounts are copied when their turn comes, or, if that is sooner, just before they change
    (:meth:`keep`); everything else is small and copied at once.
    """

    def __init__(self, state: BankState, everything: bool) -> None:
        self.state_hash = state.digest()
        self.slot = state.slot
        self.replace = everything
        sessions: Iterable[SessionId] = state.sessions if everything else sorted(state.dirty_sessions)
        views = list(state.views) if everything else state.dirty_views
        meta: list[tuple[str, int | bytes]] = [*state._meta(), ("hash", self.state_hash)]
        self._rows: list[Row] = [Row("meta", key, (value,)) for key, value in meta]
        for session_id in sessions:
            session = state.sessions.get(session_id)
            self._rows.append(Row("sessions", session_id, None) if session is None else _session_row(session))
        for table, key in state._table_keys() if everything else sorted(state.dirty_rows, key=repr):
            self._rows.append(state._table_row(table, key) or Row(table, key, None))
        self._rows.extend(_view_row(view) for view in views)
        if not everything and views:
            oldest = state.views[0].number
            self._rows.extend(Row("views", n, None) for n in range(max(0, oldest - len(views)), oldest))
        self._pending = dict.fromkeys(state.accounts if everything else sorted(state.dirty_accounts))
        self._state = state
        if not everything:
            state.dirty_accounts = set()
            state.dirty_sessions = set()
            state.dirty_views = []
            state.dirty_rows = set()
        if self._pending:
            state.captures.append(self)

    def keep(self, account: AccountId) -> None:
        """Copy an account's row before it changes for the first time since the capture."""
        if account in self._pending:
            del self._pending[account]
            self._rows.append(self._row(account))

    def take(self, limit: int) -> list[Row]:
        """Up to ``limit`` further rows; empty when there are no more."""
        room = limit - len(self._rows)
        if room > 0 and self._pending:
            due = list(islice(self._pending, room))
            for account in due:
                del self._pending[account]
                self._rows.append(self._row(account))
        if not self._pending and self in self._state.captures:
            self._state.captures.remove(self)
        rows, self._rows = self._rows[:limit], self._rows[limit:]
        return rows

    def close(self) -> None:
        """Give up before the end: nothing is kept any more."""
        self._pending.clear()
        self._rows.clear()
        if self in self._state.captures:
            self._state.captures.remove(self)

    def _row(self, account: AccountId) -> Row:
        held = self._state.accounts.get(account)
        values = None if held is None else (held.balance, held.version, held.epoch)
        return Row("accounts", account, values)


def all_rows(capture: StateCapture) -> Iterator[Row]:
    """Every row of a capture at once (simulation, tests)."""
    while rows := capture.take(10_000):
        yield from rows


def _session_row(session: Session) -> Row:
    return Row("sessions", session.id, session.columns())


def _view_row(view: View) -> Row:
    return Row("views", view.number, (view.slot, _view_encoder.encode(view.body)))


def _check_kinds(row: Row) -> None:
    """Whether key and values are of the kinds their columns declare, and integers fit 64 bits with a sign."""
    assert row.values is not None
    for value, kind in zip((row.key, *row.values), _KINDS[row.table], strict=True):
        if kind is not object and type(value) is not kind:
            raise TypeError(f"{value!r:.40} stands where a column holds {kind.__name__}")
        if kind is int and not -(1 << 63) <= value < 1 << 63:
            raise ValueError(f"{value} does not fit its column")


def _restore_meta(state: BankState, meta: dict[str, object], row: Row) -> None:
    assert row.values is not None
    meta[row.key] = row.values[0]


def _restore_account(state: BankState, meta: dict[str, object], row: Row) -> None:
    assert row.values is not None
    balance, version, epoch = row.values
    state.accounts[row.key] = Account(row.key, balance, version, epoch)


def _restore_session(state: BankState, meta: dict[str, object], row: Row) -> None:
    assert row.values is not None
    state.sessions[row.key] = Session.of_columns(row.key, *row.values)


def _restore_view(state: BankState, meta: dict[str, object], row: Row) -> None:
    assert row.values is not None
    slot, body = row.values
    state.views.append(View(row.key, slot, _view_decoder.decode(body)))


def _restore_cross(state: BankState, meta: dict[str, object], row: Row) -> None:
    restore_cross(state.cross, row)


def _restore_move(state: BankState, meta: dict[str, object], row: Row) -> None:
    restore_move(state.moves, row)


_SQL_KINDS: Final[dict[str, type]] = {"INTEGER": int, "BLOB": bytes, "TEXT": str}
_KINDS = {
    table: tuple([_SQL_KINDS.get((*column.split(), "")[1], object) for column in columns])
    for table, columns in TABLES.items()
}
_RESTORE = {
    **dict.fromkeys(CROSS_TABLES, _restore_cross),
    **dict.fromkeys(MOVE_TABLES, _restore_move),
    "meta": _restore_meta,
    "accounts": _restore_account,
    "sessions": _restore_session,
    "views": _restore_view,
}
