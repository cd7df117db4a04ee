"""Rows of the audit log."""

from __future__ import annotations

from django.db import models


class Action(models.Model):
    """Something somebody changed, or tried to."""

    at = models.DateTimeField(db_index=True)
    actor = models.CharField(max_length=150)
    command = models.CharField(max_length=64)
    arguments = models.JSONField(default=dict)
    result = models.CharField(max_length=300)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.at:%F %T} {self.actor} {self.command}: {self.result}"
