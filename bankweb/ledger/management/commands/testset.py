"""``manage.py testset``: run course test sets on a private bank."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from consensus.cli import testset_command


class Command(BaseCommand):
    help = "Run the test sets of a course CSV file on a private bank and print outcomes, balances and views."
    requires_system_checks = []  # noqa: RUF012  (Django's own way)

    def add_arguments(self, parser: CommandParser) -> None:
        testset_command.add_arguments(parser)

    def handle(self, **options: Any) -> None:
        sys.exit(testset_command.main(options))
