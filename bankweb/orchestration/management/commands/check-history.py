"""``manage.py check-history``; see :mod:`consensus.cli.check_history_command`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from consensus.cli import check_history_command


class Command(BaseCommand):
    help = check_history_command.HELP
    requires_system_checks = []  # noqa: RUF012  (Django's own way)

    def add_arguments(self, parser: CommandParser) -> None:
        check_history_command.add_arguments(parser)

    def handle(self, *_: Any, **options: Any) -> None:
        sys.exit(check_history_command.main(argparse.Namespace(**options)))
