"""Making plans from a process that has other things to do: ``sharding.planning`` runs beside it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from consensus.client.fleet import Ask
from consensus.sharding import cache
from consensus.sharding.request import request_of
from consensus.sharding.traffic import Sample, Traffic
from consensus.topology import Topology
from consensus.types import ClusterId, NodeId

LINE_BYTES_MAX: Final = 64 << 20
TIMEOUT_S: Final = 300.0
EVENTS_MAX: Final = 5_000
ROUNDS_MAX: Final = 64
"""Answers taken from one node at a time; the rest comes with the next gathering."""


class PlanError(Exception):
    """No plan could be made; the text says why."""


async def gather(traffic: Traffic, node: NodeId, ask: Ask) -> bool:
    """Take up what ``node`` remembers and ``traffic`` does not have yet. False: it did not answer."""
    for _ in range(ROUNDS_MAX):
        answer = await ask(node, "access", **traffic.cursors(node))
        if answer is None:
            return False
        if not traffic.add(node, answer):
            break
    return True


class Placement:
    """Who owns which account. Blocks are places of clusters in the topology, accounts count from 1."""

    def __init__(self, topology: Topology) -> None:
        self.clusters: list[ClusterId] = [cluster.id for cluster in topology.clusters]
        self.block_of = {cluster: block for block, cluster in enumerate(self.clusters)}
        self.accounts = topology.accounts
        self.blocks: npt.NDArray[np.int32] = np.zeros(self.accounts, dtype=np.int32)
        self.epochs: dict[int, int] = {}
        self._topology = topology
        self.begin()

    def begin(self) -> None:
        """As the topology says; nothing has moved."""
        self.epochs.clear()
        for block, cluster in enumerate(self._topology.clusters):
            self.blocks[cluster.first_account - 1 : cluster.last_account] = block

    def moved(self, account: int, cluster: ClusterId, epoch: int) -> None:
        """``account`` belongs to ``cluster`` since ``epoch``, its ``epoch``-th change of owner."""
        if epoch > self.epochs.get(account, 0):
            self.epochs[account] = epoch
            self.blocks[account - 1] = self.block_of[cluster]

    def owner(self, account: int) -> ClusterId:
        return self.clusters[int(self.blocks[account - 1])]

    async def read(self, node: NodeId, ask: Ask) -> bool:
        """Take up what ``node`` knows of moves. False: it did not answer."""
        after: int | None = 0
        while after is not None:
            page = await ask(node, "map", after=after)
            if page is None:
                return False
            for account, owner, epoch in page["rows"]:
                self.moved(account, owner, epoch)
            after = page["next"]
        return True


_warming: set[asyncio.subprocess.Process] = set()


async def is_warm() -> bool:
    """Whether the partitioner is compiled, which happens once per installation."""
    return await asyncio.to_thread(cache.is_warm)


async def warm() -> None:
    """Have the partitioner compiled if it is not, at the lowest priority, so that the first plan is quick.

    A plan that is asked for meanwhile ends this: it compiles what is missing itself, at its own priority.

    Raises:
        PlanError: it could not be.
    """
    if await is_warm():
        return
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "consensus.sharding.planning", "--warm"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
    )
    _warming.add(process)
    try:
        _, said = await process.communicate()
    finally:
        # Out of the set already: a plan has ended it.
        wanted = process in _warming
        _warming.discard(process)
        if process.returncode is None:
            process.kill()
            await process.wait()
    if wanted and process.returncode:
        raise PlanError(f"the partitioner was not compiled: {said[-500:].decode('utf-8', 'replace')}")


async def make_plan(
    sample: Sample,
    placement: Placement,
    options: dict[str, Any],
    heard: Callable[[dict[str, Any]], None] = lambda event: None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The plan as :func:`sharding.planning.answer` makes it, by account and cluster, and its events.

    ``heard`` is called with each event of the partitioner when it comes.

    Raises:
        PlanError: it could not be made.
    """
    request = request_of(sample, placement.blocks, len(placement.clusters), **options)
    while _warming:
        warming = _warming.pop()
        if warming.returncode is None:
            warming.kill()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "consensus.sharding.planning",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
        limit=LINE_BYTES_MAX,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S), asyncio.TaskGroup() as group:
            errors = group.create_task(_all(process.stderr))
            group.create_task(_feed(process.stdin, msgspec.msgpack.encode(request)))
            told = group.create_task(_lines(process.stdout, heard))
        await process.wait()
    except TimeoutError:
        raise PlanError(f"no plan within {TIMEOUT_S:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    last, events = told.result()
    if "plan" not in last:
        said = last.get("error") or errors.result()[-500:].decode("utf-8", "replace") or "it said nothing"
        raise PlanError(f"the partitioner ended with status {process.returncode}: {said}")
    return _by_number(last["plan"], placement.clusters), events


def _by_number(made: dict[str, Any], clusters: list[ClusterId]) -> dict[str, Any]:
    for move in made["moves"]:
        move[0], move[1], move[2] = move[0] + 1, clusters[move[1]], clusters[move[2]]
    for vertex in made["snapshot"]["vertices"]:
        vertex[0], vertex[1] = vertex[0] + 1, clusters[vertex[1]]
    for rows in made["partners"]:
        for row in rows:
            row[0], row[2] = row[0] + 1, clusters[row[2]]
    return made


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
