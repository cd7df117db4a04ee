"""Reading and writing the ledger's rows. Writers run on the store's writer thread, readers on its reader."""

from __future__ import annotations

import datetime
import zlib
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from django.conf import settings
from django.db import connection

from bankweb.ledger.gateway import Legs
from bankweb.ledger.models import Batch, Claim, Kept, Span
from consensus.types import TxId

PRUNE_EVERY: Final = 500
"""Rows written between two looks at what is too old."""

Spans = list[list[Any]]
"""``[[session (hex), first, last], …]``"""


class Claiming(NamedTuple):
    """A wish to use an Idempotency-Key."""

    actor: str
    key: str
    body_hash: str
    tx_ids: Spans


class Claimed(NamedTuple):
    """What a key stands for now; ``is_new`` if by this very wish."""

    id: int
    is_new: bool
    body_hash: str
    tx_ids: Spans
    answer: bytes | None
    batch: int
    position: str
    created: datetime.datetime


class Ended(NamedTuple):
    """A transaction that a person or a single call sent, and how it was answered.

    ``claim`` 0: without a key. ``is_final``: the body answers the claim from now on.
    """

    tx: str
    outcome: str
    body: bytes
    legs: Legs
    source: str
    actor: str
    claim: int = 0
    is_final: bool = False
    position: str = ""


class Steps(NamedTuple):
    """Trace events of one transaction, encoded and compressed."""

    tx: str
    body: bytes


class BatchEnded(NamedTuple):
    """A batch and its answer. ``spans``: (session, first, last, offset)."""

    body: bytes
    spans: list[tuple[str, int, int, int]]
    claim: int = 0


class Amended(NamedTuple):
    """The answer of a batch (its row), anew."""

    batch: int
    body: bytes


# These run for each single call, where the work of the ORM would cost more than that of the database.
_INSERT_CLAIM: Final = """
    INSERT INTO ledger_claim (actor, key, body_hash, tx_ids, position, created)
    VALUES (%s, %s, %s, %s, '', %s)
    ON CONFLICT (actor, key) DO NOTHING
"""
_INSERT_KEPT: Final = """
    INSERT INTO ledger_kept (tx, outcome, body, legs, touched, source, actor, created)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (tx) DO UPDATE SET outcome = excluded.outcome, body = excluded.body
"""

_encode = msgspec.json.Encoder().encode


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


# --- keys ----------------------------------------------------------------------------------------


def claim(wishes: list[Claiming]) -> list[Claimed]:
    """Give each key to who came first, and tell what it stands for."""
    now = connection.ops.adapt_datetimefield_value(_now())
    rows = [(w.actor, w.key, w.body_hash, _encode(w.tx_ids).decode(), now) for w in wishes]
    keys = sorted({wish.key for wish in wishes})
    marks = ", ".join(["%s"] * len(keys))
    with connection.cursor() as cursor:
        cursor.executemany(_INSERT_CLAIM, rows)
        cursor.execute(f"SELECT id, actor, key, tx_ids FROM ledger_claim WHERE key IN ({marks})", keys)
        found = {(actor, key): (row, tx_ids) for row, actor, key, tx_ids in cursor.fetchall()}
    return [
        _claimed(wish, *found[wish.actor, wish.key], tx_ids)
        for wish, (_, _, _, tx_ids, _) in zip(wishes, rows, strict=True)
    ]


def _claimed(wish: Claiming, row_id: int, tx_ids: str, own_tx_ids: str) -> Claimed:
    if tx_ids == own_tx_ids:
        return Claimed(row_id, True, wish.body_hash, wish.tx_ids, None, 0, "", _now())
    row = Claim.objects.select_related("batch").get(pk=row_id)
    answer = bytes(row.answer) if row.answer is not None else None
    if row.batch is not None:
        answer = zlib.decompress(row.batch.body)
    spans = msgspec.json.decode(row.tx_ids)
    return Claimed(row_id, False, row.body_hash, spans, answer, row.batch_id or 0, row.position, row.created)


def release(claims: list[int]) -> list[None]:
    """Forget keys under which nothing was done."""
    Claim.objects.filter(pk__in=claims).delete()
    return [None] * len(claims)


# --- outcomes ------------------------------------------------------------------------------------


def end(ended: list[Ended]) -> list[None]:
    """Keep transactions with their answers; a final one replaces what was known before."""
    now = connection.ops.adapt_datetimefield_value(_now())
    latest = {item.tx: item for item in ended}
    rows = [
        (
            item.tx,
            item.outcome,
            item.body,
            _encode(list(zip(item.legs[::2], item.legs[1::2], strict=True))).decode(),
            f",{','.join(map(str, item.legs[::2]))},",
            item.source,
            item.actor,
            now,
        )
        for item in latest.values()
    ]
    answers = [(item.body, item.position, item.claim) for item in ended if item.claim and item.is_final]
    with connection.cursor() as cursor:
        cursor.executemany(_INSERT_KEPT, rows)
        if answers:
            cursor.executemany("UPDATE ledger_claim SET answer = %s, position = %s WHERE id = %s", answers)
    _prune(len(ended))
    return [None] * len(ended)


def keep_steps(found: list[Steps]) -> list[bool]:
    """Store what nodes told of transactions; False for one that is not kept (yet)."""
    with connection.cursor() as cursor:
        return [_keep_steps(cursor, item) for item in found]


def _keep_steps(cursor: Any, item: Steps) -> bool:
    # As SQL, because making the query costs several times what it does, for each of 300 a second.
    cursor.execute("UPDATE ledger_kept SET steps = %s WHERE tx = %s", (item.body, item.tx))
    return bool(cursor.rowcount)


def end_batch(ended: list[BatchEnded]) -> list[None]:
    """Keep the answers of batches."""
    for item in ended:
        batch = Batch.objects.create(
            body=zlib.compress(item.body, 1), is_keyed=item.claim > 0, created=_now()
        )
        Span.objects.bulk_create(
            Span(batch=batch, session=session, first=first, last=last, offset=offset)
            for session, first, last, offset in item.spans
        )
        if item.claim:
            Claim.objects.filter(pk=item.claim).update(batch=batch)
    _prune(PRUNE_EVERY)
    return [None] * len(ended)


def amend_batch(amended: list[Amended]) -> list[None]:
    """Replace answers of batches: what was unknown in them is final by now."""
    for item in amended:
        Batch.objects.filter(pk=item.batch).update(body=zlib.compress(item.body, 1))
    return [None] * len(amended)


_written = 0


def _prune(count: int) -> None:
    """Every so often drop what is older, or more, than the settings allow."""
    global _written  # noqa: PLW0603  (only the writer thread comes here)
    _written += count
    if _written < PRUNE_EVERY:
        return
    _written = 0
    old = _now() - datetime.timedelta(hours=settings.KEY_HOURS)
    Claim.objects.filter(created__lt=old).delete()
    Batch.objects.filter(is_keyed=True, created__lt=old).delete()
    unkeyed = Batch.objects.filter(is_keyed=False).order_by("-pk").values_list("pk", flat=True)
    surplus = list(unkeyed[settings.KEPT_BATCHES_MAX :])
    Batch.objects.filter(pk__in=surplus).delete()
    last = Kept.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    Kept.objects.filter(pk__lte=last - settings.KEPT_TRANSACTIONS_MAX).delete()


# --- reading -------------------------------------------------------------------------------------


def find(tx: str) -> Kept | None:
    """A kept transaction by its id."""
    return Kept.objects.filter(tx=tx).defer("steps").first()


def steps(tx: str) -> bytes | None:
    """What nodes told of a kept transaction, as :class:`Steps` has it; None when nothing is stored."""
    found = Kept.objects.filter(tx=tx).values_list("steps", flat=True).first()
    return None if found is None else bytes(found)


def page(before: int, limit: int, outcome: str = "", account: int = 0) -> Sequence[Kept]:
    """Kept transactions below row ``before``, newest first."""
    rows = Kept.objects.filter(pk__lt=before).defer("steps")
    if outcome:
        rows = rows.filter(outcome=outcome)
    if account:
        rows = rows.filter(touched__contains=f",{account},")
    return list(rows.order_by("-pk")[:limit])


def find_in_batch(tx_id: TxId) -> tuple[Any, datetime.datetime] | None:
    """The result of a transaction that came in a batch, and when."""
    span = (
        Span.objects.filter(session=tx_id.session.hex(), first__lte=tx_id.number, last__gte=tx_id.number)
        .select_related("batch")
        .first()
    )
    if span is None:
        return None
    results = msgspec.json.decode(zlib.decompress(span.batch.body))["results"]
    return results[span.offset + tx_id.number - span.first], span.batch.created
