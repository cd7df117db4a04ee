"""``manage.py bankshell``: type transfers, faults and test sets."""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from consensus.cli import bankshell_command


class Command(BaseCommand):
    help = "A shell on a private bank, or with --site on the bank behind a running site."
    requires_system_checks = []  # noqa: RUF012  (Django's own way)

    def add_arguments(self, parser: CommandParser) -> None:
        bankshell_command.add_arguments(parser)

    def handle(self, **options: Any) -> None:
        sys.exit(bankshell_command.main(options, settings.BANK_DATA / "bankshell-history"))
