"""The forms a course file may take, and where a malformed one is at fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from consensus.messages.client import Level
from consensus.testset.csvtext import BYTES_MAX, FaultError
from consensus.testset.parser import Command, parse

DATA = Path(__file__).resolve().parents[1] / "data" / "testsets"
SHIPPED = Path(__file__).resolve().parents[2] / "testcases" / "course-testcases.csv"
HEADER = "Set Number,Transactions,Live Nodes\n"


def plain(command: Command) -> tuple[object, ...]:
    match command.kind:
        case "transfer":
            return (*command.accounts, command.amount, command.level.name)
        case "read":
            return (*command.accounts, command.level.name)
    return (command.kind, command.node)


def test_every_form() -> None:
    """Byte-order mark, CRLF, quotes, no space, trailing comma, a spreadsheet's minus, no last line end."""
    first, second = parse((DATA / "forms.csv").read_bytes())
    assert (first.number, first.live) == (1, (1, 2, 4, 5, 7, 8))
    assert [plain(command) for command in first.commands] == [
        (21, 700, 2, "LINEARIZABLE"),
        (9, 37, 4, "LINEARIZABLE"),
        (44, "LINEARIZABLE"),
        (1002, "LINEARIZABLE"),
        ("fail", 3),
        ("recover", 3),
    ]
    assert [plain(command) for command in second.commands] == [
        (1002, "LINEARIZABLE"),
        (5, "EVENTUAL"),
        (6, "RYW"),
        (1, 2, 3, "LINEARIZABLE"),
    ]
    assert [command.text for command in first.commands][:4] == ["(21, 700, 2)", "(9,37,4)", "(44,)", "-1002"]


def test_spaces_and_empty_rows() -> None:
    first, third = parse((DATA / "spaces.csv").read_bytes())
    assert [plain(command) for command in first.commands] == [
        (1, 2, 3, "LINEARIZABLE"),
        ("fail", 1),
        ("recover", 1),
    ]
    assert (third.number, third.live, third.commands) == (3, (), [])


def test_the_shipped_file() -> None:
    sets = parse(SHIPPED.read_bytes())
    assert [each.number for each in sets] == list(range(1, 11))
    assert [len(each.commands) for each in sets] == [5, 9, 12, 7, 6, 18, 8, 9, 7, 300]
    assert sum(command.kind == "fail" for each in sets for command in each.commands) == 12


def test_a_quoted_cell_may_hold_quotes_and_line_ends() -> None:
    text = HEADER + '1,"(1,\n 2, 3)",[n1]\n,"(4)",\n'
    (only,) = parse(text.encode())
    assert [plain(command)[0] for command in only.commands] == [1, 4]
    assert only.commands[1].line == 4


@pytest.mark.parametrize(
    ("text", "line", "column", "cause"),
    [
        ("", 1, 1, "empty"),
        ("Set,Transactions,Live Nodes\n", 1, 1, "'Set' in place of 'set number'"),
        ("Set Number,Transactions\n", 1, 24, "lacks the column 'live nodes'"),
        (HEADER + '1,"(1, 2, 3)",[n1]\n,"(4, x, 6)",\n', 3, 7, "'x'"),
        (HEADER + '1,"(1, 2, 3)",[n1]\n,"(4, 5, 1.5)",\n', 3, 10, "'1.5'"),
        (HEADER + "1,(12,[n1]\n", 2, 3, "not a command"),
        (HEADER + '1,"(1, 2)",[n1]\n', 2, 4, "not 2"),
        (HEADER + '1,"(1, 2, 3, 4)",[n1]\n', 2, 4, "not 4"),
        (HEADER + '1,"(1, 2, 3, sometimes)",[n1]\n', 2, 14, "levels are linearizable"),
        (HEADER + "1,(),[n1]\n", 2, 4, "''"),
        (HEADER + "1,1002,[n1]\n", 2, 3, "not a command"),
        (HEADER + "1,F(nx),[n1]\n", 2, 3, "not a command"),
        (HEADER + f"1,({'9' * 19}),[n1]\n", 2, 4, "18 digits"),
        (HEADER + "x,(1),[n1]\n", 2, 1, "'x'"),
        (HEADER + "0,(1),[n1]\n", 2, 1, "1 or more"),
        (HEADER + "1,(1),[n1]\n1,(1),[n1]\n", 3, 1, "set 1 occurs twice"),
        (HEADER + "1,(1),n1\n", 2, 7, "[n1, n2, …]"),
        (HEADER + "1,(1),\n", 2, 7, "[n1, n2, …]"),
        (HEADER + '1,(1),"[n1, m2]"\n', 2, 13, "'m2'"),
        (HEADER + '1,(1),"[n1, n2, n1]"\n', 2, 17, "node 1 occurs twice"),
        (HEADER + ",(1),\n", 2, 2, "before the first set number"),
        (HEADER + "1,(1),[n1]\n,(2),[n2]\n", 3, 6, "first row of a set"),
        (HEADER + "1,(1),[n1],more\n", 2, 12, "more than 3 columns"),
        (HEADER + '1,"(1),[n1]\n', 2, 3, "never closed"),
        (HEADER + '1,"(1)"x,[n1]\n', 2, 8, "after the closing quote"),
    ],
)
def test_malformed(text: str, line: int, column: int, cause: str) -> None:
    with pytest.raises(FaultError) as caught:
        parse(text.encode())
    assert (caught.value.line, caught.value.column) == (line, column)
    assert cause in str(caught.value)
    assert str(caught.value).startswith(f"line {line}, column {column}: ")


def test_not_utf8() -> None:
    with pytest.raises(FaultError, match="line 2, column 4: not UTF-8"):
        parse(HEADER.encode() + b"1,(\xff),[n1]\n")


def test_too_large() -> None:
    with pytest.raises(FaultError, match="more than"):
        parse(b"x" * (BYTES_MAX + 1))


def test_levels_are_those_of_the_client() -> None:
    text = HEADER + "1,(1),[n1]\n" + "".join(f',"(1, {level.name.title()})",\n' for level in Level)
    (only,) = parse(text.encode())
    assert [command.level for command in only.commands[1:]] == list(Level)
