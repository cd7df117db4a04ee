"""The pages of recordings: the list, and one on view."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, Final

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from bankweb.observatory import recordings
from consensus.trace.events import TraceError

STRETCH_US: Final = 300_000_000
"""How much of a recording a page holds at once."""


def _utc(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1e6, UTC)


def _row(row: dict[str, Any]) -> dict[str, Any]:
    seconds = round((row["end"] - row["start"]) / 1e6, 1)
    return {**row, "begun": _utc(row["start"]), "seconds": seconds}


async def recording_list(request: HttpRequest) -> HttpResponse:
    """``/recordings/``. Template ``recordings.html``: rows as in REST, with ``begun`` and ``seconds``."""
    rows = await asyncio.to_thread(recordings.listed)
    return render(request, "recordings.html", {"recordings": [_row(row) for row in rows]})


async def recording(request: HttpRequest, recording: str) -> HttpResponse:
    """``/recordings/<id>/?from=&t=&speed=``: a stretch of it, the last one unless told.

    Template ``recording.html``.

    Context:
        recording: as REST tells it; ``begun``, ``ended`` times; ``badge`` REPLAY or SIM.
        from_us, to_us: the stretch, UTC microseconds; ``earlier``, ``later``: where others begin.
        mode: ``replay`` or ``sim``: the page follows no live stream.
    """
    path = await asyncio.to_thread(recordings.find, recording)
    if path is None:
        raise Http404
    try:
        told = await asyncio.to_thread(recordings.described, path)
    except TraceError as error:
        raise Http404(str(error)) from error
    start, end = told["start"], told["end"]
    asked = request.GET.get("from", "") or request.GET.get("t", "")
    first = max(start, end - STRETCH_US)
    if asked.isascii() and asked.isdigit() and len(asked) < 18:
        first = min(max(start, int(asked)), end)
        if not request.GET.get("from"):
            # A link to a moment: what led to it is seen, too.
            first = max(start, first - STRETCH_US // 2)
    last = min(end, first + STRETCH_US)
    context = {
        "recording": told,
        "begun": _utc(start),
        "ended": _utc(end),
        "badge": "SIM" if told["src"] == "sim" else "REPLAY",
        "mode": "sim" if told["src"] == "sim" else "replay",
        "from_us": first,
        "to_us": last,
        "earlier": max(start, first - STRETCH_US) if first > start else None,
        "later": last if last < end else None,
    }
    return render(request, "recording.html", context)
