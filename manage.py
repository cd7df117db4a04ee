#!/usr/bin/env python
"""Django's command line for the bank."""

from __future__ import annotations

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bankweb.settings.local")
    try:
        from django.core.management import execute_from_command_line
    except ImportError as error:
        raise SystemExit(
            f"Django cannot be imported ({error}); run `make setup`, then use .venv/bin/python"
        ) from error
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
