"""Two methods at once: one in a thread of its own, since compiled code lets go of the interpreter.

Whoever watches hears of the first before the second, as if they had run in turn, and on the caller's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from consensus.sharding.refine import Observer

T = TypeVar("T")


class Abreast(Generic[T]):
    """``work`` runs beside what the caller does until :meth:`result`; to be used as a context.

    Args:
        work: told whom to report to, None for nobody.
        ended: called with the result on the caller's thread, before anything of the second is told.
        observer: who watches.
    """

    def __init__(
        self, work: Callable[[Observer | None], T], ended: Callable[[T], None], observer: Observer | None
    ) -> None:
        self._ended = ended
        self._observer = observer
        self._first: list[dict[str, Any]] = []
        self._second: list[dict[str, Any]] = []
        self._told = False
        self._pool = ThreadPoolExecutor(1)
        self._work = self._pool.submit(work, None if observer is None else self._first.append)

    def __enter__(self) -> Abreast[T]:
        return self

    def __exit__(self, *raised: object) -> None:
        self._pool.shutdown()

    @property
    def second(self) -> Observer | None:
        """Whom the second reports to."""
        return None if self._observer is None else self._hear

    def _hear(self, event: dict[str, Any]) -> None:
        self._second.append(event)
        if self._work.done():
            self.join()

    def join(self) -> None:
        """Wait for ``work`` and tell what was held back.

        Raises:
            Exception: what ``work`` raised.
        """
        result = self._work.result()
        if not self._told:
            self._told = True
            self._tell(self._first)
            self._ended(result)
        self._tell(self._second)

    def _tell(self, events: list[dict[str, Any]]) -> None:
        if self._observer is not None:
            for event in events:
                self._observer(event)
        events.clear()
