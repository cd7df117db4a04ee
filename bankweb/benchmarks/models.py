"""Benchmarks that were run from here, with all that is needed to judge and repeat them."""

from __future__ import annotations

from django.db import models


class Benchmark(models.Model):
    """One run: what was asked for, on which machine and version, and what came out."""

    created = models.DateTimeField()
    started = models.DateTimeField(null=True)
    ended = models.DateTimeField(null=True)
    actor = models.CharField(max_length=150)
    name = models.CharField(max_length=100)
    bank = models.CharField(max_length=8)
    """``private`` or ``shown``."""
    status = models.CharField(max_length=10)
    error = models.TextField(default="")
    parameters = models.JSONField()
    """As in the POST that made it."""
    commit = models.CharField(max_length=40, default="")
    machine = models.JSONField(default=dict)
    progress = models.JSONField(default=dict)
    course = models.JSONField(default=list)
    """Rows of seconds, operations per second since the row before, p50 and p99 in ms so far."""
    result = models.JSONField(null=True)
    """The document of ``bench --json``."""

    def __str__(self) -> str:
        return f"{self.pk} {self.name} {self.status}"
