"""As much of HTTP as a load on REST needs: one kept connection, a request, its answer."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

HEAD_BYTES_MAX: Final = 64 << 10
LENGTH: Final = b"content-length:"


class HttpError(Exception):
    """What came is no answer that this reads."""


class Site(NamedTuple):
    """Where a site is, and the token that opens it."""

    host: str
    port: int
    token: str

    @classmethod
    def at(cls, url: str) -> Self:
        """Of an address with ``?token=…``, as the start of a bank prints it."""
        parts = urlsplit(url)
        return cls(parts.hostname or "127.0.0.1", parts.port or 80, parse_qs(parts.query)["token"][0])


class Connection:
    """One request at a time, in turn. Make it with :meth:`open`."""

    def __init__(self, site: Site, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._head = (
            f"Host: {site.host}:{site.port}\r\nAuthorization: Token {site.token}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        )

    @classmethod
    async def open(cls, site: Site) -> Self:
        reader, writer = await asyncio.open_connection(site.host, site.port, limit=HEAD_BYTES_MAX)
        return cls(site, reader, writer)

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer.

        Raises:
            HttpError: the answer has no length.
            OSError, asyncio.IncompleteReadError: the connection broke.
        """
        self._writer.write(f"POST {path} HTTP/1.1\r\n{self._head}{len(body)}\r\n\r\n".encode() + body)
        head = await self._reader.readuntil(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(LENGTH):
                length = int(line[len(LENGTH) :])
                return int(head[9:12]), await self._reader.readexactly(length)
        raise HttpError("an answer without Content-Length")

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()
