"""``manage.py bench``: transfers per second and latency of a private bank."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from consensus.cli import bench_command


class Command(BaseCommand):
    help = "Measure a private bank under a closed loop of transfers, or its share of the floor."
    requires_system_checks = []  # noqa: RUF012  (Django's own way)

    def add_arguments(self, parser: CommandParser) -> None:
        bench_command.add_arguments(parser)

    def handle(self, **options: Any) -> None:
        sys.exit(bench_command.main(options))
