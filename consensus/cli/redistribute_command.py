"""``manage.py redistribute``: plan and carry out a redistribution of the bank behind a site."""

from __future__ import annotations

import argparse
import os
from typing import Any

from consensus.cli.command import EXIT_FAILED, UsageError, print_json, run, table_console
from consensus.cli.shell.rest import TOKEN_VARIABLE, SiteTeller
from consensus.cli.shell.teller import TellerError
from consensus.cluster.private import to_stderr

SHOWN = 20
"""Moves that are printed for people; ``--json`` has all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--site", required=True, help="address of a running site")
    parser.add_argument("--token", default="", help=f"token of the site (default: ${TOKEN_VARIABLE})")
    parser.add_argument("--dry-run", action="store_true", help="make the plan, move nothing")
    parser.add_argument("--max-moves", type=int, help="move so many accounts at most")
    parser.add_argument(
        "--wait", type=float, default=0.0, metavar="S", help="wait so long for enough traffic, while it comes"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def main(options: dict[str, Any]) -> int:
    """Exit status 0 when the plan was made and, unless it is a dry run, carried out; else 1."""
    return run("redistribute", _main(options))


async def _main(options: dict[str, Any]) -> int:
    try:
        site = SiteTeller(options["site"], options["token"] or os.environ.get(TOKEN_VARIABLE, ""))
    except TellerError as error:
        raise UsageError(str(error)) from error

    def told(body: dict[str, Any]) -> None:
        progress = body["progress"]
        to_stderr(f"  {body['status']}: {progress['moved']:,} of {progress['total']:,} moved")

    try:
        body = await site.redistribute(options["dry_run"], options["max_moves"], told, options["wait"])
    except TellerError as error:
        to_stderr(f"redistribute: {error}")
        return EXIT_FAILED
    if options["json"]:
        print_json(
            {
                "plan": body["id"],
                "before": body["before"],
                "predicted": body["predicted"],
                "observed": body["observed"],
                "moves": body["moves"],
                "status": body["status"],
                "reason": body["reason"],
            }
        )
    else:
        console = table_console()
        console.print(f"redistribution {body['id']}: {body['status']}")
        if body["reason"]:
            console.print(body["reason"])
        for name in ("before", "predicted", "observed"):
            if body[name]:
                console.print(f"{name}: {body[name]['cross_shard_pct']:.1f} % across clusters")
        for account, source, target in body["moves"][:SHOWN]:
            console.print(f"({account}, c{source}, c{target})")
        if len(body["moves"]) > SHOWN:
            console.print(f"… {len(body['moves']) - SHOWN:,} more")
    return 0 if body["status"] in ("planned", "done") else EXIT_FAILED
