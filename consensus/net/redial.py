"""A connection that this process keeps up: dialled, greeted, dialled again with back-off when it breaks."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

from consensus.net.wire import GOING_AWAY, QUEUE_BYTES_MAX, DialError, Wire, dial

DIAL_TIMEOUT_S: Final = 1.0
_log = logging.getLogger(__name__)


class Target(NamedTuple):
    """Where to, and how."""

    name: str
    """For logs: ``node 3``, ``the site``."""
    host: str
    port: int
    path: str = "/"
    tls: ssl.SSLContext | None = None


class Redial:
    """Keeps a connection to ``target``.

    Args:
        target: where to.
        secret: sent with every handshake.
        on_up: a connection is there; the first message must be sent now.
        on_frame: a frame came (incarnation, messages).
        on_down: the connection is gone; another one is being tried.
        back_off_s: least and greatest wait between two attempts.
        queue_bytes_max: bound of what waits to be sent.

    Attributes:
        wire: the connection, None while there is none.
    """

    def __init__(
        self,
        target: Target,
        secret: str,
        on_up: Callable[[Wire], None],
        on_frame: Callable[[int, list[Any]], None],
        on_down: Callable[[Wire], None],
        back_off_s: tuple[float, float],
        queue_bytes_max: int = QUEUE_BYTES_MAX,
    ) -> None:
        self.wire: Wire | None = None
        self._target = target
        self._secret = secret
        self._on_up = on_up
        self._on_frame = on_frame
        self._on_down = on_down
        self._back_off_s = back_off_s
        self._queue_bytes_max = queue_bytes_max
        self._down: asyncio.Event = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._trouble = ""
        self._good = False

    def start(self) -> None:
        """Begin to dial. The first attempt is made at once."""
        assert self._task is None
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"dial {self._target.name}")

    async def stop(self) -> None:
        """Close the connection and dial no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        if self.wire is not None:
            self.wire.close(GOING_AWAY, "stopping")

    def good(self) -> None:
        """The other end took us: the next attempt, should one be needed, comes soon."""
        self._good = True
        if self._trouble:
            _log.info("connected with %s", self._target.name)
            self._trouble = ""

    async def _run(self) -> None:
        least, most = self._back_off_s
        wait = least
        while True:
            trouble = await self._connection()
            if self._good:
                self._good = False
                wait = least
            if trouble != self._trouble:
                self._trouble = trouble
                _log.info("no connection with %s: %s", self._target.name, trouble)
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))
            wait = min(wait * 2, most)

    async def _connection(self) -> str:
        """One attempt, and the connection's life if it succeeds. Returns why it is over."""
        target = self._target
        self._down.clear()
        reasons: list[str] = []

        def lost(reason: str) -> None:
            reasons.append(reason)
            self.wire = None
            self._on_down(wire)
            self._down.set()

        try:
            async with asyncio.timeout(DIAL_TIMEOUT_S):
                wire = await dial(
                    target.host,
                    target.port,
                    self._secret,
                    self._on_frame,
                    lost,
                    path=target.path,
                    tls=target.tls,
                    queue_bytes_max=self._queue_bytes_max,
                )
        except TimeoutError:
            return f"no answer within {DIAL_TIMEOUT_S:g} s"
        except (OSError, DialError) as error:
            return str(error)
        self.wire = wire
        self._on_up(wire)
        await self._down.wait()
        return reasons[0]
