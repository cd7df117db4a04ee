"""Tells the trace who owns what, where its events alone do not: what moved before this site began to listen.

Nodes tell of each move while it happens (``mig.flip``, ``map.epoch``). What they told to nobody, or what was
lost on the way here, is found when the map has been quiet for a while: then it is read once, and rows that
the live state lacks are told as ``map.moved``. While nothing moves nobody is asked anything.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import cache
from typing import Any, Final

from bankweb.observatory.live import live
from bankweb.orchestration.hub import hub
from bankweb.redistribution.traffic import gatherer
from bankweb.rest.fields import INT64_MAX
from consensus.trace.fold_moves import OWNERS_MAX
from consensus.types import NodeId

_log = logging.getLogger(__name__)

QUIET_S: Final = 1.5
"""Longer than nodes take between two reports: by then they have told what they tell."""
TRIES_MAX: Final = 5
"""Where a cluster does not answer; the next move begins anew."""
ROWS_MAX: Final = 1_000
"""Of one event."""
_NEVER: Final = (0, 0)
_FULL: Final = (0, INT64_MAX)
"""Of an account that a full state has no room for: nobody is told again and again."""


class OwnersWatch:
    """A :class:`bankweb.orchestration.hub.Listener`."""

    def __init__(self) -> None:
        self._seen: dict[NodeId, tuple[int, int]] = {}
        """Incarnation and count of moves that a node told last."""
        self._changed_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def heard(
        self, node: NodeId, status: dict[str, Any], reported: list[dict[str, Any]], dropped: int
    ) -> None:
        told = (status.get("incarnation") or 0, status.get("epoch") or 0)
        if told == self._seen.get(node):
            return
        self._seen[node] = told
        if told[1] == 0:
            return
        self._changed_at = time.monotonic()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._look(), name="owners")

    def came(self, node: NodeId) -> None:
        """Its first report says whether there is anything to do."""

    def went(self, node: NodeId) -> None:
        """Nothing to do."""

    def happened(self, event: dict[str, Any]) -> None:
        """Nothing to do."""

    async def _look(self) -> None:
        for _ in range(TRIES_MAX):
            while (wait_s := self._changed_at + QUIET_S - time.monotonic()) > 0:  # noqa: ASYNC110 (for quiet)
                await asyncio.sleep(wait_s)
            try:
                whole = await gatherer().place()
                tell()
            except Exception:
                _log.exception("the map was not told to the trace")
                return
            if whole and time.monotonic() - self._changed_at >= QUIET_S:
                return
            if not whole:
                await asyncio.sleep(QUIET_S)

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def tell() -> None:
    """Tell the trace what the placement knows and the live state does not."""
    here, state = gatherer(), live().state
    if here.incarnation < state["inc"]:
        return
    known = state["owners"] if here.incarnation == state["inc"] else {}
    missing = [
        (account, here.placement.owner(account), epoch)
        for account, epoch in sorted(here.placement.epochs.items())
        if epoch > known.get(str(account), _NEVER if len(known) < OWNERS_MAX else _FULL)[1]
    ]
    for start in range(0, len(missing), ROWS_MAX):
        rows = [value for row in missing[start : start + ROWS_MAX] for value in row]
        hub().happened({"k": "map.moved", "n": 0, "inc": here.incarnation, "rows": rows})


@cache
def watch() -> OwnersWatch:
    """Of this process, listening to its worker hub."""
    made = OwnersWatch()
    hub().listeners.append(made)
    return made
