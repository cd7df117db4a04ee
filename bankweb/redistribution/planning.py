"""Runs :mod:`consensus.sharding.planning` beside the site and hears its events as they come."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any, Final

import msgspec
from django.conf import settings

from bankweb.rest.problems import Problem
from consensus.sharding.traffic import Sample

LINE_BYTES_MAX: Final = 64 << 20
TIMEOUT_S: Final = 300.0
EVENTS_MAX: Final = 5_000


async def make_plan(
    sample: Sample, current: Any, k: int, options: dict[str, Any], heard: Callable[[dict[str, Any]], None]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The plan (:func:`consensus.sharding.planning.answer`) and the partitioner's events.

    ``heard`` is called with each event when it comes.

    Raises:
        Problem: it could not be made; the text says why (422, 503).
    """
    request = {
        "vertices": sample.vertices,
        "start": sample.start.astype("<i8").tobytes(),
        "accounts": sample.accounts.astype("<i4").tobytes(),
        "reads": sample.reads.astype("<i8").tobytes(),
        "current": current.astype("<i4").tobytes(),
        "k": k,
        **options,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "consensus.sharding.planning",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=settings.BASE_DIR,
        limit=LINE_BYTES_MAX,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S), asyncio.TaskGroup() as group:
            errors = group.create_task(_all(process.stderr))
            group.create_task(_feed(process.stdin, msgspec.msgpack.encode(request)))
            told = group.create_task(_lines(process.stdout, heard))
        await process.wait()
    except TimeoutError:
        raise Problem("unavailable", f"no plan within {TIMEOUT_S:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    last, events = told.result()
    if "plan" not in last:
        said = last.get("error") or errors.result()[-500:].decode("utf-8", "replace") or "it said nothing"
        raise Problem("unavailable", f"the partitioner ended with status {process.returncode}: {said}")
    return last["plan"], events


async def _feed(stdin: Any, data: bytes) -> None:
    try:
        stdin.write(data)
        await stdin.drain()
        stdin.close()
    except (BrokenPipeError, ConnectionResetError):
        # It ended before it had read everything; its status and its last words say why.
        return


async def _all(stream: Any) -> bytes:
    data: bytes = await stream.read()
    return data


async def _lines(
    stdout: Any, heard: Callable[[dict[str, Any]], None]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    last: dict[str, Any] = {}
    events: list[dict[str, Any]] = []
    while line := await stdout.readline():
        last = msgspec.json.decode(line)
        event = last.get("event")
        if event is not None:
            heard(event)
            if len(events) < EVENTS_MAX:
                events.append(event)
    return last, events
