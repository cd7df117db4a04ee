"""``/ws/live/``: one browser that watches (frames: :mod:`bankweb.observatory.live`)."""

from __future__ import annotations

import asyncio
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from channels.exceptions import StopConsumer
from django.conf import settings
from django.http.request import split_domain_port, validate_host

from bankweb.identity import tokens
from bankweb.observatory.live import Browser, live
from bankweb.sockets import BusySocket

CLOSE_MALFORMED: Final = 4400
CLOSE_NOT_SIGNED_IN: Final = 4401
MESSAGE_BYTES_MAX: Final = 1_000


class LiveConsumer(BusySocket):
    """Sends what the live hub has for this browser, takes its acknowledgements."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._browser: Browser | None = None
        self._sender: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        headers = dict(self.scope["headers"])
        token = tokens.from_header(headers.get(b"authorization", b"").decode("latin-1"))
        by_token = token is not None and tokens.is_token(token)
        if not by_token and not _same_site(headers):
            # A foreign page: it must not even learn whether somebody is signed in.
            await self.close()
            return
        await self.accept()
        if not by_token and not self.scope["user"].is_authenticated:
            await self.close(CLOSE_NOT_SIGNED_IN)
            return
        self._browser = live().join()
        self._sender = asyncio.get_running_loop().create_task(self._send_on(self._browser))

    async def _send_on(self, browser: Browser) -> None:
        while True:
            for frame in await browser.next():
                await self.send(text_data=frame.decode())

    async def disconnect(self, code: int) -> None:
        if self._sender is not None:
            self._sender.cancel()
        if self._browser is not None:
            live().leave(self._browser)
            self._browser = None
        raise StopConsumer

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self._browser is None:
            return
        match _decode(text_data):
            case {"type": "ack", "f": int(number)} if number >= 0:
                self._browser.ack(number)
            case {"type": "watch", "level": 1 | 2 as level}:
                self._browser.level = level
                live().ask_workers()
            case _:
                await self.close(CLOSE_MALFORMED)


def _decode(text: str | None) -> Any:
    if text is None or len(text) > MESSAGE_BYTES_MAX:
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _same_site(headers: dict[bytes, bytes]) -> bool:
    """Whether the Origin header names a host of this site, as that of its own pages does."""
    origin = urlsplit(headers.get(b"origin", b"").decode("latin-1"))
    host, _ = split_domain_port(origin.netloc.lower())
    same = headers.get(b"host", b"").decode("latin-1").lower() == origin.netloc.lower()
    return bool(host) and same and validate_host(host, settings.ALLOWED_HOSTS)
