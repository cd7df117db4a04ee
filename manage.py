#!/usr/bin/env python
"""Django's command line for the bank."""

from __future__ import annotations

import argparse
import os
import sys


def data_folder(arguments: list[str]) -> str:
    """What ``--data-dir`` names, or nothing: the settings make secrets there before the command reads it."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--data-dir", nargs="?", default="")
    return parser.parse_known_args(arguments)[0].data_dir or ""


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bankweb.settings.local")
    folder = data_folder(sys.argv[1:])
    if folder:
        os.environ["PAXOS_BANK_DATA"] = folder
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
        sys.stderr.write(f"{sys.argv[1] if len(sys.argv) > 1 else 'manage.py'}: {error}\n")
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
