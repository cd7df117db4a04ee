"""What the site remembers of transactions. The truth about money is in the bank, not here."""

from __future__ import annotations

from django.db import models


class Kept(models.Model):
    """A transaction from a form or a single REST call, with the answer that was given."""

    tx = models.CharField(max_length=64, unique=True)
    outcome = models.CharField(max_length=16)
    body = models.BinaryField()
    """The REST body, JSON."""
    legs = models.TextField()
    """JSON, ``[[account, delta], …]``."""
    touched = models.CharField(max_length=200)
    """Its accounts as ``,21,700,``, to search by one of them."""
    source = models.CharField(max_length=8)
    actor = models.CharField(max_length=150)
    created = models.DateTimeField()
    steps = models.BinaryField(null=True)
    """What nodes told of it: zlib of a JSON list of trace events; null while nothing is stored."""

    def __str__(self) -> str:
        return f"{self.tx} {self.outcome}"


class Batch(models.Model):
    """The answer to a batch, compressed."""

    body = models.BinaryField()
    """zlib of the JSON body."""
    is_keyed = models.BooleanField()
    created = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"batch {self.pk}"


class Span(models.Model):
    """Consecutive numbers of one session that a batch used: where to find a result by its id."""

    batch = models.ForeignKey(Batch, models.CASCADE)
    session = models.CharField(max_length=32)
    first = models.BigIntegerField()
    last = models.BigIntegerField()
    offset = models.IntegerField()
    """Place of ``first`` in the batch's results."""

    class Meta:
        indexes = (models.Index(fields=("session", "first"), name="span_session_first"),)

    def __str__(self) -> str:
        return f"{self.session}-{self.first}..{self.last}"


class Claim(models.Model):
    """An Idempotency-Key: whose it is, what it stands for, and how it was answered."""

    actor = models.CharField(max_length=150)
    key = models.CharField(max_length=200)
    body_hash = models.CharField(max_length=64)
    tx_ids = models.TextField()
    """JSON, ``[[session, first, last], …]``, in the order of the request."""
    answer = models.BinaryField(null=True)
    """Body of the final answer (status 200); null while there is none, or when it is in ``batch``."""
    position = models.CharField(max_length=2_000, default="")
    """The Session-Position header of the answer."""
    batch = models.ForeignKey(Batch, models.CASCADE, null=True)
    created = models.DateTimeField(db_index=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("actor", "key"), name="claim_actor_key"),)

    def __str__(self) -> str:
        return f"{self.actor} {self.key}"


class Switch(models.Model):
    """Something that people turn on or off."""

    name = models.CharField(max_length=32, primary_key=True)
    on = models.BooleanField()

    def __str__(self) -> str:
        return f"{self.name} {'on' if self.on else 'off'}"
