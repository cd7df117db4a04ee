"""What stops the site's commands from starting is said in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        (
            "PAXOS_BANK_DATA",
            "{file}/bank",
            "spectacular: data folder {file}/bank cannot be used: a part of the path is a file; ",
        ),
        ("PAXOS_BANK_TOPOLOGY", "{file}", "spectacular: topology {file}: "),
    ],
)
def test_a_wrong_setting_is_one_line(tmp_path: Path, variable: str, value: str, text: str) -> None:
    file = tmp_path / "file"
    file.write_text("nonsense", encoding="utf-8")
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "bankweb.settings.local",
        "PAXOS_BANK_DATA": str(tmp_path / "data"),
        variable: value.format(file=file),
    }
    command = [sys.executable, "manage.py", "spectacular", "--file", os.devnull]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(text.format(file=file))
    assert done.stderr.count("\n") == 1, done.stderr


def test_the_site_loads_nothing_that_only_benchmarks_and_plans_need() -> None:
    """Their clients and compilers cost memory and seconds; they run in processes of their own."""
    script = (
        "import sys, django; django.setup(); import bankweb.urls, bankweb.asgi\n"
        "print(sorted({'grpc', 'google.protobuf', 'asyncpg', 'numba'} & set(sys.modules)))"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "bankweb.settings.local"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
