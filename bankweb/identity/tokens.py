"""The bank's token: whoever has it may do everything."""

from __future__ import annotations

import hmac

from django.conf import settings

_PREFIX = "Token "


def is_token(text: str) -> bool:
    """Whether ``text`` is the bank's token; takes the same time for every wrong one of its length."""
    return hmac.compare_digest(text.encode(errors="replace"), settings.BANK_TOKEN.encode())


def from_header(header: str) -> str | None:
    """The token in an ``Authorization`` header, None when the header holds something else."""
    return header[len(_PREFIX) :].strip() if header.startswith(_PREFIX) else None
