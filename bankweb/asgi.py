"""What Daphne serves: HTTP through Django, websockets of workers and browsers."""

from __future__ import annotations

import asyncio
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
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_started
from django.db import close_old_connections, reset_queries
from django.urls import path, re_path

from bankweb import store
from bankweb.benchmarks.records import fail_unfinished
from bankweb.benchmarks.service import benchmarks
from bankweb.ledger import doubts, gateway, steps
from bankweb.observatory.consumers import LiveConsumer
from bankweb.observatory.live import live
from bankweb.orchestration.beginnings import at_first_worker
from bankweb.orchestration.consumers import WorkerConsumer
from bankweb.redistribution.service import redistributions
from bankweb.redistribution.trigger import trigger
from bankweb.rest.parsers import too_large
from bankweb.rest.problems import to_response
from bankweb.testsets import runs

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
SendMessage = Callable[[dict[str, Any]], Awaitable[None]]

CLOSE_NOWHERE: Final = 4404


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
        await self.handle(scope, receive, send)


class _TooLargeError(Exception):
    pass


class BodyLimit:
    """Refuses bodies over the limit before Django stores them, however they are sent."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: SendMessage) -> None:
        most = settings.BODY_BYTES_MAX
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > most:
            await _refuse(send)
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
            await _refuse(send)


async def _refuse(send: SendMessage) -> None:
    response = to_response(too_large())
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
    await benchmarks().close()
    await trigger().close()
    await redistributions().close()
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


# The store's writer thread must not wait five milliseconds for its turn while the loop is busy.
sys.setswitchinterval(0.001)
live()
steps.steps()
redistributions().start()
at_first_worker(trigger().begin)
at_first_worker(fail_unfinished)
at_first_worker(live().record)
_close_with_daphne()

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
