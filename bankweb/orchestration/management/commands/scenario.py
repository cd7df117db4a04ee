"""``manage.py scenario``: a story on a private bank, step by step, with its proof."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from consensus.cli import scenario_command


class Command(BaseCommand):
    help = "Run a scenario on a private bank of real processes; without a name, list them."
    requires_system_checks = []  # noqa: RUF012  (Django's own way)

    def add_arguments(self, parser: CommandParser) -> None:
        scenario_command.add_arguments(parser)

    def handle(self, **options: Any) -> None:
        sys.exit(scenario_command.main(options))
