"""``manage.py redistribute``: a redistribution of the bank behind a site."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from consensus.cli import redistribute_command


class Command(BaseCommand):
    help = "Plan and carry out a redistribution of the bank behind a site."
    requires_system_checks = []  # noqa: RUF012  (Django's own way)

    def add_arguments(self, parser: CommandParser) -> None:
        redistribute_command.add_arguments(parser)

    def handle(self, **options: Any) -> None:
        sys.exit(redistribute_command.main(options))
