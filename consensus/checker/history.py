"""Histories: one JSON line per event, read strictly into operations and written back.

The first line is the genesis: ``op`` ``genesis``, ``type`` ``ok``, and in ``accounts`` every account's
version and balance at the beginning. All others are ``invoke``, and later ``ok``, ``fail`` or ``info`` of
the same id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

TRANSFER: Final = "transfer"
READ: Final = "read"
AUDIT: Final = "audit"
GENESIS: Final = "genesis"
FOREVER_NS: Final = 2**62
"""End of an operation whose outcome nobody learned."""
_INT: Final = 2**62


class HistoryError(Exception):
    """The file is no history; the text begins with the line."""


class Seen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a reply said of an account: its count of committed changes, and its balance after them."""

    version: int
    balance: int


class Position(msgspec.Struct, frozen=True):
    """Where an outcome stands in a log; the ballot plays no part in the verdict."""

    cluster: int
    slot: int
    index: int


class Event(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """One line. ``t_ns`` is one monotonic clock for the whole file; ``total`` is what an audit counted."""

    process: str
    type: Literal["invoke", "ok", "fail", "info"]
    op: Literal["transfer", "read", "audit", "genesis"]
    id: str
    t_ns: int
    legs: list[tuple[int, int]] = []
    positions: list[Position] = []
    accounts: dict[int, Seen] = {}
    reason: str | None = None
    total: int | None = None


class Operation(msgspec.Struct):
    """An operation from its invocation to its answer; ``outcome`` is ``ok``, ``fail`` or ``info``."""

    invoke: Event
    outcome: str = "info"
    end_ns: int = FOREVER_NS
    answer: Event | None = None
    contradictions: list[Event] = msgspec.field(default_factory=list)

    @property
    def id(self) -> str:
        return self.invoke.id

    @property
    def deltas(self) -> dict[int, int]:
        """The change of each account; several legs on one are one change."""
        found: dict[int, int] = {}
        for account, delta in self.invoke.legs:
            found[account] = found.get(account, 0) + delta
        return found

    @property
    def seen(self) -> dict[int, Seen]:
        return {} if self.answer is None else self.answer.accounts

    def words(self) -> str:
        """The operation as a sentence part."""
        does = ", ".join(f"{account} {delta:+d}" for account, delta in self.invoke.legs) or "no legs"
        saw = ", ".join(f"{a} v{s.version} = {s.balance}" for a, s in sorted(self.seen.items())[:8])
        end = "open" if self.end_ns == FOREVER_NS else str(self.end_ns)
        what = f"{self.invoke.op} {self.id} by {self.invoke.process} [{self.invoke.t_ns}, {end}] ns"
        what += f" ({does})" if self.invoke.op == TRANSFER else ""
        return f"{what}: {self.outcome}" + (f", saw {saw}" if saw else "")


class History(msgspec.Struct):
    """The state at the beginning and all operations in the order of their invocation."""

    genesis: dict[int, Seen]
    operations: list[Operation]


def read(path: Path) -> History:
    """Read a history file.

    Raises:
        HistoryError: a line is malformed or contradicts an earlier one.
        OSError: the file cannot be read.
    """
    with path.open("rb") as lines:
        return parse(lines)


def parse(lines: Iterable[bytes]) -> History:
    """Read lines of a history; :class:`HistoryError` as in :func:`read`."""
    return collect(_decode(lines))


def write(path: Path, events: Iterable[Event]) -> None:
    """Write one line per event."""
    encoder = msgspec.json.Encoder()
    with path.open("wb") as file:
        file.writelines(encoder.encode(event) + b"\n" for event in events)


def collect(events: Iterable[tuple[int, Event]]) -> History:
    """Pair (line, event) into operations; :class:`HistoryError` as in :func:`read`."""
    genesis: dict[int, Seen] | None = None
    found: dict[str, Operation] = {}
    busy: dict[str, str] = {}
    for line, event in events:
        if event.op == GENESIS:
            if genesis is not None or event.type != "ok" or not event.accounts:
                raise HistoryError(f"line {line}: genesis is one ok event with accounts, and the first")
            genesis = event.accounts
            continue
        if genesis is None:
            raise HistoryError(f"line {line}: the first event has to be the genesis")
        strangers = [a for a in (*event.accounts, *(a for a, _ in event.legs)) if a not in genesis]
        if strangers:
            raise HistoryError(f"line {line}: account {strangers[0]} is not in the genesis")
        if event.type == "invoke":
            _invoke(line, event, found, busy)
        else:
            _answer(line, event, found, busy)
    if genesis is None:
        raise HistoryError("line 1: the history is empty")
    return History(genesis, sorted(found.values(), key=lambda operation: operation.invoke.t_ns))


def _decode(lines: Iterable[bytes]) -> Iterator[tuple[int, Event]]:
    decoder = msgspec.json.Decoder(Event)
    for line, text in enumerate(lines, 1):
        try:
            event = decoder.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise HistoryError(f"line {line}: {error}") from error
        if not 0 <= event.t_ns < FOREVER_NS or any(abs(delta) > _INT for _, delta in event.legs):
            raise HistoryError(f"line {line}: a number is out of range")
        yield line, event


def _invoke(line: int, event: Event, found: dict[str, Operation], busy: dict[str, str]) -> None:
    if event.id in found:
        raise HistoryError(f"line {line}: {event.id} was invoked before")
    if event.process in busy:
        raise HistoryError(f"line {line}: process {event.process} still waits for {busy[event.process]}")
    if event.op == TRANSFER and not event.legs:
        raise HistoryError(f"line {line}: a transfer needs legs")
    found[event.id] = Operation(event)
    busy[event.process] = event.id


def _answer(line: int, event: Event, found: dict[str, Operation], busy: dict[str, str]) -> None:
    operation = found.get(event.id)
    if operation is None or operation.invoke.op != event.op:
        raise HistoryError(f"line {line}: {event.id} was not invoked as {event.op}")
    if event.t_ns < operation.invoke.t_ns:
        raise HistoryError(f"line {line}: {event.id} is answered before it is invoked")
    if busy.get(event.process) == event.id:
        del busy[event.process]
    if event.type == "info":
        return
    if event.op == TRANSFER and event.type == "ok" and set(event.accounts) != set(operation.deltas):
        raise HistoryError(f"line {line}: a committed transfer names the version of each of its accounts")
    first = operation.answer
    if first is None:
        operation.answer, operation.outcome, operation.end_ns = event, event.type, event.t_ns
    elif (first.type, first.accounts, first.positions) != (event.type, event.accounts, event.positions):
        operation.contradictions.append(event)
