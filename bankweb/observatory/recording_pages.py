"""The pages of recordings: the list, and one on view."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, Final

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from bankweb.identity import audit
from bankweb.identity.audit import actor_of
from bankweb.observatory import recordings
from bankweb.observatory.live import live
from consensus.trace.events import NODE_STATUS, TraceError
from consensus.trace.export import FORMS
from consensus.trace.reader import Recording
from consensus.trace.recorder import SEGMENT_SUFFIX

_UNKNOWN: Final[dict[str, Any]] = {
    **dict.fromkeys(NODE_STATUS, 0),
    "state": "unknown",
    "role": "",
    "ballot": None,
}


def _utc(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1e6, UTC)


def _row(row: dict[str, Any]) -> dict[str, Any]:
    seconds = round((row["end"] - row["start"]) / 1e6, 1)
    words = f"{row['src']}, saved" if row["saved"] else f"{row['src']}, goes on" * (row["id"] == live().run)
    return {**row, "begun": _utc(row["start"]), "seconds": seconds, "words": words or row["src"]}


async def recording_list(request: HttpRequest) -> HttpResponse:
    """``/recordings/``. Template ``recordings.html``.

    Context: ``recordings``, rows as in REST, with ``begun``, ``seconds``, ``words``;
    ``live_run``, the id of the run of this site; ``bytes_max``, of an upload.
    """
    rows = await asyncio.to_thread(recordings.listed)
    context = {
        "recordings": [_row(row) for row in rows],
        "live_run": live().run,
        "bytes_max": settings.UPLOAD_BYTES_MAX,
    }
    return render(request, "recordings.html", context)


@require_POST
async def save(request: HttpRequest, recording: str) -> HttpResponse:
    """``/recordings/<id>/save/``: keep it as it is now. No fields."""
    try:
        path = await asyncio.to_thread(recordings.save, recording)
    except (TraceError, recordings.FullError) as error:
        messages.error(request, f"Not saved: {error}.")
        return redirect("recordings")
    name = path.name.removesuffix(SEGMENT_SUFFIX)
    await audit.record(actor_of(request), "recording", {"id": name}, "ok")
    messages.success(request, f"Saved as {name}; it stays until it is deleted.")
    return redirect("recordings")


@require_POST
async def delete(request: HttpRequest, recording: str) -> HttpResponse:
    """``/recordings/<id>/delete/``: only saved ones. No fields."""
    if await asyncio.to_thread(recordings.remove, recording):
        await audit.record(actor_of(request), "recording-delete", {"id": recording}, "ok")
        messages.success(request, f"{recording} is deleted.")
    else:
        messages.error(request, f"There is no saved recording {recording}; the ring lets runs go by itself.")
    return redirect("recordings")


async def recording(request: HttpRequest, recording: str) -> HttpResponse:
    """``/recordings/<id>/?t=&q=&speed=``: one on view. Template ``recording.html``.

    Context: as :func:`moment` gives it.
    """
    return render(request, "recording.html", await moment(recording))


async def cluster(request: HttpRequest, recording: str) -> HttpResponse:
    """``/?recording=<id>&t=&q=``: the Cluster page on a recording. Template ``cluster.html``.

    Context: as :func:`moment` gives it, and ``clusters`` as on the live page, nothing known of them yet.
    """
    context = await moment(recording)
    return render(request, "cluster.html", {**context, "clusters": cluster_rows(context["topology"])})


async def moment(recording: str) -> dict[str, Any]:
    """What every page of a recording is given, over :func:`bankweb.observatory.context.shell`.

    ``recording``
        as REST tells it; ``topology`` of its header; ``begun``, ``ended`` times.
    ``mode``
        ``replay`` or ``sim``: the page follows no live stream. ``badge`` REPLAY or SIM.
    ``forms``
        what it can be exported as, by name.

    Raises:
        Http404: there is none of that id that can be read.
    """
    path = await asyncio.to_thread(recordings.find, recording)
    if path is None:
        raise Http404
    try:
        told = await asyncio.to_thread(recordings.described, path)
        topology = (await asyncio.to_thread(Recording, path)).header["topology"]
    except TraceError as error:
        raise Http404(str(error)) from error
    is_sim = told["src"] == "sim"
    return {
        "recording": told,
        "topology": topology,
        "begun": _utc(told["start"]),
        "ended": _utc(told["end"]),
        "badge": "SIM" if is_sim else "REPLAY",
        "forms": FORMS,
        "mode": "sim" if is_sim else "replay",
        "faults": [],
        "experiments": {"running": []},
        "bank": {
            "clusters": len(topology["clusters"]),
            "nodes": sum(len(cluster["nodes"]) for cluster in topology["clusters"]),
            "accounts": max((cluster["last"] for cluster in topology["clusters"]), default=0),
            "initial_balance": None,
        },
    }


def cluster_rows(topology: dict[str, Any]) -> list[dict[str, Any]]:
    """As :func:`bankweb.orchestration.nodes.cluster_rows`, with nothing known of the nodes."""
    return [
        {
            "id": cluster["id"],
            "first_account": cluster["first"],
            "last_account": cluster["last"],
            "leader": 0,
            "ballot": None,
            "nodes": [{**_UNKNOWN, "id": node, "cluster": cluster["id"]} for node in cluster["nodes"]],
        }
        for cluster in topology["clusters"]
    ]
