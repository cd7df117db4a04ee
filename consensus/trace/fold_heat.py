"""How busy accounts were, by time: a part of the fold. Twin of ``static/js/fold/heat.js``."""

from __future__ import annotations

from typing import Final

from consensus.trace.draft import Draft
from consensus.trace.events import HEAT_WINDOW_US, TraceEvent

ROWS_MAX: Final = 30
"""The last minute."""
ROWS_BACK: Final = 3
"""Rows that a late window may still be added to."""
TOP_MAX: Final = 60
"""Accounts in a row, of all nodes together."""


def used(draft: Draft, event: TraceEvent) -> None:
    """Accounts were used at a node: ``heat`` by neighbourhood, ``topk`` those used most."""
    start = event["ts"] - event["ts"] % HEAT_WINDOW_US
    row = draft.row("heat", {"ts": start, "uses": {}, "top": {}}, ROWS_MAX, ROWS_BACK)
    if row is None:
        return
    uses = draft.own(row, "uses")
    for number, count in event["heat"].items():
        uses[number] = uses.get(number, 0) + count
    top = draft.own(row, "top")
    for account, count in event.get("topk", ()):
        top[str(account)] = top.get(str(account), 0) + count
    if len(top) > TOP_MAX:
        kept = sorted(top.items(), key=lambda entry: (-entry[1], int(entry[0])))
        row["top"] = dict(kept[:TOP_MAX])
