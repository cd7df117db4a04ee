"""One process of the floor (see :mod:`consensus.workload.floor`): messages, disk and batching of a node.

Log entries are tuples (request, sender, receiver, amount, kind, number). A transfer inside a group is one
LOCAL entry. A transfer across groups is PREPARED and DECIDED in the sender's group, VOTED and APPLIED in the
receiver's. Messages between processes are tuples whose first element is one of the ``M_`` letters.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any, Final

import msgspec
import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

ACCOUNTS: Final = 9_000
BALANCE: Final = 100_000
BATCH_MAX: Final = 512
WINDOW: Final = 4
WINDOW_CROSS: Final = 2
"""Slots in flight; fewer when part of the load crosses groups, because batches grow then."""

LOCAL, PREPARED, VOTED, DECIDED, APPLIED = range(5)
M_TRANSFERS, M_READS, M_ANSWERS = "T", "B", "R"
M_ACCEPT, M_ACCEPTED, M_COMMIT, M_BEAT, M_BEAT_ACK = "A", "K", "C", "H", "h"
M_PREPARE, M_VOTE, M_DECISION, M_FINISHED = "P", "V", "D", "F"

Entry = tuple[int, int, int, int, int, int]
Socket = ServerConnection | ClientConnection

encoder: Final = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder()


def decode(frame: str | bytes) -> list[Any]:
    """The messages of a frame."""
    assert isinstance(frame, bytes)
    messages: list[Any] = _decoder.decode(frame)
    return messages


class Outbox:
    """Joins what is sent within one turn of the loop into one frame."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._queue: list[Any] = []
        self._filled = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def send(self, message: tuple[Any, ...]) -> None:
        self._queue.append(message)
        self._filled.set()

    async def _run(self) -> None:
        try:
            while True:
                await self._filled.wait()
                self._filled.clear()
                queue, self._queue = self._queue, []
                await self._socket.send(encoder.encode(queue))
        except ConnectionClosed:
            return  # the run is over


class SyncedLog:
    """Group commit: one write and one fdatasync at a time, off the loop; meanwhile the next batch gathers."""

    def __init__(self, path: str, sync: bool) -> None:
        self._fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_TRUNC, 0o600)
        self._sync = sync
        self._waiting: list[tuple[bytes, Callable[[], None]]] = []
        self._writing = False

    def append(self, data: bytes, synced: Callable[[], None]) -> None:
        self._waiting.append((data, synced))
        if not self._writing:
            self._write()

    def _write(self) -> None:
        self._writing = True
        batch, self._waiting = self._waiting, []
        data = b"".join([data for data, _ in batch])
        future = asyncio.get_running_loop().run_in_executor(None, self._to_disk, data)
        future.add_done_callback(lambda done: self._written(done, batch))

    def _to_disk(self, data: bytes) -> None:
        os.write(self._fd, data)
        if self._sync:
            os.fdatasync(self._fd)

    def _written(self, done: asyncio.Future[None], batch: list[tuple[bytes, Callable[[], None]]]) -> None:
        done.result()
        self._writing = False
        for _, synced in batch:
            synced()
        if self._waiting:
            self._write()


class FloorNode:
    """Leader of its group if it is the first in it, else a follower that accepts whatever comes."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.id: int = options.node
        size, groups = options.nodes, options.clusters
        self.ports: list[int] = [int(port) for port in options.ports.split(",")]
        self.leader = (self.id - 1) // size * size + 1
        self.leaders = [group * size + 1 for group in range(groups)]
        self.members = range(self.leader, self.leader + size)
        self.majority = size // 2 + 1
        self.range = ACCOUNTS // groups
        self.window = WINDOW_CROSS if options.cross else WINDOW
        self.log = SyncedLog(f"{options.folder}/log-{self.id}", not options.no_sync)
        self.balances = [BALANCE] * (ACCOUNTS + 2)
        self.peers: dict[int, Outbox] = {}
        self.followers: list[Outbox] = []
        self.queue: list[tuple[Any, Entry]] = []  # (who is answered, entry)
        self.slots: dict[int, list[Any]] = {}  # slot: [batch, acknowledgements]
        self.reads: list[tuple[Outbox, Any]] = []
        self.rounds: dict[int, list[Any]] = {}  # heartbeat round: [reads, acknowledgements]
        self.crossing: dict[int, list[Any]] = {}  # number: [client, votes, transfer, receiver's leader]
        self.last_slot = self.applied = self.in_flight = self.round = self.numbers = 0
        self.flush_due = False
        self.tasks: list[asyncio.Task[None]] = []

    # --- leader -----------------------------------------------------------

    def enqueue(self, items: list[tuple[Any, Entry]]) -> None:
        self.queue.extend(items)
        if not self.flush_due:
            self.flush_due = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        self.flush_due = False
        while self.queue and self.in_flight < self.window:
            batch, self.queue = self.queue[:BATCH_MAX], self.queue[BATCH_MAX:]
            self.propose(batch)
        if self.reads:
            self.round += 1
            self.rounds[self.round] = [self.reads, 0]
            self.reads = []
            for follower in self.followers:
                follower.send((M_BEAT, self.round))
            self.beat_heard(self.round)

    def propose(self, batch: list[tuple[Any, Entry]]) -> None:
        self.last_slot += 1
        self.in_flight += 1
        slot, entries = self.last_slot, [entry for _, entry in batch]
        self.slots[slot] = [batch, 0]
        for follower in self.followers:
            follower.send((M_ACCEPT, slot, entries))
        self.log.append(encoder.encode((slot, entries)), lambda: self.accepted(slot))

    def accepted(self, slot: int) -> None:
        if slot not in self.slots:
            return
        self.slots[slot][1] += 1
        while (head := self.slots.get(self.applied + 1)) is not None and head[1] >= self.majority:
            self.applied += 1
            self.in_flight -= 1
            self.chosen(self.slots.pop(self.applied)[0])
        if self.queue:
            self.flush()

    def chosen(self, batch: list[tuple[Any, Entry]]) -> None:
        self.apply([entry for _, entry in batch])
        out: dict[tuple[Outbox, str], list[Any]] = {}
        for client, (request, sender, receiver, amount, kind, number) in batch:
            if kind == LOCAL:
                out.setdefault((client, M_ANSWERS), []).append((request, True))
            elif kind == PREPARED:
                self.voted(number)
            elif kind == VOTED:
                out.setdefault((client, M_VOTE), []).append(number)
            elif kind == DECIDED:
                out.setdefault((client, M_ANSWERS), []).append((request, True))
                other = self.peers[self.crossing[number][3]]
                out.setdefault((other, M_DECISION), []).append((number, request, sender, receiver, amount))
            else:
                out.setdefault((client, M_FINISHED), []).append(number)
        for (to, letter), rows in out.items():
            to.send((letter, rows))
        for follower in self.followers:
            follower.send((M_COMMIT, self.applied))

    def beat_heard(self, number: int) -> None:
        waiting = self.rounds.get(number)
        if waiting is None:
            return
        waiting[1] += 1
        if waiting[1] >= self.majority:
            for client, rows in self.rounds.pop(number)[0]:
                client.send((M_ANSWERS, [(request, self.balances[account]) for request, account in rows]))

    def voted(self, number: int) -> None:
        crossing = self.crossing[number]
        crossing[1] += 1
        if crossing[1] == 2:  # the own group's prepare and the other group's vote
            self.enqueue([(crossing[0], (*crossing[2], DECIDED, number))])

    def submit(self, client: Outbox, rows: list[tuple[int, int, int, int]]) -> None:
        prepares: dict[int, list[Any]] = {}
        items: list[tuple[Any, Entry]] = []
        for request, sender, receiver, amount in rows:
            home = self.leaders[min((receiver - 1) // self.range, len(self.leaders) - 1)]
            if home == self.id:
                items.append((client, (request, sender, receiver, amount, LOCAL, 0)))
                continue
            self.numbers += 1
            number = self.id << 40 | self.numbers
            self.crossing[number] = [client, 0, (request, sender, receiver, amount), home]
            items.append((client, (request, sender, receiver, amount, PREPARED, number)))
            prepares.setdefault(home, []).append((number, request, sender, receiver, amount))
        for home, prepared in prepares.items():
            self.peers[home].send((M_PREPARE, prepared))
        self.enqueue(items)

    # --- every node -------------------------------------------------------

    def apply(self, entries: list[Entry]) -> None:
        balances = self.balances
        for _, sender, receiver, amount, kind, _ in entries:
            if kind == LOCAL and balances[sender] >= amount:
                balances[sender] -= amount
                balances[receiver] += amount
            elif kind == PREPARED:
                balances[sender] -= amount
            elif kind == APPLIED:
                balances[receiver] += amount

    async def serve(self, socket: ServerConnection) -> None:
        out = Outbox(socket)
        accepted: dict[int, list[Entry]] = {}
        async for frame in socket:
            for message in decode(frame):
                letter, body = message[0], message[1]
                if letter == M_TRANSFERS:
                    self.submit(out, body)
                elif letter == M_READS:
                    self.reads.append((out, body))
                    self.enqueue([])
                elif letter in (M_PREPARE, M_DECISION):
                    kind = VOTED if letter == M_PREPARE else APPLIED
                    self.enqueue([(out, (r, a, b, amount, kind, x)) for x, r, a, b, amount in body])
                elif letter == M_ACCEPT:
                    accepted[body] = message[2]
                    data = encoder.encode((body, message[2]))
                    self.log.append(data, lambda slot=body: out.send((M_ACCEPTED, slot)))  # type: ignore[misc]
                elif letter == M_BEAT:
                    out.send((M_BEAT_ACK, body))
                elif letter == M_COMMIT:
                    for slot in [slot for slot in accepted if slot <= body]:
                        self.apply(accepted.pop(slot))

    async def hear(self, socket: ClientConnection) -> None:
        async for frame in socket:
            for letter, body in decode(frame):
                if letter == M_ACCEPTED:
                    self.accepted(body)
                elif letter == M_BEAT_ACK:
                    self.beat_heard(body)
                elif letter == M_VOTE:
                    for number in body:
                        self.voted(number)
                elif letter == M_FINISHED:
                    for number in body:
                        del self.crossing[number]

    async def dial(self, peer: int) -> None:
        while True:
            try:
                url = f"ws://127.0.0.1:{self.ports[peer - 1]}"
                socket = await connect(url, compression=None, max_size=None)
                break
            except OSError:
                await asyncio.sleep(0.05)
        self.peers[peer] = Outbox(socket)
        if peer in self.members:
            self.followers.append(self.peers[peer])
        self.tasks.append(asyncio.get_running_loop().create_task(self.hear(socket)))

    async def run(self) -> None:
        """Serve until killed; says ``ready`` on stdout when every peer is connected."""
        port = self.ports[self.id - 1]
        async with serve(self.serve, "127.0.0.1", port, compression=None, max_size=None):
            if self.id == self.leader:
                for peer in [*self.members, *self.leaders]:
                    if peer != self.id and peer not in self.peers:
                        await self.dial(peer)
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            await asyncio.get_running_loop().create_future()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("node", "clusters", "nodes"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--ports", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--cross", type=float, default=0.0)
    parser.add_argument("--no-sync", action="store_true")
    uvloop.run(FloorNode(parser.parse_args()).run())


if __name__ == "__main__":
    main()
