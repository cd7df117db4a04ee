"""One machine, loopback, SQLite in the data folder: what ``make run`` uses."""

from __future__ import annotations

from bankweb.settings.base import *  # noqa: F403
from bankweb.settings.base import BANK_DATA

SESSION_ENGINE = "django.contrib.sessions.backends.db"
WHITENOISE_USE_FINDERS = True

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BANK_DATA / "site.sqlite3",
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": 10,
            # Writers queue for the lock at BEGIN instead of failing in the middle.
            "transaction_mode": "IMMEDIATE",
            # FULL: what an Idempotency-Key stands for is on the disk before anything is submitted.
            # Checkpoints of 150 pages: one of 1,000 made whoever committed then wait for 200 ms.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-4000; "
            "PRAGMA wal_autocheckpoint=150",
        },
        "TEST": {"NAME": BANK_DATA / "test.sqlite3"},
    }
}
