"""``manage.py scenario NAME``: a story on a private bank or the one on show, step by step, with its proof."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from pathlib import Path
from typing import Any, Final

import msgspec

from consensus.cli.bench_command import running_bank
from consensus.cli.command import EXIT_FAILED, UsageError, print_json, run, table_console
from consensus.cli.shell.rest import TOKEN_VARIABLE, SiteTeller
from consensus.cli.shell.teller import TellerError
from consensus.cli.site_stage import site_stage
from consensus.cluster.folder import DataFolder
from consensus.cluster.launcher import StartError
from consensus.cluster.private import private_bank, to_stderr, topology_of
from consensus.scenarios.film import Film
from consensus.scenarios.fitting import CLUSTERS, NODES, misfit
from consensus.scenarios.runner import Done, Report, play
from consensus.scenarios.scenario import Scenario, Step, scenarios
from consensus.scenarios.stage import private_stage

POLL_S: Final = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", default="", help="which one; none: list them")
    parser.add_argument(
        "--bank",
        default="",
        metavar="FOLDER",
        help="on the bank that runs in this data folder, which begins anew first, through its site",
    )
    parser.add_argument("--site", default="", help="have the site at this address run it on its bank")
    parser.add_argument("--token", default="", help="of the site; else PAXOS_BANK_TOKEN, or ?token=")
    parser.add_argument(
        "--pause", type=float, default=0.0, metavar="S", help="between steps, for those who look on (0)"
    )
    parser.add_argument(
        "--trace", default="", metavar="FILE", help="record the private bank, for the pages to play"
    )
    parser.add_argument("--progress", action="store_true", help="each step as a line of JSON on stderr")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def main(options: dict[str, Any]) -> int:
    """Exit status 0 when every step came to what it should, and the proof holds."""
    return run("scenario", _main(options))


async def _main(options: dict[str, Any]) -> int:
    known = scenarios()
    name = options["name"]
    if not name:
        _list(options["json"])
        return 0
    if name not in known:
        raise UsageError(f"there is no scenario {name!r}; there are {', '.join(known)}")
    if options["site"]:
        report = await _at_site(name, options)
    else:
        report = await _here(name, known[name], options)
    if options["json"]:
        print_json(report.to_json())
    else:
        _show(report)
    return 0 if report.ok else EXIT_FAILED


async def _here(name: str, scenario: Scenario, options: dict[str, Any]) -> Report:
    def told(done: Done) -> None:
        if options["progress"]:
            to_stderr(json.dumps({"step": msgspec.to_builtins(done)}))
        elif not options["json"]:
            mark = " " if done.ok else "!"
            to_stderr(f"{mark} {done.caption}\n    {done.told}")

    def begins(step: Step, at_us: int) -> None:
        if options["progress"]:
            to_stderr(json.dumps({"begins": step.caption, "at_us": at_us}))

    if options["bank"]:
        topology, secret = running_bank(options["bank"])
        reason = misfit(scenario, topology)
        if reason:
            raise UsageError(f"--bank: {reason}")
        try:
            async with site_stage(DataFolder(options["bank"]), topology, secret) as shown:
                await shown.begin()
                return await play(name, scenario, shown, told, begins, options["pause"])
        except TellerError as error:
            raise StartError(f"the site: {error}") from error
    topology = topology_of(CLUSTERS, NODES, scenario.accounts, scenario.balance)
    quiet = options["json"] or options["progress"]
    async with (
        private_bank(topology, (lambda text: None) if quiet else to_stderr) as bank,
        private_stage(bank) as stage,
    ):
        if not options["trace"]:
            return await play(name, scenario, stage, told, begins, options["pause"])
        path = Path(options["trace"])
        async with Film(bank.topology, bank.secret, path, f"scenario-{name}") as film:

            def marked(step: Step, at_us: int) -> None:
                film.tell("mark", n=0, text=step.caption)
                begins(step, at_us)

            return await play(name, scenario, stage, told, marked, options["pause"])


async def _at_site(name: str, options: dict[str, Any]) -> Report:
    """Let the site run it on the bank it shows."""
    try:
        site = SiteTeller(options["site"], options["token"] or os.environ.get(TOKEN_VARIABLE, ""))
        body = await site.order("scenarios/", {"name": name, "bank": "shown"})
        while body["status"] in ("queued", "running"):
            await asyncio.sleep(POLL_S)
            body = await site.document(f"verdicts/{body['id']}/")
    except TellerError as error:
        raise UsageError(f"--site: {error}") from error
    if body["result"] is None:
        raise StartError(f"verdict {body['id']} is {body['status']}: {body['error'] or 'no result'}")
    return msgspec.convert(body["result"], Report)


def _list(as_json: bool) -> None:
    known = scenarios()
    if as_json:
        print_json({"scenarios": [{"name": n, "title": s.title, "about": s.about} for n, s in known.items()]})
        return
    console = table_console()
    for name, scenario in known.items():
        console.print(f"{name:20} {scenario.about}")


def _show(report: Report) -> None:
    console = table_console()
    for found in report.proof:
        console.print(f"{'ok' if found['ok'] else 'NOT OK':7} {found['name']}: {found['found']}")
    if report.ok:
        console.print(f"{report.title}: as told. Go on with: scenario {report.next}")
    else:
        console.print(f"{report.title}: NOT as told")
