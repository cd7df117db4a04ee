"""What Daphne serves: HTTP through Django, websockets of workers and browsers."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bankweb.settings.local")

import django

django.setup()

# ruff: noqa: E402
# What follows needs settings and apps, so Django is set up first.
from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.signals import request_started
from django.db import close_old_connections, reset_queries
from django.urls import path, re_path, set_script_prefix

from bankweb import store
from bankweb.benchmarks.records import records as benchmark_records
from bankweb.benchmarks.service import benchmarks
from bankweb.lab.records import records as lab_records
from bankweb.lab.service import lab
from bankweb.ledger import doubts, gateway, steps
from bankweb.ledger.ambient import ambient
from bankweb.observatory.consumers import LiveConsumer
from bankweb.observatory.live import live
from bankweb.orchestration.beginnings import at_first_worker
from bankweb.orchestration.clocks import clocks
from bankweb.orchestration.consumers import WorkerConsumer
from bankweb.redistribution import owners
from bankweb.redistribution.service import redistributions
from bankweb.redistribution.trigger import trigger
from bankweb.rest.parsers import too_large
from bankweb.rest.problems import to_response
from bankweb.testsets import runs

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
SendMessage = Callable[[dict[str, Any]], Awaitable[None]]

CLOSE_NOWHERE: Final = 4404
GC_THRESHOLDS: Final = (50_000, 20, 50)
"""The state on show is a great many objects without a cycle, and each look through them is a pause."""


class Handler(ASGIHandler):
    """Django's, without a thread of its own for each request.

    Django gives each request a new thread for what is not async in it, and waits on the loop for that
    thread's end; that alone cost more than everything else a small request needs. Here all requests
    share asgiref's one thread, and nothing goes there before a request is answered: connections that are no
    longer usable are given up at the end of a request, not at its start.
    """

    def __init__(self) -> None:
        super().__init__()
        request_started.disconnect(close_old_connections)
        request_started.disconnect(reset_queries)

    async def __call__(self, scope: Scope, receive: Receive, send: SendMessage) -> None:
        if not _is_programs(scope):
            await self.handle(scope, receive, send)
            return
        # What follows is Django's ``handle`` without what a program has no use for: a task that listens for a
        # visitor who leaves (what runs is finished all the same), and a thread in which the connections of
        # that thread are looked after (views use the store's).
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        with contextlib.closing(body):
            set_script_prefix(get_script_prefix(scope))
            request, refused = self.create_request(scope, body)
            response = await self.run_get_response(request) if refused is None else refused
            await self.send_response(response, send)
            response.close()


def _is_programs(scope: Scope) -> bool:
    """As :func:`bankweb.middleware.is_program`, before there is a request."""
    return scope["path"].startswith("/api/") and any(
        name == b"authorization" and value.startswith(b"Token ") for name, value in scope["headers"]
    )


class _TooLargeError(Exception):
    pass


class BodyLimit:
    """Refuses bodies over the limit before Django stores them, however they are sent."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: SendMessage) -> None:
        is_upload = scope["path"] in settings.UPLOAD_PATHS
        most = settings.UPLOAD_BYTES_MAX if is_upload else settings.BODY_BYTES_MAX
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > most:
            await _refuse(send, most)
            return
        seen = 0

        async def counted() -> dict[str, Any]:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise _TooLargeError
            return message

        try:
            await self._app(scope, counted, send)
        except _TooLargeError:
            await _refuse(send, most)


async def _refuse(send: SendMessage, most: int) -> None:
    response = to_response(too_large(most))
    headers = [(name.lower().encode(), value.encode()) for name, value in response.items()]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": response.content})


class Nowhere(AsyncWebsocketConsumer):
    """A websocket address that does not exist."""

    async def connect(self) -> None:
        await self.accept()
        await self.close(CLOSE_NOWHERE)


async def close() -> None:
    """End what this process holds: the client of the bank, then the store."""
    await live().close()
    await clocks().close()
    await ambient().close()
    await benchmarks().close()
    await lab().close()
    await trigger().close()
    await redistributions().close()
    await owners.watch().close()
    await runs.close()
    await doubts.close()
    await steps.close()
    await gateway.close()
    await asyncio.to_thread(store.close)


def _close_with_daphne() -> None:
    """Daphne knows no ASGI lifespan; its reactor tells when it stops."""
    if "twisted.internet.reactor" not in sys.modules:
        return
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred

    reactor.addSystemEventTrigger(
        "before", "shutdown", lambda: Deferred.fromFuture(asyncio.ensure_future(close()))
    )


def _leave_bodies_to_django() -> None:
    """Twisted would look into the body of each POST for arguments that Daphne never asks for."""
    if "daphne.server" not in sys.modules:
        return
    from daphne.http_protocol import WebRequest

    made = WebRequest.__init__

    def make(self: Any, *args: Any, **kwargs: Any) -> None:
        made(self, *args, parsePOSTFormSubmission=False, **kwargs)

    WebRequest.__init__ = make


async def _collect_rarely() -> None:
    """What there is once the bank is up stays; requests make few cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


# The store's writer thread must not wait five milliseconds for its turn while the loop is busy.
sys.setswitchinterval(0.001)
live()
steps.steps()
owners.watch()
redistributions().start()
at_first_worker(_collect_rarely)
at_first_worker(trigger().begin)
at_first_worker(benchmark_records.fail_unfinished)
at_first_worker(lab_records.fail_unfinished)
at_first_worker(live().record)
at_first_worker(clocks().begin)
at_first_worker(ambient().begin)
_close_with_daphne()
_leave_bodies_to_django()

application = ProtocolTypeRouter(
    {
        "http": BodyLimit(Handler()),
        "websocket": URLRouter(
            [
                path("ws/worker/", WorkerConsumer.as_asgi()),
                path("ws/live/", AuthMiddlewareStack(LiveConsumer.as_asgi())),
                re_path(r"", Nowhere.as_asgi()),
            ]
        ),
    }
)
