"""``manage.py verify``: a real bank under faults, judged from the outside."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from consensus.cli import verify_command


class Command(BaseCommand):
    help = "Break a private bank of real processes on purpose, and judge what its clients saw."
    requires_system_checks = []  # noqa: RUF012  (Django's own way)

    def add_arguments(self, parser: CommandParser) -> None:
        verify_command.add_arguments(parser)

    def handle(self, **options: Any) -> None:
        sys.exit(verify_command.main(options))
