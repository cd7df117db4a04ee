"""What people switched on or off, kept for the sites that come after this one."""

from __future__ import annotations

from typing import Any

from bankweb import store
from bankweb.ledger.models import Switch


async def read(name: str) -> bool | None:
    """How it was left; None where nobody ever touched it."""
    row = await store.read(lambda: Switch.objects.filter(pk=name).first())
    return None if row is None else bool(row.on)


async def write(name: str, *, on: bool) -> None:
    """Keep it.

    Raises:
        bankweb.store.StoreError: it could not be written.
    """
    await store.writer().write(_write, Switch(name=name, on=on))


def _write(rows: list[Any]) -> list[None]:
    for row in rows:
        row.save()
    return [None] * len(rows)
