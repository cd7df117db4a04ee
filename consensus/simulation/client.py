"""A simulated client: a session, transactions with retries under the same TxId, deadlines, resolve, reads.

It follows the rules that the client library follows, in a form that needs no loop: ``tick`` when its time
has come, ``receive`` for what arrives. Whatever it is told goes to the checker of the cluster that told it.
A transaction goes to the cluster that owns its payer, as far as the client has heard.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from consensus.messages.entries import Item
from consensus.simulation.draws import Draws
from consensus.simulation.invariants import Checker, Violation
from consensus.simulation.wishes import Habits, Wishes
from consensus.topology import Cluster
from consensus.types import AccountId, ClusterId, NodeId

READS_MAX: Final = 8
LOST_MAX: Final = 64
SOON_US: Final = 5_000
"""When to try again what was refused because its accounts move."""
OTHER_LEVELS: Final = (Level.EVENTUAL, Level.RYW, Level.BOUNDED, Level.BOUNDED, Level.LEASE)
BOUNDS_MS: Final = (20, 120, 600)
"""Greatest ages asked for: mostly too short, sometimes long enough, and enough when nothing is wrong."""
LONG_AGO_US: Final = -(1 << 60)
Frame = tuple[NodeId, list[Message]]


class Place:
    """A cluster that the client talks to, and the node there that it takes for the leader."""

    __slots__ = ("cluster", "open_sent_us", "opened", "target", "urgent")

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.target: NodeId = cluster.first_leader
        self.opened = False
        self.open_sent_us = LONG_AGO_US
        self.urgent = False
        """Another node leads: everything open goes there at once."""


class Transaction(msgspec.Struct):
    """``again_us``: it was refused because accounts move, and is due then."""

    item: Item
    started_us: int
    sent_us: int
    place: Place
    resolving: bool = False
    again_us: int = 0


class PendingRead(msgspec.Struct):
    item: ReadItem
    least: tuple[int, ...]
    sent_us: int
    place: Place


class SimClient:
    """One client, at home in one cluster. ``draining``: no new work, only what is open gets finished."""

    def __init__(
        self,
        seed: int,
        number: int,
        cluster: Cluster,
        habits: Habits,
        checkers: Mapping[ClusterId, Checker],
        others: tuple[Cluster, ...] = (),
    ) -> None:
        self.number = number
        self.habits = habits
        self.checker = checkers[cluster.id]
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
        self._checkers = checkers
        self._lost: list[tuple[int, Item]] = []
        """Lost their locks, and will be tried again, from when on."""
        self._draws = Draws(seed, "client", number)
        self._wishes = Wishes(self._draws, cluster, others, habits)
        self._home = Place(cluster)
        self._places = {c.id: self._home if c is cluster else Place(c) for c in (cluster, *others)}
        self._place_of_node = {m: place for place in self._places.values() for m in place.cluster.members}
        self._moved: dict[AccountId, tuple[int, ClusterId]] = {}
        """Epoch and owner of accounts that are known to have moved."""
        self._reads: dict[int, PendingRead] = {}
        self._requests = 0
        self._begin_session()

    def _begin_session(self) -> None:
        self.session = self._draws.raw(16)
        for place in self._places.values():
            place.opened = False
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
        if self._home.opened:
            self._leaving = self._leaving or self._draws.chance(self.habits.new_session)
            if self._leaving and not self._open and not self.draining:
                self._begin_session()
            else:
                self._work(now_us, frames)
        else:
            self._enter(self._home, now_us, frames)
        for place in self._places.values():
            if place is not self._home:
                self._visit(place, now_us, frames)
        self._read(now_us, frames)
        for place in self._places.values():
            place.urgent = False
        return frames, self._draws.between(self.habits.tick_min_us, self.habits.tick_max_us)

    def _enter(self, place: Place, now_us: int, frames: list[Frame]) -> None:
        """Open the session there."""
        if now_us - place.open_sent_us >= self.habits.retry_us or place.urgent:
            if not place.urgent:
                self._rotate(place)
            place.open_sent_us = now_us
            frames.append((place.target, [Open(self.session)]))

    def _visit(self, place: Place, now_us: int, frames: list[Frame]) -> None:
        """Transactions whose payer has moved to another cluster."""
        mine = [tx for tx in self._open.values() if tx.place is place]
        if not mine:
            return
        if not place.opened:
            self._enter(place, now_us, frames)
            return
        self._submit(place, self._due(place, mine, now_us), [], now_us, frames)

    def _work(self, now_us: int, frames: list[Frame]) -> None:
        home = self._home
        due = self._due(home, [tx for tx in self._open.values() if tx.place is home], now_us)
        fresh: list[Transaction] = []
        if not self.draining and not self._leaving:
            room = self.habits.window - len(self._open) - len(self._lost)
            room = max(room, int(bool(self._lost) and self._lost[0][0] <= now_us))
            for _ in range(self._draws.below(room + 1) if room > 0 else 0):
                item = self._again(now_us)
                if item is None:
                    self._next += 1
                    item = self._wishes.invent(self._next - 1, now_us)
                tx = Transaction(item, now_us, now_us, self._place_of(payer_of(item)))
                self._open[item.number] = tx
                if tx.place is home:
                    fresh.append(tx)
                else:
                    tx.again_us = now_us
        self._submit(home, due, fresh, now_us, frames)

    def _due(self, place: Place, mine: list[Transaction], now_us: int) -> list[Transaction]:
        late = [tx for tx in mine if now_us - tx.sent_us >= self.habits.retry_us]
        if late and not place.urgent:
            self._rotate(place)
        if place.urgent:
            return mine
        return late + [tx for tx in mine if tx.again_us and tx.again_us <= now_us and tx not in late]

    def _submit(
        self,
        place: Place,
        due: list[Transaction],
        fresh: list[Transaction],
        now_us: int,
        frames: list[Frame],
    ) -> None:
        resolve: list[Item] = []
        items: list[Item] = []
        for tx in due:
            tx.sent_us = now_us
            tx.again_us = 0
            tx.resolving = tx.resolving or now_us - tx.started_us > self.habits.deadline_us
            (resolve if tx.resolving else items).append(tx.item)
        items.extend(tx.item for tx in fresh)
        messages: list[Message] = []
        if items:
            messages.append(Submit(self.session, self._settled_below, items))
        if resolve:
            payers = tuple([payer_of(item) for item in resolve])
            messages.append(ResolveRequest(self.session, [item.number for item in resolve], payers))
        if messages:
            frames.append((place.target, messages))

    def _again(self, now_us: int) -> Item | None:
        """The next one of those that lost their locks and have waited, with a new number."""
        if not self._lost or self._lost[0][0] > now_us:
            return None
        self._next += 1
        return msgspec.structs.replace(self._lost.pop(0)[1], number=self._next - 1)

    @property
    def _settled_below(self) -> int:
        return min(self._open, default=self._next)

    def _rotate(self, place: Place) -> None:
        place.target = self._draws.pick(place.cluster.members)

    def _place_of(self, account: AccountId) -> Place:
        """Where the account is, as far as the client knows; at home if it is nowhere."""
        moved = self._moved.get(account)
        if moved is not None:
            return self._places[moved[1]]
        for place in self._places.values():
            if place.cluster.first_account <= account <= place.cluster.last_account:
                return place
        return self._home

    # --- reads -----------------------------------------------------------------------------

    def _read(self, now_us: int, frames: list[Frame]) -> None:
        draws = self._draws
        late = [read for read in self._reads.values() if now_us - read.sent_us >= self.habits.retry_us]
        for place in self._places.values():
            idle = not place.urgent and not any(tx.place is place for tx in self._open.values())
            if idle and any(read.place is place for read in late):
                self._rotate(place)
        for read in [read for read in self._reads.values() if read.place.urgent or read in late]:
            read.sent_us = now_us
            frames.append((self._reader(read), [Read([read.item])]))
        if self.draining or len(self._reads) >= READS_MAX or not draws.chance(self.habits.reads):
            return
        self._requests += 1
        accounts = tuple(dict.fromkeys(self._wishes.account() for _ in range(draws.between(1, 4))))
        place = self._place_of(accounts[0])
        accounts = tuple([account for account in accounts if self._place_of(account) is place])
        level = Level.LINEARIZABLE if draws.chance(0.5) else draws.pick(OTHER_LEVELS)
        bound_ms = draws.pick(BOUNDS_MS) if level == Level.BOUNDED else 0
        least = self.checker.least_versions(accounts, level, bound_ms, now_us)
        item = ReadItem(self._requests, accounts, level, bound_ms, least if level == Level.RYW else ())
        read = self._reads[self._requests] = PendingRead(item, least, now_us, place)
        frames.append((self._reader(read), [Read([item])]))

    def _reader(self, read: PendingRead) -> NodeId:
        """Weak reads go anywhere, strong ones mostly to whom we take for the leader."""
        strong = read.item.level in (Level.LINEARIZABLE, Level.LEASE)
        if strong and not self._draws.chance(self.habits.stray_reads):
            return read.place.target
        return self._draws.pick(read.place.cluster.members)

    # --- what comes back --------------------------------------------------------------------

    def receive(self, now_us: int, node: NodeId, message: Message) -> bool:
        """Take an answer. Returns whether the next tick should come at once."""
        place = self._place_of_node[node]
        if isinstance(message, Replies):
            if message.session == self.session:
                for number, outcome in zip(message.numbers, message.outcomes, strict=True):
                    self._checkers[place.cluster.id].answered(self.session, number, outcome)
                    self._outcome(now_us, number, outcome)
        elif isinstance(message, ReadReplies):
            for result in message.results:
                read = self._reads.pop(result.request, None)
                if read is not None:
                    self.reads_done += 1
                    self._checkers[place.cluster.id].read(read.item, result, read.least)
                    self.checker.saw(read.item.accounts, result.values, now_us)
        elif isinstance(message, Opened):
            if message.session == self.session and not place.opened:
                place.opened = True
                return True
        elif isinstance(message, Refused):
            return message.session == self.session and self._refused(now_us, node, place, message)
        elif isinstance(message, ReadRefused):
            return self._read_refused(node, place, message)
        elif isinstance(message, Leads) and message.leader and message.leader != place.target:
            place.target = message.leader
            place.urgent = True
            return True
        return False

    def _outcome(self, now_us: int, number: int, outcome: Outcome) -> None:
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

    def _refused(self, now_us: int, node: NodeId, place: Place, message: Refused) -> bool:
        reason = message.reason
        if reason == Refusal.NOT_LEADER:
            return self._follow(node, place, message.leader)
        if reason in (Refusal.WRONG_OWNER, Refusal.MIGRATING):
            self._moves(now_us, place, message)
            return False
        if reason == Refusal.SESSION_EXPIRED or (reason == Refusal.SESSION_UNKNOWN and place.opened):
            hit = [n for n in (message.numbers or self._open) if n in self._open]
            if not hit:
                return False
            if self.session not in self._checkers[place.cluster.id].bank.evicted:
                raise Violation("open numbers are remembered", f"{Refusal(reason).name} for {hit}")
            self.sessions_lost += 1
            self._begin_session()
            return True
        return False

    def _moves(self, now_us: int, place: Place, message: Refused) -> None:
        """Accounts have moved, or are about to: try again where their payer is."""
        self._learn(message.owners)
        for number in message.numbers:
            tx = self._open.get(number)
            if tx is None or tx.place is not place:
                continue
            tx.again_us = now_us + SOON_US
            if message.reason == Refusal.WRONG_OWNER:
                if message.owners:
                    tx.place = self._place_of(payer_of(tx.item))
                else:
                    # A resolve carries no legs, so nobody says where they are: ask one after the other.
                    around = list(self._places.values())
                    tx.place = around[(around.index(place) + 1) % len(around)]

    def _learn(self, owners: tuple[int, ...]) -> None:
        for account, cluster, epoch in zip(owners[::3], owners[1::3], owners[2::3], strict=True):
            if epoch > self._moved.get(account, (0, 0))[0]:
                self._moved[account] = (epoch, cluster)

    def _read_refused(self, node: NodeId, place: Place, message: ReadRefused) -> bool:
        if message.reason == Refusal.NOT_LEADER:
            return self._follow(node, place, message.leader)
        if message.reason == Refusal.WRONG_OWNER:
            self._learn(message.owners)
            for request in message.requests:
                self._reads.pop(request, None)
        return False

    def _follow(self, node: NodeId, place: Place, leader: NodeId) -> bool:
        """A node says that it does not lead, and perhaps who does."""
        if node != place.target or not leader or leader == node:
            return False
        place.target = leader
        place.urgent = True
        return True


def payer_of(item: Item) -> AccountId:
    """Account of the first debited leg; of the first leg if nobody pays, 0 if there is none."""
    pairs = zip(item.legs[::2], item.legs[1::2], strict=False)
    return next((account for account, delta in pairs if delta < 0), item.legs[0] if item.legs else 0)
