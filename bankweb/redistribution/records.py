"""Reading and writing of :mod:`bankweb.redistribution.models`, off the event loop."""

from __future__ import annotations

import datetime
import zlib
from typing import Any, Final

import msgspec

from bankweb import store
from bankweb.redistribution.models import Part, Redistribution, Trigger
from bankweb.rest.problems import Problem
from consensus.cluster import mover

KEPT_MAX: Final = 200
"""Redistributions; the oldest that are over go first."""
PLANNING: Final = "planning"
PLANNED: Final = "planned"
REFUSED: Final = "refused"
RUNNING: Final = "running"
PAUSED: Final = "paused"
DONE: Final = "done"
ABORTED: Final = "aborted"
FAILED: Final = "failed"

_encode = msgspec.json.Encoder().encode


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def packed(document: Any) -> bytes:
    return zlib.compress(_encode(document), 3)


def unpacked(data: bytes | memoryview | None) -> Any:
    return None if data is None else msgspec.json.decode(zlib.decompress(bytes(data)))


async def add(row: Redistribution) -> None:
    """Insert a row; it has its id afterwards."""
    await store.writer().write(_insert, row)


def _insert(rows: list[Redistribution]) -> list[None]:
    for row in rows:
        row.save(force_insert=True)
    surplus = Redistribution.objects.filter(ended__isnull=False).order_by("-id").values_list("id", flat=True)
    Redistribution.objects.filter(id__in=list(surplus[KEPT_MAX:])).delete()
    return [None] * len(rows)


async def change(row: Redistribution, **values: Any) -> None:
    """Set fields of a row, here and in the database."""
    for name, value in values.items():
        setattr(row, name, value)
    await store.writer().write(_update, (row.pk, values))


def _update(changes: list[tuple[int, dict[str, Any]]]) -> list[None]:
    for key, values in changes:
        Redistribution.objects.filter(pk=key).update(**values)
    return [None] * len(changes)


async def find(key: str) -> Redistribution:
    """The row with ``key``.

    Raises:
        Problem: there is none (404).
    """
    row = await store.read(lambda: Redistribution.objects.filter(key=key).first())
    if row is None:
        raise Problem("not_found", f"there is no redistribution {key[:40]}")
    return row


async def newest(limit: int, before: int | None = None) -> list[Redistribution]:
    """Newest first, without plans and events."""
    query = Redistribution.objects.order_by("-id").defer("plan", "events", "series")
    if before is not None:
        query = query.filter(id__lt=before)
    return await store.read(lambda: list(query[:limit]))


async def newest_automatic() -> Redistribution | None:
    """The last one that the automatic trigger asked for; None: it never did."""
    query = Redistribution.objects.filter(origin="automatic").order_by("-id")
    return await store.read(lambda: query.defer("plan", "events", "series").first())


async def unfinished() -> list[Redistribution]:
    """Those that a process before this one left planning, running, paused, or aborted and not yet over."""
    wanted = (PLANNING, RUNNING, PAUSED, ABORTED)
    rows = Redistribution.objects.filter(status__in=wanted, ended=None).order_by("id")
    return await store.read(lambda: list(rows))


async def recently_moved(since: datetime.datetime) -> set[int]:
    """Accounts that a part has moved since then."""
    parts = Part.objects.filter(began_s__gte=since.timestamp(), phase="flipped")
    taken = await store.read(lambda: list(parts.values_list("taken", flat=True)))
    return {account for accounts in taken for account in accounts}


async def parts_of(row: Redistribution) -> list[mover.Part]:
    """Its parts by number."""
    rows = await store.read(lambda: list(Part.objects.filter(redistribution=row).order_by("number")))
    return [
        mover.Part(
            part.number, part.source, part.target, tuple(part.accounts), part.phase, tuple(part.taken),
            part.began_s, part.took_ms,
        )
        for part in rows
    ]  # fmt: skip


async def save_part(row: Redistribution, part: mover.Part) -> None:
    await store.writer().write(_save_parts, (row.pk, part))


def _save_parts(saved: list[tuple[int, mover.Part]]) -> list[None]:
    for key, part in saved:
        values = {
            "source": part.source,
            "target": part.target,
            "accounts": list(part.accounts),
            "phase": part.phase,
            "taken": list(part.taken),
            "began_s": part.began_s,
            "took_ms": part.took_ms,
        }
        Part.objects.update_or_create(redistribution_id=key, number=part.number, defaults=values)
    return [None] * len(saved)


async def trigger() -> Trigger:
    """The trigger's settings."""
    return await store.read(lambda: Trigger.objects.filter(pk=1).first()) or Trigger(pk=1)


async def save_trigger(settings: Trigger) -> None:
    await store.writer().write(_save_trigger, settings)


def _save_trigger(rows: list[Trigger]) -> list[None]:
    for row in rows:
        row.save()
    return [None] * len(rows)
