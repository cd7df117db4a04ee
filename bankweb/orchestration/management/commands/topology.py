"""``manage.py topology``: write a commented topology of any size."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandParser

from consensus import topology_file


class Command(BaseCommand):
    help = "Write a topology as YAML with a comment per key, for runbank --config and for the workers."
    requires_system_checks: ClassVar[list[str]] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--clusters", type=int, default=3, help="Paxos groups (3)")
        parser.add_argument("--nodes", type=int, default=3, help="nodes per cluster (3)")
        parser.add_argument("--accounts", type=int, default=9000, help="accounts in all, ids 1..N (9000)")
        parser.add_argument("--balance", type=int, default=10, help="money on each account at first (10)")
        parser.add_argument("--host", default="127.0.0.1", help="where the nodes listen (127.0.0.1)")
        parser.add_argument("--base-port", type=int, default=topology_file.BASE_PORT, help="port of node 1")
        parser.add_argument("--output", type=Path, help="file to write; default: standard output")

    def handle(self, **options: Any) -> None:
        try:
            topology = topology_file.generate(
                clusters=options["clusters"],
                nodes=options["nodes"],
                accounts=options["accounts"],
                balance=options["balance"],
                host=options["host"],
                base_port=options["base_port"],
            )
            text = topology_file.dump(topology)
            if options["output"] is None:
                self.stdout.write(text, ending="")
            else:
                options["output"].write_text(text, encoding="utf-8")
        except (topology_file.TopologyError, OSError) as error:
            self.stderr.write(f"topology: {error}")
            sys.exit(2)
        for warning in topology_file.warnings(topology):
            self.stderr.write(f"topology: warning: {warning}")
