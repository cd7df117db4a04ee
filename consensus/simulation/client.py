"""A simulated client: a session, transactions with retries under the same TxId, deadlines, resolve, reads.

It follows the rules that the client library follows, in a form that needs no loop: ``tick`` when its time
has come, ``receive`` for what arrives. Whatever it is told goes to the checker.
"""

from __future__ import annotations

from typing import Final

import msgspec

from consensus.messages.base import Message
from consensus.messages.client import (
    Leads,
    Level,
    Open,
    Opened,
    Outcome,
    Read,
    ReadItem,
    ReadRefused,
    ReadReplies,
    Refusal,
    Refused,
    Replies,
    ResolveRequest,
    Status,
    Submit,
)
from consensus.messages.entries import Condition, Item
from consensus.simulation.draws import Draws
from consensus.simulation.invariants import Checker, Violation
from consensus.topology import Cluster
from consensus.types import AMOUNT_MAX, AccountId, NodeId

READS_MAX: Final = 8
LOST_MAX: Final = 64
OTHER_LEVELS: Final = (Level.EVENTUAL, Level.RYW, Level.BOUNDED, Level.BOUNDED, Level.LEASE)
BOUNDS_MS: Final = (20, 120, 600)
"""Greatest ages asked for: mostly too short, sometimes long enough, and enough when nothing is wrong."""
Frame = tuple[NodeId, list[Message]]


class Habits(msgspec.Struct, frozen=True):
    """How clients behave in a run. Times in microseconds."""

    window: int = 8
    """Transactions a client has open at most."""
    tick_min_us: int = 1_000
    tick_max_us: int = 10_000
    retry_us: int = 120_000
    deadline_us: int = 1_500_000
    """After it the client stops submitting a transaction and has it resolved."""
    reads: float = 0.1
    """Reads per transaction."""
    odd: float = 0.1
    """Transactions that are invalid, have conditions, or many legs."""
    new_session: float = 0.0
    """Chance per tick that a client finishes what is open and goes on in a new session."""
    stray_reads: float = 0.2
    """Strong reads that are sent to just any node: a follower, or one that believes that it leads."""
    hot_accounts: int = 10
    """Transfers stay among so many accounts of a cluster, which makes conflicts and empty accounts likely."""
    cross: float = 0.0
    """Transactions with legs in other clusters, where there are any."""
    back_off_us: int = 0
    """How long one that lost its locks waits at least before it is tried again, and up to twice that."""
    insists: float = 0.5
    """Chance that one that lost its locks to another is tried again, under a new number with the old age."""


class Transaction(msgspec.Struct):
    item: Item
    started_us: int
    sent_us: int
    resolving: bool = False


class PendingRead(msgspec.Struct):
    item: ReadItem
    least: tuple[int, ...]
    sent_us: int


class SimClient:
    """One client of one cluster. ``draining``: no new work, only what is open gets finished."""

    def __init__(
        self,
        seed: int,
        number: int,
        cluster: Cluster,
        habits: Habits,
        checker: Checker,
        others: tuple[Cluster, ...] = (),
    ) -> None:
        self.number = number
        self.cluster = cluster
        self.others = others
        self.habits = habits
        self.checker = checker
        self.draining = False
        self.committed = 0
        self.aborted = 0
        self.resolved = 0
        self.reads_done = 0
        self.sessions_lost = 0
        self.crossed = 0
        """Transactions across clusters that committed."""
        self.conflicts = 0
        self.slowest_us = 0
        """Longest time from the first attempt at a transaction across clusters to its commit."""
        self._lost: list[tuple[int, Item]] = []
        """Lost their locks, and will be tried again, from when on."""
        self._draws = Draws(seed, "client", number)
        self._target: NodeId = cluster.first_leader
        self._opened = False
        self._open_sent_us = -(1 << 60)
        self._urgent = False
        self._reads: dict[int, PendingRead] = {}
        self._requests = 0
        self._begin_session()

    def _begin_session(self) -> None:
        self.session = self._draws.raw(16)
        self._opened = False
        self._leaving = False
        self._next = 0
        self._open: dict[int, Transaction] = {}

    @property
    def idle(self) -> bool:
        return not self._open and not self._reads

    @property
    def wishes(self) -> list[Item]:
        """What is open, or waits for another attempt."""
        return [tx.item for tx in self._open.values()] + [item for _, item in self._lost]

    @property
    def open_numbers(self) -> list[int]:
        return sorted(self._open)

    def tick(self, now_us: int) -> tuple[list[Frame], int]:
        """Start, send and re-send what is due. Returns frames, and how long to wait for the next tick."""
        frames: list[Frame] = []
        if not self._opened:
            if now_us - self._open_sent_us >= self.habits.retry_us or self._urgent:
                if not self._urgent:
                    self._rotate()
                self._open_sent_us = now_us
                frames.append((self._target, [Open(self.session)]))
        else:
            self._leaving = self._leaving or self._draws.chance(self.habits.new_session)
            if self._leaving and not self._open and not self.draining:
                self._begin_session()
            else:
                self._work(now_us, frames)
        self._read(now_us, frames)
        self._urgent = False
        return frames, self._draws.between(self.habits.tick_min_us, self.habits.tick_max_us)

    def _work(self, now_us: int, frames: list[Frame]) -> None:
        habits = self.habits
        late = [tx for tx in self._open.values() if now_us - tx.sent_us >= habits.retry_us]
        if late and not self._urgent:
            self._rotate()
        due = list(self._open.values()) if self._urgent else late
        resolve: list[int] = []
        items: list[Item] = []
        for tx in due:
            tx.sent_us = now_us
            tx.resolving = tx.resolving or now_us - tx.started_us > habits.deadline_us
            if tx.resolving:
                resolve.append(tx.item.number)
            else:
                items.append(tx.item)
        if not self.draining and not self._leaving:
            room = habits.window - len(self._open) - len(self._lost)
            room = max(room, int(bool(self._lost) and self._lost[0][0] <= now_us))
            for _ in range(self._draws.below(room + 1) if room > 0 else 0):
                item = self._again(now_us) or self._invent(now_us)
                self._open[item.number] = Transaction(item, now_us, now_us)
                items.append(item)
        messages: list[Message] = []
        if items:
            messages.append(Submit(self.session, self._settled_below, items))
        if resolve:
            messages.append(ResolveRequest(self.session, resolve))
        if messages:
            frames.append((self._target, messages))

    @property
    def _settled_below(self) -> int:
        return min(self._open, default=self._next)

    def _rotate(self) -> None:
        self._target = self._draws.pick(self.cluster.members)

    # --- what to ask for -----------------------------------------------------------------

    def _again(self, now_us: int) -> Item | None:
        """The next one of those that lost their locks and have waited, with a new number."""
        if not self._lost or self._lost[0][0] > now_us:
            return None
        self._next += 1
        return msgspec.structs.replace(self._lost.pop(0)[1], number=self._next - 1)

    def _invent(self, now_us: int) -> Item:
        draws = self._draws
        number = self._next
        self._next += 1
        if self.others and draws.chance(self.habits.cross):
            return self._across(number, now_us)
        if draws.chance(self.habits.odd):
            return self._odd(number)
        sender, receiver = self._two()
        amount = draws.between(1, 40)
        return Item(number, (sender, -amount, receiver, amount))

    def _across(self, number: int, now_us: int) -> Item:
        """Legs in this cluster and others; the first debited one here, so that this cluster coordinates."""
        draws = self._draws
        other = draws.pick(self.others)
        if not draws.chance(self.habits.odd):
            amount = draws.between(1, 40)
            legs = (self._account(), -amount, self._account(other), amount)
            return Item(number, legs, (), now_us + 1)
        accounts = dict.fromkeys([self._account(), self._account(other)])
        for _ in range(draws.below(15)):
            accounts.setdefault(self._account(draws.pick((self.cluster, *self.others))))
        if draws.chance(0.1):
            accounts[10**9] = None
        deltas = [draws.between(-9, 9) for _ in list(accounts)[1:]]
        first = -abs(sum(deltas)) - 1
        deltas[-1] -= first + sum(deltas)
        conditions: tuple[int, ...] = ()
        if draws.chance(0.2):
            conditions = (list(accounts)[1], Condition.BALANCE_AT_LEAST, draws.between(1, 60))
        flat = [x for pair in zip(accounts, [first, *deltas], strict=True) for x in pair]
        return Item(number, tuple(flat), conditions, now_us + 1)

    def _account(self, cluster: Cluster | None = None) -> AccountId:
        cluster = cluster or self.cluster
        count = min(self.habits.hot_accounts, cluster.last_account - cluster.first_account + 1)
        return cluster.first_account + self._draws.below(count)

    def _two(self) -> tuple[AccountId, AccountId]:
        sender = self._account()
        receiver = self._account()
        while receiver == sender:
            receiver = self._account()
        return sender, receiver

    def _odd(self, number: int) -> Item:
        draws = self._draws
        sender, receiver = self._two()
        kind = draws.below(9)
        if kind == 0:
            return Item(number, (sender, -1, sender, 1))
        if kind == 1:
            return Item(number, (sender, -5, 10**9, 5))
        if kind == 2:
            return Item(number, (sender, -5, receiver, 6))
        if kind == 3:
            return Item(number, (sender, -AMOUNT_MAX - 1, receiver, AMOUNT_MAX + 1))
        if kind == 4:
            return Item(number, (sender, 0, receiver, 0))
        if kind == 5:
            floor = draws.between(1, 200)
            conditions = (sender, Condition.BALANCE_AT_LEAST, floor, receiver, Condition.BALANCE_AT_LEAST, 1)
            return Item(number, (sender, -1, receiver, 1), conditions)
        if kind == 6:
            version = draws.below(40)
            return Item(number, (sender, -1, receiver, 1), (sender, Condition.VERSION_EQUALS, version))
        first, last = self.cluster.first_account, self.cluster.last_account
        accounts = list(range(first, min(last, first + 15) + 1))[: draws.between(3, 16)]
        deltas = [draws.between(-9, 9) for _ in accounts[1:]]
        flat: list[int] = [accounts[0], -sum(deltas)]
        for account, delta in zip(accounts[1:], deltas, strict=True):
            flat += (account, delta)
        return Item(number, tuple(flat))

    def _read(self, now_us: int, frames: list[Frame]) -> None:
        draws = self._draws
        late = [read for read in self._reads.values() if now_us - read.sent_us >= self.habits.retry_us]
        if late and not self._open and not self._urgent:
            self._rotate()
        for read in self._reads.values() if self._urgent else late:
            read.sent_us = now_us
            frames.append((self._place(read), [Read([read.item])]))
        if self.draining or len(self._reads) >= READS_MAX or not draws.chance(self.habits.reads):
            return
        self._requests += 1
        accounts = tuple(dict.fromkeys(self._account() for _ in range(draws.between(1, 4))))
        level = Level.LINEARIZABLE if draws.chance(0.5) else draws.pick(OTHER_LEVELS)
        bound_ms = draws.pick(BOUNDS_MS) if level == Level.BOUNDED else 0
        least = self.checker.least_versions(accounts, level, bound_ms, now_us)
        item = ReadItem(self._requests, accounts, level, bound_ms, least if level == Level.RYW else ())
        read = self._reads[self._requests] = PendingRead(item, least, now_us)
        frames.append((self._place(read), [Read([item])]))

    def _place(self, read: PendingRead) -> NodeId:
        """Weak reads go anywhere, strong ones mostly to whom we take for the leader."""
        strong = read.item.level in (Level.LINEARIZABLE, Level.LEASE)
        if strong and not self._draws.chance(self.habits.stray_reads):
            return self._target
        return self._draws.pick(self.cluster.members)

    # --- what comes back --------------------------------------------------------------------

    def receive(self, now_us: int, node: NodeId, message: Message) -> bool:
        """Take an answer. Returns whether the next tick should come at once."""
        if isinstance(message, Replies):
            if message.session == self.session:
                for number, outcome in zip(message.numbers, message.outcomes, strict=True):
                    self._outcome(now_us, number, outcome)
        elif isinstance(message, ReadReplies):
            for result in message.results:
                read = self._reads.pop(result.request, None)
                if read is not None:
                    self.reads_done += 1
                    self.checker.read(read.item, result, read.least)
                    self.checker.saw(read.item.accounts, result.values, now_us)
        elif isinstance(message, Opened):
            if message.session == self.session and not self._opened:
                self._opened = True
                return True
        elif isinstance(message, Refused):
            return self._refused(node, message)
        elif isinstance(message, ReadRefused):
            return self._follow(node, message.leader) if message.reason == Refusal.NOT_LEADER else False
        elif isinstance(message, Leads) and message.leader and message.leader != self._target:
            self._target = message.leader
            self._urgent = True
            return True
        return False

    def _outcome(self, now_us: int, number: int, outcome: Outcome) -> None:
        self.checker.answered(self.session, number, outcome)
        tx = self._open.pop(number, None)
        if tx is None:
            return
        if outcome.status:
            self.aborted += 1
            self._lose(now_us, tx.item, outcome.status)
        else:
            self.committed += 1
            self.checker.saw(tx.item.legs[::2], outcome.legs, now_us)
            if tx.item.age_us:
                self.crossed += 1
                self.slowest_us = max(self.slowest_us, now_us - tx.item.age_us)
        self.resolved += tx.resolving

    def _lose(self, now_us: int, item: Item, status: int) -> None:
        if status not in (Status.LOCK_CONFLICT, Status.LOCK_TIMEOUT) or not item.age_us:
            return
        self.conflicts += 1
        if len(self._lost) < LOST_MAX and self._draws.chance(self.habits.insists):
            wait_us = self._draws.between(self.habits.back_off_us, 2 * self.habits.back_off_us)
            self._lost.append((now_us + wait_us, item))

    def _refused(self, node: NodeId, message: Refused) -> bool:
        if message.session != self.session:
            return False
        if message.reason == Refusal.NOT_LEADER:
            return self._follow(node, message.leader)
        expired = message.reason == Refusal.SESSION_EXPIRED
        if expired or (message.reason == Refusal.SESSION_UNKNOWN and self._opened):
            hit = [n for n in (message.numbers or self._open) if n in self._open]
            if not hit:
                return False
            if self.session not in self.checker.bank.evicted:
                raise Violation("open numbers are remembered", f"{Refusal(message.reason).name} for {hit}")
            self.sessions_lost += 1
            self._begin_session()
            return True
        if message.reason == Refusal.SESSION_UNKNOWN:
            return False
        return False

    def _follow(self, node: NodeId, leader: NodeId) -> bool:
        """A node says that it does not lead, and perhaps who does."""
        if node != self._target or not leader or leader == node:
            return False
        self._target = leader
        self._urgent = True
        return True
