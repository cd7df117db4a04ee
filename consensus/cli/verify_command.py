"""``manage.py verify``: a real bank under faults, judged from the outside."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any, Final

from consensus.checker.history import collect, write
from consensus.checker.judge import judge
from consensus.cli.command import EXIT_FAILED, UsageError, print_json, run, table_console
from consensus.cluster.private import private_bank, to_stderr, topology_of
from consensus.nemesis.faults import KINDS
from consensus.nemesis.run import break_bank
from consensus.storage.broken import NEMESIS_VARIABLE

ACCOUNTS: Final = 60
BALANCE: Final = 1_000
DURATION_MAX_S: Final = 3_600
"""The history is held in memory until it is judged."""
UNAVAILABLE_MS_MAX: Final = 1_500.0
"""No fault that leaves a healthy majority may silence a cluster for longer."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--duration", type=float, default=60.0, help="seconds under faults (60)")
    parser.add_argument("--faults", default=",".join(KINDS), help=f"which kinds ({','.join(KINDS)})")
    parser.add_argument("--clients", type=int, default=12, help="operations in flight (12)")
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn here")
    parser.add_argument(
        "--history", metavar="FILE", default="", help="write the history, one JSON line per event"
    )
    parser.add_argument("--progress", action="store_true", help="faults as lines of JSON on stderr")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def main(options: dict[str, Any]) -> int:
    """Exit status 0: the checker found nothing, and the bank was never silent for too long."""
    return run("verify", _main(options))


async def _main(options: dict[str, Any]) -> int:
    kinds = tuple(kind for kind in options["faults"].split(",") if kind)
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown or not kinds:
        raise UsageError(f"--faults: {', '.join(unknown) or 'none'}; there are {', '.join(KINDS)}")
    if not 1 <= options["duration"] <= DURATION_MAX_S:
        raise UsageError(f"--duration: must be 1 to {DURATION_MAX_S}, not {options['duration']:g}")
    if not 1 <= options["clients"] <= 200:
        raise UsageError(f"--clients: must be 1 to 200, not {options['clients']}")

    def told(fault: dict[str, Any]) -> None:
        if options["progress"]:
            to_stderr(json.dumps({"fault": fault}))
        elif fault["phase"] == "begin":
            to_stderr(f"  {fault['at_s']:6.1f} s  {fault['kind']}: {fault['what']}")

    topology = topology_of(3, 3, ACCOUNTS, BALANCE)
    async with private_bank(topology, environment={**os.environ, NEMESIS_VARIABLE: "1"}) as bank:
        outcome = await break_bank(
            bank, kinds, options["duration"], options["clients"], options["seed"], told
        )
    if options["history"]:
        write(Path(options["history"]), outcome.events)
    document = judged(outcome.events, outcome.conserved, outcome.injected, outcome.unavailable_ms())
    document["leaders_hit"] = sum(fault.leader for fault in outcome.faults)
    if options["json"]:
        print_json(document)
    else:
        _show(document)
    return 0 if document["verdict"] == "ok" and document["available"] else EXIT_FAILED


def judged(
    events: list[Any], conserved: bool, injected: dict[str, int], unavailable_ms: dict[str, float]
) -> dict[str, Any]:
    """The document of CONTRACT ``verify``, with ``conserved`` and ``available`` beside it."""
    verdict = judge(collect(enumerate(events, 1)))
    anomalies = verdict.to_json()["anomalies"]
    worst = max((ms for kind, ms in unavailable_ms.items()), default=0.0)
    return {
        "verdict": "ok" if verdict.ok and conserved else "violation",
        "operations": verdict.operations,
        "outcomes": verdict.outcomes,
        "acknowledged_lost": sum("lost" in anomaly["kind"] for anomaly in anomalies),
        "anomalies": anomalies,
        "conserved": conserved,
        "faults_injected": injected,
        "unavailable_ms_max": worst,
        "unavailable_ms": unavailable_ms,
        "available": worst <= UNAVAILABLE_MS_MAX,
    }


def _show(document: dict[str, Any]) -> None:
    console = table_console()
    outcomes = ", ".join(f"{count:,} {name}" for name, count in sorted(document["outcomes"].items()))
    console.print(f"{document['verdict']}: {document['operations']:,} operations ({outcomes})")
    for anomaly in sorted(document["anomalies"], key=lambda found: len(found["evidence"]))[:3]:
        console.print(f"{anomaly['kind']}: {anomaly['text']}")
        for line in anomaly["evidence"]:
            console.print(f"  {line}")
    faults = ", ".join(f"{count} {kind}" for kind, count in document["faults_injected"].items())
    console.print(f"faults: {faults}; {document['leaders_hit']} of them hit a leader")
    gaps = ", ".join(f"{kind} {ms:,.0f} ms" for kind, ms in document["unavailable_ms"].items())
    console.print(f"longest silence with a healthy majority, by fault: {gaps}")
    if not document["available"]:
        console.print(f"that is more than {UNAVAILABLE_MS_MAX:,.0f} ms")
