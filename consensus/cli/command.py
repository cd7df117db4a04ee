"""The frame of a command: run it, turn what went wrong into one line and an exit status."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Coroutine
from typing import Any, Final

import uvloop
from rich.console import Console

from consensus.client.errors import ClientError, OperatorError
from consensus.cluster.folder import FolderError
from consensus.cluster.launcher import StartError
from consensus.cluster.ports import PortBusyError
from consensus.testset.csvtext import FaultError
from consensus.topology_keys import TopologyError
from consensus.workload.crew import GeneratorError
from consensus.workload.generator import LoadError

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130
PIPE_WIDTH: Final = 10_000


class UsageError(Exception):
    """The command cannot be run as it was given; the text names the option and what to do."""


def add_sizes(parser: argparse.ArgumentParser, *, balance: int | None = None) -> None:
    """Options that size a private bank. ``balance``: default of ``--balance``; None: no such option."""
    parser.add_argument("--clusters", type=int, default=3, help="Paxos groups (3)")
    parser.add_argument("--nodes", type=int, default=3, help="nodes per cluster (3)")
    parser.add_argument("--accounts", type=int, default=9_000, help="accounts in all (9000)")
    if balance is not None:
        parser.add_argument("--balance", type=int, default=balance, help=f"money on each account ({balance})")


def run(name: str, work: Coroutine[Any, Any, int]) -> int:
    """Run ``work`` to its exit status; what it raises becomes a line on stderr and a status above 0."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)
    except (UsageError, TopologyError, FaultError, LoadError) as error:
        _say(name, error)
        return EXIT_USAGE
    except (KeyboardInterrupt, asyncio.CancelledError):
        _say(name, "interrupted")
        return EXIT_INTERRUPTED
    except (
        StartError,
        FolderError,
        PortBusyError,
        OperatorError,
        ClientError,
        GeneratorError,
        TimeoutError,
        OSError,
    ) as error:
        _say(name, error)
        return EXIT_FAILED


def _say(name: str, cause: object) -> None:
    sys.stderr.write(f"{name}: {cause}\n")


def table_console() -> Console:
    """Standard output for people. Into a pipe nothing is wrapped, so that lines stay lines."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def print_json(document: Any) -> None:
    """The one JSON document of ``--json``."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=1) + "\n")
    sys.stdout.flush()
