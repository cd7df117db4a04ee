"""Messages that may leave only when the journal is synced up to their position."""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterator
from operator import itemgetter
from typing import Final

from consensus.types import NodeId, Position

Held = tuple[Position, tuple[NodeId, ...], bytes]
"""(position to wait for, destinations, encoded message)."""
_position: Final = itemgetter(0)


class Gate:
    """First in, first out per position."""

    def __init__(self) -> None:
        self._held: deque[Held] = deque()

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, after: Position, to: tuple[NodeId, ...], message: bytes) -> None:
        """Keep a message until :meth:`release` reaches ``after``."""
        held = self._held
        if held and held[-1][0] > after:
            insort(held, (after, to, message), key=_position)
        else:
            held.append((after, to, message))

    def release(self, synced: Position) -> Iterator[Held]:
        """Give out, in order, what waited for nothing beyond ``synced``."""
        held = self._held
        while held and held[0][0] <= synced:
            yield held.popleft()

    def clear(self) -> None:
        """Forget everything: the messages are never sent."""
        self._held.clear()
