"""REST: recordings. Times are UTC microseconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes

from bankweb.identity import audit
from bankweb.identity.audit import actor_of
from bankweb.observatory import recordings, serializers
from bankweb.observatory.live import live
from bankweb.rest.fields import INT64_MAX, Param, mapping, no_body, read_query
from bankweb.rest.parsers import MEDIA_TYPE, body_file, decode, read_bytes
from bankweb.rest.problems import Problem, invalid
from bankweb.rest.schema import documented
from bankweb.rest.views import BankView, answer
from consensus.trace.events import KINDS, TraceError
from consensus.trace.export import FORMS
from consensus.trace.reader import Recording
from consensus.trace.transactions import OUTCOMES

EVENTS_MAX: Final = 20_000
PACKED: Final = ("application/gzip", "application/x-ndjson")
_FROM: Final = Param("from", "int", "Not before this time.", 0)
_TO: Final = Param("to", "int", "Not after this time.")
_KINDS: Final = Param(
    "kinds", "list", "Kinds of events, separated by commas; all if left out.", choices=tuple(KINDS)
)
_AFTER: Final = Param(
    "after", "int", "Only events with a higher order number: `next` of the answer before.", 0
)
_LIMIT: Final = Param("limit", "int", "Events in one answer.", 5_000, 1, EVENTS_MAX)
_FORM: Final = Param(
    "format",
    "str",
    "; ".join(f"`{name}`: {form.use}" for name, form in FORMS.items()),
    "chrome",
    choices=tuple(FORMS),
)
_BEFORE: Final = Param(
    "before", "int", "Only older ones: `next` of the answer before; the newest if left out.", INT64_MAX
)
_ROWS: Final = Param("limit", "int", "Transactions in one answer.", 50, 1, 1_000)
_OUTCOME: Final = Param("outcome", "str", "Only those that ended so; all if left out.", choices=OUTCOMES)
_ACCOUNT: Final = Param("account", "int", "Only those that touch this account.", least=1)
_AMBIENT: Final = Param("ambient", "bool", "Also the site's own transfers.", True)
_FROM_START: Final = Param("from", "int", "Not before this time; from its start if left out.")
_AT: Final = Param("t", "int", "The time; the end of the recording if left out.")


async def path_of(name: str) -> Path:
    """Where the recording ``name`` is.

    Raises:
        Problem: there is none (404).
    """
    path = await asyncio.to_thread(recordings.find, name)
    if path is None:
        raise Problem("not_found", "there is no recording of that id; GET /api/recordings/ lists them")
    return path


async def described(path: Path) -> dict[str, Any]:
    return await _read(recordings.described, path)


async def _read(act: Any, *arguments: Any) -> Any:
    try:
        return await asyncio.to_thread(act, *arguments)
    except TraceError as error:
        raise Problem("conflict", str(error)) from error


class RecordingList(BankView):
    @documented("List recordings", serializers.RecordingPage)
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Newest first: runs of this site, and those that were saved or uploaded."""
        read_query(request)
        return answer({"results": await asyncio.to_thread(recordings.listed)})

    @documented(
        "Save or upload a recording",
        serializers.RecordingSerializer,
        body={
            "application/json": serializers.SAVE_SCHEMA,
            "application/gzip": OpenApiTypes.BINARY,
            "application/x-ndjson": OpenApiTypes.BINARY,
        },
        errors=(404, 409),
    )
    async def post(self, request: HttpRequest) -> HttpResponse:
        """JSON saves a recording of this site (the live one if `id` is left out); any other body is one."""
        read_query(request)
        try:
            if request.content_type == MEDIA_TYPE:
                data = read_bytes(request)
                asked = mapping(decode(data) if data else {}, frozenset(("id",))).get("id")
                name = live().run if asked is None else asked
                if type(name) is not str:
                    raise invalid("id", "must be the id of a recording")
                await path_of(name)
                path = await _read(recordings.save, name)
            elif request.content_type in PACKED:
                path = await asyncio.to_thread(recordings.upload, body_file(request))
            else:
                raise Problem("unsupported_media_type", f"send {', '.join(PACKED)} or JSON", "Content-Type")
        except TraceError as error:
            raise invalid("body", str(error)) from error
        except recordings.FullError as error:
            raise Problem("conflict", str(error)) from error
        told = await described(path)
        await audit.record(actor_of(request), "recording", {"id": told["id"]}, "ok")
        return answer(told)


class RecordingDetail(BankView):
    @documented("A recording", serializers.RecordingSerializer, errors=(404, 409))
    async def get(self, request: HttpRequest, recording: str) -> HttpResponse:
        """What it covers."""
        read_query(request)
        return answer(await described(await path_of(recording)))

    @documented("Delete a saved recording", serializers.RecordingSerializer, errors=(404, 409))
    async def delete(self, request: HttpRequest, recording: str) -> HttpResponse:
        """Runs of the site cannot be deleted: the ring lets them go."""
        read_query(request)
        no_body(request, read_bytes(request))
        told = await described(await path_of(recording))
        if not await asyncio.to_thread(recordings.remove, recording):
            raise Problem(
                "conflict", "only a saved recording can be deleted; the ring lets runs go by itself"
            )
        await audit.record(actor_of(request), "recording-delete", {"id": recording}, "ok")
        return answer(told)


class RecordingEvents(BankView):
    @documented(
        "Events of a recording",
        serializers.RecordedEventsSerializer,
        params=(_FROM, _TO, _KINDS, _AFTER, _LIMIT),
        errors=(404, 409),
    )
    async def get(self, request: HttpRequest, recording: str) -> HttpResponse:
        """In order. The time of an event is the latest `ts` up to it, as clocks of nodes differ a little."""
        query = read_query(request, _FROM, _TO, _KINDS, _AFTER, _LIMIT)
        kinds = frozenset(query["kinds"]) if query["kinds"] else None
        path = await path_of(recording)

        def read() -> list[dict[str, Any]]:
            last = 2**63 - 1 if query["to"] is None else query["to"]
            found = Recording(path).between(query["from"], last, kinds)
            chosen = (event for event in found if event["q"] > query["after"])
            return list(islice(chosen, query["limit"] + 1))

        found = await _read(read)
        more = len(found) > query["limit"]
        found = found[: query["limit"]]
        return answer({"events": found, "next": found[-1]["q"] if more else None})


class RecordingState(BankView):
    @documented(
        "The state of a recording at a time", serializers.StateSerializer, params=(_AT,), errors=(404, 409)
    )
    async def get(self, request: HttpRequest, recording: str) -> HttpResponse:
        """The fold of all events up to `t`, as the pages make it."""
        at = read_query(request, _AT)["t"]
        path = await path_of(recording)

        def read() -> dict[str, Any]:
            found = Recording(path)
            return found.state_at_time(found.span()[1] if at is None else at)

        state = await _read(read)
        return answer({"t": state["ts"], "q": state["q"], "state": state})


class RecordingTransactions(BankView):
    @documented(
        "Transactions of a recording",
        serializers.RecordedTransactionsSerializer,
        params=(_OUTCOME, _ACCOUNT, _AMBIENT, _BEFORE, _ROWS),
        errors=(404, 409),
    )
    async def get(self, request: HttpRequest, recording: str) -> HttpResponse:
        """Those that its events tell of, newest first: kept ones and a sample; in a simulated run all."""
        query = read_query(request, _OUTCOME, _ACCOUNT, _AMBIENT, _BEFORE, _ROWS)
        rows, left_out = await _read(recordings.transaction_rows, await path_of(recording))
        wanted = (
            row
            for row in reversed(rows)
            if row.about["q"] < query["before"]
            and (query["outcome"] is None or row.about["outcome"] == query["outcome"])
            and (query["account"] is None or query["account"] in row.accounts)
            and (query["ambient"] or not row.about["ambient"])
        )
        found = [row.told() for row in islice(wanted, query["limit"] + 1)]
        more = len(found) > query["limit"]
        found = found[: query["limit"]]
        body = {"transactions": found, "next": found[-1]["q"] if more else None, "left_out": left_out}
        return answer(body)


class RecordingTransaction(BankView):
    @documented("A transaction of a recording", serializers.RecordedStepsSerializer, errors=(404, 409))
    async def get(self, request: HttpRequest, recording: str, tx_id: str) -> HttpResponse:
        """What each node told of it, as far as the recording goes: what its waterfall is made of."""
        read_query(request)
        found = await _read(recordings.transaction_steps, await path_of(recording), tx_id)
        if found is None:
            raise Problem("not_found", "no event of this recording tells of a transaction with this id")
        return answer(found)


class RecordingDownload(BankView):
    @documented("Download a recording", {(200, "application/gzip"): OpenApiTypes.BINARY}, errors=(404, 409))
    async def get(self, request: HttpRequest, recording: str) -> HttpResponse:
        """Header, events and keyframes, one JSON line each, gzip."""
        read_query(request)
        pieces = recordings.packed(await path_of(recording))
        # The first piece finds out whether there is anything to read.
        first = await _read(next, pieces, b"")
        response = StreamingHttpResponse(_streamed(first, pieces), "application/gzip")
        response["Content-Disposition"] = f'attachment; filename="{recording}.ndjson.gz"'
        return response


class RecordingExport(BankView):
    @documented(
        "A recording in the form of another program",
        {
            (200, media_type): OpenApiTypes.OBJECT if media_type == MEDIA_TYPE else OpenApiTypes.STR
            for media_type in sorted({form.media_type.split(";")[0] for form in FORMS.values()})
        },
        params=(_FORM, _FROM_START, _TO),
        errors=(404, 409),
    )
    async def get(self, request: HttpRequest, recording: str) -> HttpResponse:
        """A Chrome trace, a ShiViz log, or what people did as a script or a test set."""
        query = read_query(request, _FORM, _FROM_START, _TO)
        form = FORMS[query["format"]]
        path = await path_of(recording)
        pieces = recordings.exported(path, query["format"], query["from"], query["to"])
        first = await _read(next, pieces, b"")
        response = StreamingHttpResponse(_streamed(first, pieces), form.media_type)
        response["Content-Disposition"] = f'attachment; filename="{recording}.{form.suffix}"'
        return response


async def _streamed(first: bytes, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Piece after piece, each made in a thread when the one before has gone."""
    yield first
    while piece := await asyncio.to_thread(next, pieces, b""):
        yield piece
