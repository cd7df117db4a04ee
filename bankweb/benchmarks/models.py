"""Benchmarks that were run from here, with all that is needed to judge and repeat them."""

from __future__ import annotations

from django.db import models

from bankweb.runs.records import Run


class Benchmark(Run):
    """One run: what was asked for, on which machine and version, and what came out."""

    bank = models.CharField(max_length=8)
    """``private`` or ``shown``."""
    commit = models.CharField(max_length=40, default="")
    machine = models.JSONField(default=dict)
    course = models.JSONField(default=list)
    """Rows of seconds, and since the row before: operations per second, p50 and p99 in ms."""
