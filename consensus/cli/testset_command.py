"""``manage.py testset FILE``: run course test sets on a private bank and print what they ask for."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from consensus.cli.command import UsageError, add_sizes, print_json, run, table_console
from consensus.cli.shell.commands import Shell
from consensus.cli.shell.local import local_teller
from consensus.cli.shell.prompt import converse
from consensus.cli.testset_tables import show_set
from consensus.cluster.private import private_bank, to_stderr, topology_of
from consensus.testset.parser import TestSet, parse
from consensus.testset.runner import DEADLINE_S, SetRunner, check
from consensus.topology import Topology

BALANCE: Final = 10
"""What the course puts on each account."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="CSV: Set Number, Transactions, Live Nodes")
    parser.add_argument("--sets", default="", metavar="1,3", help="only these sets, in the file's order")
    add_sizes(parser, balance=BALANCE)
    parser.add_argument("--deadline", type=float, default=DEADLINE_S, help="seconds per command (5)")
    parser.add_argument(
        "--all", action="store_true", help="at a terminal, too: run set after set without asking"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def main(options: dict[str, Any]) -> int:
    """Exit status 0 when every chosen set was run, whatever its transfers came to."""
    return run("testset", _main(options))


async def _main(options: dict[str, Any]) -> int:
    if not 0.1 <= options["deadline"] <= 600:
        raise UsageError(f"--deadline: must be 0.1 to 600 seconds, not {options['deadline']:g}")
    try:
        sets = parse(options["file"].read_bytes())
    except OSError as error:
        raise UsageError(f"{options['file']}: {error.strerror}") from error
    chosen = choose(sets, options["sets"])
    topology = topology_of(*(options[name] for name in ("clusters", "nodes", "accounts", "balance")))
    check(chosen, topology)
    console = table_console()
    if not options["all"] and not options["json"] and sys.stdin.isatty() and sys.stdout.isatty():
        return await _ask(chosen, topology, options["deadline"], console)
    reports = []
    async with private_bank(topology) as bank:
        runner = SetRunner(topology, bank.secret, deadline_s=options["deadline"])
        for each in chosen:
            to_stderr(f"set {each.number}: {len(each.commands)} commands")
            report = await runner.run(each)
            reports.append(report.to_json())
            if not options["json"]:
                show_set(console, report)
    if options["json"]:
        print_json({"sets": reports})
    return 0


async def _ask(sets: list[TestSet], topology: Topology, deadline_s: float, console: Console) -> int:
    """Prompt before each set, as the shell does: next, skip, and what the course prints after a set."""
    async with (
        private_bank(topology) as bank,
        local_teller(topology, bank.secret, deadline_s) as teller,
    ):
        shell = Shell(teller, console)
        shell.use(sets)
        return await converse(shell, console, "next, skip, printbalance, printdb, printview, quit", None)


def choose(sets: list[TestSet], wanted: str) -> list[TestSet]:
    """The sets named by ``--sets``; all for an empty text.

    Raises:
        UsageError: not a list of numbers, or a number that the file does not have.
    """
    if not wanted.strip():
        return sets
    words = [word.strip() for word in wanted.split(",")]
    if not all(word.isdecimal() for word in words):
        raise UsageError(f"--sets: expects numbers like 1,3, not {wanted!r:.60}")
    numbers = {int(word) for word in words}
    missing = sorted(numbers - {each.number for each in sets})
    if missing:
        raise UsageError(f"--sets: the file has no set {', '.join(map(str, missing))}")
    return [each for each in sets if each.number in numbers]
