"""Course test sets: CSV with the columns Set Number, Transactions, Live Nodes.

One command per row; the number and the live nodes stand on a set's first row only. Commands:

* ``(s, r, amt)``: a transfer; ``(s)`` or ``(s,)``: the balance of an account. Both take a
  consistency level as a last field: ``(s, eventual)``.
* ``-1002``: the balance of 1002, because that is what a spreadsheet makes of ``(1002)``.
* ``F(n3)``, ``R(n3)``: node 3 fails, recovers.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from consensus.messages.client import Level
from consensus.testset.csvtext import Cell, FaultError, Row, decode, rows
from consensus.types import AccountId, NodeId

COLUMNS: Final = ("set number", "transactions", "live nodes")
COMMANDS_MAX: Final = 100_000
LEVELS: Final = {level.name.lower(): level for level in Level}

_NODE_COMMAND: Final = re.compile(r"([FR])\s*\(\s*n?(\d{1,5})\s*\)", re.IGNORECASE)
_NODE: Final = re.compile(r"n?(\d{1,5})", re.IGNORECASE)
_INTEGER: Final = re.compile(r"[+-]?\d{1,18}")


class Command(msgspec.Struct, frozen=True):
    """One row.

    Attributes:
        text: the cell as it stands in the file, without surrounding space.
        kind: ``transfer``, ``read``, ``fail`` or ``recover``.
        line, column: where it stands.
        accounts: (sender, receiver) of a transfer, (account,) of a read.
        amount: of a transfer.
        node: of fail and recover.
        level: consistency asked for.
    """

    text: str
    kind: str
    line: int
    column: int
    accounts: tuple[AccountId, ...] = ()
    amount: int = 0
    node: NodeId = 0
    level: Level = Level.LINEARIZABLE


class TestSet(msgspec.Struct, frozen=True):
    """Commands to run on a bank that was reset, with only ``live`` nodes up at first."""

    __test__ = False  # for pytest: not a class of tests

    number: int
    live: tuple[NodeId, ...]
    commands: list[Command]
    line: int
    live_column: int


def parse(data: bytes) -> list[TestSet]:
    """The sets of a file, in its order.

    Raises:
        FaultError: the first fault, with its line and column.
    """
    table = rows(decode(data))
    if not table:
        raise FaultError(1, 1, "the file is empty")
    _check_header(table[0])
    sets: list[TestSet] = []
    commands: list[Command] = []
    total = 0
    for row in table[1:]:
        number, action, live = _columns(row)
        if number.text:
            commands = []
            sets.append(_new_set(number, live, commands, {known.number for known in sets}))
        elif live.text:
            raise FaultError(live.line, live.column, "live nodes belong on the first row of a set")
        if not action.text:
            continue
        if not sets:
            raise FaultError(action.line, action.column, "a command before the first set number")
        total += 1
        if total > COMMANDS_MAX:
            raise FaultError(action.line, action.column, f"more than {COMMANDS_MAX} commands")
        commands.append(parse_command(action))
    return sets


def _check_header(row: Row) -> None:
    for i, name in enumerate(COLUMNS):
        if i >= len(row):
            last = row[-1]
            raise FaultError(last.line, last.column + len(last.text), f"the header lacks the column {name!r}")
        if row[i].text.strip().lower() != name:
            raise FaultError(
                row[i].line, row[i].column, f"the header has {row[i].text.strip()!r:.40} in place of {name!r}"
            )


def _columns(row: Row) -> tuple[Cell, Cell, Cell]:
    cells = [_stripped(cell) for cell in row]
    for cell in cells[len(COLUMNS) :]:
        if cell.text:
            raise FaultError(cell.line, cell.column, f"more than {len(COLUMNS)} columns")
    end = cells[-1]
    empty = Cell("", end.line, end.column + len(end.text))
    cells += [empty] * (len(COLUMNS) - len(cells))
    return cells[0], cells[1], cells[2]


def _stripped(cell: Cell) -> Cell:
    text = cell.text.lstrip()
    return Cell(text.rstrip(), cell.line, cell.column + len(cell.text) - len(text))


def _new_set(number: Cell, live: Cell, commands: list[Command], known: set[int]) -> TestSet:
    if not number.text.isdecimal() or len(number.text) > 9 or int(number.text) == 0:
        raise FaultError(
            number.line, number.column, f"the set number must be 1 or more, not {number.text!r:.40}"
        )
    if int(number.text) in known:
        raise FaultError(number.line, number.column, f"set {number.text} occurs twice")
    return TestSet(int(number.text), _live_nodes(live), commands, live.line, live.column)


def _live_nodes(cell: Cell) -> tuple[NodeId, ...]:
    text = cell.text
    if not (text.startswith("[") and text.endswith("]")):
        raise FaultError(cell.line, cell.column, f"live nodes are written [n1, n2, …], not {text!r:.40}")
    nodes: list[NodeId] = []
    at = 1
    for part in text[1:-1].split(",") if text[1:-1].strip() else []:
        column = cell.column + at + len(part) - len(part.lstrip())
        match = _NODE.fullmatch(part.strip())
        if match is None:
            raise FaultError(cell.line, column, f"not a node: {part.strip()!r:.40}")
        if int(match[1]) in nodes:
            raise FaultError(cell.line, column, f"node {match[1]} occurs twice")
        nodes.append(int(match[1]))
        at += len(part) + 1
    return tuple(nodes)


def parse_command(cell: Cell) -> Command:
    """One command.

    Raises:
        FaultError: not a command; the column is that of the field at fault.
    """
    text, line, column = cell
    match = _NODE_COMMAND.fullmatch(text)
    if match is not None:
        kind = "fail" if match[1].upper() == "F" else "recover"
        return Command(text, kind, line, column, node=int(match[2]))
    if text.startswith("-") and _INTEGER.fullmatch(text):
        return Command(text, "read", line, column, accounts=(-int(text),))
    if not (text.startswith("(") and text.endswith(")")):
        raise FaultError(line, column, f"not a command: {text!r:.40}; known are (s, r, amt), (s), F(n), R(n)")
    fields = _fields(cell)
    level = Level.LINEARIZABLE
    if len(fields) > 1 and fields[-1].text.lower() in LEVELS:
        level = LEVELS[fields.pop().text.lower()]
    numbers = [_integer(field) for field in fields]
    if len(numbers) == 1:
        return Command(text, "read", line, column, accounts=(numbers[0],), level=level)
    if len(numbers) == 3:
        sender, receiver, amount = numbers
        return Command(text, "transfer", line, column, (sender, receiver), amount, level=level)
    raise FaultError(line, column, f"(s, r, amt) has three numbers and (s) one, not {len(numbers)}")


def _fields(cell: Cell) -> list[Cell]:
    """The parts between the brackets; one empty part at the end, as in ``(44,)``, does not count."""
    fields: list[Cell] = []
    at = 1
    for part in cell.text[1:-1].split(","):
        column = cell.column + at + len(part) - len(part.lstrip())
        fields.append(Cell(part.strip(), cell.line, column))
        at += len(part) + 1
    if len(fields) > 1 and not fields[-1].text:
        fields.pop()
    return fields


def _integer(field: Cell) -> int:
    if not _INTEGER.fullmatch(field.text):
        words = "" if field.text.lstrip("+-").isdecimal() else f"; levels are {', '.join(LEVELS)}"
        raise FaultError(
            field.line, field.column, f"not an integer of at most 18 digits: {field.text!r:.40}{words}"
        )
    return int(field.text)
