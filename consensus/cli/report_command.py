"""``manage.py report``: the fifteen cases of the course's form, run and judged, as HTML and JSON."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import msgspec

from consensus.cli.command import EXIT_FAILED, UsageError, print_json, run, table_console
from consensus.cluster.private import to_stderr
from consensus.report import htmlfile
from consensus.report.cases import CASES
from consensus.report.runner import fill
from consensus.workload import machine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write FILE (HTML), and the same as JSON beside it"
    )
    parser.add_argument("--cases", default="", metavar="1,4", help="only these (all)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--progress", action="store_true", help="each case as a line of JSON on stderr")


def main(options: dict[str, Any]) -> int:
    """Exit status 0 when every case came to what it has to."""
    return run("report", _main(options))


async def _main(options: dict[str, Any]) -> int:
    wanted = _wanted(options["cases"])
    filled = []
    for case in CASES:
        if case.number not in wanted:
            continue
        found = await fill(case, (lambda _: None) if options["progress"] else to_stderr)
        filled.append(found)
        if options["progress"]:
            told = {"case": found.case, "ok": found.ok, "done": len(filled), "of": len(wanted)}
            to_stderr(json.dumps({"progress": told}))
    document: dict[str, Any] = {
        "cases": msgspec.to_builtins(filled),
        "passed": sum(found.ok for found in filled),
        "commit": machine.commit(),
        "machine": machine.facts(),
    }
    if options["output"] is not None:
        options["output"].write_text(htmlfile.text(document), encoding="utf-8")
        options["output"].with_suffix(".json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    if options["json"]:
        print_json(document)
    else:
        console = table_console()
        for found in filled:
            console.print(f"{found.case:3} {'ok' if found.ok else 'NOT OK':7} {found.title}")
            for sentence in found.wrong:
                console.print(f"            {sentence}")
    return 0 if document["passed"] == len(filled) else EXIT_FAILED


def _wanted(text: str) -> set[int]:
    known = {case.number for case in CASES}
    if not text:
        return known
    try:
        found = {int(word) for word in text.split(",")}
    except ValueError:
        found = set()
    if not found or not found <= known:
        raise UsageError(f"--cases: expects numbers of 1 to {max(known)} like 1,4, not {text!r:.60}")
    return found
