"""Clients of one cluster on one connection: operations in flight, attempts at a transfer, pauses between.

A *client* has one transfer in flight. A transfer that loses a lock (lock_conflict, lock_timeout) is tried
again under a new TxId with the age of its first attempt, up to a bound; it counts once, by how its last
attempt ended, and its latency runs from when it was meant to begin.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final, Protocol

from consensus.client.bank import BankClient
from consensus.client.core import age_now_us
from consensus.client.results import ABORTED, COMMITTED, ReadValues, TxResult
from consensus.messages.client import Level
from consensus.types import AccountId, ClusterId
from consensus.workload.pace import Pace
from consensus.workload.tally import Tally

RETRIED: Final = frozenset(("lock_conflict", "lock_timeout"))
"""Aborts that say nothing about the transfer itself."""
RETRY_PAUSE_S: Final = 0.004
"""Mean pause before the second attempt, doubled for each further one."""
RETRY_PAUSE_MAX_S: Final = 0.1
EARLY_S: Final = 0.0005
"""An operation due within this time begins now: the loop's timers count whole milliseconds."""


class Draws(Protocol):
    """Draws what is sent."""

    def is_read(self) -> bool: ...

    def account(self) -> AccountId: ...

    def legs(self) -> tuple[int, int, int, int]: ...


class Run(Protocol):
    """What the streams of a run share."""

    tally: Tally
    measuring: bool
    stopping: bool

    def count(self) -> None:
        """An operation ended in the measured window."""

    def one_idle(self) -> None:
        """A client ended its last operation."""


class Stream:
    """All clients on one connection, with senders in one cluster.

    Args:
        client: the connection.
        cluster: where senders lie.
        run: shared by all streams.
        new_client: makes one that knows what to send.
        clients: operations in flight, at most.
        retries: further attempts at a transfer that lost a lock.
        level: of reads.
        bound_ms: the greatest age, for bounded reads.
    """

    def __init__(
        self,
        client: BankClient,
        cluster: ClusterId,
        run: Run,
        new_client: Callable[[Stream], Client],
        *,
        clients: int,
        retries: int,
        level: Level = Level.LINEARIZABLE,
        bound_ms: int = 0,
        seed: int = 0,
    ) -> None:
        self.client = client
        self.cluster = cluster
        self.run = run
        self.retries = retries
        self.level = level
        self.bound_ms = bound_ms
        self.pauses = random.Random(seed)
        self.pace: Pace | None = None
        """Set for an open loop, before :meth:`begin`."""
        self.clients = [new_client(self) for _ in range(clients)]
        self.versions: dict[int, int] = {}
        """Newest version this connection has seen of each account, for reads that follow own writes."""
        self._idle: list[Client] = []
        self._started_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, now_s: float) -> None:
        """Start every client at ``now_s`` of the monotonic clock."""
        self._started_s = now_s
        if self.pace is None:
            for client in self.clients:
                client.next(now_s)
        else:
            self._idle = list(self.clients)
            self._dispatch()

    def over(self, now_s: float) -> None:
        """The measured window ends: how long those went without success that have something to do."""
        idle = set(self._idle)
        for client in self.clients:
            if client not in idle:
                client.progress(now_s)

    def stop(self) -> None:
        """The run is over: clients that wait for their next operation are idle for good."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for _ in self._idle:
            self.run.one_idle()
        self._idle = []

    def free(self, client: Client, now_s: float) -> None:
        """``client`` ended an operation."""
        if self.run.stopping:
            self.run.one_idle()
        elif self.pace is None:
            client.next(now_s)
        else:
            self._idle.append(client)
            self._dispatch()

    def _dispatch(self) -> None:
        """Begin what is due while clients are free; come back when the next one is."""
        assert self.pace is not None
        while self._idle and (due := self.pace.next) is not None:
            wait_s = self._started_s + due.at_s - time.monotonic()
            if wait_s > EARLY_S:
                if self._timer is None:
                    self._timer = asyncio.get_running_loop().call_later(wait_s, self._woken)
                return
            self.pace.take()
            client = self._idle.pop()
            meant_s = self._started_s + due.at_s
            # It had nothing to do until then, which is no time without success.
            client.progress_s = max(client.progress_s, meant_s)
            client.next(meant_s, due.legs)

    def _woken(self) -> None:
        self._timer = None
        self._dispatch()


class Client:
    """One operation in flight, and how long this client went without one that succeeded.

    Args:
        stream: whose connection it uses.
        generator: draws transfers and reads; None where a subclass knows better.

    Attributes:
        progress_s: when its last operation succeeded, or measuring began.
        stalled_s: the longest time without success in the measured window, while it had something to do.
    """

    __slots__ = ("_age_us", "_attempts", "_generator", "_legs", "_meant_s", "_on_read", "_on_transfer",
                 "_stream", "progress_s", "stalled_s")  # fmt: skip

    retried = RETRIED
    """Aborts after which another attempt is made."""

    def __init__(self, stream: Stream, generator: Draws | None) -> None:
        self._stream = stream
        self._generator = generator
        self._on_transfer = self._transfer_done
        self._on_read = self._read_done
        self._legs: tuple[int, int, int, int] = (0, 0, 0, 0)
        self._meant_s = 0.0
        self._age_us = 0
        self._attempts = 0
        self.progress_s = 0.0
        self.stalled_s = 0.0

    def next(self, meant_s: float, legs: tuple[int, int, int, int] | None = None) -> None:
        """Begin the operation that was meant to begin at ``meant_s``: ``legs``, or what is drawn."""
        stream = self._stream
        self._meant_s = meant_s
        if legs is None:
            generator = self._generator
            assert generator is not None
            if generator.is_read():
                account = generator.account()
                version = stream.versions.get(account, 0) if stream.level == Level.RYW else 0
                versions = (version,) if stream.level == Level.RYW else ()
                stream.client.read_nowait((account,), self._on_read, stream.level, stream.bound_ms, versions)
                return
            legs = generator.legs()
        self._legs = legs
        self._attempts = 1
        self._age_us = 0
        stream.client.submit_nowait(legs, self._on_transfer)

    def _transfer_done(self, result: TxResult) -> None:
        stream = self._stream
        run = stream.run
        lost = result.outcome == ABORTED and result.reason in self.retried
        if lost and self._attempts <= stream.retries and not run.stopping:
            if run.measuring:
                run.tally.retry(result)
            self._try_later(result)
            return
        now_s = time.monotonic()
        if run.measuring:
            self._count_transfer(result, (now_s - self._meant_s) * 1e3)
            if result.outcome == COMMITTED:
                self.progress(now_s)
            run.count()
        if stream.level == Level.RYW and result.stored is not None:
            stream.versions.update(zip(result.legs[::2], result.stored.legs[::2], strict=False))
        stream.free(self, now_s)

    def _count_transfer(self, result: TxResult, latency_ms: float) -> None:
        self._stream.run.tally.transfer(result, latency_ms)

    def _try_later(self, result: TxResult) -> None:
        stream = self._stream
        if not self._age_us:
            self._age_us = age_now_us() - int(result.latency_ms * 1e3)
        pause_s = min(RETRY_PAUSE_S * (1 << min(self._attempts - 1, 8)), RETRY_PAUSE_MAX_S)
        # The random part keeps those that collided once from colliding again.
        asyncio.get_running_loop().call_later(pause_s * stream.pauses.uniform(0.5, 1.5), self._again)

    def _again(self) -> None:
        stream = self._stream
        if stream.run.stopping:
            stream.run.one_idle()
            return
        self._attempts += 1
        self._submit()

    def _submit(self) -> None:
        """Another attempt at the same transfer."""
        self._stream.client.submit_nowait(self._legs, self._on_transfer, age_us=self._age_us)

    def _read_done(self, values: ReadValues) -> None:
        run = self._stream.run
        now_s = time.monotonic()
        if run.measuring:
            run.tally.read(values, (now_s - self._meant_s) * 1e3)
            if values.outcome == "ok":
                self.progress(now_s)
            run.count()
        self._stream.free(self, now_s)

    def progress(self, now_s: float) -> None:
        """An operation succeeded, or the measured window ends."""
        self.stalled_s = max(self.stalled_s, now_s - self.progress_s)
        self.progress_s = now_s
