"""Writing the audit log: every action that changes something, who did it, how it went.

Single transactions are not repeated in it: they are kept with their actor (``ledger.models.Kept``).
"""

from __future__ import annotations

import datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from bankweb.identity.models import Action
from bankweb.store import writer

_PRUNE_EVERY = 1_000
_RESULT_MAX = Action._meta.get_field("result").max_length


def actor_of(request: HttpRequest) -> str:
    """Who asks; "" for nobody."""
    return str(getattr(request, "actor", ""))


async def record(actor: str, command: str, arguments: dict[str, Any], result: str) -> None:
    """Add an action to the log, durably.

    Raises:
        bankweb.store.StoreError: it could not be written.
    """
    now = datetime.datetime.now(datetime.UTC)
    row = Action(at=now, actor=actor, command=command, arguments=arguments, result=result[:_RESULT_MAX])
    await writer().write(_write, row)


def _write(rows: list[Action]) -> list[None]:
    Action.objects.bulk_create(rows)
    last = Action.objects.order_by("-id").values_list("id", flat=True).first() or 0
    if last // _PRUNE_EVERY != (last - len(rows)) // _PRUNE_EVERY:
        Action.objects.filter(id__lte=last - settings.AUDIT_ROWS_MAX).delete()
    return [None] * len(rows)
