"""What all ways of running share. Everything that differs comes from the environment.

``PAXOS_BANK_DATA``
    data folder of the bank (default ``var`` beside manage.py).
``PAXOS_BANK_TOPOLOGY``
    topology file; default ``nodes.yaml`` of the data folder, else ``config/nodes.yaml``.
``PAXOS_BANK_SECRET``
    shared secret of nodes and site; default: the data folder's file ``secret``.
``PAXOS_BANK_TOKEN``
    token that people and scripts sign in with; default: the data folder's file ``token``.
``PAXOS_BANK_HOSTS``
    host names the site answers to, separated by commas; default: the names of loopback.
``PAXOS_BANK_DJANGO_SECRET``
    key that signs cookies; default: the data folder's file ``django-secret``.
``PAXOS_BANK_AMBIENT``
    transfers of the site's own: ``on``, ``off``, ``fresh`` (on until somebody switches them off; what
    ``runbank`` says); default: off until somebody switches them on.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import plotly
from django.core.exceptions import ImproperlyConfigured

from consensus.cluster.folder import DataFolder, FolderError

BASE_DIR = Path(__file__).resolve().parents[2]


def _data_file(name: str, variable: str) -> str:
    """A secret of the bank: from the environment, else from its file, which is made on first use."""
    return os.environ.get(variable, "") or DataFolder(BANK_DATA).secret(name)


# --- the bank ------------------------------------------------------------------------------------

BANK_DATA = Path(os.environ.get("PAXOS_BANK_DATA") or BASE_DIR / "var").resolve()
try:
    DataFolder(BANK_DATA).make()
except FolderError as error:
    raise ImproperlyConfigured(str(error)) from error
BANK_TOPOLOGY = os.environ.get("PAXOS_BANK_TOPOLOGY", "")
BANK_SECRET = _data_file("secret", "PAXOS_BANK_SECRET")
BANK_TOKEN = _data_file("token", "PAXOS_BANK_TOKEN")
BANK_ACTOR = "local"
"""Who the holder of the token acts as."""

BODY_BYTES_MAX = 4 << 20
# Files that go to the disk piece by piece may be larger: a packed ring of a recording is 64 MiB.
UPLOAD_BYTES_MAX = 96 << 20
UPLOAD_PATHS = ("/api/recordings/",)
"""A longer request body is refused with 413."""
BATCH_TRANSFERS_MAX = 10_000
KEY_HOURS = 24
"""How long an Idempotency-Key is remembered."""
KEPT_TRANSACTIONS_MAX = 20_000
"""Transactions from forms and single REST calls that are listed; the oldest go first."""
KEPT_BATCHES_MAX = 200
"""Batches sent without a key whose results can still be asked for."""
AUDIT_ROWS_MAX = 100_000
BANK_AMBIENT = os.environ.get("PAXOS_BANK_AMBIENT", "")
if BANK_AMBIENT not in ("", "on", "off", "fresh"):
    raise ImproperlyConfigured(f"PAXOS_BANK_AMBIENT: must be on, off or fresh, not {BANK_AMBIENT!r:.20}")

# --- Django --------------------------------------------------------------------------------------

SECRET_KEY = _data_file("django-secret", "PAXOS_BANK_DJANGO_SECRET")
DEBUG = False
ALLOWED_HOSTS = os.environ.get("PAXOS_BANK_HOSTS", "localhost,127.0.0.1,[::1]").split(",")
ROOT_URLCONF = "bankweb.urls"
ASGI_APPLICATION = "bankweb.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
FORM_RENDERER = "django.forms.renderers.DjangoTemplates"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "adrf",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "bankweb.identity",
    "bankweb.orchestration",
    "bankweb.ledger",
    "bankweb.benchmarks",
    "bankweb.testsets",
    "bankweb.redistribution",
    "bankweb.observatory",
    "bankweb.lab",
]

# All of these run on the event loop without a change of thread (bankweb/middleware.py says why).
MIDDLEWARE = [
    "bankweb.middleware.SecureHeaders",
    "bankweb.middleware.StaticFiles",
    "bankweb.middleware.Sessions",
    "bankweb.middleware.Common",
    "bankweb.middleware.Authentication",
    "bankweb.identity.gate.Gate",
    "bankweb.middleware.Csrf",
    "bankweb.middleware.Messages",
    "django_htmx.middleware.HtmxMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "bankweb.observatory.context.shell",
            ],
        },
    }
]

STATIC_URL = "/static/"
WHITENOISE_ALLOW_ALL_ORIGINS = False
STATICFILES_DIRS = [
    BASE_DIR / "static",
    # Plotly comes with its wheel: nothing is fetched from elsewhere.
    ("vendor/plotly", Path(plotly.__file__).parent / "package_data"),
]

# --- who may do what -----------------------------------------------------------------------------

AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "cluster"

# Cookies do not know ports: without a name of its own each local bank would sign out the others.
_BANK = hashlib.sha256(str(BANK_DATA).encode()).hexdigest()[:8]
SESSION_COOKIE_NAME = f"bank_session_{_BANK}"
SESSION_COOKIE_AGE = 14 * 24 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = f"bank_csrf_{_BANK}"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "bankweb.errors.csrf_failure"
MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"

DATA_UPLOAD_MAX_MEMORY_SIZE = BODY_BYTES_MAX
FILE_UPLOAD_MAX_MEMORY_SIZE = BODY_BYTES_MAX

# --- REST ----------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["bankweb.identity.authentication.BankAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["bankweb.rest.parsers.StrictJsonParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "bankweb.rest.parsers.JsonOnly",
    "DEFAULT_SCHEMA_CLASS": "bankweb.rest.schema.BankSchema",
    "EXCEPTION_HANDLER": "bankweb.rest.problems.handle",
    "DEFAULT_METADATA_CLASS": None,
    "URL_FORMAT_OVERRIDE": None,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Paxos Bank",
    "DESCRIPTION": (
        "A bank whose accounts are sharded over Paxos clusters. Errors are RFC 9457 problem documents "
        "(`application/problem+json`) that name the field. Sign in with `Authorization: Token <token>`."
    ),
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "bankweb.rest.schema.finish",
    ],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SERVE_AUTHENTICATION": None,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "NodeStateEnum": "bankweb.orchestration.serializers.STATES",
        "RunStateEnum": "bankweb.testsets.serializers.STATES",
        "RedistributionStatusEnum": "bankweb.redistribution.serializers.STATUSES",
        "TransactionKindEnum": "bankweb.ledger.serializers.KINDS",
        "VerdictKindEnum": "bankweb.lab.serializers.VERDICT_KINDS",
        "BenchmarkStatusEnum": "bankweb.benchmarks.serializers.STATUSES",
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "bankweb": {"level": "INFO"},
        # Answers of 4xx are what was asked for; only failures of the site itself are worth a line.
        "django.request": {"level": "ERROR"},
        "django.channels.server": {"level": "WARNING"},
    },
}
