"""Reading and writing of :mod:`bankweb.benchmarks.models`, off the event loop."""

from __future__ import annotations

import datetime
from typing import Any, Final

from bankweb import store
from bankweb.benchmarks.models import Benchmark
from bankweb.rest.problems import Problem

KEPT_MAX: Final = 500
"""Runs; the oldest that are over go first."""
QUEUED: Final = "queued"
RUNNING: Final = "running"
DONE: Final = "done"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
OVER: Final = (DONE, FAILED, CANCELLED)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


async def add(row: Benchmark) -> None:
    """Insert a row; it has its id afterwards."""
    await store.writer().write(_insert, row)


def _insert(rows: list[Benchmark]) -> list[None]:
    for row in rows:
        row.save(force_insert=True)
    surplus = Benchmark.objects.filter(status__in=OVER).order_by("-id").values_list("id", flat=True)
    Benchmark.objects.filter(id__in=list(surplus[KEPT_MAX:])).delete()
    return [None] * len(rows)


async def change(row: Benchmark, **values: Any) -> None:
    """Set fields of a row, here and in the database."""
    for name, value in values.items():
        setattr(row, name, value)
    await store.writer().write(_update, (row.pk, values))


def _update(changes: list[tuple[int, dict[str, Any]]]) -> list[None]:
    for key, values in changes:
        Benchmark.objects.filter(pk=key).update(**values)
    return [None] * len(changes)


async def find(key: int) -> Benchmark:
    """The row with that id.

    Raises:
        Problem: there is none (404).
    """
    row = await store.read(lambda: Benchmark.objects.filter(pk=key).first())
    if row is None:
        raise Problem("not_found", f"there is no benchmark {key}")
    return row


async def newest(limit: int, before: int | None = None) -> list[Benchmark]:
    query = Benchmark.objects.order_by("-id")
    if before is not None:
        query = query.filter(id__lt=before)
    return await store.read(lambda: list(query[:limit]))


async def found(keys: list[int]) -> list[Benchmark]:
    """Those of ``keys`` that are there, in that order."""
    rows = await store.read(lambda: {row.pk: row for row in Benchmark.objects.filter(pk__in=keys)})
    return [rows[key] for key in keys if key in rows]


async def fail_unfinished() -> None:
    """The process that ran them is gone, and so are they."""
    await store.writer().write(_fail_unfinished, None)


def _fail_unfinished(calls: list[None]) -> list[None]:
    left = Benchmark.objects.exclude(status__in=OVER)
    left.update(status=FAILED, error="the site stopped while it ran", ended=now())
    return [None] * len(calls)
