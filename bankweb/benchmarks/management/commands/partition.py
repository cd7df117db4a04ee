"""``manage.py partition``: split a hypergraph in hMETIS format into blocks."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from consensus.cli import partition_command


class Command(BaseCommand):
    help = "Partition a hypergraph (hMETIS format) with the partitioner that places accounts."
    requires_system_checks = []  # noqa: RUF012  (Django's own way)

    def add_arguments(self, parser: CommandParser) -> None:
        partition_command.add_arguments(parser)

    def handle(self, **options: Any) -> None:
        sys.exit(partition_command.main(options))
