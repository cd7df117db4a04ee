"""How busy accounts are at a node: by neighbourhood and for the busiest, as ``agg`` events tell it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from heapq import nlargest
from typing import Any, Final

from consensus.node.access import Access, Position
from consensus.trace.events import HEAT_WINDOW_US, heat_bins
from consensus.types import AccountId

TOP: Final = 10


class Heat:
    """Counts the uses that ``access`` remembers, exactly, unless more came between two looks than it holds.

    Args:
        access: of the node; another one after a reset.
        accounts: of the bank; numbers that are none are not counted.
    """

    def __init__(self, access: Callable[[], Access], accounts: int) -> None:
        self._access = access
        self._accounts = accounts
        self._bins = heat_bins(accounts)
        self._of = access()
        self._seen: Position = self._of.position
        self._uses: Counter[AccountId] = Counter()
        self._window = 0

    def skip(self) -> None:
        """Somebody begins to watch: what was used before is not told."""
        self._of = self._access()
        self._seen = self._of.position
        self._uses.clear()

    def look(self, now_us: int, ending: bool) -> dict[str, Any] | None:
        """Count what came since the last look; fields of an event when a window is over, or ``ending``.

        To be called several times in a window, so that none has much to do.
        """
        if self._of is not self._access():
            self.skip()
            self._seen = (0, 0, 0)
        self._seen = self._of.count(self._uses, self._seen)
        window = now_us // HEAT_WINDOW_US
        if window == self._window and not ending:
            return None
        self._window = window
        uses, self._uses = self._uses, Counter()
        heat: dict[int, int] = {}
        accounts, bins = self._accounts, self._bins
        for account, count in uses.items():
            if 0 < account <= accounts:
                number = (account - 1) * bins // accounts
                heat[number] = heat.get(number, 0) + count
        if not heat:
            return None
        known = ((count, -account) for account, count in uses.items() if 0 < account <= accounts)
        return {
            "heat": {str(number): count for number, count in sorted(heat.items())},
            "topk": [[-account, count] for count, account in nlargest(TOP, known)],
        }
