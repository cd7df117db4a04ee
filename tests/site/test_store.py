"""The store's writer: groups, errors that stay with their cause, its end."""

from __future__ import annotations

import asyncio
import threading

import pytest

from bankweb.store import GROUP_MAX, QUEUE_MAX


@pytest.fixture
def writer(transactional_db: None):
    from bankweb import store

    yield store.writer()
    store.close()


async def test_what_waits_is_committed_together(writer) -> None:
    hold, entered = threading.Event(), threading.Event()
    groups: list[list[int]] = []

    def slow(items: list[int]) -> list[int]:
        groups.append(items)
        entered.set()
        hold.wait(10)
        return [item * 2 for item in items]

    first = asyncio.create_task(writer.write(slow, 0))
    await asyncio.to_thread(entered.wait, 10)
    others = [asyncio.create_task(writer.write(slow, number)) for number in range(1, 100)]
    await asyncio.sleep(0)
    hold.set()
    assert await first == 0
    assert await asyncio.gather(*others) == [number * 2 for number in range(1, 100)]
    assert groups == [[0], list(range(1, 100))]
    assert writer.commits == 2


async def test_a_bad_item_does_not_fail_its_neighbours(writer) -> None:
    from bankweb.store import StoreError

    hold, entered = threading.Event(), threading.Event()

    def block(items: list[None]) -> list[None]:
        entered.set()
        hold.wait(10)
        return items

    def picky(items: list[int]) -> list[int]:
        if 3 in items:
            raise ValueError("three")
        return items

    first = asyncio.create_task(writer.write(block, None))
    await asyncio.to_thread(entered.wait, 10)
    tasks = [asyncio.create_task(writer.write(picky, number)) for number in range(6)]
    await asyncio.sleep(0)
    hold.set()
    await first
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [result for result in results if not isinstance(result, StoreError)] == [0, 1, 2, 4, 5]


async def test_a_failed_transaction_leaves_nothing(writer) -> None:
    from django.utils import timezone

    from bankweb.identity.models import Action
    from bankweb.store import StoreError

    def half(items: list[str]) -> list[None]:
        Action.objects.create(at=timezone.now(), actor="a", command="c", result=items[0])
        raise RuntimeError("after the first write")

    with pytest.raises(StoreError, match="RuntimeError"):
        await writer.write(half, "x")
    assert await Action.objects.acount() == 0


async def test_the_queue_is_bounded(writer) -> None:
    from bankweb.store import StoreOverloadedError

    hold, entered = threading.Event(), threading.Event()

    def block(items: list[int]) -> list[int]:
        entered.set()
        hold.wait(10)
        return items

    tasks = [asyncio.create_task(writer.write(block, 0))]
    await asyncio.to_thread(entered.wait, 10)
    tasks += [asyncio.create_task(writer.write(block, number)) for number in range(QUEUE_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(StoreOverloadedError):
        await writer.write(block, -1)
    hold.set()
    await asyncio.gather(*tasks)
    assert writer.commits == 1 + QUEUE_MAX // GROUP_MAX


async def test_closing_writes_what_waits(writer) -> None:
    from bankweb import store
    from bankweb.store import StoreError

    done: list[int] = []

    def note(items: list[int]) -> list[None]:
        done.extend(items)
        return [None] * len(items)

    tasks = [asyncio.create_task(writer.write(note, number)) for number in range(10)]
    await asyncio.sleep(0)
    await asyncio.to_thread(store.close)
    await asyncio.gather(*tasks)
    assert sorted(done) == list(range(10))
    with pytest.raises(StoreError, match="stopping"):
        await writer.write(note, 11)
