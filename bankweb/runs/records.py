"""Rows of runs in the database, read and written off the event loop."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

from django.db import models

from bankweb import store
from bankweb.rest.problems import Problem

QUEUED: Final = "queued"
RUNNING: Final = "running"
DONE: Final = "done"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
OVER: Final = (DONE, FAILED, CANCELLED)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


STARTED: Final = now()
"""When this process began."""


class Run(models.Model):
    """What every run has, whatever it does."""

    created = models.DateTimeField()
    started = models.DateTimeField(null=True)
    ended = models.DateTimeField(null=True)
    actor = models.CharField(max_length=150)
    name = models.CharField(max_length=100)
    status = models.CharField(max_length=10)
    error = models.TextField(default="")
    parameters = models.JSONField()
    """As in the POST that made it."""
    progress = models.JSONField(default=dict)
    result = models.JSONField(null=True)
    """The document of the command that ran."""

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.pk} {self.name} {self.status}"


Row = TypeVar("Row", bound=Run)


class Records(Generic[Row]):
    """Of one model.

    Args:
        model: of the rows.
        noun: what one is called.
        kept_max: runs; the oldest that are over go first.
        deferred: fields that are large, and left out of lists.
        figures: what lists have instead, by name: paths into the result.
    """

    def __init__(
        self,
        model: type[Row],
        noun: str,
        kept_max: int,
        *,
        deferred: Sequence[str] = (),
        figures: Mapping[str, str] | None = None,
    ) -> None:
        self._deferred = deferred
        self._figures = {name: models.F(path) for name, path in (figures or {}).items()}
        self._rows: Any = model._default_manager
        self._noun = noun
        self._kept_max = kept_max

    async def add(self, row: Row) -> None:
        """Insert a row; it has its id afterwards."""
        await store.writer().write(self._insert, row)

    def _insert(self, rows: list[Row]) -> list[None]:
        for row in rows:
            row.save(force_insert=True)
        surplus = self._rows.filter(status__in=OVER).order_by("-id").values_list("id", flat=True)
        self._rows.filter(id__in=list(surplus[self._kept_max :])).delete()
        return [None] * len(rows)

    async def change(self, row: Row, **values: Any) -> None:
        """Set fields of a row, here and in the database."""
        for name, value in values.items():
            setattr(row, name, value)
        await store.writer().write(self._update, (row.pk, values))

    def _update(self, changes: list[tuple[int, dict[str, Any]]]) -> list[None]:
        for key, values in changes:
            self._rows.filter(pk=key).update(**values)
        return [None] * len(changes)

    async def find(self, key: int) -> Row:
        """The row with that id.

        Raises:
            Problem: there is none (404).
        """
        row: Row | None = await store.read(lambda: self._rows.filter(pk=key).first())
        if row is None:
            raise Problem("not_found", f"there is no {self._noun} {key}")
        return row

    async def newest(self, limit: int, before: int | None = None) -> list[Row]:
        """Without the fields that are deferred, with the figures instead."""
        query = self._rows.order_by("-id").defer(*self._deferred).annotate(**self._figures)
        if before is not None:
            query = query.filter(id__lt=before)
        return await store.read(lambda: list(query[:limit]))

    async def found(self, keys: list[int]) -> list[Row]:
        """Those of ``keys`` that are there, in that order."""
        rows = await store.read(lambda: {row.pk: row for row in self._rows.filter(pk__in=keys)})
        return [rows[key] for key in keys if key in rows]

    async def fail_unfinished(self) -> None:
        """The process that ran those of before this one's start is gone, and so are they."""
        await store.writer().write(self._fail_unfinished, None)

    def _fail_unfinished(self, calls: list[None]) -> list[None]:
        left = self._rows.exclude(status__in=OVER).filter(created__lt=STARTED)
        left.update(status=FAILED, error="the site stopped while it ran", ended=now())
        return [None] * len(calls)
