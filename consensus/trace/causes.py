"""``cause``: which event led to which, by order numbers of the run.

A node names the cause of its own events by its own count (``by``: ``ns`` of an earlier event of the node).
What a message's arrival came from is the sending of the same message, where that was told of before.
"""

from __future__ import annotations

from typing import Any, Final

REMEMBERED_MIN: Final = 4_000
"""Events that later ones may name, and at most twice as many: causes are milliseconds old, reports of nodes
at most a second."""


class Causes:
    """Remembers the order numbers of what was numbered last. Events need not be of the schema yet."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._older: dict[tuple[Any, ...], int] = {}
        """Two dicts in turn: taking the oldest out of one, again and again, is slow."""

    def link(self, event: dict[str, Any]) -> None:
        """Set ``cause`` of a numbered event in place of ``by``, if it is known."""
        kind = event.get("k")
        by, mid, own = event.pop("by", None), event.get("mid"), event.get("ns")
        cause = None
        if type(by) is int:
            cause = self._number_of(_name(event, by))
        elif kind == "msg.recv" and type(mid) is str:
            cause = self._number_of((mid,))
        if cause is not None:
            event["cause"] = cause
        if type(own) is int and kind != "agg":
            self._remember(_name(event, own), event["q"])
        if kind == "msg.send" and type(mid) is str:
            self._remember((mid,), event["q"])

    def _number_of(self, name: tuple[Any, ...]) -> int | None:
        number = self._numbers.get(name)
        return self._older.get(name) if number is None else number

    def _remember(self, name: tuple[Any, ...], number: int) -> None:
        if len(self._numbers) >= REMEMBERED_MIN:
            self._older, self._numbers = self._numbers, {}
        self._numbers[name] = number


def _name(event: dict[str, Any], number: int) -> tuple[Any, ...]:
    """Who tells of the event, in which life, and its count there."""
    teller = event.get("to") if event.get("k") == "msg.recv" else event.get("n")
    return str(teller), str(event.get("inc")), number
