"""``cause``: which event led to which, by order numbers of the run.

A node names the cause of its own events by its own count (``by``: ``ns`` of an earlier event of the node).
What a message's arrival came from is the sending of the same message, where that was told of before.
"""

from __future__ import annotations

from typing import Any, Final

REMEMBERED_MAX: Final = 4_000
"""Events that later ones may name; causes are milliseconds old, reports of nodes at most a second."""


class Causes:
    """Remembers the order numbers of what was numbered last. Events need not be of the schema yet."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[Any, ...], int] = {}

    def link(self, event: dict[str, Any]) -> None:
        """Set ``cause`` of a numbered event in place of ``by``, if it is known."""
        kind = event.get("k")
        by, mid, own = event.pop("by", None), event.get("mid"), event.get("ns")
        cause = None
        if type(by) is int:
            cause = self._numbers.get(_name(event, by))
        elif kind == "msg.recv" and type(mid) is str:
            cause = self._numbers.get((mid,))
        if cause is not None:
            event["cause"] = cause
        if type(own) is int and kind != "agg":
            self._remember(_name(event, own), event["q"])
        if kind == "msg.send" and type(mid) is str:
            self._remember((mid,), event["q"])

    def _remember(self, name: tuple[Any, ...], number: int) -> None:
        self._numbers[name] = number
        if len(self._numbers) > REMEMBERED_MAX:
            del self._numbers[next(iter(self._numbers))]


def _name(event: dict[str, Any], number: int) -> tuple[Any, ...]:
    """Who tells of the event, in which life, and its count there."""
    teller = event.get("to") if event.get("k") == "msg.recv" else event.get("n")
    return str(teller), str(event.get("inc")), number
