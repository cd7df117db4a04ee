"""Carrying out a plan on a running bank: parts of it, one small batch after another, until all of it is done.

A part is named by (plan, number). Its source's log keeps what became of it, so a part may be asked for as
often as somebody likes and by whoever comes after a crash: it is done once. What the caller has to keep is
which accounts a number stands for, before it is asked for; :class:`Mover` calls ``save`` then, and again
with the outcome.

Accounts that were locked when their part was taken, and those of a part that was rolled back, are asked
for again in a later part.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple

import msgspec

from consensus.client.fleet import Ask
from consensus.topology import Topology
from consensus.types import AccountId, ClusterId

ACCOUNTS_MAX: Final = 64
"""Of one part; what a batch may hold."""
START_SIZE: Final = 16
TOGETHER: Final = 4
"""Parts under way at once: as many pairs of clusters as three clusters have, and some."""
ATTEMPTS_MAX: Final = 60
"""Parts that may name an account in vain, before it is given up."""
AGAIN_S: Final = 0.02
AGAIN_MAX_S: Final = 1.0
"""How long an account that was locked is left alone: longer each time."""
POLL_S: Final = 0.008
LOST_S: Final = 0.05
"""Between two looks for a leader."""
CALM_S: Final = 2.0
"""Without a part, before a run that goes on takes up its own; as long as latencies are looked back on."""
PAUSE_MIN_S: Final = 0.005
PAUSE_MAX_S: Final = 1.0
OUTLOOK_S: Final = 10.0
"""Time over which the rate is taken that tells when it will be done."""

RUNNING: Final = "running"
PAUSED: Final = "paused"
ABORTED: Final = "aborted"
DONE: Final = "done"


class Step(NamedTuple):
    """One account's move."""

    account: AccountId
    source: ClusterId
    target: ClusterId


class Part(msgspec.Struct):
    """A part of a plan. ``phase`` is empty until it is over, then flipped, rolled_back or nothing_taken.

    ``took_ms``: how long its accounts were out of service, as their source tells; where that changed leaders,
    from asked until over, which is longer.
    """

    number: int
    source: ClusterId
    target: ClusterId
    accounts: tuple[AccountId, ...]
    phase: str = ""
    taken: tuple[AccountId, ...] = ()
    began_s: float = 0.0
    took_ms: float = 0.0

    @property
    def moved(self) -> tuple[AccountId, ...]:
        return self.taken if self.phase == "flipped" else ()


class Throttle:
    """How large a part may be, and how long to wait between two, by how transfers fare meanwhile.

    The 99th percentile of latency is compared with what it was before the first part: above ``bound``
    times that, parts get smaller and pauses longer; below, the other way round.
    """

    def __init__(self, p99_ms: Callable[[], float | None], bound: float = 2.0) -> None:
        self._p99_ms = p99_ms
        self._bound = bound
        self.before_ms: float | None = None
        self.begin()
        self.size = START_SIZE
        self.pause_s = PAUSE_MIN_S

    def begin(self) -> None:
        """Nothing moves: what is measured now is what later is compared with."""
        self.before_ms = self._p99_ms()

    def look(self) -> None:
        now_ms = self._p99_ms()
        if self.before_ms is None or now_ms is None:
            self.before_ms = self.before_ms or now_ms
            return
        if now_ms > self._bound * self.before_ms:
            self.size = max(1, self.size // 2)
            self.pause_s = min(PAUSE_MAX_S, 2 * self.pause_s)
        else:
            self.size = min(ACCOUNTS_MAX, self.size + 4)
            self.pause_s = max(PAUSE_MIN_S, self.pause_s / 2)


class Mover:
    """Carries out one plan.

    Args:
        topology: of the bank.
        plan: 16 bytes in hex, never used for other moves.
        steps: in the order they are to be made.
        ask: how to reach nodes.
        save: keeps a part durably; called before it is asked for first, and when it is over.
        parts: what was saved in earlier runs.
        p99_ms: latency of transfers now; None where there are none.
    """

    def __init__(
        self,
        topology: Topology,
        plan: str,
        steps: Sequence[Step],
        ask: Ask,
        save: Callable[[Part], Awaitable[None]],
        parts: Iterable[Part] = (),
        p99_ms: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._topology = topology
        self._plan = plan
        self._ask = ask
        self._save = save
        self._throttle = Throttle(p99_ms)
        self._open: list[Part] = []
        self._next = 0
        self.state = RUNNING
        self.moved: set[AccountId] = set()
        self.given_up: dict[AccountId, str] = {}
        """Accounts that could not be moved, and why."""
        self.total = len(steps)
        for part in parts:
            self._next = max(self._next, part.number + 1)
            self.moved.update(part.moved)
            if not part.phase:
                self._open.append(part)
        resumed = {account for part in self._open for account in part.accounts}
        done = self.moved | resumed
        self._waiting = deque([step for step in steps if step.account not in done])
        self._attempts: dict[AccountId, int] = {}
        self._later: list[tuple[float, Step]] = []
        """Steps to be tried again, and from when on; a heap."""
        self._go = asyncio.Event()
        self._go.set()
        self._rate: deque[tuple[float, int]] = deque(maxlen=1_000)

    # --- steering ----------------------------------------------------------------------

    def pause(self) -> None:
        """No further part is begun; what is under way ends."""
        if self.state == RUNNING:
            self.state = PAUSED
            self._go.clear()

    def resume(self) -> None:
        if self.state == PAUSED:
            self.state = RUNNING
            self._go.set()

    def abort(self) -> None:
        """As :meth:`pause`, for good. What has moved stays where it is."""
        self.state = ABORTED
        self._go.set()

    @property
    def eta_s(self) -> float | None:
        """Seconds until everything is moved at the rate of the last ones; None while nobody can tell."""
        if self.state != RUNNING or len(self._rate) < 2:
            return None
        since_s = time.monotonic() - OUTLOOK_S
        recent = [entry for entry in self._rate if entry[0] >= since_s]
        if len(recent) < 2 or recent[-1][1] == recent[0][1]:
            return None
        rate = (recent[-1][1] - recent[0][1]) / (recent[-1][0] - recent[0][0])
        return round((self.total - len(self.moved) - len(self.given_up)) / rate, 1)

    # --- running -----------------------------------------------------------------------

    async def run(self) -> str:
        """Until everything is moved or given up, or until :meth:`abort`; returns the last state."""
        resumed, self._open = self._open, []
        if resumed:
            await self._all(resumed)
        if self._next:
            # A run that goes on: how transfers fare is known only once nothing moves.
            await asyncio.sleep(CALM_S)
            self._throttle.begin()
        while self._waiting or self._later:
            await self._go.wait()
            if self.state == ABORTED:
                return ABORTED
            while self._later and self._later[0][0] <= time.monotonic():
                self._waiting.append(heappop(self._later)[1])
            self._throttle.look()
            await self._all(self._parts())
            await asyncio.sleep(self._pause_s())
        if self.state != ABORTED:
            self.state = DONE
        return self.state

    def _pause_s(self) -> float:
        """Until the next parts; with only accounts left that were locked, until the first of them is due."""
        if self._waiting or not self._later:
            return self._throttle.pause_s
        due_s = self._later[0][0] - time.monotonic()
        return max(self._throttle.pause_s, min(due_s, AGAIN_MAX_S))

    def _parts(self) -> list[Part]:
        """The next parts, in order; they take what goes between the same clusters together."""
        groups: dict[tuple[ClusterId, ClusterId], list[AccountId]] = {}
        size = self._throttle.size
        later: list[Step] = []
        looked = 0
        while self._waiting and looked < TOGETHER * size:
            step = self._waiting.popleft()
            looked += 1
            pair = (step.source, step.target)
            group = groups.get(pair)
            if (group is None and len(groups) == TOGETHER) or (group is not None and len(group) == size):
                later.append(step)
            else:
                groups.setdefault(pair, []).append(step.account)
        self._waiting.extendleft(reversed(later))
        parts: list[Part] = []
        for (source, target), accounts in groups.items():
            parts.append(Part(self._next, source, target, tuple(accounts)))
            self._next += 1
        return parts

    async def _all(self, parts: list[Part]) -> None:
        for part in parts:
            part.began_s = time.time()
            await self._save(part)
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(self._one(part))

    async def _one(self, part: Part) -> None:
        """Ask for a part until it is over."""
        begun = time.monotonic()
        members = list(self._topology.cluster_by_id[part.source].members)
        while True:
            leader = None
            for node in members:
                answer = await self._ask(
                    node,
                    "move",
                    plan=self._plan,
                    part=part.number,
                    to=part.target,
                    accounts=list(part.accounts),
                )
                if answer is not None and answer["leads"]:
                    leader = node
                    break
            if leader is None:
                await asyncio.sleep(LOST_S)
                continue
            members.sort(key=lambda member: member != leader)
            if answer["over"]:
                break
            await asyncio.sleep(POLL_S)
        part.phase = answer["phase"]
        part.taken = tuple(answer["taken"])
        out_ms = answer["out_ms"]
        part.took_ms = round(1_000 * (time.monotonic() - begun) if out_ms is None else out_ms, 1)
        await self._save(part)
        self.moved.update(part.moved)
        self._rate.append((time.monotonic(), len(self.moved)))
        gone = set(part.moved)
        for account in part.accounts:
            if account not in gone:
                self._again(Step(account, part.source, part.target), part.phase)

    def _again(self, step: Step, phase: str) -> None:
        tried = self._attempts[step.account] = self._attempts.get(step.account, 0) + 1
        if tried < ATTEMPTS_MAX:
            pause_s = min(AGAIN_MAX_S, AGAIN_S * 2 ** min(tried, 10))
            heappush(self._later, (time.monotonic() + pause_s, step))
        else:
            why = "locked or not there" if phase != "rolled_back" else "its batches were rolled back"
            self.given_up[step.account] = f"{why}, {tried} times"
