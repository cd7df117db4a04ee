"""What all tests share: a data folder of their own, and Django set up with it.

The site's settings read the data folder when they are loaded. It is named here, before that, so that no
test ever touches the bank in ``var/``. Each worker of pytest-xdist has another one.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# `make test` is deterministic: the same examples each time, and none judged by how long it took.
settings.register_profile(
    "repeatable", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")

for _name in [name for name in os.environ if name.startswith("PAXOS_BANK_")]:
    del os.environ[_name]
_DATA = Path(tempfile.mkdtemp(prefix="paxos-bank-tests-"))
os.environ["PAXOS_BANK_DATA"] = str(_DATA)
os.environ["DJANGO_SETTINGS_MODULE"] = "bankweb.settings.local"


def pytest_configure(config: pytest.Config) -> None:
    """Load the settings; pytest-django then sets Django up with them."""
    from django.conf import settings as site  # not before the environment is ready

    assert _DATA.resolve() == site.BANK_DATA
    # Workers of pytest-xdist inherit the environment; with this in it they would load the settings too early.
    del os.environ["DJANGO_SETTINGS_MODULE"]


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(_DATA, ignore_errors=True)
