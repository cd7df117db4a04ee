"""What has to be taken up when a site begins: Daphne knows no start-up hook, but workers come at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from bankweb.orchestration.hub import hub
from consensus.types import NodeId

_log = logging.getLogger(__name__)


class FirstWorker:
    """A :class:`bankweb.orchestration.hub.Listener` that runs ``work`` when the first worker connects."""

    def __init__(self, work: Callable[[], Awaitable[Any]]) -> None:
        self._work = work
        self._task: asyncio.Future[Any] | None = None

    def came(self, node: NodeId) -> None:
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        try:
            await self._work()
        except Exception:
            _log.exception("what an earlier site left could not be taken up")

    def went(self, node: NodeId) -> None: ...

    def heard(
        self, node: NodeId, status: dict[str, Any], events: list[dict[str, Any]], dropped: int
    ) -> None: ...

    def happened(self, event: dict[str, Any]) -> None: ...


def at_first_worker(work: Callable[[], Awaitable[Any]]) -> None:
    """Run ``work`` once, on the loop, when the first worker of this process connects."""
    hub().listeners.append(FirstWorker(work))
