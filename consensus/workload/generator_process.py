"""One load generator process of several (see :mod:`consensus.workload.crew`): a line in, lines out."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Final

import msgspec
import uvloop

from consensus.workload.crew import LINE_BYTES_MAX, Begin, Job, Said
from consensus.workload.generator import LoadError
from consensus.workload.load import Load

TELL_S: Final = 0.25


async def main() -> int:
    orders = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin.buffer
    )
    line = await orders.readline()
    if not line:
        return 0
    job = msgspec.json.decode(line, type=Job)
    load = Load(job.topology, job.secret, job.options, job.share)
    try:
        await load.connect()
        _say(Said(ready=True))
        line = await orders.readline()
        if line:
            await _measure(load, msgspec.json.decode(line, type=Begin), orders)
    finally:
        await load.close()
    return 0


async def _measure(load: Load, begin: Begin, orders: asyncio.StreamReader) -> None:
    """Until it is measured, or nobody is there any more to hear of it."""
    measuring = asyncio.ensure_future(load.measure(begin.at_s))
    telling = asyncio.ensure_future(_tell(load))
    left = asyncio.ensure_future(orders.read())
    try:
        await asyncio.wait((measuring, telling, left), return_when=asyncio.FIRST_COMPLETED)
        if measuring.done():
            window = measuring.result()
            _say(Said(counts=load.take_tally().counts(), until_s=window.ended_s, window=window))
    finally:
        for task in (measuring, telling, left):
            task.cancel()


async def _tell(load: Load) -> None:
    while True:
        # All processes tell at the same times of their common clock, so that what they tell adds up.
        await asyncio.sleep(TELL_S - time.monotonic() % TELL_S)
        if load.measuring:
            _say(Said(counts=load.take_tally().counts(), until_s=time.monotonic()))


def _say(said: Said) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            status = runner.run(main())
    except (LoadError, TimeoutError, BrokenPipeError) as error:
        sys.stderr.write(f"{error}\n")
        status = 1
    sys.exit(status)
