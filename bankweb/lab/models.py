"""Verdicts: what a run under faults was, and what was found of it."""

from __future__ import annotations

from django.db import models

from bankweb.runs.records import Run


class Verdict(Run):
    """A run of ``manage.py verify`` or ``manage.py simulate``, and the document it printed."""

    kind = models.CharField(max_length=10)
    """``verify`` or ``simulation``."""
    recording = models.CharField(max_length=80, default="")
    """Id of the recording of a single simulated run."""
