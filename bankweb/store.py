"""The site's own database, off the event loop: one writer that commits in groups, one reader.

A commit that reaches the disk costs the same for one row as for a thousand. The writer thread takes
everything that queued up while the last commit ran and puts it into one transaction. Whoever
waits is told after the commit, so what has been answered is on the disk.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Final, TypeVar

from django.db import Error, connection, transaction

_log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")
Handler = Callable[[list[Any]], list[Any]]
"""Writes items, and returns one result for each. Runs inside a transaction, maybe more than once."""

QUEUE_MAX: Final = 20_000
GROUP_MAX: Final = 2_000


class StoreError(Exception):
    """The site's database did not take a write; nothing of it was done."""


class StoreOverloadedError(StoreError):
    """Too much waits to be written."""


class _Write:
    __slots__ = ("future", "handler", "item", "loop")

    def __init__(self, handler: Handler, item: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.handler = handler
        self.item = item
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()


class Writer:
    """One thread, one connection, one transaction for all that is waiting."""

    def __init__(self) -> None:
        self._waiting: list[_Write] = []
        self._wake = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="site-writer", daemon=True)
        self._thread.start()
        self.commits = 0
        self.items = 0

    async def write(self, handler: Callable[[list[Item]], list[Result]], item: Item) -> Result:
        """Hand ``item`` to ``handler`` together with others that wait, and return its result.

        Raises:
            StoreError: it was not written; the text says why.
        """
        write = _Write(handler, item, asyncio.get_running_loop())
        with self._wake:
            if self._closed:
                raise StoreError("the site is stopping")
            if len(self._waiting) >= QUEUE_MAX:
                raise StoreOverloadedError(f"{QUEUE_MAX} writes are waiting for the site's database")
            self._waiting.append(write)
            self._wake.notify()
        result: Result = await write.future
        return result

    def close(self) -> None:
        """Write what waits, then end the thread. Called once, from any thread but the writer's."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._closed:
                    self._wake.wait()
                group, self._waiting = self._waiting[:GROUP_MAX], self._waiting[GROUP_MAX:]
            if not group:
                break
            self._commit(group)
        connection.close()

    def _commit(self, group: list[_Write]) -> None:
        try:
            results = _apply(group)
        except Exception as error:
            if len(group) > 1:
                # One bad item must not fail its neighbours.
                for write in group:
                    self._commit([write])
                return
            _log.error("write of %s failed: %s", group[0].handler.__qualname__, error)
            results = [_failure(error)]
            connection.close_if_unusable_or_obsolete()
        self.commits += 1
        self.items += len(group)
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Write, Any]]] = {}
        for write, result in zip(group, results, strict=True):
            by_loop.setdefault(write.loop, []).append((write, result))
        for loop, told in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_tell, told)


def _failure(error: Exception) -> StoreError:
    if isinstance(error, Error):
        return StoreError(f"the site's database does not take writes: {error}")
    return StoreError(f"the site could not write: {type(error).__name__}")


def _apply(group: list[_Write]) -> list[Any]:
    """Run each handler once, over its items in order of arrival, in one transaction."""
    by_handler: dict[Handler, list[int]] = {}
    for index, write in enumerate(group):
        by_handler.setdefault(write.handler, []).append(index)
    results: list[Any] = [None] * len(group)
    with transaction.atomic():
        for handler, indexes in by_handler.items():
            answers = handler([group[index].item for index in indexes])
            assert len(answers) == len(indexes), f"{handler.__qualname__} owes one result for each item"
            for index, answer in zip(indexes, answers, strict=True):
                results[index] = answer
    return results


def _tell(told: list[tuple[_Write, Any]]) -> None:
    for write, result in told:
        if write.future.done():
            continue
        if isinstance(result, StoreError):
            write.future.set_exception(result)
        else:
            write.future.set_result(result)


@cache
def writer() -> Writer:
    """The writer of this process, started on first use."""
    return Writer()


@cache
def _reader() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="site-reader")


async def read(query: Callable[..., Result], *args: Any) -> Result:
    """Run a function that reads the database, on the reader's thread and connection."""
    return await asyncio.get_running_loop().run_in_executor(_reader(), _ask, query, *args)


def _ask(query: Callable[..., Result], *args: Any) -> Result:
    try:
        return query(*args)
    except Error:
        connection.close_if_unusable_or_obsolete()
        raise


def _close_connection() -> None:
    connection.close()


def close() -> None:
    """Write what waits and close both connections. The next use starts anew."""
    if writer.cache_info().currsize:
        writer().close()
        writer.cache_clear()
    if _reader.cache_info().currsize:
        executor = _reader()
        executor.submit(_close_connection).result(timeout=10)
        executor.shutdown()
        _reader.cache_clear()
