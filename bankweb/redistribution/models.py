"""Plans and what became of them. Who owns an account is in the bank, not here."""

from __future__ import annotations

from django.db import models


class Redistribution(models.Model):
    """A plan, from the first wish for one to its end.

    ``key`` is its public id and names its parts in the nodes' logs, so it is never used for other moves.
    """

    key = models.CharField(max_length=32, unique=True)
    digest = models.CharField(max_length=16, default="")
    """Of the moves: equal plans have equal ones."""
    status = models.CharField(max_length=10)
    reason = models.TextField(default="")
    """Why it was refused, or failed."""
    origin = models.CharField(max_length=10)
    """``hand``, ``automatic``, or ``rollback``."""
    undoes = models.CharField(max_length=32, default="")
    """Of a rollback: the key of what it takes back."""
    actor = models.CharField(max_length=150)
    created = models.DateTimeField()
    started = models.DateTimeField(null=True)
    ended = models.DateTimeField(null=True)
    options = models.JSONField(default=dict)
    before = models.JSONField(null=True)
    predicted = models.JSONField(null=True)
    observed = models.JSONField(null=True)
    total = models.IntegerField(default=0)
    moved = models.IntegerField(default=0)
    plan = models.BinaryField(null=True)
    """zlib of the JSON document of :func:`consensus.sharding.planning.answer`, accounts from 1."""
    events = models.BinaryField(null=True)
    """zlib of a JSON list: what the partitioner did, as trace events ``hg.*``."""
    series = models.JSONField(default=list)
    """Rows of seconds since the start, percent across clusters in the second before, accounts moved."""

    def __str__(self) -> str:
        return f"{self.key} {self.status}"


class Part(models.Model):
    """A part of a plan: which accounts its number stands for. Written before any node hears of it."""

    redistribution = models.ForeignKey(Redistribution, models.CASCADE)
    number = models.IntegerField()
    source = models.IntegerField()
    target = models.IntegerField()
    accounts = models.JSONField()
    phase = models.CharField(max_length=16, default="")
    taken = models.JSONField(default=list)
    began_s = models.FloatField(default=0.0)
    took_ms = models.FloatField(default=0.0)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("redistribution", "number"), name="part_number"),)

    def __str__(self) -> str:
        return f"{self.redistribution_id}/{self.number} {self.phase or 'asked'}"


class Trigger(models.Model):
    """The one row of the automatic trigger's settings; off unless somebody turned it on."""

    on = models.BooleanField(default=False)
    high_pct = models.FloatField(default=30.0)
    """Share across clusters above which it acts, in two windows one after the other."""
    low_pct = models.FloatField(default=20.0)
    """It acts again only after the share was below this."""
    load_high_pct = models.FloatField(default=60.0)
    """Load imbalance above which it acts, too."""
    window_s = models.FloatField(default=30.0)
    cooldown_s = models.FloatField(default=600.0)
    """An account that was moved stays for so long."""

    def __str__(self) -> str:
        return "on" if self.on else "off"
