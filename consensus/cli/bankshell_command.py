"""``manage.py bankshell``: the shell on a private bank, or on the bank behind a site."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any, Final

from consensus.cli.command import UsageError, add_sizes, run, table_console
from consensus.cli.shell.commands import Shell
from consensus.cli.shell.local import local_teller
from consensus.cli.shell.prompt import converse
from consensus.cli.shell.rest import TOKEN_VARIABLE, SiteTeller
from consensus.cli.shell.teller import TellerError
from consensus.cluster.private import private_bank, topology_of

BALANCE: Final = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--site", help="address of a running site; without it a private bank is started")
    parser.add_argument("--token", default="", help=f"token of the site (default: ${TOKEN_VARIABLE})")
    add_sizes(parser, balance=BALANCE)


def main(options: dict[str, Any], history: Path | None = None) -> int:
    """Exit status 0; from a pipe 1 if a line failed.

    Args:
        options: as parsed.
        history: file for the lines typed; None keeps them in memory.
    """
    return run("bankshell", _main(options, history))


async def _main(options: dict[str, Any], history: Path | None) -> int:
    console = table_console()
    if options["site"]:
        try:
            site = SiteTeller(options["site"], options["token"] or os.environ.get(TOKEN_VARIABLE, ""))
        except TellerError as error:
            raise UsageError(str(error)) from error
        return await converse(Shell(site, console), console, site.title, history)
    topology = topology_of(*(options[name] for name in ("clusters", "nodes", "accounts", "balance")))
    async with private_bank(topology) as bank, local_teller(topology, bank.secret) as teller:
        return await converse(Shell(teller, console), console, teller.title, history)
