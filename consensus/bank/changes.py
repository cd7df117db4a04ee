"""Which rows of a table have to be looked at again, when most rows come and go between two looks.

A transaction across clusters leaves a row in several tables for a few milliseconds; the hash and the
checkpoint look every thousand slots or less often. A row that was not there at the last look and is gone
again concerns neither.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Changes(Generic[K]):
    """Keys of one table. ``born``: not there at the last look; ``changed``: to be looked at in any case.

    No key is in both.
    """

    __slots__ = ("born", "changed")

    def __init__(self) -> None:
        self.born: set[K] = set()
        self.changed: set[K] = set()

    def put(self, key: K) -> None:
        """A row that was not there is there now."""
        if key not in self.changed:
            self.born.add(key)

    def update(self, key: K) -> None:
        """A row is another than it was."""
        if key not in self.born:
            self.changed.add(key)

    def drop(self, key: K) -> None:
        """A row is gone."""
        if key in self.born:
            self.born.remove(key)
        else:
            self.changed.add(key)

    def take(self) -> Iterator[K]:
        """Every key to look at, in no order. The next look begins when all are taken."""
        yield from self.born
        yield from self.changed
        self.born = set()
        self.changed = set()
