"""The supervisor's Unix socket: JSON lines, one request and one answer each.

Request ``{"op": "kill|restart|pause|resume|status", "node": 3}`` (``status`` takes no node); answer
``{"ok": true, "body": …}`` or ``{"ok": false, "error": "sentence"}``. Whoever can open the socket (mode 0600)
steers the bank, so it is the file's owner.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

LINE_BYTES_MAX: Final = 1 << 16
_PATH_BYTES_MAX: Final = 100
"""sockaddr_un holds 108 bytes; longer paths go through the folder's descriptor."""

Handler = Callable[[dict[str, Any]], Any]
"""Acts on a request and returns the body of the answer; LookupError and ValueError become its error."""


class SteeringError(RuntimeError):
    """No supervisor answers, or it refused; the text says why."""


async def serve(path: Path, handler: Handler) -> asyncio.Server:
    """Listen on ``path``, replacing what an earlier process left there.

    Raises:
        OSError: the folder cannot be written.
    """
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(path) as name:
            before = os.umask(0o177)  # the socket never exists with wider permissions
            try:
                sock.bind(name)
            finally:
                os.umask(before)
        return await asyncio.start_unix_server(
            lambda reader, writer: _converse(reader, writer, handler), sock=sock, limit=LINE_BYTES_MAX
        )
    except OSError:
        sock.close()
        raise


async def ask(path: Path, op: str, node: int | None = None, *, timeout_s: float = 15.0) -> Any:
    """Send one request to the supervisor behind ``path`` and return the body of its answer.

    Raises:
        SteeringError: nobody answers there, or the supervisor refused.
    """
    request = {"op": op} if node is None else {"op": op, "node": node}
    try:
        async with asyncio.timeout(timeout_s):
            with _short(path) as name:
                reader, writer = await asyncio.open_unix_connection(name, limit=LINE_BYTES_MAX)
            try:
                writer.write(json.dumps(request).encode() + b"\n")
                await writer.drain()
                answer = json.loads(await reader.readline())
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise SteeringError(
            f"no supervisor answers at {path}: {reason}; start the bank with runbank"
        ) from error
    if not answer.get("ok"):
        raise SteeringError(str(answer.get("error", "the supervisor refused without a reason")))
    return answer.get("body")


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler) -> None:
    try:
        while line := await reader.readline():
            writer.write(json.dumps(_answer(line, handler)).encode() + b"\n")
            await writer.drain()
    except ValueError:  # a line over the limit; what follows it cannot be told apart
        writer.write(b'{"ok": false, "error": "line too long"}\n')
    except OSError:
        return  # the other end went away
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _answer(line: bytes, handler: Handler) -> dict[str, Any]:
    try:
        request = json.loads(line)
        if not isinstance(request, dict):
            raise ValueError("a request is a JSON object")
        return {"ok": True, "body": handler(request)}
    except (LookupError, ValueError, OSError) as error:
        text = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
        return {"ok": False, "error": text}


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name for ``path`` that fits a socket address."""
    if len(os.fsencode(path)) <= _PATH_BYTES_MAX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
