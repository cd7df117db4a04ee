"""``manage.py check-history``: the checker's verdict on a recorded history."""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path

from consensus.checker.history import HistoryError, read
from consensus.checker.judge import judge
from consensus.cli.command import EXIT_FAILED, EXIT_USAGE, print_json

NAME = "check-history"
HELP = "Judge a recorded history of the bank: strict serializability, conservation, acknowledgements."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="the history, one JSON line per event")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")


def main(arguments: argparse.Namespace) -> int:
    """Exit status: 0 ok, 1 violation, 2 the file is no history."""
    # Nothing here is garbage before the end; looking for it among a million objects takes half of the time.
    gc.disable()
    try:
        verdict = judge(read(arguments.file))
    except (HistoryError, OSError) as error:
        sys.stderr.write(f"{NAME}: {arguments.file}: {error}\n")
        return EXIT_USAGE
    finally:
        gc.enable()
    if arguments.json:
        print_json(verdict.to_json())
    else:
        sys.stdout.write("\n".join(verdict.words()) + "\n")
    return 0 if verdict.ok else EXIT_FAILED
