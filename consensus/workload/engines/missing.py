"""What an engine needs and this machine does not have."""

from __future__ import annotations


class MissingError(Exception):
    """A package is not installed; the text is one sentence that names it."""
