"""Several machines: PostgreSQL, TLS in front, static files collected. Names come from the environment.

``PAXOS_BANK_DATABASE``
    ``postgresql://user:password@host:port/name``.
``PAXOS_BANK_ORIGINS``
    origins that forms may come from, such as ``https://bank.example``, separated by commas.
"""

from __future__ import annotations

import os
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from bankweb.settings.base import *  # noqa: F403
from bankweb.settings.base import BANK_AMBIENT as _AMBIENT
from bankweb.settings.base import BASE_DIR

_database = urlsplit(os.environ.get("PAXOS_BANK_DATABASE", ""))
if _database.scheme not in ("postgres", "postgresql") or not _database.path.strip("/"):
    raise ImproperlyConfigured("PAXOS_BANK_DATABASE: must be postgresql://user:password@host:port/name")

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _database.path.strip("/"),
        "USER": unquote(_database.username or ""),
        "PASSWORD": unquote(_database.password or ""),
        "HOST": _database.hostname or "",
        "PORT": str(_database.port or ""),
        "CONN_MAX_AGE": 60,
    }
}

# A bank of several machines is quiet unless somebody says otherwise.
BANK_AMBIENT = "" if _AMBIENT == "fresh" else _AMBIENT

SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
CSRF_TRUSTED_ORIGINS = [origin for origin in os.environ.get("PAXOS_BANK_ORIGINS", "").split(",") if origin]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 365 * 24 * 3600
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = False
