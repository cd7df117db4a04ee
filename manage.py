#!/usr/bin/env python
"""Django's command line for the bank."""

from __future__ import annotations

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bankweb.settings.local")
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line

        from consensus.cluster.folder import FolderError
    except ImportError as error:
        raise SystemExit(
            f"Django cannot be imported ({error}); run `make setup`, then use .venv/bin/python"
        ) from error
    try:
        execute_from_command_line(sys.argv)
    except (ImproperlyConfigured, FolderError) as error:
        sys.stderr.write(f"manage.py: {error}\n")
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
