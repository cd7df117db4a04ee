"""``manage.py report``: the fifteen cases of the course's form, as HTML and JSON."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from consensus.cli import report_command


class Command(BaseCommand):
    help = "Run the fifteen cases of the course's report form on private banks, and judge them."
    requires_system_checks = []  # noqa: RUF012  (Django's own way)

    def add_arguments(self, parser: CommandParser) -> None:
        report_command.add_arguments(parser)

    def handle(self, **options: Any) -> None:
        sys.exit(report_command.main(options))
