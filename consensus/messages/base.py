"""The common shape of messages."""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of everything on the wire. Encoded as ``[number, field, …]``."""
