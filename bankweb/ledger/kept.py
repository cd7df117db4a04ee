"""Transactions this site keeps: those sent by forms and by single REST calls, with their outcome.

:func:`describe` gives a kept transaction to pages as a dict:

``id``, ``outcome`` (``committed|aborted|unknown|refused``), ``reason`` (str or None), ``kind``
(``intra|cross``), ``clusters`` (list of int), ``positions`` (list of ``{"cluster", "ballot", "slot",
"index"}``), ``accounts`` (``{"21": {"version", "balance"}}``), ``epoch``, ``latency_ms``: as in REST.
``legs``
    list of ``[account, delta]``; empty when not known here.
``sender``, ``receiver``, ``amount``
    ints of a two-leg transfer, else None.
``source``
    ``form``, ``rest`` or ``batch``.
``actor``
    who sent it.
``created``
    aware datetime.
``url``
    its page.
``text``
    one sentence: what happened to it, with slot and ballot.
"""

from __future__ import annotations

import datetime
from typing import Any, Final, NamedTuple

import msgspec
from django.conf import settings
from django.urls import reverse

from bankweb.ledger import records
from bankweb.ledger.models import Kept
from bankweb.rest.fields import INT64_MAX
from bankweb.store import read

PAGE: Final = 50
"""Rows of a page for people."""


class Page(NamedTuple):
    """``next`` is the cursor of the following page, "" at the end."""

    rows: list[dict[str, Any]]
    next: str


def kept_max() -> int:
    """How many transactions are kept in all."""
    return int(settings.KEPT_TRANSACTIONS_MAX)


async def find(tx: str) -> dict[str, Any] | None:
    """A kept transaction by its id; None when it is not kept."""
    row = await read(records.find, tx) if tx else None
    return None if row is None else describe(row)


async def page(filters: dict[str, Any], cursor: str, limit: int = PAGE) -> Page:
    """Kept transactions, newest first. ``filters``: ``outcome``, ``account``; either may be missing."""
    before = (
        int(cursor)
        if cursor.isascii() and cursor.isdecimal() and len(cursor) < len(str(INT64_MAX))
        else INT64_MAX
    )
    outcome, account = filters.get("outcome") or "", filters.get("account") or 0
    rows = await read(records.page, before, limit + 1, outcome, account)
    following = str(rows[limit - 1].pk) if len(rows) > limit else ""
    return Page([describe(row) for row in rows[:limit]], following)


def describe(row: Kept) -> dict[str, Any]:
    """A kept transaction, as the module's docstring says."""
    return _describe(
        msgspec.json.decode(bytes(row.body)),
        msgspec.json.decode(row.legs),
        row.source,
        row.actor,
        row.created,
    )


def describe_batch_item(body: dict[str, Any], created: datetime.datetime) -> dict[str, Any]:
    """The same of a transaction that came in a batch; its legs were not kept."""
    return _describe(body, [], "batch", "", created)


def _describe(
    body: dict[str, Any], legs: list[list[int]], source: str, actor: str, created: datetime.datetime
) -> dict[str, Any]:
    sender = receiver = amount = None
    if len(legs) == 2 and legs[0][1] < 0:
        sender, receiver, amount = legs[0][0], legs[1][0], legs[1][1]
    about = {
        **body,
        "legs": legs,
        "sender": sender,
        "receiver": receiver,
        "amount": amount,
        "source": source,
        "actor": actor,
        "created": created,
        "url": reverse("transaction", args=[body["id"]]),
    }
    return {**about, "text": _sentence(about)}


_REASONS: Final = {
    "insufficient_funds": "the sender has too little money",
    "unknown_account": "there is no such account",
    "invalid": "the bank does not accept such a transaction",
    "lock_timeout": "an account stayed locked by another transaction",
    "lock_conflict": "another transaction holds one of the accounts",
    "coordinator_timeout": "it was given up before any cluster knew it",
    "participant_unavailable": "one of the clusters did not answer",
    "condition_failed": "a condition on an account did not hold",
}


def _sentence(about: dict[str, Any]) -> str:
    what = "The transaction"
    if about["amount"] is not None:
        what = f"The transfer of {about['amount']} from {about['sender']} to {about['receiver']}"
    where = ""
    for place in about["positions"]:
        ballot = f"({place['ballot'][0]},{place['ballot'][1]})"
        where += f", slot {place['slot']} of cluster {place['cluster']}, ballot {ballot}"
    outcome, reason = about["outcome"], about["reason"] or ""
    if outcome == "committed":
        return f"{what} is committed{where}."
    if outcome == "aborted":
        return f"{what} is aborted: {_REASONS.get(reason, reason)}{where}."
    if outcome == "refused":
        return f"{what} was refused ({reason}); nothing was done."
    return f"{what} got no answer in time; it may still commit. Its page makes it final."
