"""The floor: the bank's messages and disk writes with all protocol work left out.

The same processes, frames, batches and syncs as the bank has; no elections, locks, sessions, recovery,
telemetry or validation. What the bank reaches is worth reporting as a share of this, taken in turn on one
machine in one run: absolute figures move by a factor of two with what else the machine does.

``python -m consensus.workload.floor --clients N`` prints one JSON line. Clients are operations in flight.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from typing import Any, Final

import msgspec
import uvloop
from websockets.asyncio.client import connect

from consensus.cluster.ports import free_ports
from consensus.workload.floor_node import ACCOUNTS, M_READS, M_TRANSFERS, decode, encoder
from consensus.workload.generator import LoadError

START_TIMEOUT_S: Final = 30.0


class FloorOptions(msgspec.Struct, frozen=True):
    """What to measure.

    Attributes:
        clients: operations in flight, spread over the groups.
        connections: sockets they share; 0 for one per group.
        cross_pct, read_pct: share of transfers across groups, share of reads.
        duration_s: measured time, after ``warmup_s``.
        folder: where the logs are written (the disk that is measured); empty for a temporary folder.
    """

    clients: int = 50
    connections: int = 0
    duration_s: float = 4.0
    warmup_s: float = 0.5
    cross_pct: float = 0.0
    read_pct: float = 0.0
    clusters: int = 3
    nodes: int = 3
    no_sync: bool = False
    folder: str = ""


class FloorResult(msgspec.Struct, frozen=True):
    """Operations per second and latencies, with the options that led to them."""

    clients: int
    connections: int
    cross: float
    read: float
    shape: str
    tps: int
    p50_ms: float
    p99_ms: float


class _Socket:
    """One connection: ``clients`` operations in flight, a new one for each that is answered."""

    def __init__(self, options: FloorOptions, group: int, clients: int, seed: int) -> None:
        self._options = options
        self._group = group
        self._clients = clients
        self._range = ACCOUNTS // options.clusters
        self._random = random.Random(seed)
        self._sent: dict[int, float] = {}
        self._last = 0
        self.latencies: list[float] = []

    def _requests(self, count: int) -> bytes:
        options, draw = self._options, self._random
        low = self._group * self._range + 1
        now = time.perf_counter()
        transfers: list[Any] = []
        reads: list[Any] = []
        for _ in range(count):
            self._last += 1
            self._sent[self._last] = now
            sender = low + draw.randrange(self._range)
            if draw.random() * 100 < options.read_pct:
                reads.append((self._last, sender))
                continue
            other = low
            if draw.random() * 100 < options.cross_pct and options.clusters > 1:
                other = (
                    self._group + draw.randrange(1, options.clusters)
                ) % options.clusters * self._range + 1
            transfers.append((self._last, sender, other + draw.randrange(self._range), 1))
        return encoder.encode([m for m in ((M_TRANSFERS, transfers), (M_READS, reads)) if m[1]])

    async def run(self, port: int, start: float, end: float) -> None:
        """Keep the operations in flight until ``end``; those answered after ``start`` count."""
        url = f"ws://127.0.0.1:{port}"
        async with connect(url, compression=None, max_size=None) as socket:
            await socket.send(self._requests(self._clients))
            async for frame in socket:
                now = time.perf_counter()
                answered = 0
                for _, rows in decode(frame):
                    for request, _ in rows:
                        sent = self._sent.pop(request)
                        answered += 1
                        if start <= now < end:
                            self.latencies.append(now - sent)
                if now >= end:
                    return
                await socket.send(self._requests(answered))


async def _start_node(
    options: FloorOptions, node: int, ports: list[int], folder: str
) -> asyncio.subprocess.Process:
    words = ["--node", str(node), "--clusters", str(options.clusters), "--nodes", str(options.nodes)]
    words += ["--ports", ",".join(map(str, ports)), "--folder", folder, "--cross", str(options.cross_pct)]
    if options.no_sync:
        words.append("--no-sync")
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "consensus.workload.floor_node",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def _wait_ready(nodes: list[asyncio.subprocess.Process]) -> None:
    async with asyncio.timeout(START_TIMEOUT_S):
        for number, node in enumerate(nodes, 1):
            assert node.stdout is not None
            if await node.stdout.readline() != b"ready\n":
                raise RuntimeError(f"floor process {number} ended with status {await node.wait()}")


async def run_floor(options: FloorOptions) -> FloorResult:
    """Start the processes, measure, stop them.

    Raises:
        RuntimeError: a process ended early.
        TimeoutError: they did not find each other.
    """
    count = options.clusters * options.nodes
    connections = options.connections or min(options.clusters, options.clients)
    if not 1 <= connections <= options.clients:
        raise LoadError(f"connections: {connections} sockets cannot share {options.clients} clients")
    ports = free_ports(count)
    with tempfile.TemporaryDirectory(prefix="floor-", dir=options.folder or None) as folder:
        nodes: list[asyncio.subprocess.Process] = []
        try:
            for node in range(1, count + 1):
                nodes.append(await _start_node(options, node, ports, folder))  # noqa: PERF401  (kept on errors)
            await _wait_ready(nodes)
            latencies = await _load(options, connections, ports)
        finally:
            for process in nodes:
                if process.returncode is None:
                    process.kill()
            await asyncio.gather(*(process.wait() for process in nodes))
    latencies.sort()
    at = [latencies[int(len(latencies) * share)] * 1e3 if latencies else 0.0 for share in (0.5, 0.99)]
    return FloorResult(
        options.clients,
        connections,
        options.cross_pct,
        options.read_pct,
        f"{options.clusters}x{options.nodes}",
        round(len(latencies) / options.duration_s),
        round(at[0], 2),
        round(at[1], 2),
    )


async def _load(options: FloorOptions, connections: int, ports: list[int]) -> list[float]:
    start = time.perf_counter() + options.warmup_s
    sockets = [
        _Socket(options, i % options.clusters, len(range(i, options.clients, connections)), i)
        for i in range(connections)
    ]
    await asyncio.gather(
        *(
            socket.run(ports[i % options.clusters * options.nodes], start, start + options.duration_s)
            for i, socket in enumerate(sockets)
        )
    )
    return [latency for socket in sockets for latency in socket.latencies]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=50, help="operations in flight")
    parser.add_argument("--connections", type=int, default=0, help="sockets; default one per group")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--warmup", type=float, default=0.5)
    parser.add_argument("--cross", type=float, default=0.0, help="percent of transfers across groups")
    parser.add_argument("--read", type=float, default=0.0, help="percent of reads")
    parser.add_argument("--clusters", type=int, default=3)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--no-sync", action="store_true")
    parser.add_argument("--folder", default="", help="where the logs go; default a temporary folder")
    given = parser.parse_args()
    options = FloorOptions(
        given.clients,
        given.connections,
        given.seconds,
        given.warmup,
        given.cross,
        given.read,
        given.clusters,
        given.nodes,
        given.no_sync,
        given.folder,
    )
    result = uvloop.run(run_floor(options))
    sys.stdout.write(json.dumps(msgspec.to_builtins(result)) + "\n")


if __name__ == "__main__":
    main()
